// Convolution with a window of one position: a few vectors of every input channel are packed, and then meet all output
// channels. Never here: other windows, strides, input gradients.
#include "kernels/simd/conv_pointwise.h"

#include "kernels/simd/pointwise.h"
#include "kernels/simd/transpose.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr int kRows = kVec == 16 ? 8 : 4, kMostVectors = kPointwiseVectors;

// A panel, [channel][vector], and the weights that it meets.
struct Panel {
  const float *vectors, *weight;
  int64_t channels;
  const float* bias;  // or null
  float* out;
  int64_t out_row;
  int last;  // floats of the last vector
  ActivationSpec activation;
};

// R output channels. A network's weights come from far: those of the channels behind are fetched meanwhile.
template <int R, int Q>
__attribute__((noinline)) void tile(const Panel& p) {
  vec acc[R][Q];
  EDGECL_UNROLL
  for (int r = 0; r < R; r++) {
    const vec start = vset(p.bias ? p.bias[r] : 0.0f);
    EDGECL_UNROLL
    for (int q = 0; q < Q; q++) acc[r][q] = start;
  }
  const int64_t row = p.channels;
  const float *vectors = p.vectors, *weight = p.weight, *ahead = weight + R * row;
  EDGECL_UNROLL
  for (int r = 0; r < R; r++) {
    EDGECL_UNROLL
    for (int q = 0; q < Q; q++) __builtin_prefetch(p.out + r * p.out_row + q * kVec, 1);
  }
  for (int64_t c = row; c > 0; c--) {
    __builtin_prefetch(ahead);
    ahead += R;
    vec x[Q];
    EDGECL_UNROLL
    for (int q = 0; q < Q; q++) x[q] = vload(vectors + q * kVec);
    vectors += Q * kVec;
    const float* from = weight++;
    EDGECL_UNROLL
    for (int r = 0; r < R; r++, from += row) {
      const vec w = vset(*from);
      EDGECL_UNROLL
      for (int q = 0; q < Q; q++) acc[r][q] = vfma(w, x[q], acc[r][q]);
    }
  }
  if (p.activation.kind != Activation::kNone) {
    const bool clip = p.activation.kind == Activation::kClip;
    const vec low = vset(clip ? p.activation.lo : 0.0f), high = vset(clip ? p.activation.hi : __builtin_inff());
    EDGECL_UNROLL
    for (int r = 0; r < R; r++) {
      EDGECL_UNROLL
      for (int q = 0; q < Q; q++) acc[r][q] = vmin(vmax(acc[r][q], low), high);
    }
  }
  float* out = p.out;
  EDGECL_UNROLL
  for (int r = 0; r < R; r++, out += p.out_row) {
    EDGECL_UNROLL
    for (int q = 0; q < Q - 1; q++) vstore(out + q * kVec, acc[r][q]);
    vstore_n(out + (Q - 1) * kVec, acc[r][Q - 1], p.last);
  }
}

template <int Q>
void rows_of_panel(Panel p, int64_t rows) {
  const int64_t weights = p.channels;
  const auto behind = [&](int64_t n) EDGECL_INLINE_LAMBDA {
    p.weight += n * weights;
    if (p.bias) p.bias += n;
    p.out += n * p.out_row;
    rows -= n;
  };
  while (rows >= kRows) {
    tile<kRows, Q>(p);
    behind(kRows);
  }
  if (rows == 0) return;
  behind(rows - kRows);  // some once more
  tile<kRows, Q>(p);
}

// Maps of 7 x 7 end one position behind whole vectors.
bool ends_alone(const ConvGemm& conv) {
  return conv.source.groups == 1 && conv.out.plane() > kVec && conv.out.plane() % kVec == 1 &&
         conv.channels % kVec == 0;
}

// The last position of output channels [begin, end), which are the lanes: squares of weights are transposed for it. Two
// at a time, since each is one chain.
__attribute__((noinline)) void last_position(const ConvGemm& conv, int64_t begin, int64_t end, float* x) {
  constexpr int kSquares = 2;
  const int64_t plane = conv.out.plane(), channels = conv.channels, last = plane - 1;
  for (int64_t c = 0; c < channels; c++) x[c] = conv.source.data[c * plane + last];
  const bool none = conv.activation.kind == Activation::kNone, clip = conv.activation.kind == Activation::kClip;
  const vec low = vset(clip ? conv.activation.lo : 0.0f), high = vset(clip ? conv.activation.hi : __builtin_inff());
  for (int64_t row = begin; row < end; row += kSquares * kVec) {
    int64_t first[kSquares];
    vec acc[kSquares];
    for (int k = 0; k < kSquares; k++) {
      first[k] = row + (k + 1) * kVec < conv.rows ? row + k * kVec : conv.rows - kVec;  // some once more
      acc[k] = conv.bias ? vload(conv.bias + first[k]) : vzero();
    }
    for (int64_t c = 0; c < channels; c += kVec)
      for (int k = 0; k < kSquares; k++) {
        const float* weight = conv.weight + first[k] * channels + c;
        vec t[kVec];
        EDGECL_UNROLL
        for (int i = 0; i < kVec; i++) t[i] = vload(weight + i * channels);
        transpose_registers(t);
        EDGECL_UNROLL
        for (int i = 0; i < kVec; i++) acc[k] = vfma(t[i], vset(x[c + i]), acc[k]);
      }
    for (int k = 0; k < kSquares; k++) {
      float results[kVec];
      vstore(results, none ? acc[k] : vmin(vmax(acc[k], low), high));
      for (int64_t i = 0; i < kVec; i++) {
        const int64_t to = first[k] + i;
        if (to >= row && to < end) conv.out.data[to * plane + last] = results[i];
      }
    }
  }
}

}  // namespace

void conv_pointwise(const ConvGemm& conv, int part, int n_parts, void* scratch) {
  float* const panel = static_cast<float*>(scratch);
  const bool alone = ends_alone(conv);
  const int64_t plane = conv.out.plane(), vectors = (plane - (alone ? 1 : 0) + kVec - 1) / kVec,
                blocks = (vectors + kMostVectors - 1) / kMostVectors;
  const int64_t all = conv.source.groups * blocks;
  int64_t begin = 0, end = all, row_begin = 0, row_end = conv.rows / kRows;
  if (end >= 4 * static_cast<int64_t>(n_parts))
    share(end, part, n_parts, &begin, &end);
  else
    share(row_end, part, n_parts, &row_begin, &row_end);
  row_begin *= kRows;
  row_end = row_end == conv.rows / kRows ? conv.rows : row_end * kRows;
  if (row_begin == row_end) return;
  Panel p = {};
  p.vectors = panel;
  p.channels = conv.channels;
  p.weight = conv.weight + row_begin * conv.channels;
  p.bias = conv.bias ? conv.bias + row_begin : nullptr;
  p.out_row = plane;
  p.activation = conv.activation;
  for (; begin < end; begin++) {
    const int64_t g = begin / blocks, block = begin % blocks, v = vectors * block / blocks;
    const int n = static_cast<int>(vectors * (block + 1) / blocks - v);
    const float* source = conv.source.data + g * conv.source.channels * plane + v * kVec;
    float* to = panel;
    for (int c = 0; c < conv.channels; c++, source += plane)
      for (int q = 0; q < n; q++, to += kVec) {
        vstore(to, vload(source + q * kVec));
        __builtin_prefetch(source + (n + q) * kVec);
      }
    p.last = v + n == vectors && !alone ? static_cast<int>(plane - (vectors - 1) * kVec) : kVec;
    p.out = conv.out.data + (g * conv.out.channels + row_begin) * plane + v * kVec;
    if (n == 1) rows_of_panel<1>(p, row_end - row_begin);
    if (n == 2) rows_of_panel<2>(p, row_end - row_begin);
    if (n == 3) rows_of_panel<3>(p, row_end - row_begin);
  }
  if (alone && end == all) last_position(conv, row_begin, row_end, panel);
}

}  // namespace edgecl::EDGECL_LEVEL
