// Scalar linear layer: forward, input gradient and weight gradient as plain loops. These loops ARE the arithmetic
// contract. Never here: tiling, packing, vector types or any shortcut that could change the order of an accumulation.
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

// The value of batch row `row` in channel `c` of a [G][C][1][1][L] tensor.
float* at(const Tensor& t, int64_t row, int64_t c) {
  return t.data + ((row / t.lanes) * t.channels + c) * t.lanes + row % t.lanes;
}

}  // namespace

void linear_forward(const LinearForwardArgs& a, int part, int n_parts, void*) {
  const int64_t outputs = a.y.channels;
  const Share mine = share_of(outputs * a.y.rows(), part, n_parts);
  for (int64_t i = mine.begin; i < mine.end; i++) {
    const int64_t row = i % a.y.rows(), o = i / a.y.rows();
    float acc = a.bias ? a.bias[o] : 0.0f;
    for (int64_t c = 0; c < a.x.channels; c++) acc = fused(a.weight[c * outputs + o], *at(a.x, row, c), acc);
    *at(a.y, row, o) = activate(a.activation, acc);
  }
}
void linear_backward_data(const LinearBackwardDataArgs& a, int part, int n_parts, void*) {
  const int64_t outputs = a.dy.channels;
  const Share mine = share_of(static_cast<int64_t>(a.dx.channels) * a.dx.rows(), part, n_parts);
  for (int64_t i = mine.begin; i < mine.end; i++) {
    const int64_t row = i % a.dx.rows(), c = i / a.dx.rows();
    float acc = 0.0f;
    for (int64_t o = 0; o < outputs; o++) acc = fused(a.weight[c * outputs + o], *at(a.dy, row, o), acc);
    float* dx = at(a.dx, row, c);
    *dx = a.accumulate ? *dx + acc : acc;
  }
}
void linear_backward_weight(const LinearBackwardWeightArgs& a, int part, int n_parts, void*) {
  const int64_t outputs = a.dy.channels;
  const Share mine = share_of(outputs * a.x.channels, part, n_parts);
  for (int64_t i = mine.begin; i < mine.end; i++) {
    float acc = 0.0f;
    for (int64_t row = 0; row < a.x.rows(); row++)
      acc = fused(*at(a.x, row, i / outputs), *at(a.dy, row, i % outputs), acc);
    a.dweight[i] = acc;
  }
  if (!a.dbias) return;
  const Share biases = share_of(outputs, part, n_parts);
  for (int64_t o = biases.begin; o < biases.end; o++) {
    float acc = 0.0f;
    for (int64_t row = 0; row < a.dy.rows(); row++) acc += *at(a.dy, row, o);
    a.dbias[o] = acc;
  }
}
}  // namespace edgecl::reference
