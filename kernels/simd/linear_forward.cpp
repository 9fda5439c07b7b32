// Linear layer, forward pass.
// Never here: gradients.
#include "kernels/kernel_declarations.h"
#include "kernels/plan/linear_plan.h"
#include "kernels/simd/linear_tiles.h"
#include "kernels/simd/transpose.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr TapOffset kOneTap = {0, 0};
}  // namespace

void linear_forward(const LinearForwardArgs& a, int part, int n_parts, void* scratch) {
  const int64_t inputs = a.x.channels, outputs = a.y.channels, lanes = a.x.lanes;
  int64_t begin, end;
  share(vectors_of(outputs), part, n_parts, &begin, &end);
  begin *= kVec;
  end = end * kVec < outputs ? end * kVec : outputs;
  if (begin >= end) return;
  GemmTileArgs t = {};
  t.taps = &kOneTap;
  t.n_taps = 1;
  t.n_channels = static_cast<int>(inputs);
  t.activation = a.activation;
  for (int64_t g = 0; g < a.x.groups; g++) {
    const float* x = a.x.data + g * inputs * lanes;
    float* y = a.y.data + (g * outputs + begin) * lanes;
    if (forward_by_batch(kShape, a)) {
      t.vectors = x;
      t.vector_channel = lanes;
      t.scalars = a.weight + begin;
      t.scalar_row = 1;
      t.scalar_channel = outputs;
      t.bias = a.bias ? a.bias + begin : nullptr;
      t.out = y;
      t.out_row = lanes;
      run_tiles(t, end - begin, lanes);
      continue;
    }
    // Outputs in the lanes; the bias is then a vector that every batch row starts from.
    t.vectors = a.weight + begin;
    t.vector_channel = outputs;
    t.scalars = x;
    t.scalar_row = 1;
    t.scalar_channel = lanes;
    t.start = a.bias ? a.bias + begin : nullptr;
    t.start_row = 0;
    t.out = lanes == 1 ? y : static_cast<float*>(scratch);
    t.out_row = vectors_of(end - begin) * kVec;
    run_tiles(t, lanes, end - begin);
    if (lanes > 1) transpose(static_cast<float*>(scratch), t.out_row, lanes, end - begin, y, lanes);
  }
}

}  // namespace edgecl::EDGECL_LEVEL
