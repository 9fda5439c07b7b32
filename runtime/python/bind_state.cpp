// read_state_table: the frame of a saved state or a message, as the core reads it.
// Never here: contents of sections (edgecl/state_file.py), sessions.
#include <cstring>

#include "runtime/python/bind_common.h"
#include "runtime/state/state_file.h"

namespace edgecl::python {
namespace {

std::string hex(const uint8_t* digest) {
  std::string text;
  for (size_t i = 0; i < kSha256Bytes; ++i) {
    constexpr const char* kDigits = "0123456789abcdef";
    text += {kDigits[digest[i] >> 4], kDigits[digest[i] & 15]};
  }
  return text;
}

py::dict read_state_table(const py::buffer& data) {
  const py::buffer_info view = data.request();
  const size_t n_bytes = static_cast<size_t>(view.size * view.itemsize);
  static const uint8_t kEmpty[1] = {0};
  const auto* bytes = n_bytes != 0 ? static_cast<const uint8_t*>(view.ptr) : kEmpty;
  StateFile file;
  const bool message = n_bytes >= sizeof kMessageMagic && std::memcmp(bytes, &kMessageMagic, sizeof kMessageMagic) == 0;
  const Status status = file.open(bytes, n_bytes, message ? kMessageMagic : kStateMagic);
  if (!status.ok()) {
    char message[sizeof(edgecl_error::message)];
    write_message(status, message, sizeof message);
    raise_status(status.code, message);
  }
  py::list sections;
  for (uint32_t i = 0; i < file.header().n_sections; ++i) {
    const StateEntry entry = file.entry(i);
    py::dict d;
    d["id"] = entry.id;
    d["name"] = state_section_name(entry.id);
    d["version"] = entry.version;
    d["optional"] = entry.flags == kStateOptional;
    d["offset"] = entry.offset;
    d["bytes"] = entry.bytes;
    d["sha256"] = hex(entry.sha256);
    sections.append(d);
  }
  py::dict result;
  result["message"] = message;
  result["version"] = file.header().version;
  result["bundle_sha256"] = hex(file.header().bundle_digest);
  result["sha256"] = hex(bytes + n_bytes - kSha256Bytes);
  result["sections"] = sections;
  return result;
}

}  // namespace

void bind_state(py::module_& module) {
  module.def(
      "read_state_table", &read_state_table, py::arg("data"),
      "Header and sections of a saved state or a message, every length and digest checked. StateError otherwise.");
}

}  // namespace edgecl::python
