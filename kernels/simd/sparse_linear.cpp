// Sparse linear layer, forward and input gradient: the batch in the lanes, an output row kept in registers.
// Never here: the weight gradient, convolutions.
#include "kernels/kernel_declarations.h"
#include "kernels/plan/sparse_linear_plan.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sparse_linear_pad.h"
#include "kernels/simd/sparse_registers.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

#if EDGECL_VECTOR_BYTES == 64
constexpr int kRegisterVectors = 16;  // accumulators of rows side by side, beside the vectors of a step
#else
constexpr int kRegisterVectors = 8;
#endif
constexpr int kMaxTogether = 4;  // rows side by side

// target[row] = chain over the row's entries of value * source[channel], for every batch lane.
struct LinearGather {
  Tensor source, target;
  SparsePattern pattern;
  const float* value;
  const float* bias;
  ActivationSpec activation;
  bool accumulate;
};

// The only batch row.
struct ScalarLane {
  typedef float T;
  static constexpr int kFloats = 1;
  EDGECL_INLINE T set(float x) { return x; }
  EDGECL_INLINE T load(const float* p) { return *p; }
  EDGECL_INLINE void store(float* p, T v) { *p = v; }
  EDGECL_INLINE T load_n(const float* p, int) { return *p; }
  EDGECL_INLINE void store_n(float* p, T v, int) { *p = v; }
  EDGECL_INLINE T fma(T a, T b, T c) { return sfma(a, b, c); }
  static constexpr bool kLanesOfFour = false;
};

struct LinearScratch {
  float *whole, *half;          // [channel of a block][vectors of a pass]; null where the source lies so
  float *chains, *chains_half;  // [rows][vectors of a pass]: the outputs on their way
};

LinearScratch take_scratch(const LinearGatherPlan& cut, ScratchCursor* cursor) {
  LinearScratch s = {};
  if (!cut.direct) {
    s.whole = cursor->take<float>(cut.padded_whole);
    s.half = cursor->take<float>(cut.padded_half);
  }
  s.chains = cursor->take<float>(cut.chains);
  s.chains_half = cursor->take<float>(cut.chains_half);
  return s;
}

// One pass over one channel block.
struct BlockPass {
  const float *whole, *half;    // of the block's first channel
  float *chains, *chains_half;  // of row 0
  const uint32_t* start;        // of the block's rows
  bool first;                   // of the blocks: chains start at the bias
};

// The chains of kTogether rows over one channel block, side by side as far as the shortest goes: one alone would wait
// for its own multiply-adds.
template <class Lane, int kWhole, int kHalf, int kTogether>
EDGECL_INLINE void gather_bundle(const LinearGather& g, const BlockPass& pass, int64_t row) {
  typedef typename Lane::T T;
  constexpr int kPitch = kWhole * Lane::kFloats, kW = kWhole > 0 ? kWhole : 1;
  const float *whole = pass.whole, *half = pass.half, *value = g.value;
  const uint16_t* index = g.pattern.index;
  const uint32_t* start = pass.start + row;
  float *chains = pass.chains + row * kPitch, *chains_half = pass.chains_half + row * HalfLane::kFloats;
  T acc[kTogether][kW];
  HalfLane::T rest[kTogether];
  if (pass.first) {
    EDGECL_UNROLL
    for (int r = 0; r < kTogether; r++) {
      const float bias = g.bias ? g.bias[row + r] : 0.0f;
      EDGECL_UNROLL
      for (int v = 0; v < kWhole; v++) acc[r][v] = Lane::set(bias);
      if constexpr (kHalf > 0) rest[r] = HalfLane::set(bias);
    }
  } else {
    EDGECL_UNROLL
    for (int r = 0; r < kTogether; r++) {
      EDGECL_UNROLL
      for (int v = 0; v < kWhole; v++) acc[r][v] = Lane::load(chains + r * kPitch + v * Lane::kFloats);
      if constexpr (kHalf > 0) rest[r] = HalfLane::load(chains_half + r * HalfLane::kFloats);
    }
  }
  const auto add = [&](int r, int64_t channel, auto weight, auto weight_half) __attribute__((always_inline)) {
#if defined(__aarch64__)
    // One sum of addresses an entry, and its vectors by pairs of loads.
    const float* from = whole + channel * kPitch;
    if constexpr (kWhole > 1) keep_pointer(from);
    EDGECL_UNROLL
    for (int v = 0; v < kWhole; v++) acc[r][v] = Lane::fma(weight, Lane::load(from + v * Lane::kFloats), acc[r][v]);
#else
    EDGECL_UNROLL
    for (int v = 0; v < kWhole; v++)
      acc[r][v] = Lane::fma(weight, Lane::load(whole + channel * kPitch + v * Lane::kFloats), acc[r][v]);
#endif
    if constexpr (kHalf > 0)
      rest[r] = HalfLane::fma(weight_half, HalfLane::load(half + channel * HalfLane::kFloats), rest[r]);
  };
  const auto one = [&](int r, uint32_t k) __attribute__((always_inline)) {
    add(r, index[k], Lane::set(value[k]), HalfLane::set(value[k]));
  };
  uint32_t done = 0;
  if (kTogether > 1) {
    uint32_t common = start[1] - start[0];
    for (int r = 1; r < kTogether; r++)
      if (start[r + 1] - start[r] < common) common = start[r + 1] - start[r];
    if constexpr (Lane::kLanesOfFour) {
      // Four entries by one load of their indices and one of their weights: loads are what this loop waits for.
      const auto four = [&](int r, uint32_t k) __attribute__((always_inline)) {
        uint64_t channels;
        memcpy(&channels, index + k, sizeof channels);
        const typename Lane::Four weights = Lane::load_four(value + k);
        EDGECL_UNROLL
        for (int j = 0; j < 4; j++) {
          const auto weight = Lane::lane_of(weights, j);
          HalfLane::T weight_half = HalfLane::set(0.0f);
          if constexpr (kHalf > 0) weight_half = HalfLane::half_of(weight);
          add(r, static_cast<int64_t>(channels >> (16 * j) & 0xffff), weight, weight_half);
        }
      };
      for (; done + 4 <= common; done += 4) {
        EDGECL_UNROLL
        for (int r = 0; r < kTogether; r++) four(r, start[r] + done);
      }
    }
    for (; done < common; done++) {
      EDGECL_UNROLL
      for (int r = 0; r < kTogether; r++) one(r, start[r] + done);
    }
  }
  EDGECL_UNROLL
  for (int r = 0; r < kTogether; r++) {
    for (uint32_t k = start[r] + done; k < start[r + 1]; k++) one(r, k);
    EDGECL_UNROLL
    for (int v = 0; v < kWhole; v++) Lane::store(chains + r * kPitch + v * Lane::kFloats, acc[r][v]);
    if constexpr (kHalf > 0) HalfLane::store(chains_half + r * HalfLane::kFloats, rest[r]);
  }
}

template <class Lane, int kWhole, int kHalf>
__attribute__((noinline)) void gather_rows(const LinearGather& g, const BlockPass& pass, int64_t row, int64_t end) {
  constexpr int kFit = kRegisterVectors / (kWhole + kHalf), kTogether = kFit < kMaxTogether ? kFit : kMaxTogether;
  for (; row + kTogether <= end; row += kTogether) gather_bundle<Lane, kWhole, kHalf, kTogether>(g, pass, row);
  if (kTogether > 1)
    for (; row < end; row++) gather_bundle<Lane, kWhole, kHalf, 1>(g, pass, row);
}

// Takes the finished chains of rows [row, end), `n` vectors each, to the target; vector v is number first + v of a row
// of the target.
template <class Lane>
void finish_chains(const LinearGather& g, int64_t row, int64_t end, int64_t first, int64_t n, const float* chains) {
  typedef typename Lane::T T;
  const int64_t lanes = g.target.lanes, per_group = (lanes + Lane::kFloats - 1) / Lane::kFloats;
  const T lo = Lane::set(g.activation.lo), hi = Lane::set(g.activation.hi), zero = Lane::set(0.0f);
  const Activation kind = g.activation.kind;
  for (int64_t v = 0; v < n; v++) {
    const int64_t group = (first + v) / per_group, lane = (first + v) % per_group * Lane::kFloats;
    const int valid = static_cast<int>(lanes - lane < Lane::kFloats ? lanes - lane : Lane::kFloats);
    float* to = g.target.data + (group * g.target.channels + row) * lanes + lane;
    for (int64_t r = row; r < end; r++, to += lanes) {
      T y = Lane::load(chains + (r * n + v) * Lane::kFloats);
      if (kind == Activation::kRelu) y = y > zero ? y : zero;
      if (kind == Activation::kClip) {
        y = y > lo ? y : lo;
        y = y < hi ? y : hi;
      }
      if (g.accumulate) y = Lane::load_n(to, valid) + y;
      if (valid == Lane::kFloats)
        Lane::store(to, y);
      else
        Lane::store_n(to, y, valid);
    }
  }
}

void run_block(const LinearGather& g, const BlockPass& pass, const LinearGatherPlan& cut, int64_t count, int64_t begin,
               int64_t end) {
  if (g.source.rows() == 1) return gather_rows<ScalarLane, 1, 0>(g, pass, begin, end);
  if constexpr (HalfLane::kFloats < kVec) {
    if (cut.half)
      return count > 0 ? gather_rows<WholeLane, 1, 1>(g, pass, begin, end)
                       : gather_rows<WholeLane, 0, 1>(g, pass, begin, end);
  }
  switch (count) {
    case 1:
      return gather_rows<WholeLane, 1, 0>(g, pass, begin, end);
    case 2:
      return gather_rows<WholeLane, 2, 0>(g, pass, begin, end);
    case 3:
      return gather_rows<WholeLane, 3, 0>(g, pass, begin, end);
    default:
      return gather_rows<WholeLane, 4, 0>(g, pass, begin, end);
  }
}

void run_linear(const LinearGather& g, int part, int n_parts, void* scratch) {
  const SparsePattern& p = g.pattern;
  int64_t begin, end;
  share(p.rows, part, n_parts, &begin, &end);
  if (begin == end) return;
  const LinearGatherPlan cut = plan_linear_gather(kShape, g.source, g.pattern);
  ScratchCursor cursor = {static_cast<char*>(scratch), 0};
  const LinearScratch s = take_scratch(cut, &cursor);
  const bool scalar = g.source.rows() == 1;
  for (int64_t first = 0; first < cut.whole + cut.half; first += kMaxVectors) {
    const int64_t left = cut.whole - first, count = left < kMaxVectors ? left : kMaxVectors;
    BlockPass pass = {nullptr, nullptr, s.chains, s.chains_half, nullptr, false};
    for (int64_t b = 0; b < p.n_blocks; b++) {
      const int64_t channel = b * p.channel_block,
                    channel_end = channel + p.channel_block < p.channels ? channel + p.channel_block : p.channels;
      pass.whole = pass.half = g.source.data + channel * g.source.lanes;
      if (s.whole) {
        pad_channels<WholeLane>(g.source, channel, channel_end, first * kVec, count, s.whole);
        pad_channels<HalfLane>(g.source, channel, channel_end, count * kVec, cut.half, s.half);
        pass.whole = s.whole;
        pass.half = s.half;
      }
      pass.start = p.row_start + b * p.rows;
      pass.first = b == 0;
      run_block(g, pass, cut, count, begin, end);
    }
    if (scalar)
      finish_chains<ScalarLane>(g, begin, end, 0, 1, s.chains);
    else
      finish_chains<WholeLane>(g, begin, end, first, count, s.chains);
    finish_chains<HalfLane>(g, begin, end, count * kVec / HalfLane::kFloats, cut.half, s.chains_half);
  }
}

LinearGather forward_gather(const SparseLinearForwardArgs& a) {
  return {a.x, a.y, a.pattern, a.value, a.bias, a.activation, false};
}
LinearGather backward_gather(const SparseLinearBackwardDataArgs& a) {
  return {a.dy, a.dx, a.transposed, a.value, nullptr, {Activation::kNone, 0.0f, 0.0f}, a.accumulate};
}
}  // namespace

void sparse_linear_forward(const SparseLinearForwardArgs& a, int part, int n_parts, void* scratch) {
  run_linear(forward_gather(a), part, n_parts, scratch);
}
void sparse_linear_backward_data(const SparseLinearBackwardDataArgs& a, int part, int n_parts, void* scratch) {
  run_linear(backward_gather(a), part, n_parts, scratch);
}

}  // namespace edgecl::EDGECL_LEVEL
