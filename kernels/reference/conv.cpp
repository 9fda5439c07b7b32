// Scalar convolution: forward, input gradient and weight gradient as plain loops. These loops ARE the arithmetic
// contract. Never here: tiling, packing, vector types or any shortcut that could change the order of an accumulation.
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

// One element, +0 in the border.
float padded(const Tensor& t, int64_t g, int64_t c, int64_t h, int64_t w, int64_t l) {
  if (h < 0 || h >= t.height || w < 0 || w >= t.width) return 0.0f;
  return t.data[offset_of(t, g, c, h, w, l)];
}

// Block sums in order: the first starts the total, the others are added.
struct BlockTotal {
  float total = 0.0f;
  bool started = false;
  void add(float* lanes) {
    const float sum = tree(lanes);
    total = started ? total + sum : sum;
    started = true;
    for (int i = 0; i < kVirtualLanes; i++) lanes[i] = 0.0f;
  }
};

float weight_gradient(const ConvBackwardWeightArgs& a, int64_t o, int64_t channel, int kh, int kw) {
  const ConvShape& s = a.shape;
  float lanes[kVirtualLanes] = {};
  BlockTotal sum;
  int chunks = 0;
  for (int64_t g = 0; g < a.dy.groups; g++) {
    int64_t flat = 0;  // index in the plane of dY; every plane starts a new chunk
    for (int64_t h = 0; h < a.dy.height; h++)
      for (int64_t w = 0; w < a.dy.width; w++)
        for (int64_t l = 0; l < a.dy.lanes; l++, flat++) {
          if (flat % kVirtualLanes == 0 && chunks++ == kGradientChunks) {
            sum.add(lanes);
            chunks = 1;
          }
          const float x = padded(a.x, g, channel, h * s.stride_h + kh * s.dilation_h - s.pad_top,
                                 w * s.stride_w + kw * s.dilation_w - s.pad_left, l);
          float* lane = &lanes[flat % kVirtualLanes];
          *lane = fused(a.dy.data[offset_of(a.dy, g, o, h, w, l)], x, *lane);
        }
  }
  sum.add(lanes);
  return sum.total;
}

float bias_gradient(const Tensor& dy, int64_t o) {
  float lanes[kVirtualLanes] = {};
  BlockTotal sum;
  int chunks = 0;
  for (int64_t g = 0; g < dy.groups; g++)
    for (int64_t flat = 0; flat < dy.plane(); flat++) {
      if (flat % kVirtualLanes == 0 && chunks++ == kGradientChunks) {
        sum.add(lanes);
        chunks = 1;
      }
      lanes[flat % kVirtualLanes] += dy.data[(g * dy.channels + o) * dy.plane() + flat];
    }
  sum.add(lanes);
  return sum.total;
}

}  // namespace

void conv_forward(const ConvForwardArgs& a, int part, int n_parts, void*) {
  const ConvShape& s = a.shape;
  const int64_t in_channels = a.x.channels / s.groups, out_channels = a.y.channels / s.groups;
  const Share mine = share_of(a.y.size(), part, n_parts);
  for (int64_t i = mine.begin; i < mine.end; i++) {
    const int64_t l = i % a.y.lanes, w = i / a.y.lanes % a.y.width, h = i / a.y.lanes / a.y.width % a.y.height;
    const int64_t o = i / a.y.plane() % a.y.channels, g = i / a.y.plane() / a.y.channels;
    const int64_t first = o / out_channels * in_channels;
    const float* weight = a.weight + o * in_channels * s.kernel_h * s.kernel_w;
    float acc = a.bias ? a.bias[o] : 0.0f;
    for (int64_t c = 0; c < in_channels; c++)
      for (int kh = 0; kh < s.kernel_h; kh++)
        for (int kw = 0; kw < s.kernel_w; kw++)
          acc = fused(*weight++,
                      padded(a.x, g, first + c, h * s.stride_h + kh * s.dilation_h - s.pad_top,
                             w * s.stride_w + kw * s.dilation_w - s.pad_left, l),
                      acc);
    a.y.data[i] = activate(a.activation, acc);
  }
}
// A tap takes part where it meets this input position at some (possibly border) output position: where the stride
// divides.
void conv_backward_data(const ConvBackwardDataArgs& a, int part, int n_parts, void*) {
  const ConvShape& s = a.shape;
  const int64_t in_channels = a.dx.channels / s.groups, out_channels = a.dy.channels / s.groups;
  const Share mine = share_of(a.dx.size(), part, n_parts);
  for (int64_t i = mine.begin; i < mine.end; i++) {
    const int64_t l = i % a.dx.lanes, w = i / a.dx.lanes % a.dx.width, h = i / a.dx.lanes / a.dx.width % a.dx.height;
    const int64_t c = i / a.dx.plane() % a.dx.channels, g = i / a.dx.plane() / a.dx.channels;
    const int64_t first = c / in_channels * out_channels;
    float acc = 0.0f;
    for (int64_t o = first; o < first + out_channels; o++)
      for (int kh = 0; kh < s.kernel_h; kh++)
        for (int kw = 0; kw < s.kernel_w; kw++) {
          const int64_t up = h + s.pad_top - kh * s.dilation_h, left = w + s.pad_left - kw * s.dilation_w;
          if (up % s.stride_h != 0 || left % s.stride_w != 0) continue;
          const float weight = a.weight[((o * in_channels + c % in_channels) * s.kernel_h + kh) * s.kernel_w + kw];
          acc = fused(weight, padded(a.dy, g, o, up / s.stride_h, left / s.stride_w, l), acc);
        }
    a.dx.data[i] = a.accumulate ? a.dx.data[i] + acc : acc;
  }
}
void conv_backward_weight(const ConvBackwardWeightArgs& a, int part, int n_parts, void*) {
  const ConvShape& s = a.shape;
  const int64_t in_channels = a.x.channels / s.groups, out_channels = a.dy.channels / s.groups;
  const int64_t taps = static_cast<int64_t>(s.kernel_h) * s.kernel_w;
  const Share mine = share_of(a.dy.channels * in_channels * taps, part, n_parts);
  for (int64_t i = mine.begin; i < mine.end; i++) {
    const int64_t tap = i % taps, o = i / taps / in_channels;
    const int64_t channel = o / out_channels * in_channels + i / taps % in_channels;
    a.dweight[i] =
        weight_gradient(a, o, channel, static_cast<int>(tap / s.kernel_w), static_cast<int>(tap % s.kernel_w));
  }
  if (!a.dbias) return;
  const Share biases = share_of(a.dy.channels, part, n_parts);
  for (int64_t o = biases.begin; o < biases.end; o++) a.dbias[o] = bias_gradient(a.dy, o);
}
}  // namespace edgecl::reference
