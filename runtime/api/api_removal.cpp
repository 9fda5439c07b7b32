// Dynamic data removal.
// Never here: the choice of examples (runtime/learn/removal.cpp).
#include "runtime/api/api_structs.h"
#include "runtime/core/fp_control.h"
#include "runtime/learn/removal.h"

struct edgecl_removal {
  edgecl::Removal removal;
};

namespace edgecl::api {
namespace {

Status init(uint32_t n_examples, uint32_t score, void* memory, size_t memory_bytes, edgecl_removal** removal) {
  EDGECL_RETURN_IF_FAILED(check_pointer(memory, "memory"));
  EDGECL_RETURN_IF_FAILED(check_pointer(removal, "removal"));
  if (reinterpret_cast<uintptr_t>(memory) % alignof(edgecl_removal) != 0)
    return failure(EDGECL_E_ARGUMENT, "expected memory aligned to 8 bytes; found it otherwise; align it");
  if (memory_bytes < removal_bytes(n_examples)) {
    return failure(EDGECL_E_ARENA_TOO_SMALL,
                   "expected %llu bytes, as edgecl_removal_size says; found %zu; enlarge the block",
                   static_cast<unsigned long long>(removal_bytes(n_examples)), memory_bytes);
  }
  Removal* made;
  EDGECL_RETURN_IF_FAILED(removal_init(memory, n_examples, score, &made));
  *removal = reinterpret_cast<edgecl_removal*>(made);
  return Status();
}

Status record(edgecl_removal* removal, const uint32_t* ids, const uint8_t* correct, const float* loss, uint32_t n) {
  EDGECL_RETURN_IF_FAILED(check_pointer(removal, "removal"));
  if (n == 0) return Status();
  EDGECL_RETURN_IF_FAILED(check_pointer(ids, "ids"));
  EDGECL_RETURN_IF_FAILED(check_pointer(correct, "correct"));
  EDGECL_RETURN_IF_FAILED(check_pointer(loss, "loss"));
  return removal_record(&removal->removal, ids, correct, loss, n);
}

Status stage(edgecl_removal* removal, uint32_t n_remove) {
  EDGECL_RETURN_IF_FAILED(check_pointer(removal, "removal"));
  return removal_stage(&removal->removal, n_remove);
}

Status kept(const edgecl_removal* removal, uint32_t* ids, uint32_t capacity) {
  EDGECL_RETURN_IF_FAILED(check_pointer(removal, "removal"));
  EDGECL_RETURN_IF_FAILED(check_pointer(ids, "ids"));
  if (capacity < removal->removal.n_kept) {
    return failure(EDGECL_E_SHAPE, "expected room for the %u ids that are kept; found %u; enlarge the array",
                   removal->removal.n_kept, capacity);
  }
  removal_kept(removal->removal, ids);
  return Status();
}

edgecl_status finish(const Status& status, edgecl_error* err) {
  return report(status, err);
}

}  // namespace
}  // namespace edgecl::api

using namespace edgecl;

extern "C" {

size_t edgecl_removal_size(uint32_t n_examples) {
  return static_cast<size_t>(removal_bytes(n_examples));
}

edgecl_status edgecl_removal_init(uint32_t n_examples, uint32_t score, void* memory, size_t memory_bytes,
                                  edgecl_removal** removal, edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  return api::finish(api::init(n_examples, score, memory, memory_bytes, removal), err);
}

edgecl_status edgecl_removal_record(edgecl_removal* removal, const uint32_t* ids, const uint8_t* correct,
                                    const float* loss, uint32_t n, edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  return api::finish(api::record(removal, ids, correct, loss, n), err);
}

edgecl_status edgecl_removal_stage(edgecl_removal* removal, uint32_t n_remove, edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  return api::finish(api::stage(removal, n_remove), err);
}

edgecl_status edgecl_removal_kept(const edgecl_removal* removal, uint32_t* ids, uint32_t capacity, edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  return api::finish(api::kept(removal, ids, capacity), err);
}

uint32_t edgecl_removal_count(const edgecl_removal* removal) {
  return removal ? removal->removal.n_kept : 0;
}

}  // extern "C"
