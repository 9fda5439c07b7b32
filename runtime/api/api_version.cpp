// Versions, build line, names of status codes.
// Never here: anything about a model or a session.
#include <atomic>

#include "kernels/kernels.h"
#include "runtime/api/api_objects.h"
#include "runtime/bundle/bundle_format.h"
#include "runtime/core/text.h"
#include "runtime/state/state_file.h"

namespace {

#if defined(__clang__)
constexpr char kCompiler[] = "clang " EDGECL_TEXT(__clang_major__) "." EDGECL_TEXT(__clang_minor__);
#elif defined(__GNUC__)
constexpr char kCompiler[] = "gcc " EDGECL_TEXT(__GNUC__) "." EDGECL_TEXT(__GNUC_MINOR__);
#else
constexpr char kCompiler[] = "another compiler";
#endif

// Written once, by whichever thread asks first; the others wait for it (it takes microseconds).
char build_line[256];
const char* level_list;                     // the end of it
std::atomic<uint32_t> build_line_state{0};  // 0 not written, 1 being written, 2 ready

void write_build_line() {
  edgecl::TextWriter out(build_line, sizeof build_line);
  out.text("edgecl " EDGECL_VERSION_TEXT ", ");
  out.text(kCompiler);
  out.text(", bundle format ");
  out.number(edgecl::format::kVersion);
  out.text(", state format ");
  out.number(edgecl::kStateVersion);
  out.text(", kernels ");
  level_list = build_line + out.length();
  const char* levels[16];
  const int n = edgecl::kernel_levels(levels, 16);
  for (int i = 0; i < n && i < 16; i++) {
    if (i) out.text(", ");
    out.text(levels[i]);
  }
}

void prepare_build_line() {
  uint32_t expected = 0;
  if (build_line_state.compare_exchange_strong(expected, 1)) {
    write_build_line();
    build_line_state.store(2);
  }
  while (build_line_state.load() != 2) {
  }
}

}  // namespace

const char* edgecl::api::kernel_level_list() {
  prepare_build_line();
  return level_list;
}

extern "C" {

uint32_t edgecl_version_number(void) {
  return EDGECL_VERSION_NUMBER;
}

const char* edgecl_version_string(void) {
  return EDGECL_VERSION_TEXT;
}

const char* edgecl_build_info(void) {
  prepare_build_line();
  return build_line;
}

uint32_t edgecl_bundle_format_version(void) {
  return edgecl::format::kVersion;
}

uint32_t edgecl_state_format_version(void) {
  return edgecl::kStateVersion;
}

const char* edgecl_status_name(edgecl_status status) {
  switch (status) {
#define EDGECL_STATUS_CASE(name) \
  case name:                     \
    return #name;
    EDGECL_STATUS_CASE(EDGECL_OK)
    EDGECL_STATUS_CASE(EDGECL_E_ARGUMENT)
    EDGECL_STATUS_CASE(EDGECL_E_SHAPE)
    EDGECL_STATUS_CASE(EDGECL_E_DTYPE)
    EDGECL_STATUS_CASE(EDGECL_E_SEQUENCE)
    EDGECL_STATUS_CASE(EDGECL_E_UNSUPPORTED)
    EDGECL_STATUS_CASE(EDGECL_E_BUSY)
    EDGECL_STATUS_CASE(EDGECL_E_NO_MEMORY)
    EDGECL_STATUS_CASE(EDGECL_E_ARENA_TOO_SMALL)
    EDGECL_STATUS_CASE(EDGECL_E_CAPACITY)
    EDGECL_STATUS_CASE(EDGECL_E_NOT_FOUND)
    EDGECL_STATUS_CASE(EDGECL_E_BUNDLE_CORRUPT)
    EDGECL_STATUS_CASE(EDGECL_E_BUNDLE_VERSION)
    EDGECL_STATUS_CASE(EDGECL_E_BUNDLE_SIGNATURE)
    EDGECL_STATUS_CASE(EDGECL_E_BUNDLE_OP)
    EDGECL_STATUS_CASE(EDGECL_E_STATE_CORRUPT)
    EDGECL_STATUS_CASE(EDGECL_E_STATE_MISMATCH)
    EDGECL_STATUS_CASE(EDGECL_E_IO)
    EDGECL_STATUS_CASE(EDGECL_E_NUMERIC)
    EDGECL_STATUS_CASE(EDGECL_E_INTERNAL)
#undef EDGECL_STATUS_CASE
    default:
      return "unknown status";
  }
}

}  // extern "C"
