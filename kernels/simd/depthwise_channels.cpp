// Depthwise convolution of one batch row, forward: a strip of kVec channels is transposed, so that channels are the
// lanes whatever window, stride and width; its outputs are transposed back.
// Never here: several batch rows, whose lanes are rows and positions (depthwise.cpp), gradients.
#include "kernels/simd/depthwise_channels.h"

#include "kernels/simd/transpose.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr int kOutputs = 8;  // neighbours in an output row that are summed side by side

// What all windows of one block of channels share. Steps are in floats.
struct Window {
  vec start, low, high;
  const float* weight;  // [tap][kVec]
  int64_t kernel_h, kernel_w, tap_row, tap_column, step;
  bool bounded;
};

// `times` runs of P outputs, whose windows begin `step` apart, to consecutive vectors.
template <int P>
__attribute__((noinline)) void outputs(const Window& o, const float* x, int times, float* to) {
  const int64_t step = o.step, kernel_h = o.kernel_h, kernel_w = o.kernel_w, tap_row = o.tap_row,
                tap_column = o.tap_column;
  const vec start = o.start, low = o.low, high = o.high;
  for (; times > 0; times--, x += P * step, to += P * kVec) {
    vec acc[P];
    EDGECL_UNROLL
    for (int p = 0; p < P; p++) acc[p] = start;
    const float *weight = o.weight, *row = x;
    for (int64_t kh = kernel_h; kh > 0; kh--, row += tap_row) {
      const float* from = row;
      for (int64_t kw = kernel_w; kw > 0; kw--, from += tap_column, weight += kVec) {
        const vec w = vload(weight);
        EDGECL_UNROLL
        for (int p = 0; p < P; p++) acc[p] = vfma(w, vload(from + p * step), acc[p]);
      }
    }
    if (o.bounded) {
      EDGECL_UNROLL
      for (int p = 0; p < P; p++) acc[p] = vmin(vmax(acc[p], low), high);
    }
    EDGECL_UNROLL
    for (int p = 0; p < P; p++) vstore(to + p * kVec, acc[p]);
  }
}

// A row in runs of two lengths.
void output_row(const Window& o, const float* x, int width, float* to) {
  typedef void (*Outputs)(const Window&, const float*, int, float*);
  if (width < 4) return outputs<1>(o, x, width, to);
  static const Outputs kForms[kOutputs] = {nullptr,    nullptr,    nullptr,    outputs<4>,
                                           outputs<5>, outputs<6>, outputs<7>, outputs<8>};
  const int runs = (width + kOutputs - 1) / kOutputs, shorter = width / runs, longer = width % runs;
  if (longer > 0) kForms[shorter](o, x, longer, to);
  const int64_t done = static_cast<int64_t>(longer) * (shorter + 1);
  kForms[shorter - 1](o, x + done * o.step, runs - longer, to + done * kVec);
}

// n positions of kVec channels, whose planes lie at from + channel[i], each to its place.
void pack(const float* from, const int64_t* channel, int64_t n, const int32_t* place, float* packed) {
  vec t[kVec];
  for (int64_t i = 0; i < n; i += kVec) {
    EDGECL_UNROLL
    for (int c = 0; c < kVec; c++) t[c] = vload(from + channel[c] + i);
    transpose_registers(t);
    if (n - i >= kVec) {
      EDGECL_UNROLL
      for (int p = 0; p < kVec; p++) vstore(packed + place[i + p], t[p]);
    } else {
      float rest[kVec * kVec];
      EDGECL_UNROLL
      for (int p = 0; p < kVec; p++) vstore(rest + p * kVec, t[p]);
      for (int p = 0; p < n - i; p++) vstore(packed + place[i + p], vload(rest + p * kVec));
    }
  }
}

// n positions back to `channels` planes.
void unpack(const float* packed, int64_t n, float* to, int64_t plane, int channels) {
  vec t[kVec];
  for (int64_t i = 0; i < n; i += kVec) {
    EDGECL_UNROLL
    for (int p = 0; p < kVec; p++) t[p] = vload(packed + (i + p) * kVec);
    transpose_registers(t);
    if (n - i >= kVec && channels == kVec) {
      EDGECL_UNROLL
      for (int c = 0; c < kVec; c++) vstore(to + c * plane + i, t[c]);
    } else {
      const int floats = static_cast<int>(n - i < kVec ? n - i : kVec);
      float rest[kVec * kVec];
      EDGECL_UNROLL
      for (int c = 0; c < kVec; c++) vstore(rest + c * kVec, t[c]);
      for (int c = 0; c < channels; c++) vstore_n(to + c * plane + i, vload(rest + c * kVec), floats);
    }
  }
}

}  // namespace

void depthwise_channels(const ConvGemm& conv, int part, int n_parts, void* scratch) {
  if constexpr (kVec >= 8) {
    const DepthwisePlan p = plan_depthwise_channels(kShape, conv);
    const Axis &h = conv.h, &w = conv.w;
    const int64_t in_plane = conv.source.plane(), out_plane = conv.out.plane(), width = conv.source.width;
    const int64_t pitch = p.columns * kVec;
    float* const packed = static_cast<float*>(scratch);
    float* const sums = packed + p.packed_floats;
    float* const weight = sums + p.sum_floats;
    int32_t* const place = reinterpret_cast<int32_t*>(weight + p.weight_floats);
    int64_t i = 0;
    for (int r = 0; r < p.in_rows; r++)
      for (int64_t column = 0; column < width; column++, i++) {
        const int64_t at = column - w.start;
        place[i] = static_cast<int32_t>(at >= 0 && at < p.columns ? r * pitch + at * kVec : p.in_rows * pitch);
      }
    memset(packed, 0, static_cast<size_t>(p.in_rows * pitch) * sizeof(float));
    Window o;
    o.weight = weight;
    o.kernel_h = h.count;
    o.kernel_w = w.count;
    o.tap_row = h.delta * pitch;
    o.tap_column = static_cast<int64_t>(w.delta) * kVec;
    o.step = static_cast<int64_t>(w.step) * kVec;
    o.bounded = conv.activation.kind != Activation::kNone;
    const bool clip = conv.activation.kind == Activation::kClip;
    o.low = vset(clip ? conv.activation.lo : 0.0f);
    o.high = vset(clip ? conv.activation.hi : __builtin_inff());
    int64_t begin, end;
    share((conv.groups + kVec - 1) / kVec, part, n_parts, &begin, &end);
    for (; begin < end; begin++) {
      const int64_t c = begin * kVec, left = conv.groups - c;
      const int channels = static_cast<int>(left < kVec ? left : kVec);
      int64_t channel[kVec], taps[kVec];
      for (int k = 0; k < kVec; k++) {
        const int64_t one = k < channels ? k : channels - 1;
        channel[k] = one * in_plane;
        taps[k] = one * conv.weight_row;
      }
      for (int64_t t = 0; t < conv.weight_row; t += kVec)
        transpose_rows(conv.weight + c * conv.weight_row + t, taps, weight + t * kVec, kVec);
      o.start = conv.bias ? vload(conv.bias + c) : vzero();
      for (int row = 0; row < h.out; row += p.rows) {
        const int rows = h.out - row < p.rows ? h.out - row : p.rows;
        // Packed row r is source row first + r.
        const int64_t first = h.start + static_cast<int64_t>(row) * h.step;
        const int64_t inside = first < 0 ? 0 : first,
                      behind = first + p.in_rows < conv.source.height ? first + p.in_rows : conv.source.height;
        if (p.rows < h.out)
          for (int64_t r = 0; r < p.in_rows; r++)
            if (first + r < 0 || first + r >= conv.source.height)
              memset(packed + r * pitch, 0, static_cast<size_t>(pitch) * sizeof(float));
        if (inside < behind)
          pack(conv.source.data + c * in_plane + inside * width, channel, (behind - inside) * width, place,
               packed + (inside - first) * pitch);
        for (int r = 0; r < rows; r++)
          output_row(o, packed + static_cast<int64_t>(r) * h.step * pitch, w.out,
                     sums + static_cast<int64_t>(r) * w.out * kVec);
        unpack(sums, static_cast<int64_t>(rows) * w.out,
               conv.out.data + c * out_plane + static_cast<int64_t>(row) * w.out, out_plane, channels);
      }
    }
  }
}

}  // namespace edgecl::EDGECL_LEVEL
