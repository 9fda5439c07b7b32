// The caller's batch in the learner's terms.
// Never here: checks of the samples themselves (runtime/learn/batch.h).
#ifndef EDGECL_RUNTIME_API_API_BATCH_H_
#define EDGECL_RUNTIME_API_API_BATCH_H_

#include "runtime/api/api_structs.h"
#include "runtime/learn/batch.h"

namespace edgecl::api {

inline Status read_batch(const edgecl_batch* from, Batch* to) {
  EDGECL_RETURN_IF_FAILED(check_struct(from, "edgecl_batch"));
  const edgecl_batch batch = read_struct(from);
  EDGECL_RETURN_IF_FAILED(check_pointer(batch.data, "batch.data"));
  if (batch.reserved != 0) {
    return failure(EDGECL_E_ARGUMENT, "expected batch.reserved = 0; found %u; clear the struct before filling it",
                   batch.reserved);
  }
  if (batch.reserved_end != nullptr)
    return failure(EDGECL_E_ARGUMENT, "expected batch.reserved_end = NULL; found another; clear the struct first");
  if (batch.dtype > EDGECL_U8) {
    return failure(EDGECL_E_DTYPE, "expected EDGECL_F32 or EDGECL_U8; found dtype %u; set one of these", batch.dtype);
  }
  to->dtype = batch.dtype == EDGECL_U8 ? format::kInputU8 : format::kInputF32;
  to->n = batch.n_samples;
  to->data = batch.data;
  to->elements = batch.elements_per_sample;
  to->weights = batch.weights;
  return Status();
}

}  // namespace edgecl::api

#endif  // EDGECL_RUNTIME_API_API_BATCH_H_
