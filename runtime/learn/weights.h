// Dense read-out of parameters.
// Never here: checks of the caller's arguments, the exported form.
#ifndef EDGECL_RUNTIME_LEARN_WEIGHTS_H_
#define EDGECL_RUNTIME_LEARN_WEIGHTS_H_

#include "runtime/learn/session.h"

namespace edgecl {

// Present values of a parameter in the order of its dims; what a sparse one does not store is 0. `out` has room for the
// product of the dims. Running statistics are read where the session keeps them.
void read_weights(const Session& session, uint32_t param, float* out);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_WEIGHTS_H_
