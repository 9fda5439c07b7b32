// Depthwise convolution: a packed channel, tiles of a few output rows by one or two vectors that share every loaded
// input vector. Never here: other kernel sizes, dilation, weight gradients.
// Built for size (-Os): a few per cent of a step at most.
#include "kernels/simd/depthwise.h"

#include "kernels/simd/conv_pack.h"
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr int kTileRows = kDepthwiseTileRows;

struct Whole {  // the native vector
  typedef vec Type;
  static constexpr int kLanes = kVec;
  EDGECL_INLINE Type load(const float* p) { return vload(p); }
  EDGECL_INLINE void store(float* p, Type v, int n) { vstore_n(p, v, n); }
  EDGECL_INLINE Type fma(Type a, Type b, Type c) { return vfma(a, b, c); }
};
#if defined(__AVX512F__)
struct Half {  // for rows of at most 8 floats under a 3x3 kernel
  typedef float Type __attribute__((vector_size(32), may_alias));
  static constexpr int kLanes = 8;
  EDGECL_INLINE Type load(const float* p) { return (Type)_mm256_loadu_ps(p); }
  EDGECL_INLINE void store(float* p, Type v, int n) {
    _mm256_mask_storeu_ps(p, static_cast<__mmask8>((1u << n) - 1u), (__m256)v);
  }
  EDGECL_INLINE Type fma(Type a, Type b, Type c) { return (Type)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
};
#else
typedef Whole Half;
#endif

// One channel's strip. Input rows and columns come in the order that makes each output's taps ascend: downwards, or
// from the far end upwards (negative steps) where the taps run against the source, as in an input gradient.
struct StripArgs {
  const float* packed;  // upwards: the last input row and column of an output row just above the strip
  int64_t pitch, row_class;
  int64_t column[5];    // floats from there to each tap column
  const float* weight;  // of the output channel
  float start;          // bias
  float* out;           // first output row of the strip
  int64_t out_row;
  int rows;
  bool upwards;    // a tile's last output row is the first that it adds to
  int64_t floats;  // of an output row
  ActivationSpec activation;
};

// Output rows [row, row + R) and C vectors from `first` on.
template <class V, int K, int S, int R, int C>
EDGECL_INLINE void tile(const StripArgs& a, int row, int64_t first) {
  typedef typename V::Type Vector;
  Vector acc[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int c = 0; c < C; c++) acc[r][c] = a.start - Vector{};
  const float* base = a.packed + (a.upwards ? -(row + R) : row) * a.pitch + first;
#pragma GCC unroll 19
  for (int n = 0; n < (R - 1) * S + K; n++) {
    const float* line = base + (n % S) * a.row_class + (n / S) * a.pitch;
    const auto add_column = [&](int kw) EDGECL_INLINE_LAMBDA {
      const float* from = line + a.column[kw];
      Vector x[C];
#pragma GCC unroll 4
      for (int c = 0; c < C; c++) x[c] = V::load(from + c * V::kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const int kh = n - r * S;
        if (kh < 0 || kh >= K) continue;
        const Vector w = a.weight[kh * K + kw] - Vector{};
#pragma GCC unroll 4
        for (int c = 0; c < C; c++) acc[r][c] = V::fma(w, x[c], acc[r][c]);
      }
    };
    if constexpr (K == 3) {  // most of the work: worth its size
#pragma GCC unroll 5
      for (int kw = 0; kw < K; kw++) add_column(kw);
    } else {
#pragma GCC unroll 1
      for (int kw = 0; kw < K; kw++) add_column(kw);
    }
  }
  if (a.activation.kind != Activation::kNone) {
    const bool clip = a.activation.kind == Activation::kClip;
    const Vector low = (clip ? a.activation.lo : 0.0f) - Vector{},
                 high = (clip ? a.activation.hi : __builtin_inff()) - Vector{};
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
      for (int c = 0; c < C; c++) {
        const Vector y = acc[r][c] > low ? acc[r][c] : low;
        acc[r][c] = y < high ? y : high;
      }
  }
  const int64_t left = a.floats - first - (C - 1) * V::kLanes;
  const int last = left < V::kLanes ? static_cast<int>(left) : V::kLanes;
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
    const int at = row + (a.upwards ? R - 1 - r : r);
    if (at >= a.rows) continue;
    float* out = a.out + at * a.out_row + first;
#pragma GCC unroll 4
    for (int c = 0; c < C - 1; c++) V::store(out + c * V::kLanes, acc[r][c], V::kLanes);
    V::store(out + (C - 1) * V::kLanes, acc[r][C - 1], last);
  }
}

template <class V, int K, int S>
void strip(const StripArgs& a) {
  int64_t first = 0;
  for (; V::kLanes == kVec && a.floats - first > V::kLanes; first += 2 * V::kLanes)
    for (int row = 0; row < a.rows; row += kTileRows / 2) tile<V, K, S, kTileRows / 2, 2>(a, row, first);
  if (first < a.floats)
    for (int row = 0; row < a.rows; row += kTileRows) tile<V, K, S, kTileRows, 1>(a, row, first);
}

typedef void (*Strip)(const StripArgs&);
Strip choose(int kernel, int stride) {
  if (kernel == 3) return stride == 1 ? strip<Whole, 3, 1> : strip<Whole, 3, 2>;
  return stride == 1 ? strip<Whole, 5, 1> : strip<Whole, 5, 2>;
}

}  // namespace

void depthwise(const ConvGemm& conv, int part, int n_parts, void* scratch) {
  const int lanes = conv.source.lanes, most = depthwise_strip_rows(conv);
  const PackLayout layout = pack_layout(conv.h, conv.w, most, conv.w.out, lanes);
  float* packed = static_cast<float*>(scratch);
  StripArgs a;
  const int taps = conv.h.count, stride = conv.h.step;
  a.upwards = conv.h.delta < 0;
  a.packed = packed + (a.upwards ? (taps - 2) * layout.pitch + (taps - 1) * lanes : 0);
  a.pitch = a.upwards ? -layout.pitch : layout.pitch;
  a.row_class = layout.pitch * layout.class_rows;
  for (int kw = 0; kw < taps; kw++)
    a.column[kw] = a.upwards ? -kw * static_cast<int64_t>(lanes)
                             : (kw % stride) * layout.column_class + kw / stride * static_cast<int64_t>(lanes);
  a.floats = static_cast<int64_t>(conv.w.out) * lanes;
  a.out_row = a.floats;
  a.activation = conv.activation;
  const Strip run =
      a.floats <= 8 && taps == 3 ? (stride == 1 ? strip<Half, 3, 1> : strip<Half, 3, 2>) : choose(taps, stride);
  int64_t begin, end;
  share(conv.groups, part, n_parts, &begin, &end);
  for (int64_t g = 0; g < conv.source.groups; g++)
    for (int64_t channel = begin; channel < end; channel++)
      for (int row = 0; row < conv.h.out; row += most) {
        pack_plane(layout, conv.h, conv.w,
                   conv.source.data + (g * conv.source.channels + channel) * conv.source.plane(), conv.source.height,
                   conv.source.width, lanes, row, 0, packed);
        a.rows = conv.h.out - row < most ? conv.h.out - row : most;
        for (int64_t o = channel * conv.rows; o < (channel + 1) * conv.rows; o++) {
          a.weight = conv.weight + o * conv.h.count * conv.w.count;
          a.start = conv.bias ? conv.bias[o] : 0.0f;
          a.out = conv.out.data + (g * conv.out.channels + o) * conv.out.plane() + row * a.out_row;
          run(a);
        }
      }
}

}  // namespace edgecl::EDGECL_LEVEL
