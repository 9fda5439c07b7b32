// Instances of the register tile for every useful (rows, vectors), and the choice between them.
// Never here: packing, borders, layer shapes.
#include "kernels/simd/gemm_tile.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// `ahead` floats further lie the vectors of a coming channel: channels are too far apart, and the taps of an input
// gradient run against the addresses, for a hardware prefetcher to guess them.
template <int R, int Q>
EDGECL_INLINE void step(const float* vectors, int64_t ahead, const float* scalars, int64_t scalar_row,
                        vec (&acc)[R][Q]) {
  vec x[Q];
#pragma GCC unroll 12
  for (int q = 0; q < Q; q++) {
    x[q] = vload(vectors + q * kVec);
    if (q * kVec % 16 == 0) __builtin_prefetch(vectors + ahead + q * kVec);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
    const vec w = vset(scalars[r * scalar_row]);
#pragma GCC unroll 12
    for (int q = 0; q < Q; q++) acc[r][q] = vfma(w, x[q], acc[r][q]);
  }
}

#if defined(__AVX512F__)
constexpr bool kMasks = true;  // a vector that is not whole is one instruction like any other
#else
constexpr bool kMasks = false;
#endif
// What every instance would hold for each of its accumulators, and can do without, waits in memory for one loop for all
// instances: after the sums have ended no register is in the way.

#define EDGECL_ONE_COPY __attribute__((noinline))

// Without masks: the last vector of every row, where it is not whole.
EDGECL_ONE_COPY void store_last(const GemmTileArgs& a, int rows, int vectors, const vec* last) {
  float* to = a.out + (vectors - 1) * kVec;
  for (int r = 0; r < rows; r++, to += a.out_row) vstore_n(to, last[r], a.last);
}
EDGECL_ONE_COPY void add_to_out(const GemmTileArgs& a, int rows, int vectors, const vec* sum) {
  float* row = a.out;
  const vec scale = vset(a.scale ? *a.scale : 1.0f);
  for (int r = 0; r < rows; r++, row += a.out_row) {
    for (int q = 0; q < vectors; q++, sum++) {
      float* to = row + q * kVec;
      const int n = q < vectors - 1 ? kVec : a.last;
      const vec v = *sum * scale;
      vstore_n(to, a.accumulate ? vload_n(to, n) + v : v, n);
    }
  }
}

// In a large tile the loop over taps costs nothing beside the multiply-adds, even if there is one tap only.
template <int R, int Q>
constexpr bool kHasOneTapLoop = R * Q <= 12;

// Large tiles do the most of a product of short sums.
template <int R, int Q>
constexpr bool kScalesInRegisters = R * Q >= 12;

template <int R, int Q>
void tile(const GemmTileArgs& a) {
  vec memory[R * Q];
  vec acc[R][Q];
  if (a.start) {
    const float* start = a.start;
#pragma GCC unroll 8
    for (int r = 0; r < R; r++, start += a.start_row)
#pragma GCC unroll 12
      for (int q = 0; q < Q; q++) acc[r][q] = vload(start + q * kVec);
  } else {
    static const float kNothing[kMaxTileRows] = {};
    const float* bias = a.bias ? a.bias : kNothing;
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 12
      for (int q = 0; q < Q; q++) acc[r][q] = vset(bias[r]);
  }

  const float *vectors = a.vectors, *scalars = a.scalars;
  const int64_t vector_channel = a.vector_channel, scalar_channel = a.scalar_channel, scalar_row = a.scalar_row;
  if (kHasOneTapLoop<R, Q> && a.n_taps == 1) {
    vectors += a.taps[0].vectors;
    scalars += a.taps[0].scalars;
    for (int c = a.n_channels; c > 0; c--) {
      step<R, Q>(vectors, 6 * vector_channel, scalars, scalar_row, acc);
      vectors += vector_channel;
      scalars += scalar_channel;
    }
  } else {
    const int64_t ahead = a.n_taps == 1 ? 6 * vector_channel : vector_channel;
    const TapOffset *const first = a.taps, *const end = a.taps + a.n_taps;
    for (int c = a.n_channels; c > 0; c--) {
      const TapOffset* t = first;
      do {
        step<R, Q>(vectors + t->vectors, ahead, scalars + t->scalars, scalar_row, acc);
      } while (++t != end);
      vectors += vector_channel;
      scalars += scalar_channel;
    }
  }

  if (a.activation.kind != Activation::kNone) {
    const bool clip = a.activation.kind == Activation::kClip;
    const vec low = vset(clip ? a.activation.lo : 0.0f), high = vset(clip ? a.activation.hi : __builtin_inff());
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 12
      for (int q = 0; q < Q; q++) acc[r][q] = vmin(vmax(acc[r][q], low), high);
  }
  float* out = a.out;
  int64_t out_row = a.out_row;
  int last = a.last;
  bool rest = a.accumulate || a.scale;
  if constexpr (kScalesInRegisters<R, Q>) {
    if (a.scale && !a.accumulate) {
      rest = false;
      const vec scale = vset(*a.scale);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++)
#pragma GCC unroll 12
        for (int q = 0; q < Q; q++) acc[r][q] = acc[r][q] * scale;
    }
  }
  if (rest) {
    out = reinterpret_cast<float*>(memory);
    out_row = Q * kVec;
    last = kVec;
  }
  if (kMasks || last == kVec) {
#pragma GCC unroll 8
    for (int r = 0; r < R; r++, out += out_row) {
#pragma GCC unroll 12
      for (int q = 0; q < Q - 1; q++) vstore(out + q * kVec, acc[r][q]);
      vstore_n(out + (Q - 1) * kVec, acc[r][Q - 1], kMasks ? last : kVec);
    }
    if (rest) add_to_out(a, R, Q, memory);
  } else {
#pragma GCC unroll 8
    for (int r = 0; r < R; r++, out += out_row) {
#pragma GCC unroll 12
      for (int q = 0; q < Q - 1; q++) vstore(out + q * kVec, acc[r][q]);
      memory[r] = acc[r][Q - 1];
    }
    store_last(a, R, Q, memory);
  }
}

// Cycles of one step of a tile, roughly: multiply-adds, loads, and the latency of the chains, whichever is longest.
// Counted in half cycles of a core with two 32-byte pipes (a 64-byte operation takes both).
int step_cost(int rows, int vectors) {
  const int wide = kVec == 16 ? 2 : 1;
  const int multiply = wide * rows * vectors, load = wide * vectors + rows;
  const int longest = multiply > load ? multiply : load;
  return (longest > 8 ? longest : 8) + 1;
}

}  // namespace

// clang-format off: it moves entries of the second macro on every run
#define EDGECL_TILE(R, Q)            \
  case 16 * R + Q:                   \
    if constexpr (tile_fits(R, Q)) { \
      return tile<R, Q>;             \
    } else {                         \
      return nullptr;                \
    }
#define EDGECL_TILE_ROW(R) \
  EDGECL_TILE(R, 1) EDGECL_TILE(R, 2) EDGECL_TILE(R, 3) EDGECL_TILE(R, 4) EDGECL_TILE(R, 5) \
  EDGECL_TILE(R, 6) EDGECL_TILE(R, 7) EDGECL_TILE(R, 8) EDGECL_TILE(R, 9) EDGECL_TILE(R, 10) \
  EDGECL_TILE(R, 11) EDGECL_TILE(R, 12)
// clang-format on

// Jumps: a table of pointers would cost a shared library 32 bytes an entry.
GemmTile gemm_tile(int rows, int vectors) {
  static_assert(kMaxTileRows == 8 && kMaxTileVectors == 12, "every tile has its case");
  switch (16 * rows + vectors) {
    EDGECL_TILE_ROW(1)
    EDGECL_TILE_ROW(2)
    EDGECL_TILE_ROW(3)
    EDGECL_TILE_ROW(4)
    EDGECL_TILE_ROW(5)
    EDGECL_TILE_ROW(6)
    EDGECL_TILE_ROW(7)
    EDGECL_TILE_ROW(8)
    default:
      return nullptr;
  }
#undef EDGECL_TILE_ROW
#undef EDGECL_TILE
}

namespace {

// One way to cut n into blocks of at most `largest`: `longer` blocks of size `shorter + 1` and the rest of size
// `shorter`.
struct Cut {
  int blocks, shorter, longer;

  int longest() const { return longer > 0 ? shorter + 1 : shorter; }
};
Cut cut(int n, int largest) {
  const int blocks = (n + largest - 1) / largest;
  return {blocks, n / blocks, n % blocks};
}

bool tiles_fit(const Cut& rows, const Cut& vectors) {
  return tile_fits(rows.shorter, vectors.longest()) && tile_fits(rows.longest(), vectors.longest());
}

}  // namespace

TileGrid tile_grid(int64_t rows, int64_t vectors) {
  Cut by_vectors[kMaxTileVectors + 1];
  const int most = vectors < kMaxTileVectors ? static_cast<int>(vectors) : kMaxTileVectors;
  for (int q = 1; q <= most; q++) by_vectors[q] = cut(static_cast<int>(vectors), q);
  TileGrid best = {0, 0};
  int64_t best_cost = 0;
  for (int r = 1; r <= kMaxTileRows && r <= rows; r++) {
    const Cut a = cut(static_cast<int>(rows), r);
    for (int q = 1; q <= most; q++) {
      const Cut b = by_vectors[q];
      if (!tiles_fit(a, b)) continue;
      int64_t cost =
          static_cast<int64_t>(a.blocks - a.longer) * (b.blocks - b.longer) * step_cost(a.shorter, b.shorter);
      if (b.longer) cost += static_cast<int64_t>(a.blocks - a.longer) * b.longer * step_cost(a.shorter, b.shorter + 1);
      if (a.longer)
        cost += static_cast<int64_t>(a.longer) * (b.blocks - b.longer) * step_cost(a.shorter + 1, b.shorter);
      if (a.longer && b.longer)
        cost += static_cast<int64_t>(a.longer) * b.longer * step_cost(a.shorter + 1, b.shorter + 1);
      if (best.row_blocks != 0 && cost >= best_cost) continue;
      best = {a.blocks, b.blocks};
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace edgecl::EDGECL_LEVEL
