// A state of one bundle made a state of another whose trained parts are the same.
// Never here: sessions; whether the new bundle's session takes it (import_state looks at everything again).
#ifndef EDGECL_RUNTIME_LEARN_MIGRATE_STATE_H_
#define EDGECL_RUNTIME_LEARN_MIGRATE_STATE_H_

#include <stddef.h>
#include <stdint.h>

#include "runtime/core/plan.h"
#include "runtime/core/status.h"

namespace edgecl {

// What came along, and what did not.
struct Migration {
  uint32_t n_params = 0;          // trained parameters, carried over
  uint32_t n_renamed = 0;         // of these, those with another name in the new bundle
  uint32_t n_frozen_changed = 0;  // frozen parameters of the new bundle whose values are not those of the old one
  uint32_t n_classes_left = 0;    // classes that the new bundle ships and the state does not have
};

// Writes n bytes to `out`: the state with the new bundle's name and numbering. The k-th trained parameter of one bundle
// is the k-th of the other. Errors: as import_state for the old bundle; E_STATE_MISMATCH: the trained parameters or the
// normalisations that follow the batch differ in number, storage or shape.
Status migrate_state(const Plan& from, const Plan& to, const uint8_t* bytes, size_t n, uint8_t* out,
                     Migration* migration);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_MIGRATE_STATE_H_
