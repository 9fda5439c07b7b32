// Strips of the dense convolution's forward pass and input gradient, and their scratch memory.
// Never here: packing, tiles, the split of work.
#include "kernels/plan/conv_plan.h"

namespace edgecl::plan {
namespace {

constexpr int64_t kWeightFloats = 4096;  // weights of a row block: half of a first-level cache
constexpr int64_t kMaxGroupBlocks = 6;
constexpr int64_t kGatherFloats = 40 * 1024;
constexpr int64_t kDepthwiseChannelFloats =
    32 * 1024;                                  // of a strip's inputs and outputs: inside the second-level cache
constexpr int64_t kDepthwiseFloats = 5 * 1024;  // of a packed channel: two thirds of a first-level cache

int64_t strip_floats(const GemmPlan& p, int channels, int rows, int columns, int64_t lanes) {
  return p.direct || p.n_taps == 0 ? 0 : pack_layout(p.h, p.w, rows, columns, lanes).channel * channels;
}

// Rows and columns of a strip, so that a channel block of it packed keeps to `most` floats where that can be had.
void cut_strips(const VectorShape& shape, const ConvGemm& conv, int64_t lanes, int64_t most, GemmPlan* p) {
  const int64_t one = strip_floats(*p, p->channel_block, 1, p->strip_columns, lanes);
  const int64_t each = strip_floats(*p, p->channel_block, 2, p->strip_columns, lanes) - one;
  int64_t rows = one > most ? 1 : 1 + (most - one) / (each > 0 ? each : 1);
  if (rows > conv.h.out) rows = conv.h.out;
  const int64_t strips = (conv.h.out + rows - 1) / rows;
  p->strip_rows = static_cast<int>((conv.h.out + strips - 1) / strips);
  if (p->flat) return;
  // Halved until the strip fits; one column cannot be halved, and so 31 times are enough for any width.
  for (int i = 0; i < 31 && p->strip_columns > 1 && p->strip_columns * lanes > 8 * shape.floats; i++) {
    if (strip_floats(*p, p->channel_block, p->strip_rows, p->strip_columns, lanes) <= 2 * most) return;
    p->strip_columns = (p->strip_columns + 1) / 2;
  }
}

}  // namespace

ConvGemm forward_gemm(const ConvForwardArgs& a) {
  const ConvShape& s = a.shape;
  ConvGemm conv = {};
  conv.source = a.x;
  conv.out = a.y;
  conv.weight = a.weight;
  conv.bias = a.bias;
  conv.groups = s.groups;
  conv.rows = a.y.channels / s.groups;
  conv.channels = a.x.channels / s.groups;
  conv.weight_channel = static_cast<int64_t>(s.kernel_h) * s.kernel_w;
  conv.weight_row = conv.weight_channel * conv.channels;
  conv.weight_group = conv.weight_row * conv.rows;
  conv.kernel_w = s.kernel_w;
  conv.h = forward_axis(s.kernel_h, s.stride_h, s.dilation_h, s.pad_top, a.y.height);
  conv.w = forward_axis(s.kernel_w, s.stride_w, s.dilation_w, s.pad_left, a.y.width);
  conv.activation = a.activation;
  return conv;
}

ConvGemm phase_gemm(const ConvBackwardDataArgs& a, const Axis& h, const Axis& w) {
  const ConvShape& s = a.shape;
  ConvGemm conv = {};
  conv.source = a.dy;
  conv.out = a.dx;
  conv.weight = a.weight;
  conv.groups = s.groups;
  conv.rows = a.dx.channels / s.groups;
  conv.channels = a.dy.channels / s.groups;
  conv.weight_row = static_cast<int64_t>(s.kernel_h) * s.kernel_w;
  conv.weight_channel = conv.weight_row * conv.rows;
  conv.weight_group = conv.weight_channel * conv.channels;
  conv.kernel_w = s.kernel_w;
  conv.h = h;
  conv.w = w;
  conv.accumulate = a.accumulate;
  return conv;
}

GemmPlan plan_gemm(const VectorShape& shape, const ConvGemm& conv) {
  GemmPlan p = {};
  p.h = conv.h;
  p.w = conv.w;
  const int64_t kVec = shape.floats, lanes = row_class(conv.source.lanes).high;
  p.n_taps = static_cast<int64_t>(conv.h.count) * conv.w.count;
  p.staged = conv.h.out_step != 1 || conv.w.out_step != 1;
  p.direct = p.n_taps == 1 && conv.h.step == 1 && conv.w.step == 1 && conv.h.start == 0 && conv.w.start == 0 &&
             conv.h.out == conv.source.height && conv.w.out == conv.source.width;
  p.strip_rows = conv.h.out;
  p.strip_columns = conv.w.out;
  const int64_t taps = p.n_taps > 0 ? p.n_taps : 1;
  p.channel_block = static_cast<int>(kWeightFloats / (kMaxTileRows * taps));
  if (p.channel_block < 16) p.channel_block = 16;
  if (p.channel_block * 3 / 2 >= conv.channels) p.channel_block = conv.channels;
  const int64_t row_floats = conv.w.out * lanes, row_vectors = (row_floats + kVec - 1) / kVec;
  // A halo shared by the taps of a row costs nothing when rows fill vectors; else give each tap column its own copy and
  // run on over row ends.
  p.flat = p.direct || (conv.h.out > 1 && (row_vectors < 3 || row_floats * 20 < row_vectors * kVec * 19));
  if (p.flat) separate_phases(&p.w);
  // A strip's channel block: inside the second-level cache.
  if (!p.direct && p.n_taps > 0) cut_strips(shape, conv, lanes, kVec == 4 ? 48 * 1024 : 96 * 1024, &p);
  p.tap_floats = round_up(p.n_taps * static_cast<int64_t>(sizeof(TapOffset) / sizeof(float)), 16);
  p.pack_floats = round_up(strip_floats(p, conv.channels, p.strip_rows, p.strip_columns, lanes) + kVec, 16);
  p.partial = p.channel_block < conv.channels;
  const int64_t blocks = kGatherFloats / (p.channel_block * taps * kMaxTileRows);
  p.group_blocks = static_cast<int>(blocks < 1 ? 1 : blocks < kMaxGroupBlocks ? blocks : kMaxGroupBlocks);
  p.gather_weights = conv.weight_row < conv.weight_channel && p.n_taps > 0 &&
                     static_cast<int64_t>(p.strip_rows) * p.strip_columns * lanes >= 8 * kVec;
  if (p.gather_weights)
    p.weight_floats = round_up((p.channel_block * conv.weight_row * kMaxTileRows + kVec) * p.group_blocks, 16);
  if (p.staged || p.partial) {
    const int64_t floats =
        p.flat ? round_up(p.strip_rows * row_floats, kVec) : p.strip_rows * round_up(p.strip_columns * lanes, kVec);
    p.stage_floats = kMaxTileRows * (p.partial ? p.group_blocks : 1) * floats;
  }
  return p;
}

bool pointwise_suits(const VectorShape& shape, const ConvGemm& conv) {
  const Axis &h = conv.h, &w = conv.w;
  return shape.floats >= 8 && conv.groups == 1 && conv.rows >= 16 && conv.weight_channel == 1 &&
         h.count * w.count == 1 && h.step == 1 && w.step == 1 && h.start == 0 && w.start == 0 && h.out_step == 1 &&
         w.out_step == 1 && h.out == conv.source.height && w.out == conv.source.width && !conv.accumulate;
}

bool depthwise_suits(const ConvGemm& conv) {
  const Axis &h = conv.h, &w = conv.w;
  return conv.channels == 1 && h.count == w.count && (h.count == 3 || h.count == 5) && conv.kernel_w == w.count &&
         h.delta == w.delta && (h.delta == 1 || h.delta == -1) && h.step == w.step && h.out_step == 1 &&
         w.out_step == 1 && (h.step == 1 || (h.step == 2 && h.delta == 1)) && !conv.accumulate;
}

bool depthwise_row_suits(const VectorShape& shape, const ConvGemm& conv) {
  return shape.floats >= 8 && conv.source.groups * conv.source.lanes == 1 && conv.h.delta == 1 && conv.h.count == 3 &&
         conv.w.out > shape.floats / 2 && depthwise_suits(conv);
}

DepthwisePlan plan_depthwise_channels(const VectorShape& shape, const ConvGemm& conv) {
  const Axis &h = conv.h, &w = conv.w;
  DepthwisePlan p = {};
  p.columns = static_cast<int64_t>(w.out - 1) * w.step + static_cast<int64_t>(w.count - 1) * w.delta + 1;
  const int64_t halo = static_cast<int64_t>(h.count - 1) * h.delta + 1 - h.step;
  const int64_t each = (p.columns * h.step + w.out) * shape.floats;
  int64_t rows = (kDepthwiseChannelFloats - halo * p.columns * shape.floats) / each;
  rows = rows < 1 ? 1 : rows > h.out ? h.out : rows;
  const int64_t strips = (h.out + rows - 1) / rows;
  p.rows = static_cast<int>((h.out + strips - 1) / strips);
  p.in_rows = static_cast<int>(p.rows * h.step + halo);
  p.packed_floats = (p.in_rows * p.columns + 1) * shape.floats;
  p.sum_floats = (static_cast<int64_t>(p.rows) * w.out + shape.floats) * shape.floats;
  p.weight_floats = round_up(conv.weight_row, shape.floats) * shape.floats;
  p.place_floats = p.in_rows * static_cast<int64_t>(conv.source.width);
  return p;
}

bool depthwise_channels_suits(const VectorShape& shape, const ConvGemm& conv) {
  if (shape.floats < 8 || conv.source.groups * conv.source.lanes != 1 || conv.channels * conv.rows != 1 ||
      conv.groups == 1 || conv.h.delta < 0 || conv.w.delta < 0 || conv.h.out_step * conv.w.out_step != 1 ||
      conv.accumulate || conv.h.out <= 0 || conv.w.out <= 0)
    return false;
  const DepthwisePlan p = plan_depthwise_channels(shape, conv);
  return p.packed_floats + p.sum_floats + p.place_floats <= 4 * kDepthwiseChannelFloats;
}

bool depthwise_suits_gradient(const ConvGemm& conv) {
  return conv.rows == 1 && depthwise_suits(conv);
}

int depthwise_strip_rows(const ConvGemm& conv) {
  const int64_t lanes = row_class(conv.source.lanes).high;
  const int64_t one = pack_layout(conv.h, conv.w, 1, conv.w.out, lanes).channel;
  const int64_t each = (conv.w.out + conv.w.max_shift()) * lanes * conv.h.classes * conv.w.classes;
  int64_t rows = one >= kDepthwiseFloats ? kDepthwiseTileRows : (kDepthwiseFloats - one) / each + 1;
  rows = round_up(rows, kDepthwiseTileRows);
  return static_cast<int>(rows < conv.h.out ? rows : round_up(conv.h.out, kDepthwiseTileRows));
}

namespace {

uint64_t conv_bytes(const VectorShape& shape, const ConvGemm& conv, bool depthwise) {
  if (conv.h.out <= 0 || conv.w.out <= 0) return 0;
  if (depthwise_row_suits(shape, conv)) return static_cast<uint64_t>(conv.source.width) * sizeof(float);
  if (depthwise_channels_suits(shape, conv)) {
    const DepthwisePlan p = plan_depthwise_channels(shape, conv);
    return static_cast<uint64_t>(p.packed_floats + p.sum_floats + p.weight_floats + p.place_floats) * sizeof(float);
  }
  if (depthwise) {
    const int64_t lanes = row_class(conv.source.lanes).high;
    const int64_t strip = pack_layout(conv.h, conv.w, depthwise_strip_rows(conv), conv.w.out, lanes).channel;
    return static_cast<uint64_t>(strip + 4 * shape.floats) * sizeof(float);
  }
  if (pointwise_suits(shape, conv))
    return static_cast<uint64_t>(conv.channels) * kPointwiseVectors * shape.floats * sizeof(float);
  const GemmPlan p = plan_gemm(shape, conv);
  return static_cast<uint64_t>(p.tap_floats + p.pack_floats + p.weight_floats + p.stage_floats) * sizeof(float);
}

}  // namespace
}  // namespace edgecl::plan

namespace edgecl {

using namespace plan;

uint64_t ScratchTable::conv_forward_scratch_bytes(const ConvForwardArgs& a) const {
  if (tiled.floats == 1) return 0;
  const ConvGemm conv = forward_gemm(a);
  return conv_bytes(tiled, conv, depthwise_suits(conv));
}

uint64_t ScratchTable::conv_backward_data_scratch_bytes(const ConvBackwardDataArgs& a) const {
  if (tiled.floats == 1) return 0;
  const ConvShape& s = a.shape;
  const PhaseKinds down = phase_kinds(s.kernel_h, s.stride_h, s.dilation_h, s.pad_top, a.dx.height);
  const PhaseKinds across = phase_kinds(s.kernel_w, s.stride_w, s.dilation_w, s.pad_left, a.dx.width);
  uint64_t most = 0;
  for (int i = 0; i < down.n; i++)
    for (int j = 0; j < across.n; j++) {
      const ConvGemm conv = phase_gemm(a, down.axis[i], across.axis[j]);
      const uint64_t bytes = conv_bytes(tiled, conv, depthwise_suits_gradient(conv));
      if (bytes > most) most = bytes;
    }
  return most;
}

}  // namespace edgecl
