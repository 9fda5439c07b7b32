// Opening, verifying and closing of models.
// Never here: files (api_model_file.cpp), descriptions (api_model_info.cpp).
#include <new>

#include "runtime/api/api_objects.h"
#include "runtime/bundle/bundle_reader.h"

namespace edgecl::api {
namespace {

constexpr size_t kModelBytes = (sizeof(edgecl_model) + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;

// The level that EDGECL_SIMD names, or the best one of this CPU.
Status choose_kernels(const KernelTable** kernels) {
  const char* wanted = wanted_level();
  *kernels = kernel_table(wanted);
  if (*kernels) return Status();
  return failure(
      EDGECL_E_UNSUPPORTED,
      "expected EDGECL_SIMD to name a level of this build and CPU (%s); found \"%.64s\"; name one of these or "
      "unset it",
      kernel_level_list(), wanted ? wanted : "");
}

// The object, and behind it the scratch memory of the checks.
Status model_bytes(const void* bytes, size_t n_bytes, size_t* total) {
  size_t scratch = 0;
  EDGECL_RETURN_IF_FAILED(bundle_scratch_bytes(bytes, n_bytes, &scratch));
  *total = kModelBytes + scratch;
  return Status();
}

bool aligned(const void* memory) {
  return reinterpret_cast<uintptr_t>(memory) % kArenaAlignment == 0;
}

}  // namespace

Status open_model(const void* bytes, size_t n_bytes, void* memory, size_t memory_bytes, edgecl_model** model) {
  EDGECL_RETURN_IF_FAILED(check_pointer(bytes, "bytes"));
  EDGECL_RETURN_IF_FAILED(check_pointer(memory, "memory"));
  EDGECL_RETURN_IF_FAILED(check_pointer(model, "model"));
  if (!aligned(memory))
    return failure(EDGECL_E_ARGUMENT, "expected memory aligned to 64 bytes; found it otherwise; align it");
  size_t needed = 0;
  EDGECL_RETURN_IF_FAILED(model_bytes(bytes, n_bytes, &needed));
  if (memory_bytes < needed) {
    return failure(EDGECL_E_ARENA_TOO_SMALL, "expected %zu bytes for the model; found %zu; ask edgecl_model_size",
                   needed, memory_bytes);
  }
  const KernelTable* kernels = nullptr;
  EDGECL_RETURN_IF_FAILED(choose_kernels(&kernels));
  Plan plan;
  EDGECL_RETURN_IF_FAILED(
      read_bundle(bytes, n_bytes, static_cast<uint8_t*>(memory) + kModelBytes, needed - kModelBytes, &plan));
  edgecl_model* object = new (memory) edgecl_model{};
  object->plan = plan;
  object->kernels = kernels;
  object->object_bytes = needed;
  *model = object;
  return Status();
}

Status open_model_allocated(const void* bytes, size_t n_bytes, const edgecl_allocator* allocator,
                            edgecl_model** model) {
  EDGECL_RETURN_IF_FAILED(check_pointer(model, "model"));
  edgecl_allocator chosen;
  EDGECL_RETURN_IF_FAILED(choose_allocator(allocator, &chosen));
  EDGECL_RETURN_IF_FAILED(check_pointer(bytes, "bytes"));
  size_t needed = 0;
  EDGECL_RETURN_IF_FAILED(model_bytes(bytes, n_bytes, &needed));
  void* memory = chosen.allocate(chosen.user, needed, kArenaAlignment);
  if (memory == nullptr) {
    return failure(EDGECL_E_NO_MEMORY, "expected %zu bytes from the allocator; found none; free some memory", needed);
  }
  edgecl_model* object = nullptr;
  Status status = open_model(bytes, n_bytes, memory, needed, &object);
  if (!status.ok()) {
    chosen.release(chosen.user, memory, needed);
    return status;
  }
  object->allocator = chosen;
  *model = object;
  return status;
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
  if (!api::check_error_struct(err).ok()) return EDGECL_E_ARGUMENT;
  const Status status = peek();
  return status.ok() ? EDGECL_OK : report(status, err);
}

edgecl_status edgecl_bundle_verify(const void* bytes, size_t n_bytes, const uint8_t public_key[32], edgecl_error* err) {
  const auto verify = [&]() -> Status {
    EDGECL_RETURN_IF_FAILED(api::check_pointer(bytes, "bytes"));
    edgecl_allocator allocator;
    EDGECL_RETURN_IF_FAILED(api::choose_allocator(nullptr, &allocator));
    size_t scratch_bytes = 0;
    EDGECL_RETURN_IF_FAILED(bundle_scratch_bytes(bytes, n_bytes, &scratch_bytes));
    void* scratch = allocator.allocate(allocator.user, scratch_bytes, kArenaAlignment);
    if (scratch == nullptr) {
      return failure(EDGECL_E_NO_MEMORY, "expected %zu bytes from the allocator; found none; free some memory",
                     scratch_bytes);
    }
    Plan plan;
    const Status read = read_bundle(bytes, n_bytes, scratch, scratch_bytes, &plan);
    allocator.release(allocator.user, scratch, scratch_bytes);
    EDGECL_RETURN_IF_FAILED(read);
    if (public_key == nullptr) return Status();
    return failure(EDGECL_E_BUNDLE_SIGNATURE,
                   "expected a signature by the given key; found none: this version does not verify signatures yet; "
                   "verify without a key, and protect the file by other means");
  };
  if (!api::check_error_struct(err).ok()) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  const Status status = verify();
  return status.ok() ? EDGECL_OK : report(status, err);
}

edgecl_status edgecl_model_size(const void* bytes, size_t n_bytes, size_t* model_bytes, edgecl_error* err) {
  const auto measure = [&]() -> Status {
    EDGECL_RETURN_IF_FAILED(api::check_pointer(bytes, "bytes"));
    EDGECL_RETURN_IF_FAILED(api::check_pointer(model_bytes, "model_bytes"));
    return api::model_bytes(bytes, n_bytes, model_bytes);
  };
  if (!api::check_error_struct(err).ok()) return EDGECL_E_ARGUMENT;
  const Status status = measure();
  return status.ok() ? EDGECL_OK : report(status, err);
}

edgecl_status edgecl_model_init(const void* bytes, size_t n_bytes, void* memory, size_t memory_bytes,
                                edgecl_model** model, edgecl_error* err) {
  if (!api::check_error_struct(err).ok()) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  const Status status = api::open_model(bytes, n_bytes, memory, memory_bytes, model);
  return status.ok() ? EDGECL_OK : report(status, err);
}

edgecl_status edgecl_model_open_memory(const void* bytes, size_t n_bytes, const edgecl_allocator* allocator,
                                       edgecl_model** model, edgecl_error* err) {
  if (!api::check_error_struct(err).ok()) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  const Status status = api::open_model_allocated(bytes, n_bytes, allocator, model);
  return status.ok() ? EDGECL_OK : report(status, err);
}

edgecl_status edgecl_model_close(edgecl_model* model) {
  if (model == nullptr) return EDGECL_OK;
  if (model->n_sessions.load(std::memory_order_acquire) != 0) return EDGECL_E_SEQUENCE;
  const edgecl_allocator allocator = model->allocator;
  const size_t object_bytes = model->object_bytes;
  if (model->unmap) model->unmap(const_cast<uint8_t*>(model->plan.bytes), static_cast<size_t>(model->plan.n_bytes));
  model->~edgecl_model();
  if (allocator.release) allocator.release(allocator.user, model, object_bytes);
  return EDGECL_OK;
}

const char* edgecl_model_kernel_level(const edgecl_model* model) {
  return model ? model->kernels->level : "";
}

}  // extern "C"
