// The tiles of the weight gradient with few output positions: no sum ever crosses the lanes of a register.
// Never here: packing of the source, blocks of chunks.
#include "kernels/simd/conv_weight_few.h"

#include "kernels/simd/transpose.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// The tree keeps up to four sums of each accumulator waiting: these and the accumulators fill the registers.
constexpr int kRows = 3;
constexpr int kColumns = EDGECL_VECTOR_BYTES == 32 ? 1 : 2;

template <int R, int Q>
struct Sums {
  vec v[R][Q];
};

struct TileArgs {
  const float* x;
  int64_t column_vector;  // floats between column vectors
  const float* dy;
  int64_t dy_row, positions;
};

// Virtual lane kLane (kStep == 16), or the tree's sum of the lanes kLane, kLane + kStep, kLane + 2 kStep, ..
template <int R, int Q, int kLane, int kStep>
EDGECL_INLINE Sums<R, Q> lanes_sum(const TileArgs& a) {
  Sums<R, Q> sum;
  if constexpr (kStep == kVirtualLanes) {
#pragma GCC unroll 4
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
      for (int q = 0; q < Q; q++) sum.v[r][q] = vzero();
    for (int64_t p = kLane; p < a.positions; p += kVirtualLanes) {
      vec x[Q];
#pragma GCC unroll 4
      for (int q = 0; q < Q; q++) x[q] = vload(a.x + q * a.column_vector + p * kVec);
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
        const vec d = vset(a.dy[r * a.dy_row + p]);
#pragma GCC unroll 4
        for (int q = 0; q < Q; q++) sum.v[r][q] = vfma(d, x[q], sum.v[r][q]);
      }
    }
  } else {
    const Sums<R, Q> low = lanes_sum<R, Q, kLane, 2 * kStep>(a), high = lanes_sum<R, Q, kLane + kStep, 2 * kStep>(a);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
      for (int q = 0; q < Q; q++) sum.v[r][q] = low.v[r][q] + high.v[r][q];
  }
  return sum;
}

EDGECL_INLINE void store_row(const vec* sum, int vectors, float* out, int last) {
  for (int q = 0; q < vectors - 1; q++) vstore(out + q * kVec, sum[q]);
  vstore_n(out + (vectors - 1) * kVec, sum[vectors - 1], last);
}

template <int R, int Q>
void tile(const TileArgs& a, float* out, int64_t out_row, int last) {
  const Sums<R, Q> sum = lanes_sum<R, Q, 0, 1>(a);
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) store_row(sum.v[r], Q, out + r * out_row, last);
}

// Fewer rows than kRows: one of them and one vector, whose lanes wait in memory.
void one_sum(const TileArgs& a, float* out, int64_t, int last) {
  vec lanes[kVirtualLanes];
  for (int lane = 0; lane < kVirtualLanes; lane++) {
    vec sum = vzero();
    for (int64_t p = lane; p < a.positions; p += kVirtualLanes) sum = vfma(vset(a.dy[p]), vload(a.x + p * kVec), sum);
    lanes[lane] = sum;
  }
  for (int s = kVirtualLanes / 2; s > 0; s /= 2)
    for (int i = 0; i < s; i++) lanes[i] = lanes[i] + lanes[i + s];
  store_row(lanes, 1, out, last);
}

}  // namespace

void columns_to_lanes(const float* packed, int64_t* offsets, int64_t columns, int64_t positions, float* lanes) {
  const int64_t vectors = (columns + kVec - 1) / kVec;
  for (int64_t c = columns; c < vectors * kVec; c++) offsets[c] = offsets[columns - 1];
  for (int64_t v = 0; v < vectors; v++, lanes += positions * kVec) {
    const int64_t* from = offsets + v * kVec;
    int64_t p = 0;
    for (; p + kVec <= positions; p += kVec) transpose_rows(packed + p, from, lanes + p * kVec, kVec);
    for (; p < positions; p++)
      for (int i = 0; i < kVec; i++) lanes[p * kVec + i] = packed[from[i] + p];
  }
}

void few_positions_gradient(const FewArgs& a) {
  const int64_t vectors = (a.columns + kVec - 1) / kVec, column_vector = a.positions * kVec;
  TileArgs t;
  t.column_vector = column_vector;
  t.dy_row = a.dy_row;
  t.positions = a.positions;
  // Three rows or one: of one and two left over, rows before them are computed again.
  const bool one = a.rows < kRows;
  const int rows = one ? 1 : kRows, most = one ? 1 : kColumns;
  for (int64_t v = 0; v < vectors; v += most) {
    const int wide = static_cast<int>(vectors - v < most ? vectors - v : most);
    const int last = v + wide == vectors ? static_cast<int>(a.columns - (vectors - 1) * kVec) : kVec;
    t.x = a.x + v * column_vector;
    const auto run = one ? one_sum : wide == kColumns ? tile<kRows, kColumns> : tile<kRows, 1>;
    for (int64_t next = 0; next < a.rows; next += rows) {
      const int64_t row = next + rows <= a.rows ? next : a.rows - rows;
      t.dy = a.dy + row * a.dy_row;
      run(t, a.dweight + row * a.dweight_row + v * kVec, a.dweight_row, last);
    }
  }
}

}  // namespace edgecl::EDGECL_LEVEL
