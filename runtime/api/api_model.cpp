// Opening, verifying and closing of models.
// Never here: files (api_model_file.cpp), descriptions (api_model_info.cpp).
#include <new>

#include "runtime/api/api_objects.h"
#include "runtime/bundle/bundle_reader.h"

namespace edgecl::api {

const size_t kModelBytes = (sizeof(edgecl_model) + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;

namespace {

// The level that the caller or EDGECL_SIMD names, or the best one of this CPU.
Status choose_kernels(const char* level, const KernelTable** kernels) {
  const char* wanted = level ? level : wanted_level();
  *kernels = kernel_table(wanted);
  if (*kernels) return Status();
  return failure(EDGECL_E_UNSUPPORTED,
                 "expected %s to name a level of this build and CPU (%s); found \"%.64s\"; name one of these or "
                 "none",
                 level ? "edgecl_open_options.level" : "EDGECL_SIMD", kernel_level_list(), wanted ? wanted : "");
}

Status check_signature(const edgecl_open_options& options) {
  if (options.signature_policy > EDGECL_SIGNATURE_REQUIRED) {
    return failure(EDGECL_E_ARGUMENT, "expected signature_policy in 0..1; found %u; set an EDGECL_SIGNATURE_*",
                   options.signature_policy);
  }
  if (options.public_key == nullptr && options.signature_policy == EDGECL_SIGNATURE_OPTIONAL) return Status();
  return failure(EDGECL_E_BUNDLE_SIGNATURE,
                 "expected a library that verifies signatures; found version " EDGECL_VERSION_TEXT
                 ", which does not yet; open without public_key and policy, and protect the file by other means");
}

Status check_aligned(const void* memory, const char* name) {
  if (reinterpret_cast<uintptr_t>(memory) % kArenaAlignment == 0) return Status();
  return failure(EDGECL_E_ARGUMENT, "expected %s aligned to 64 bytes; found it otherwise; align it", name);
}

size_t align_up(size_t bytes) {
  return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

// The object, the copy of the bundle, and the scratch memory of the checks, in the caller's memory.
Status measure(const void* bytes, size_t n_bytes, const edgecl_open_options* from, OpenOptions* options,
               size_t* scratch_at, size_t* total) {
  EDGECL_RETURN_IF_FAILED(check_pointer(bytes, "bytes"));
  EDGECL_RETURN_IF_FAILED(read_open_options(from, false, false, options));
  uint32_t version;
  uint64_t file_bytes;
  EDGECL_RETURN_IF_FAILED(peek_bundle(bytes, n_bytes, &version, &file_bytes));
  size_t scratch = 0;
  EDGECL_RETURN_IF_FAILED(bundle_scratch_bytes(bytes, n_bytes, &scratch));
  *scratch_at = kModelBytes + (options->copy ? align_up(static_cast<size_t>(file_bytes)) : 0);
  *total = *scratch_at + scratch;
  return Status();
}

Status init(const void* bytes, size_t n_bytes, const edgecl_open_options* from, void* memory, size_t memory_bytes,
            edgecl_model** model) {
  EDGECL_RETURN_IF_FAILED(check_pointer(memory, "memory"));
  EDGECL_RETURN_IF_FAILED(check_pointer(model, "model"));
  EDGECL_RETURN_IF_FAILED(check_aligned(memory, "memory"));
  OpenOptions options = {};
  size_t scratch_at = 0, total = 0;
  EDGECL_RETURN_IF_FAILED(measure(bytes, n_bytes, from, &options, &scratch_at, &total));
  if (memory_bytes < total || (options.copy && n_bytes > scratch_at - kModelBytes)) {
    return failure(EDGECL_E_ARENA_TOO_SMALL, "expected %zu bytes for the model; found %zu; ask edgecl_model_size",
                   total, memory_bytes);
  }
  options.allocator = {};  // the memory is the caller's
  uint8_t* const scratch = static_cast<uint8_t*>(memory) + scratch_at;
  return open_model(bytes, n_bytes, options, memory, total, scratch, total - scratch_at, model);
}

// Options and memory of a model whose bytes are the caller's or a copy of them.
Status prepare(const void* bytes, size_t n_bytes, const edgecl_open_options* from, edgecl_model** model,
               OpenOptions* options, void** memory, size_t* memory_bytes) {
  EDGECL_RETURN_IF_FAILED(check_pointer(bytes, "bytes"));
  EDGECL_RETURN_IF_FAILED(check_pointer(model, "model"));
  EDGECL_RETURN_IF_FAILED(read_open_options(from, false, true, options));
  *memory_bytes = kModelBytes + (options->copy ? n_bytes : 0);
  return take(options->allocator, *memory_bytes, memory);
}

edgecl_status open_memory(const void* bytes, size_t n_bytes, const edgecl_open_options* from, edgecl_model** model,
                          edgecl_error* err) {
  OpenOptions options = {};
  void* memory = nullptr;
  size_t memory_bytes = 0;
  const Status prepared = prepare(bytes, n_bytes, from, model, &options, &memory, &memory_bytes);
  if (!prepared.ok()) return report(prepared, err);
  const Status status = open_with_scratch(bytes, n_bytes, options, memory, memory_bytes, model);
  if (status.ok()) return EDGECL_OK;
  report(status, err);  // first: names in the sentence may lie in the copy
  options.allocator.release(options.allocator.user, memory, memory_bytes);
  return status.code;
}

}  // namespace

Status read_open_options(const edgecl_open_options* from, bool copies, bool allocates, OpenOptions* to) {
  edgecl_open_options options;
  EDGECL_RETURN_IF_FAILED(read_optional(from, "edgecl_open_options", &options));
  EDGECL_RETURN_IF_FAILED(check_signature(options));
  if (options.placement > EDGECL_PLACEMENT_IN_PLACE) {
    return failure(EDGECL_E_ARGUMENT, "expected placement in 0..2; found %u; set an EDGECL_PLACEMENT_*",
                   options.placement);
  }
  to->copy = options.placement == EDGECL_PLACEMENT_DEFAULT ? copies : options.placement == EDGECL_PLACEMENT_COPY;
  if (allocates || options.allocator) EDGECL_RETURN_IF_FAILED(choose_allocator(options.allocator, &to->allocator));
  return choose_kernels(options.level, &to->kernels);
}

Status take(const edgecl_allocator& allocator, size_t bytes, void** memory) {
  *memory = allocator.allocate(allocator.user, bytes, kArenaAlignment);
  if (*memory) return Status();
  return failure(EDGECL_E_NO_MEMORY, "expected %zu bytes from the allocator; found none; free some memory", bytes);
}

Status open_with_scratch(const void* bytes, size_t n_bytes, const OpenOptions& options, void* memory,
                         size_t memory_bytes, edgecl_model** model) {
  size_t scratch_bytes = 0;
  EDGECL_RETURN_IF_FAILED(bundle_scratch_bytes(bytes, n_bytes, &scratch_bytes));
  void* scratch = nullptr;
  EDGECL_RETURN_IF_FAILED(take(options.allocator, scratch_bytes, &scratch));
  const Status status = open_model(bytes, n_bytes, options, memory, memory_bytes, scratch, scratch_bytes, model);
  options.allocator.release(options.allocator.user, scratch, scratch_bytes);
  return status;
}

// What is checked is what is used: a copy is made first.
Status open_model(const void* bytes, size_t n_bytes, const OpenOptions& options, void* memory, size_t memory_bytes,
                  void* scratch, size_t scratch_bytes, edgecl_model** model) {
  if (options.copy) {
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): each caller has checked the pointer
    bytes = memmove(static_cast<uint8_t*>(memory) + kModelBytes, bytes, n_bytes);
  }
  Plan plan;
  EDGECL_RETURN_IF_FAILED(read_bundle(bytes, n_bytes, scratch, scratch_bytes, &plan));
  edgecl_model* object = new (memory) edgecl_model{};
  object->plan = plan;
  object->kernels = options.kernels;
  object->allocator = options.allocator;
  object->memory_bytes = memory_bytes;
  *model = object;
  return Status();
}

}  // namespace edgecl::api

using namespace edgecl;

extern "C" {

edgecl_status edgecl_bundle_peek(const void* bytes, size_t n_bytes, edgecl_model_info* info, edgecl_error* err) {
  const auto peek = [&]() -> Status {
    EDGECL_RETURN_IF_FAILED(api::check_pointer(bytes, "bytes"));
    EDGECL_RETURN_IF_FAILED(api::check_struct(info, "edgecl_model_info"));
    edgecl_model_info found;
    memset(&found, 0, sizeof found);
    EDGECL_RETURN_IF_FAILED(peek_bundle(bytes, n_bytes, &found.format_version, &found.bundle_bytes));
    api::write_struct(found, info);
    return Status();
  };
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  const Status status = peek();
  return report(status, err);
}

edgecl_status edgecl_bundle_verify(const void* bytes, size_t n_bytes, const edgecl_open_options* options,
                                   edgecl_error* err) {
  const auto verify = [&]() -> Status {
    EDGECL_RETURN_IF_FAILED(api::check_pointer(bytes, "bytes"));
    api::OpenOptions checked = {};
    EDGECL_RETURN_IF_FAILED(api::read_open_options(options, false, true, &checked));
    size_t scratch_bytes = 0;
    EDGECL_RETURN_IF_FAILED(bundle_scratch_bytes(bytes, n_bytes, &scratch_bytes));
    void* scratch = nullptr;
    EDGECL_RETURN_IF_FAILED(api::take(checked.allocator, scratch_bytes, &scratch));
    Plan plan;
    const Status read = read_bundle(bytes, n_bytes, scratch, scratch_bytes, &plan);
    checked.allocator.release(checked.allocator.user, scratch, scratch_bytes);
    return read;
  };
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  const Status status = verify();
  return report(status, err);
}

edgecl_status edgecl_model_size(const void* bytes, size_t n_bytes, const edgecl_open_options* options,
                                size_t* model_bytes, edgecl_error* err) {
  const auto measure = [&]() -> Status {
    EDGECL_RETURN_IF_FAILED(api::check_pointer(model_bytes, "model_bytes"));
    api::OpenOptions checked = {};
    size_t scratch_at = 0;
    return api::measure(bytes, n_bytes, options, &checked, &scratch_at, model_bytes);
  };
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  const Status status = measure();
  return report(status, err);
}

edgecl_status edgecl_model_init(const void* bytes, size_t n_bytes, const edgecl_open_options* options, void* memory,
                                size_t memory_bytes, edgecl_model** model, edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  const Status status = api::init(bytes, n_bytes, options, memory, memory_bytes, model);
  return report(status, err);
}

edgecl_status edgecl_model_open_memory(const void* bytes, size_t n_bytes, const edgecl_open_options* options,
                                       edgecl_model** model, edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  return api::open_memory(bytes, n_bytes, options, model, err);
}

edgecl_status edgecl_model_close(edgecl_model* model) {
  if (model == nullptr) return EDGECL_OK;
  uint32_t none = 0;
  if (!model->uses.compare_exchange_strong(none, api::kClosing, std::memory_order_acquire)) return EDGECL_E_SEQUENCE;
  const edgecl_allocator allocator = model->allocator;
  const size_t bytes = model->memory_bytes;
  if (model->unmap) model->unmap(const_cast<uint8_t*>(model->plan.bytes), static_cast<size_t>(model->plan.n_bytes));
  if (allocator.release) allocator.release(allocator.user, model, bytes);
  return EDGECL_OK;
}

const char* edgecl_model_kernel_level(const edgecl_model* model) {
  return model ? model->kernels->level : "";
}

}  // extern "C"
