// Addition and multiplication with a broadcast second operand, and their gradients: scalar reference.
// Never here: broadcasting of the first operand (the exporter swaps the operands).
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

template <class Args>
int64_t b_offset(const Args& a, const int64_t i[5]) {
  return i[0] * a.stride_g + i[1] * a.stride_c + i[2] * a.stride_h + i[3] * a.stride_w + i[4] * a.stride_l;
}

// Visits the elements (g, c, h, w, l) of t in row-major order, those of one plane range only.
template <class Visit>
void for_elements(const Tensor& t, int64_t plane_begin, int64_t plane_end, Visit visit) {
  for (int64_t gc = plane_begin; gc < plane_end; gc++) {
    const int64_t g = gc / t.channels, c = gc % t.channels;  // 64-bit divisions are slow calls on 32-bit cores
    for (int64_t h = 0; h < t.height; h++)
      for (int64_t w = 0; w < t.width; w++)
        for (int64_t l = 0; l < t.lanes; l++) {
          const int64_t index[5] = {g, c, h, w, l};
          visit(offset_of(t, g, c, h, w, l), index);
        }
  }
}

}  // namespace

void binary_forward(const BinaryArgs& a, int part, int n_parts, void*) {
  const Share planes = share_of(static_cast<int64_t>(a.a.groups) * a.a.channels, part, n_parts);
  for_elements(a.a, planes.begin, planes.end, [&](int64_t i, const int64_t* index) {
    const float b = a.b[b_offset(a, index)];
    a.y.data[i] = activate(a.activation, a.op == BinaryOp::kAdd ? a.a.data[i] + b : a.a.data[i] * b);
  });
}

void binary_backward(const BinaryBackwardArgs& a, int part, int n_parts, void*) {
  const Tensor& t = a.dy;
  if (a.da.data) {
    const Share planes = share_of(static_cast<int64_t>(t.groups) * t.channels, part, n_parts);
    for_elements(t, planes.begin, planes.end, [&](int64_t i, const int64_t* index) {
      const float r = a.op == BinaryOp::kAdd ? t.data[i] : t.data[i] * a.b[b_offset(a, index)];
      a.da.data[i] = a.accumulate_a ? a.da.data[i] + r : r;
    });
  }
  if (!a.db) return;
  const Share elements = share_of(a.n_b, part, n_parts);
  for (int64_t j = elements.begin; j < elements.end; j++) {
    float sum = 0.0f;
    for_elements(t, 0, static_cast<int64_t>(t.groups) * t.channels, [&](int64_t i, const int64_t* index) {
      if (b_offset(a, index) != j) return;
      sum = a.op == BinaryOp::kAdd ? sum + t.data[i] : fused(t.data[i], a.a.data[i], sum);
    });
    a.db[j] = a.accumulate_b ? a.db[j] + sum : sum;
  }
}

}  // namespace edgecl::reference
