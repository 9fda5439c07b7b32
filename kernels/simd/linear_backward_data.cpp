// Linear layer, input gradient.
// Never here: the forward pass, weight gradients.
// Built for size (-Os): a few per cent of a step at most.
#include "kernels/kernel_declarations.h"
#include "kernels/plan/linear_plan.h"
#include "kernels/simd/linear_tiles.h"
#include "kernels/simd/transpose.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr TapOffset kOneTap = {0, 0};

// dX of inputs [begin, end), at most kInputBlock, with the inputs in the lanes: weights are transposed block by block,
// sums of a block of outputs are carried on in `sums`.
void transposed_block(const LinearBackwardDataArgs& a, int64_t g, int64_t begin, int64_t end, float* scratch) {
  const int64_t inputs = a.dx.channels, outputs = a.dy.channels, lanes = a.dx.lanes;
  float *weight = scratch, *sums = scratch + kInputBlock * kOutputBlock;
  GemmTileArgs t = {};
  t.taps = &kOneTap;
  t.n_taps = 1;
  t.vectors = weight;
  t.vector_channel = kInputBlock;
  t.scalar_row = 1;
  t.scalar_channel = lanes;
  t.start_row = kInputBlock;
  t.out = sums;
  t.out_row = kInputBlock;
  for (int64_t o = 0; o < outputs; o += kOutputBlock) {
    const int64_t n = outputs - o < kOutputBlock ? outputs - o : kOutputBlock;
    transpose(a.weight + begin * outputs + o, outputs, end - begin, n, weight, kInputBlock);
    t.n_channels = static_cast<int>(n);
    t.scalars = a.dy.data + (g * outputs + o) * lanes;
    t.start = o > 0 ? sums : nullptr;
    run_tiles(t, lanes, end - begin);
  }
  float* dx = a.dx.data + (g * inputs + begin) * lanes;
  if (!a.accumulate) {
    transpose(sums, kInputBlock, lanes, end - begin, dx, lanes);
    return;
  }
  for (int64_t i = 0; i < end - begin; i++)
    for (int64_t l = 0; l < lanes; l++) dx[i * lanes + l] += sums[l * kInputBlock + i];
}

}  // namespace

void linear_backward_data(const LinearBackwardDataArgs& a, int part, int n_parts, void* scratch) {
  const int64_t inputs = a.dx.channels, outputs = a.dy.channels, lanes = a.dx.lanes;
  int64_t begin, end;
  share(vectors_of(inputs), part, n_parts, &begin, &end);
  begin *= kVec;
  end = end * kVec < inputs ? end * kVec : inputs;
  if (begin >= end) return;
  for (int64_t g = 0; g < a.dx.groups; g++) {
    if (!backward_by_batch(kShape, a)) {
      for (int64_t i = begin; i < end; i += kInputBlock)
        transposed_block(a, g, i, i + kInputBlock < end ? i + kInputBlock : end, static_cast<float*>(scratch));
      continue;
    }
    GemmTileArgs t = {};
    t.taps = &kOneTap;
    t.n_taps = 1;
    t.n_channels = static_cast<int>(outputs);
    t.vectors = a.dy.data + g * outputs * lanes;
    t.vector_channel = lanes;
    t.scalars = a.weight + begin * outputs;
    t.scalar_row = outputs;
    t.scalar_channel = 1;
    t.out = a.dx.data + (g * inputs + begin) * lanes;
    t.out_row = lanes;
    t.accumulate = a.accumulate;
    run_tiles(t, end - begin, lanes);
  }
}

}  // namespace edgecl::EDGECL_LEVEL
