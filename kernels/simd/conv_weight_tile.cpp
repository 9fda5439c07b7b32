// Instances of the weight gradient's register tile, and the choice between them.
// Never here: packing, layer shapes.
#include "kernels/simd/conv_weight_tile.h"

#include "kernels/simd/tree.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

EDGECL_INLINE vec lane_numbers() {
  vec v;
  for (int i = 0; i < kVec; i++) v[i] = static_cast<float>(i);
  return v;
}

// Keeps a compiler from reading the vector again for every use: loads, not multiply-adds, would set the pace.
EDGECL_INLINE vec in_register(vec v) {
#if defined(__AVX512F__)
  __asm__("" : "+v"(v));
#elif defined(__SSE2__)
  __asm__("" : "+x"(v));
#elif defined(__aarch64__)
  __asm__("" : "+w"(v));
#endif
  return v;
}

// The short chunk after everything else, in memory, so that no tile needs code for it.
void add_short_chunk(const WeightTileArgs& a, int rows, int columns, float* lanes) {
  const ChunkRun& last = a.runs[a.n_runs - 1];
  int64_t before = 0;
  for (int i = 0; i < a.n_runs - 1; i++) before += a.runs[i].chunks;
  const float* dy = a.dy + before * rows * kVec;
  for (int part = 0; part * kVec < last.valid; part++, dy += (before + 1) * rows * kVec) {
    const auto chosen = lane_numbers() < vset(static_cast<float>(last.valid - part * kVec));
    for (int q = 0; q < columns; q++) {
      const vec x = vload(a.x + a.columns[q] + last.x + part * kVec);
      float* to = lanes + q * 16 + part * kVec;
      for (int r = 0; r < rows; r++, to += columns * 16) {
        const vec acc = vload(to), sum = vfma(vload(dy + r * kVec), x, acc);
        vstore(to, chosen ? sum : acc);
      }
    }
  }
}

// The tree over the 16 lanes of each of n sums; `lanes` has room for whole vectors of sums.
__attribute__((noinline)) void add_lanes(float* lanes, int n, float* sums) {
  for (int k = n; k % kVec != 0; k++)
    for (int i = 0; i < 16; i += kVec) vstore(lanes + k * 16 + i, vzero());
  for (int k = 0; k < n; k += kVec) tree_of_many(lanes + k * 16, sums + k);
}

template <int R, int Q>
void tile(const WeightTileArgs& a) {
  alignas(64) float lanes[(R * Q + kVec - 1) / kVec * kVec * 16];
  const float* dy = a.dy;  // the parts of the 16 lanes follow each other in it
  for (int part = 0; part < kParts; part++) {
    vec acc[R][Q];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++)
#pragma GCC unroll 9
      for (int q = 0; q < Q; q++) acc[r][q] = vzero();
    for (const ChunkRun *run = a.runs, *end = a.runs + a.n_runs; run != end; run++) {
      if (run->valid < 16) {
        dy += R * kVec;
        break;
      }
      const float* x[Q];
#pragma GCC unroll 9
      for (int q = 0; q < Q; q++) x[q] = a.x + a.columns[q] + run->x + part * kVec;
      const int64_t floats = static_cast<int64_t>(run->chunks) * 16;
      for (int64_t i = 0; i < floats; i += 16, dy += R * kVec) {
        vec d[R];
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) d[r] = vload(dy + r * kVec);
#pragma GCC unroll 9
        for (int q = 0; q < Q; q++) {
          const vec v = in_register(vload(x[q] + i));
#pragma GCC unroll 4
          for (int r = 0; r < R; r++) acc[r][q] = vfma(d[r], v, acc[r][q]);
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++)
#pragma GCC unroll 9
      for (int q = 0; q < Q; q++) vstore(lanes + (r * Q + q) * 16 + part * kVec, acc[r][q]);
  }
  if (a.runs[a.n_runs - 1].valid < 16) add_short_chunk(a, R, Q, lanes);
  add_lanes(lanes, R * Q, a.sums);
}

}  // namespace

// clang-format off: it moves entries of the second macro on every run
#define EDGECL_TILE(R, Q)                                                   \
  case 16 * R + Q:                                                          \
    if constexpr (R * Q <= kWeightAccumulators && kWeightColumns[Q] == Q) { \
      return tile<R, Q>;                                                    \
    } else {                                                                \
      return nullptr;                                                       \
    }
#define EDGECL_TILE_ROW(R) \
  EDGECL_TILE(R, 1) EDGECL_TILE(R, 2) EDGECL_TILE(R, 3) EDGECL_TILE(R, 4) EDGECL_TILE(R, 5) \
  EDGECL_TILE(R, 6) EDGECL_TILE(R, 7) EDGECL_TILE(R, 8) EDGECL_TILE(R, 9)
// clang-format on

// Jumps: a table of pointers would cost a shared library 32 bytes an entry.
WeightTile weight_tile(int rows, int columns) {
  static_assert(kMaxWeightRows == 4 && kMaxWeightColumns == 9, "every tile has its case");
  switch (16 * rows + columns) {
    EDGECL_TILE_ROW(1)
    EDGECL_TILE_ROW(2)
    EDGECL_TILE_ROW(3)
    EDGECL_TILE_ROW(4)
    default:
      return nullptr;
  }
#undef EDGECL_TILE_ROW
#undef EDGECL_TILE
}

void pack_chunks(const float* dy, int64_t dy_row, int rows, const ChunkRun* runs, int n_runs, float* packed) {
  for (int part = 0; part < kParts; part++)
    for (const ChunkRun *run = runs, *end = runs + n_runs; run != end; run++) {
      const float* from = dy + run->dy + part * kVec;
      for (int i = 0; i < run->chunks; i++, from += 16)
        for (int r = 0; r < rows; r++, packed += kVec) vstore(packed, vload(from + r * dy_row));
    }
}

void weight_tile_shape(int64_t rows, int64_t columns, int* tile_rows, int* tile_columns) {
  int64_t best = -1;
  const int most = kWeightColumns[columns < kMaxWeightColumns ? columns : kMaxWeightColumns];
  for (int r = 1; r <= kMaxWeightRows && r <= rows; r++)
    for (int q = 1; q <= most && r * q <= kWeightAccumulators; q++) {
      if (kWeightColumns[q] != q) continue;
      // Per chunk: one cycle a multiply-add and a load, each tile; latency keeps small tiles from being quicker.
      const int multiply = r * q, load = r + q;
      const int64_t cost = ((rows + r - 1) / r) * ((columns + q - 1) / q) * ((multiply > load ? multiply : load) + 1);
      if (best >= 0 && cost >= best) continue;
      best = cost;
      *tile_rows = r;
      *tile_columns = q;
    }
}

}  // namespace edgecl::EDGECL_LEVEL
