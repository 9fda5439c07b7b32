// Positions of a view of the elements of a row, one by one.
// Never here: what is done with them.
#ifndef EDGECL_KERNELS_REFERENCE_VIEW_H_
#define EDGECL_KERNELS_REFERENCE_VIEW_H_

#include "kernels/kernels.h"

namespace edgecl::reference {

// Calls f(o, offset + sum of index[k] * stride[k]) for o = 0, 1, ... in row-major order over the sizes.
template <class F>
void for_view(const int32_t* size, const int64_t* stride, int64_t offset, F f) {
  int32_t index[kViewRank] = {};
  int64_t at = offset;
  for (int64_t o = 0;; o++) {
    f(o, at);
    int k = kViewRank - 1;
    for (; k >= 0 && ++index[k] == size[k]; k--) {
      index[k] = 0;
      at -= (size[k] - 1) * stride[k];
    }
    if (k < 0) return;
    at += stride[k];
  }
}

}  // namespace edgecl::reference

#endif  // EDGECL_KERNELS_REFERENCE_VIEW_H_
