// Depthwise convolution of one batch row, forward: tiles of output rows by one vector of neighbours, which read the
// source itself. Masked loads are the border, and numbers two apart are separated in registers.
// Never here: several batch rows (depthwise.cpp), other windows, gradients.
#include "kernels/simd/depthwise_row.h"

#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {
#if defined(__AVX2__)
namespace {

constexpr int kTileRows = kDepthwiseTileRows;

#if defined(__AVX512F__)
typedef __mmask16 Lanes;
EDGECL_INLINE Lanes lanes_of(ivec yes) {
  return _mm512_test_epi32_mask((__m512i)yes, (__m512i)yes);
}
EDGECL_INLINE vec load_lanes(const float* p, Lanes lanes) {
  return (vec)_mm512_maskz_loadu_ps(lanes, p);
}
#else
typedef ivec Lanes;
EDGECL_INLINE Lanes lanes_of(ivec yes) {
  return yes;
}
EDGECL_INLINE vec load_lanes(const float* p, Lanes lanes) {
  return (vec)_mm256_maskload_ps(p, (__m256i)lanes);
}
#endif

// Those of the positions `first`, `first` + 1, .. that lie in a row of `width`.
EDGECL_INLINE Lanes inside(int64_t first, int64_t width) {
  ivec at;
  for (int i = 0; i < kVec; i++) at[i] = i;
  at = at + static_cast<int32_t>(first);
  return lanes_of((at >= 0) & (at < static_cast<int32_t>(width)));
}

EDGECL_INLINE vec even_lanes(vec a, vec b) {
#if EDGECL_VECTOR_BYTES == 64
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
#else
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
#endif
}
EDGECL_INLINE vec odd_lanes(vec a, vec b) {
#if EDGECL_VECTOR_BYTES == 64
  return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#else
  return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
#endif
}

// The input numbers of a row that each tap column meets, for one vector of outputs.
template <int K, int S>
struct Columns {
  Lanes lanes[S == 1 ? K : K + 1];
  EDGECL_ALWAYS_INLINE Columns(int64_t at, int64_t width) {
    EDGECL_UNROLL
    for (int i = 0; i < (S == 1 ? K : K + 1); i++)
      lanes[i] = inside(S == 1 ? at + i : at + i / 2 * 2 + i % 2 * kVec, width);
  }
  EDGECL_ALWAYS_INLINE void load(const float* from, vec (&x)[K]) const {
    EDGECL_UNROLL
    for (int kw = 0; kw < K; kw += S) {
      if constexpr (S == 1) {
        x[kw] = load_lanes(from + kw, lanes[kw]);
      } else {
        const vec a = load_lanes(from + kw, lanes[kw]), b = load_lanes(from + kw + kVec, lanes[kw + 1]);
        x[kw] = even_lanes(a, b);
        if (kw + 1 < K) x[kw + 1] = odd_lanes(a, b);
      }
    }
  }
};

struct Plane {
  const float* weight;
  float start;  // bias
  ActivationSpec activation;
  int64_t width, out_width, left;  // left: of the padding
  int64_t ahead;                   // to the next tile's rows
  int rows;                        // output rows of the tile that are there
  float* out;                      // its first output row
  const float* const* lines;       // its input rows, those outside being zeros
};

template <int K, int S>
__attribute__((noinline)) void tiles(const Plane& p) {
  for (int64_t first = 0; first < p.out_width; first += kVec) {
    vec acc[kTileRows];
    EDGECL_UNROLL
    for (int r = 0; r < kTileRows; r++) acc[r] = vset(p.start);
    const int64_t at = first * S - p.left;
    const Columns<K, S> columns(at, p.width);
#pragma GCC unroll 17
    for (int n = 0; n < (kTileRows - 1) * S + K; n++) {
      vec x[K];
      columns.load(p.lines[n] + at, x);
      __builtin_prefetch(p.lines[n] + at + p.ahead);
      EDGECL_UNROLL
      for (int kw = 0; kw < K; kw++) {
        EDGECL_UNROLL
        for (int r = 0; r < kTileRows; r++) {
          const int kh = n - r * S;
          if (kh >= 0 && kh < K) acc[r] = vfma(vset(p.weight[kh * K + kw]), x[kw], acc[r]);
        }
      }
    }
    if (p.activation.kind != Activation::kNone) {
      const bool clip = p.activation.kind == Activation::kClip;
      const vec low = vset(clip ? p.activation.lo : 0.0f), high = vset(clip ? p.activation.hi : __builtin_inff());
      EDGECL_UNROLL
      for (int r = 0; r < kTileRows; r++) acc[r] = vmin(vmax(acc[r], low), high);
    }
    const int64_t left = p.out_width - first;
    const int floats = static_cast<int>(left < kVec ? left : kVec);
    float* out = p.out + first;
    EDGECL_UNROLL
    for (int r = 0; r < kTileRows; r++, out += p.out_width) {
      if (r >= p.rows) break;
      vstore_n(out, acc[r], floats);
    }
  }
}

}  // namespace

void depthwise_row(const ConvGemm& conv, int part, int n_parts, void* scratch) {
  const Axis &h = conv.h, &w = conv.w;
  const int64_t width = conv.source.width, height = conv.source.height;
  float* const zeros = static_cast<float*>(scratch);
  for (int64_t i = 0; i < width; i++) zeros[i] = 0;
  const float* lines[(kTileRows - 1) * 2 + 3];
  Plane p;
  p.activation = conv.activation;
  p.width = width;
  p.out_width = w.out;
  p.left = -w.start;
  p.lines = lines;
  p.ahead = kTileRows * h.step * width;
  void (*const run)(const Plane&) = h.step == 1 ? tiles<3, 1> : tiles<3, 2>;
  int64_t channel, end;
  share(conv.groups, part, n_parts, &channel, &end);
  for (; channel < end; channel++) {
    const float* source = conv.source.data + channel * conv.source.plane();
    for (int row = 0; row < h.out; row += kTileRows) {
      p.rows = h.out - row < kTileRows ? h.out - row : kTileRows;
      int64_t line = h.start + static_cast<int64_t>(row) * h.step;
      for (int n = 0; n < (kTileRows - 1) * h.step + h.count; n++, line++)
        lines[n] = line < 0 || line >= height ? zeros : source + line * width;
      for (int64_t o = channel * conv.rows; o < (channel + 1) * conv.rows; o++) {
        p.weight = conv.weight + o * conv.weight_row;
        p.start = conv.bias ? conv.bias[o] : 0.0f;
        p.out = conv.out.data + o * conv.out.plane() + row * p.out_width;
        run(p);
      }
    }
  }
}
#else
void depthwise_row(const ConvGemm&, int, int, void*) {}
#endif

}  // namespace edgecl::EDGECL_LEVEL
