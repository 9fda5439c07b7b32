// Linear layer, weight and bias gradient: outputs in the lanes, one chain over the batch rows.
// Never here: the forward pass, input gradients.
#include "kernels/kernel_declarations.h"
#include "kernels/plan/linear_plan.h"
#include "kernels/simd/linear_tiles.h"
#include "kernels/simd/transpose.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

void bias_gradient(const float* rows, int64_t n_rows, int64_t pitch, int64_t begin, int64_t end, float* dbias) {
  for (int64_t o = begin; o < end; o += kVec) {
    vec sum = vzero();
    for (int64_t r = 0; r < n_rows; r++) sum = sum + vload(rows + r * pitch + o);
    vstore_n(dbias + o, sum, static_cast<int>(end - o < kVec ? end - o : kVec));
  }
}

}  // namespace

void linear_backward_weight(const LinearBackwardWeightArgs& a, int part, int n_parts, void* scratch) {
  const int64_t inputs = a.x.channels, outputs = a.dy.channels, lanes = a.x.lanes;
  // Batch 1 needs no transpose, and each group's rows then lie `outputs` apart.
  const int64_t pitch = linear_needs_transpose(a) ? linear_row_pitch(kShape, a) : outputs;
  TapOffset* taps = static_cast<TapOffset*>(scratch);
  const float* rows = a.dy.data;
  if (linear_needs_transpose(a)) {
    float* transposed = static_cast<float*>(scratch) + linear_tap_floats(a);
    for (int64_t g = 0; g < a.dy.groups; g++)
      transpose(a.dy.data + g * outputs * lanes, lanes, outputs, lanes, transposed + g * lanes * pitch, pitch);
    rows = transposed;
  }
  for (int64_t l = 0; l < lanes; l++) taps[l] = {l * pitch, l};
  int64_t begin, end;
  share(inputs, part, n_parts, &begin, &end);
  if (begin < end) {
    GemmTileArgs t = {};
    t.taps = taps;
    t.n_taps = static_cast<int>(lanes);
    t.n_channels = a.x.groups;
    t.vectors = rows;
    t.vector_channel = lanes * pitch;
    t.scalars = a.x.data + begin * lanes;
    t.scalar_row = lanes;
    t.scalar_channel = inputs * lanes;
    t.out = a.dweight + begin * outputs;
    t.out_row = outputs;
    run_tiles(t, end - begin, outputs);
  }
  if (!a.dbias) return;
  share(vectors_of(outputs), part, n_parts, &begin, &end);
  bias_gradient(rows, a.dy.rows(), pitch, begin * kVec, end * kVec < outputs ? end * kVec : outputs, a.dbias);
}

}  // namespace edgecl::EDGECL_LEVEL
