// Sparse linear layer, forward and input gradient: the batch in the lanes, an output row kept in registers.
// Never here: the weight gradient, convolutions.
#include "kernels/kernel_declarations.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sparse_linear_pad.h"
#include "kernels/simd/sparse_plan.h"
#include "kernels/simd/sparse_tile.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

#if EDGECL_VECTOR_BYTES == 32
constexpr int kRegisterRows = 4;  // accumulators of rows side by side, beside the vectors of a step
#else
constexpr int kRegisterRows = 8;
#endif
constexpr int kMaxVectors = 4;  // vectors of the batch that one pass over the entries takes

// target[row] = chain over the row's entries of value * source[channel], for every batch lane.
struct LinearGather {
  Tensor source, target;
  SparsePattern pattern;
  const float* value;
  const float* bias;
  ActivationSpec activation;
  bool accumulate;
};

// Whether one pass takes the source as it lies.
bool direct(const LinearGather& g) {
  return g.source.rows() == 1 || (lies_padded(g.source) && batch_vectors(g.source) <= kMaxVectors);
}

struct LinearScratch {
  float* packed;  // [channels][vectors of a pass][kVec], null where the source lies so
  float* spill;   // [rows][vectors of a pass][kVec]
};

LinearScratch take_scratch(const LinearGather& g, ScratchCursor* cursor) {
  LinearScratch s = {};
  const int64_t vectors = batch_vectors(g.source), pitch = (vectors < kMaxVectors ? vectors : kMaxVectors) * kVec;
  if (!direct(g)) s.packed = cursor->take<float>(g.source.channels * pitch);
  s.spill = cursor->take<float>(g.pattern.n_blocks > 1 ? g.pattern.rows * pitch : kVec);
  return s;
}

// The vectors of one pass: [channel][vectors][kVec], and where each lies in the target.
struct VectorSet {
  const float* source;
  float* target[kMaxVectors];  // of row 0
  int valid[kMaxVectors];      // lanes
};

// What a lane of a pass is: a vector of batch rows, or the only batch row.
struct VectorLane {
  typedef vec T;
  static constexpr int kFloats = kVec;
  EDGECL_INLINE T set(float x) { return vset(x); }
  EDGECL_INLINE T load(const float* p) { return vload(p); }
  EDGECL_INLINE void store(float* p, T v) { vstore(p, v); }
  EDGECL_INLINE T load_n(const float* p, int n) { return vload_n(p, n); }
  EDGECL_INLINE void store_n(float* p, T v, int n) { vstore_n(p, v, n); }
  EDGECL_INLINE T fma(T a, T b, T c) { return vfma(a, b, c); }
  EDGECL_INLINE T activate(T x, const ActivationSpec& a) { return sparse_activate(x, a); }
};
struct ScalarLane {
  typedef float T;
  static constexpr int kFloats = 1;
  EDGECL_INLINE T set(float x) { return x; }
  EDGECL_INLINE T load(const float* p) { return *p; }
  EDGECL_INLINE void store(float* p, T v) { *p = v; }
  EDGECL_INLINE T load_n(const float* p, int) { return *p; }
  EDGECL_INLINE void store_n(float* p, T v, int) { *p = v; }
  EDGECL_INLINE T fma(T a, T b, T c) { return sfma(a, b, c); }
  EDGECL_INLINE T activate(T x, const ActivationSpec& a) {
    if (a.kind == Activation::kRelu) return x > 0.0f ? x : 0.0f;
    if (a.kind != Activation::kClip) return x;
    x = x > a.lo ? x : a.lo;
    return x < a.hi ? x : a.hi;
  }
};

// Rows [row, row + kTogether) over one channel block. Their chains run side by side as far as the shortest row goes:
// one alone would wait for its own multiply-adds.
template <class Lane, int kCount, int kTogether>
EDGECL_INLINE void gather_bundle(const LinearGather& g, const VectorSet& set, int64_t b, int64_t row, float* held) {
  typedef typename Lane::T T;
  constexpr int kWidth = Lane::kFloats;
  const SparsePattern& p = g.pattern;
  constexpr int kPitch = kCount * kWidth;
  const float *source = set.source + b * p.channel_block * kPitch, *value = g.value;
  const uint16_t* index = p.index;
  const uint32_t* start = p.row_start + b * p.rows + row;
  T acc[kTogether][kCount];
  uint32_t common = start[1] - start[0];
  EDGECL_UNROLL
  for (int r = 0; r < kTogether; r++) {
    if (start[r + 1] - start[r] < common) common = start[r + 1] - start[r];
    EDGECL_UNROLL
    for (int v = 0; v < kCount; v++)
      acc[r][v] = b > 0 ? Lane::load(held + (r * kCount + v) * kWidth) : Lane::set(g.bias ? g.bias[row + r] : 0.0f);
  }
  const auto step = [&](int r, uint32_t k) __attribute__((always_inline)) {
    const T weight = Lane::set(value[k]);
    const float* from = source + index[k] * kPitch;
    EDGECL_UNROLL
    for (int v = 0; v < kCount; v++) acc[r][v] = Lane::fma(weight, Lane::load(from + v * kWidth), acc[r][v]);
  };
  if (kTogether > 1)
    for (uint32_t i = 0; i < common; i++) {
      EDGECL_UNROLL
      for (int r = 0; r < kTogether; r++) step(r, start[r] + i);
    }
  EDGECL_UNROLL
  for (int r = 0; r < kTogether; r++)
    for (uint32_t k = start[r] + (kTogether > 1 ? common : 0); k < start[r + 1]; k++) step(r, k);
  EDGECL_UNROLL
  for (int r = 0; r < kTogether; r++) EDGECL_UNROLL
  for (int v = 0; v < kCount; v++) {
    if (b + 1 < p.n_blocks) {
      Lane::store(held + (r * kCount + v) * kWidth, acc[r][v]);
      continue;
    }
    T y = Lane::activate(acc[r][v], g.activation);
    float* to = set.target[v] + (row + r) * g.target.lanes;
    if (g.accumulate) y = Lane::load_n(to, set.valid[v]) + y;
    Lane::store_n(to, y, set.valid[v]);
  }
}

template <class Lane, int kCount, int kTogether>
void gather_rows(const LinearGather& g, const VectorSet& set, float* spill, int64_t row_begin, int64_t row_end) {
  constexpr int kHeld = kCount * Lane::kFloats;
  for (int64_t b = 0; b < g.pattern.n_blocks; b++) {
    int64_t row = row_begin;
    for (; row + kTogether <= row_end; row += kTogether)
      gather_bundle<Lane, kCount, kTogether>(g, set, b, row, spill + (row - row_begin) * kHeld);
    for (; row < row_end; row++) gather_bundle<Lane, kCount, 1>(g, set, b, row, spill + (row - row_begin) * kHeld);
  }
}

void run_linear(const LinearGather& g, int part, int n_parts, void* scratch) {
  int64_t begin, end;
  share(g.pattern.rows, part, n_parts, &begin, &end);
  if (begin == end) return;
  ScratchCursor cursor = {static_cast<char*>(scratch), 0};
  const LinearScratch s = take_scratch(g, &cursor);
  const int64_t vectors = batch_vectors(g.source), per_group = lane_vectors(g.source), lanes = g.source.lanes;
  VectorSet set = {};
  set.source = s.packed ? s.packed : g.source.data;
  if (g.source.rows() == 1) {
    set.target[0] = g.target.data;
    gather_rows<ScalarLane, 1, 4>(g, set, s.spill, begin, end);
    return;
  }
  for (int64_t first = 0; first < vectors; first += kMaxVectors) {
    const int count = static_cast<int>(vectors - first < kMaxVectors ? vectors - first : kMaxVectors);
    if (s.packed) pad_channels(g.source, 0, g.source.channels, first, count, s.packed);
    for (int i = 0; i < count; i++) {
      const int64_t group = (first + i) / per_group, lane = (first + i) % per_group * kVec;
      set.target[i] = g.target.data + group * g.target.channels * lanes + lane;
      set.valid[i] = static_cast<int>(lanes - lane < kVec ? lanes - lane : kVec);
    }
    if (count == 4)
      gather_rows<VectorLane, 4, kRegisterRows / 4>(g, set, s.spill, begin, end);
    else if (count == 3)
      gather_rows<VectorLane, 3, kRegisterRows / 4>(g, set, s.spill, begin, end);
    else if (count == 2)
      gather_rows<VectorLane, 2, kRegisterRows / 2>(g, set, s.spill, begin, end);
    else
      gather_rows<VectorLane, 1, 4>(g, set, s.spill, begin, end);
  }
}

LinearGather forward_gather(const SparseLinearForwardArgs& a) {
  return {a.x, a.y, a.pattern, a.value, a.bias, a.activation, false};
}
LinearGather backward_gather(const SparseLinearBackwardDataArgs& a) {
  return {a.dy, a.dx, a.transposed, a.value, nullptr, {Activation::kNone, 0.0f, 0.0f}, a.accumulate};
}
size_t scratch_of(const LinearGather& g) {
  ScratchCursor cursor = {nullptr, 0};
  take_scratch(g, &cursor);
  return cursor.used;
}

}  // namespace

size_t sparse_linear_forward_scratch_bytes(const SparseLinearForwardArgs& a) {
  return scratch_of(forward_gather(a));
}
void sparse_linear_forward(const SparseLinearForwardArgs& a, int part, int n_parts, void* scratch) {
  run_linear(forward_gather(a), part, n_parts, scratch);
}
size_t sparse_linear_backward_data_scratch_bytes(const SparseLinearBackwardDataArgs& a) {
  return scratch_of(backward_gather(a));
}
void sparse_linear_backward_data(const SparseLinearBackwardDataArgs& a, int part, int n_parts, void* scratch) {
  run_linear(backward_gather(a), part, n_parts, scratch);
}

}  // namespace edgecl::EDGECL_LEVEL
