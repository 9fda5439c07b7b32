// Concatenation along channels and its gradient: scalar reference.
// Never here: concatenation along other axes (the exporter rewrites it).
#include "kernels/reference/common.h"

namespace edgecl::reference {

// Work is split by the channels of the concatenated tensor.
void concat_forward(const ConcatArgs& a, int part, int n_parts, void*) {
  const int64_t plane = a.y.plane();
  const Share channels = share_of(a.y.channels, part, n_parts);
  int64_t first = 0;  // channel of y at which input k begins
  for (int k = 0; k < a.n_inputs; first += a.inputs[k].channels, k++)
    for (int64_t c = 0; c < a.inputs[k].channels; c++) {
      if (first + c < channels.begin || first + c >= channels.end) continue;
      for (int64_t g = 0; g < a.y.groups; g++)
        for (int64_t i = 0; i < plane; i++)
          a.y.data[(g * a.y.channels + first + c) * plane + i] =
              a.inputs[k].data[(g * a.inputs[k].channels + c) * plane + i];
    }
}

void concat_backward(const ConcatBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t plane = a.dy.plane();
  const Share channels = share_of(a.dy.channels, part, n_parts);
  int64_t first = 0;
  for (int k = 0; k < a.n_inputs; first += a.dinputs[k].channels, k++)
    for (int64_t c = 0; a.dinputs[k].data && c < a.dinputs[k].channels; c++) {
      if (first + c < channels.begin || first + c >= channels.end) continue;
      for (int64_t g = 0; g < a.dy.groups; g++)
        for (int64_t i = 0; i < plane; i++) {
          const float d = a.dy.data[(g * a.dy.channels + first + c) * plane + i];
          float& dx = a.dinputs[k].data[(g * a.dinputs[k].channels + c) * plane + i];
          dx = a.accumulate[k] ? dx + d : d;
        }
    }
}

}  // namespace edgecl::reference
