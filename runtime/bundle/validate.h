// The checks behind read_bundle, one function per section (their wording: `corrupt` in core/status.h). Internal to
// runtime/bundle. Never here: the order of the checks (bundle_reader.cpp).
#ifndef EDGECL_RUNTIME_BUNDLE_VALIDATE_H_
#define EDGECL_RUNTIME_BUNDLE_VALIDATE_H_

#include <stdint.h>

#include "runtime/core/arena.h"
#include "runtime/core/check.h"
#include "runtime/core/plan.h"
#include "runtime/core/planner.h"
#include "runtime/core/status.h"

namespace edgecl {

// Facts of the bundle that are not in the Plan.
struct SectionSizes {
  uint64_t strings, data;
};

// What the checks write beside the plan, one block whose size follows from the bundle's own counts. Nothing in it lives
// on; each check clears what it uses.
struct CheckScratch {
  uint8_t* marks;                              // [tensors], bits of the check at work
  uint16_t *forward_of, *gradient_of, *owner;  // [tensors], of validate_backward
  Lifetime* lifetimes;                         // [tensors]
  uint8_t* uses;                               // [params], bits of the check at work
};
CheckScratch take_check_scratch(Arena* arena, uint32_t n_tensors, uint32_t n_params);

// In this order; each may rely on what the ones before it proved.
Status validate_strings(const Plan& plan, const SectionSizes& sizes);  // every StringRef
Status validate_params(const Plan& plan, const SectionSizes& sizes);   // PARAMS and DATA
Status validate_tensors(const Plan& plan);                             // shapes, flags, aliases
Status validate_ops(const Plan& plan, const CheckScratch& scratch);    // one check per operator; topological order
Status validate_model(const Plan& plan);                               // tensors, head, counts other than multiply-adds
// Logits, embedding or a tap need every op, and an op uses every parameter: what runs over ops and what runs over
// parameters then find the same layers.
Status validate_use(const Plan& plan, const CheckScratch& scratch);
Status validate_input(const Plan& plan);
Status validate_recipe(const Plan& plan);
Status validate_classes(const Plan& plan);
Status validate_parity(const Plan& plan);
Status validate_extras(const Plan& plan);  // SIGNATURE, TAPS
// Behind validate_classes and validate_input. Fills `out`.
Status validate_exemplars(const uint8_t* bytes, uint64_t n_bytes, const Plan& plan, Exemplars* out);
// Likewise.
Status validate_encoder(const uint8_t* bytes, uint64_t n_bytes, const Plan& plan, ExternalEncoder* out);
Status validate_notes(const uint8_t* text, uint64_t bytes);
Status validate_reserved(const Plan& plan);  // zero words of MODEL, OPS
// dtype, scale and zero point of tensors and parameters; E_BUNDLE_OP for what this version does not compute with.
Status validate_elements(const Plan& plan, const SectionSizes& sizes);
// BACKWARD is complete, ordered, and each gradient of a tensor written once, then added to; SHARED is what that list asks for.
Status validate_backward(const Plan& plan, const CheckScratch& scratch);
Status validate_shared(const Plan& plan, const CheckScratch& scratch);
Status validate_counts(const Plan& plan);  // multiply-adds stored in MODEL; the work of a row
// Proves, for both modes: every live tensor has an offset (a multiple of 16 floats, inside the arena of the mode), a
// tensor that does not live has none, aliases share their root's offset, and tensors that are alive at one step do not
// overlap. E_BUNDLE_CORRUPT otherwise. Compares every two tensors: at 4096 of them 16 million steps, milliseconds.
Status check_offsets(const Plan& plan, const CheckScratch& scratch);

bool is_finite(float x);
bool all_zero(const void* bytes, uint64_t n);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_BUNDLE_VALIDATE_H_
