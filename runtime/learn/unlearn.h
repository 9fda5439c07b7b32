// Takes learned rows back, where the head can.
// Never here: replay buffers, layers that gradients changed.
#ifndef EDGECL_RUNTIME_LEARN_UNLEARN_H_
#define EDGECL_RUNTIME_LEARN_UNLEARN_H_

#include "runtime/learn/batch.h"

namespace edgecl {

// As if these rows, of classes that are present, had never been learned. E_UNSUPPORTED: predict_only, or a head that
// learns by gradients. E_CAPACITY: more than max_batch rows. E_NOT_FOUND: rows that were not learned, as far as one can
// see (take_rows, routing_take_rows).
Status unlearn(Session* session, const Batch& batch, const int32_t* labels);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_UNLEARN_H_
