// How a dense convolution's forward pass and input gradient are cut into strips that fit the caches.
// Never here: multiply-adds, packing, weight gradients (conv_weight_plan.h).
#ifndef EDGECL_KERNELS_PLAN_CONV_PLAN_H_
#define EDGECL_KERNELS_PLAN_CONV_PLAN_H_

#include "kernels/plan/conv_axis.h"

namespace edgecl::plan {

constexpr int kMaxTileRows = 8;  // of the register tile that the dense kernels share

struct TapOffset {
  int64_t vectors, scalars;  // floats from a channel's first vector / first scalar
};

// out(row, position) = chain over (channel, tap) of fma(weight, source(channel, position + tap), acc), for each of
// `groups` groups of channels. Weight of (group, row, channel, tap) lies at group * weight_group + row * weight_row +
// channel * weight_channel + tap.
struct ConvGemm {
  Tensor source, out;
  const float* weight;
  const float* bias;  // [all rows] or null
  int64_t weight_group, weight_row, weight_channel;
  int groups, rows, channels;  // rows (of out) and channels (of source) per group
  int kernel_w;
  Axis h, w;
  bool accumulate;
  ActivationSpec activation;
};
ConvGemm forward_gemm(const ConvForwardArgs& a);
// One phase of the input gradient: a stride-1 convolution of dY with a subset of the taps.
ConvGemm phase_gemm(const ConvBackwardDataArgs& a, const Axis& h, const Axis& w);

// Strips of output rows and columns, and the way a strip is packed.
struct GemmPlan {
  Axis h, w;
  bool direct;  // 1x1, stride 1, no border: the source itself is the packed strip
  bool flat;    // rows of a strip follow each other without a gap, so vectors may run over row ends
  bool staged;  // results go through a compact buffer, because output positions are `out_step` apart
  int strip_rows, strip_columns;
  int channel_block;
  bool partial;         // channels come in blocks, so sums wait in the compact buffer
  bool gather_weights;  // weights of a row group are copied together: in memory they are scattered over as many pages
                        // as channels
  int group_blocks;     // row blocks that meet a channel block in turn, so that it is still near when the next one
                        // needs it
  int64_t n_taps;
  int64_t tap_floats, pack_floats, weight_floats, stage_floats;  // scratch, in this order
};
GemmPlan plan_gemm(const VectorShape& shape, const ConvGemm& conv);

// A forward pass of one group with a window of one position, on levels whose vectors are wide: few vectors of all input
// channels are packed, and meet all output channels (simd/conv_pointwise.h).
constexpr int kPointwiseVectors = 3;
bool pointwise_suits(const VectorShape& shape, const ConvGemm& conv);

// True for one input channel a group, 3x3 or 5x5 taps, no dilation, stride 1 or 2 on both axes; as an input gradient
// also stride 1 only: those have a kernel of their own (simd/depthwise.h).
bool depthwise_suits(const ConvGemm& conv);
// The same for a phase of an input gradient; that kernel reads weights as [output row][tap], so it is only for one
// output channel a group.
bool depthwise_suits_gradient(const ConvGemm& conv);
// The forward pass of one batch row, on levels whose vectors are wide: 3x3 of stride 1 or 2 on maps that fill vectors
// (simd/depthwise_row.h), and any window with one output channel a group (simd/depthwise_channels.h).
bool depthwise_row_suits(const VectorShape& shape, const ConvGemm& conv);
bool depthwise_channels_suits(const VectorShape& shape, const ConvGemm& conv);
// Of the latter: strips of output rows, and the input positions that their windows cover.
struct DepthwisePlan {
  int rows, in_rows;
  int64_t columns;
  int64_t packed_floats, sum_floats, weight_floats, place_floats;  // scratch, in this order
};
DepthwisePlan plan_depthwise_channels(const VectorShape& shape, const ConvGemm& conv);
int depthwise_strip_rows(const ConvGemm& conv);

constexpr int kDepthwiseTileRows = 8;  // output rows of a tile of one vector; of two vectors half as many

}  // namespace edgecl::plan

#endif  // EDGECL_KERNELS_PLAN_CONV_PLAN_H_
