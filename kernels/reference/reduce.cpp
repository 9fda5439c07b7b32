// Sum, mean and maximum over the height, and their gradients: scalar reference.
// Never here: other axes (the exporter moves them here), sums over the batch.
#include "kernels/reference/common.h"

namespace edgecl::reference {

// A column: the elements that are H apart, of one channel, place in W and batch row. Work is split by planes.
void reduce_forward(const ReduceForwardArgs& a, int part, int n_parts, void*) {
  const int64_t height = a.x.height, line = static_cast<int64_t>(a.x.width) * a.x.lanes;
  const Share planes = share_of(static_cast<int64_t>(a.x.groups) * a.x.channels, part, n_parts);
  for (int64_t gc = planes.begin; gc < planes.end; gc++)
    for (int64_t i = 0; i < line; i++) {
      const float* x = a.x.data + gc * height * line + i;
      float y = x[0];
      for (int64_t h = 1; h < height; h++) y = a.kind == Reduction::kMax ? larger(x[h * line], y) : y + x[h * line];
      a.y.data[gc * line + i] = a.kind == Reduction::kMean ? y / static_cast<float>(height) : y;
    }
}

void reduce_backward(const ReduceBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t height = a.dx.height, line = static_cast<int64_t>(a.dx.width) * a.dx.lanes;
  const Share planes = share_of(static_cast<int64_t>(a.dx.groups) * a.dx.channels, part, n_parts);
  for (int64_t gc = planes.begin; gc < planes.end; gc++)
    for (int64_t i = 0; i < line; i++) {
      float d = a.dy.data[gc * line + i];
      if (a.kind == Reduction::kMean) d = d / static_cast<float>(height);
      bool found = false;
      for (int64_t h = 0; h < height; h++) {
        const int64_t at = (gc * height + h) * line + i;
        const bool here = a.kind != Reduction::kMax || (!found && a.x.data[at] == a.y.data[gc * line + i]);
        found = found || here;
        const float r = here ? d : 0.0f;
        a.dx.data[at] = a.accumulate ? a.dx.data[at] + r : r;
      }
    }
}

}  // namespace edgecl::reference
