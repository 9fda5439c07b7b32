// What the recurrent kernels share: scalars of a product by row, vector forms of the formulas, blocks of batch rows.
// Never here: kernels.
#ifndef EDGECL_KERNELS_SIMD_RECURRENT_H_
#define EDGECL_KERNELS_SIMD_RECURRENT_H_

#include "kernels/plan/recurrent_plan.h"
#include "kernels/recurrent_formulas.h"
#include "kernels/simd/linear_tiles.h"
#include "kernels/simd/math.h"
#include "kernels/simd/pointwise.h"
#include "kernels/simd/transpose.h"

namespace edgecl::EDGECL_LEVEL {

constexpr TapOffset kOneTap = {0, 0};

// Inlined, unlike those of activation.cpp: a step of one batch row waits for each of them.
struct RecurrentMath {
  typedef vec T;
  EDGECL_ALWAYS_INLINE static T set(float x) { return vset(x); }
  EDGECL_ALWAYS_INLINE static T fma(T a, T b, T c) { return vfma(a, b, c); }
  EDGECL_ALWAYS_INLINE static T power(T t) { return (vec)(0x3f800000u + ((uvec)t << 23)); }
  EDGECL_ALWAYS_INLINE static T exp_minus_one(T x) { return exp_minus_one_of<RecurrentMath>(x); }
  EDGECL_ALWAYS_INLINE static T sigmoid(T x) { return vsigmoid(x); }
  EDGECL_ALWAYS_INLINE static T tanh(T x) { return tanh_of<RecurrentMath>(x); }
};

// The lanes [first, first + n) of a group, walked together.
struct RecurrentLanes {
  int64_t group, first, n;
};
// to[c * to_row + r] = from[r * from_row + c] (transpose.h), called (recurrent.cpp).
void transpose_called(const float* from, int64_t from_row, int64_t rows, int64_t columns, float* to, int64_t to_row);

// Calls f(lanes) for the blocks that the batch rows of a part are made of.
template <class F>
EDGECL_INLINE void for_lane_blocks(const Tensor& y, int part, int n_parts, F f) {
  const int64_t most = recurrent_block(y.lanes, y.width).lanes;
  int64_t begin, end;
  share(y.rows(), part, n_parts, &begin, &end);
  while (begin < end) {
    const int64_t group = begin / y.lanes, first = begin % y.lanes;
    int64_t n = end - begin < y.lanes - first ? end - begin : y.lanes - first;
    if (n > most) n = most;
    f(RecurrentLanes{group, first, n});
    begin += n;
  }
}

// Blocks of steps in the order in which they are walked, `forward` in that of the pass or against it: f(first time of
// the block, its steps).
template <class F>
EDGECL_INLINE void for_step_blocks(int64_t width, int64_t steps, bool ascending, F f) {
  const int64_t blocks = (width + steps - 1) / steps;
  for (int64_t b = 0; b < blocks; b++) {
    const int64_t t = (ascending ? b : blocks - 1 - b) * steps;
    f(t, width - t < steps ? width - t : steps);
  }
}

// out[r] = start[r] + scalars[r] times `vectors`: chains over n vectors of `floats` outputs. Made once for many of one size.
class Product {
 public:
  Product(int64_t rows, int64_t n, int64_t floats)
      : rows_(rows), floats_(floats), grid_(tile_grid(rows, vectors_of(floats))) {
    tile_.taps = &kOneTap;
    tile_.n_taps = 1;
    tile_.n_channels = static_cast<int>(n);
  }
  // Scalars `row` and `channel` apart, vectors `next` apart.
  EDGECL_ALWAYS_INLINE void of(int64_t row, int64_t channel, int64_t next) {
    tile_.scalar_row = row;
    tile_.scalar_channel = channel;
    tile_.vector_channel = next;
  }
  // start null: +0. It may be out. Called (recurrent.cpp).
  void operator()(const float* scalars, const float* vectors, const float* start, int64_t start_row, float* out,
                  int64_t out_row, bool accumulate = false) const;
  void take(int64_t n) { tile_.n_channels = static_cast<int>(n); }

 private:
  GemmTileArgs tile_ = {};
  int64_t rows_, floats_;
  TileGrid grid_;
};

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_RECURRENT_H_
