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

template <int R, int Q, class F>
EDGECL_INLINE void each(vec (&acc)[R][Q], F f) {
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 12
    for (int q = 0; q < Q; q++) acc[r][q] = f(acc[r][q]);
}

template <int R, int Q>
void tile(const GemmTileArgs& a) {
  vec acc[R][Q];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 12
    for (int q = 0; q < Q; q++)
      acc[r][q] = a.start ? vload(a.start + r * a.start_row + q * kVec) : a.bias ? vset(a.bias[r]) : vzero();

  const float *vectors = a.vectors, *scalars = a.scalars;
  const int64_t vector_channel = a.vector_channel, scalar_channel = a.scalar_channel, scalar_row = a.scalar_row;
  if (a.n_taps == 1) {
    vectors += a.taps[0].vectors;
    scalars += a.taps[0].scalars;
    for (int c = a.n_channels; c > 0; c--) {
      step<R, Q>(vectors, 6 * vector_channel, scalars, scalar_row, acc);
      vectors += vector_channel;
      scalars += scalar_channel;
    }
  } else {
    const TapOffset *const first = a.taps, *const end = a.taps + a.n_taps;
    for (int c = a.n_channels; c > 0; c--) {
      for (const TapOffset* t = first; t != end; t++)
        step<R, Q>(vectors + t->vectors, vector_channel, scalars + t->scalars, scalar_row, acc);
      vectors += vector_channel;
      scalars += scalar_channel;
    }
  }

  if (a.accumulate) {
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 12
      for (int q = 0; q < Q; q++)
        acc[r][q] = vload_n(a.out + r * a.out_row + q * kVec, q == Q - 1 ? a.last : kVec) + acc[r][q];
  }
  if (a.activation.kind != Activation::kNone) {
    const bool clip = a.activation.kind == Activation::kClip;
    const vec low = vset(clip ? a.activation.lo : 0.0f);
    each(acc, [=](vec x) { return vmax(x, low); });
    if (clip) {
      const vec high = vset(a.activation.hi);
      each(acc, [=](vec x) { return vmin(x, high); });
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
    float* out = a.out + r * a.out_row;
#pragma GCC unroll 12
    for (int q = 0; q < Q - 1; q++) vstore(out + q * kVec, acc[r][q]);
    vstore_n(out + (Q - 1) * kVec, acc[r][Q - 1], a.last);
  }
}

template <int R, int Q>
constexpr GemmTile instance() {
  if constexpr (tile_fits(R, Q))
    return tile<R, Q>;
  else
    return nullptr;
}

#define EDGECL_TILE_ROW(R)                                                                                       \
  {instance<R, 1>(), instance<R, 2>(), instance<R, 3>(), instance<R, 4>(),  instance<R, 5>(),  instance<R, 6>(), \
   instance<R, 7>(), instance<R, 8>(), instance<R, 9>(), instance<R, 10>(), instance<R, 11>(), instance<R, 12>()}
constexpr GemmTile kTiles[kMaxTileRows][kMaxTileVectors] = {EDGECL_TILE_ROW(1), EDGECL_TILE_ROW(2), EDGECL_TILE_ROW(3),
                                                            EDGECL_TILE_ROW(4), EDGECL_TILE_ROW(5), EDGECL_TILE_ROW(6),
                                                            EDGECL_TILE_ROW(7), EDGECL_TILE_ROW(8)};
#undef EDGECL_TILE_ROW

// Cycles of one step of a tile, roughly: multiply-adds, loads, and the latency of the chains, whichever is longest.
// Counted in half cycles of a core with two 32-byte pipes (a 64-byte operation takes both).
int step_cost(int rows, int vectors) {
  const int wide = kVec == 16 ? 2 : 1;
  const int multiply = wide * rows * vectors, load = wide * vectors + rows;
  const int longest = multiply > load ? multiply : load;
  return (longest > 8 ? longest : 8) + 1;
}

}  // namespace

GemmTile gemm_tile(int rows, int vectors) {
  return kTiles[rows - 1][vectors - 1];
}

namespace {

// One way to cut n into blocks of at most `largest`: `longer` blocks of size `shorter + 1` and the rest of size
// `shorter`.
struct Cut {
  int blocks, shorter, longer;
};
Cut cut(int n, int largest) {
  const int blocks = (n + largest - 1) / largest;
  return {blocks, n / blocks, n % blocks};
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
    for (int q = 1; q <= most && tile_fits(r, q); q++) {
      const Cut b = by_vectors[q];
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
