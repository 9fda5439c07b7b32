// The larger or smaller of two tensors, element by element, and its gradients: scalar reference.
// Never here: broadcasting (the exporter repeats the smaller tensor).
#include "kernels/reference/common.h"

namespace edgecl::reference {

void extremum_forward(const ExtremumForwardArgs& a, int part, int n_parts, void*) {
  const Share s = share_of(a.n, part, n_parts);
  for (int64_t i = s.begin; i < s.end; i++) a.y[i] = a.maximum ? larger(a.a[i], a.b[i]) : smaller(a.a[i], a.b[i]);
}

void extremum_backward(const ExtremumBackwardArgs& a, int part, int n_parts, void*) {
  const Share s = share_of(a.n, part, n_parts);
  for (int64_t i = s.begin; i < s.end; i++) {
    const float dy = a.dy[i];
    const bool above = a.a[i] > a.b[i], below = a.a[i] < a.b[i];
    const float equal = a.a[i] == a.b[i] ? dy * 0.5f : 0.0f;
    const float da = (a.maximum ? above : below) ? dy : equal, db = (a.maximum ? below : above) ? dy : equal;
    if (a.da) a.da[i] = a.accumulate_a ? a.da[i] + da : da;
    if (a.db) a.db[i] = a.accumulate_b ? a.db[i] + db : db;
  }
}

}  // namespace edgecl::reference
