// Shapes of layers for questions about plans and scratch memory, from ordinary to the edge of what is legal; no memory
// behind them. And one call that asks for every kernel of a shape.
// Never here: kernels being run.
#ifndef EDGECL_TESTS_KERNELS_SCRATCH_SHAPES_H_
#define EDGECL_TESTS_KERNELS_SCRATCH_SHAPES_H_

#include "tests/kernels/shapes.h"

namespace edgecl::test {

// One layer: a convolution, or with out == 0 what has no weights.
struct LayerShape {
  ConvProblem conv;  // batch unused
  bool sparse, accumulate, relu, selected;
};

inline SparsePattern pattern_of(int rows, int channels, int taps, int percent) {
  SparsePattern p = {};
  p.rows = rows;
  p.channels = channels;
  p.taps = taps;
  p.channel_block = sparse_channel_block(channels, taps);
  p.n_blocks = (channels + p.channel_block - 1) / p.channel_block;
  p.nnz = static_cast<uint32_t>(static_cast<int64_t>(rows) * channels * taps * percent / 100);
  return p;
}

// Floats of a row stay below 2^24 and taps at 1024, as the bundle format has it.
inline LayerShape random_layer(Rng& rng) {
  for (;;) {
    LayerShape l = {};
    ConvProblem& p = l.conv;
    ConvShape& s = p.shape;
    p.in_channels = rng.pick({1, 2, 3, 10, 16, 20, 24, 64, 100, 256, 512, 2048, 70000});
    p.out_channels = rng.pick({1, 2, 5, 10, 16, 20, 64, 128, 512, 1000, 4096});
    p.height = rng.pick({1, 2, 3, 4, 7, 8, 14, 16, 28, 32, 56, 112, 224, 4096});
    p.width = rng.chance(0.6) ? p.height : rng.pick({1, 2, 4, 6, 9, 33, 100, 1024, 1 << 20});
    s.kernel_h = rng.pick({1, 1, 2, 3, 3, 3, 5, 7, 11, 32});
    s.kernel_w = rng.chance(0.8) ? s.kernel_h : rng.pick({1, 2, 3, 5, 32});
    s.stride_h = rng.pick({1, 1, 1, 2, 2, 3, 4, 32, 65536});
    s.stride_w = rng.chance(0.8) ? s.stride_h : rng.pick({1, 2, 7, 65536});
    s.dilation_h = rng.pick({1, 1, 1, 1, 2, 3, 40});
    s.dilation_w = rng.chance(0.9) ? s.dilation_h : 2;
    s.pad_top = rng.range(0, s.kernel_h - 1), s.pad_bottom = rng.range(0, s.kernel_h - 1);
    s.pad_left = rng.range(0, s.kernel_w - 1), s.pad_right = rng.range(0, s.kernel_w - 1);
    s.groups = 1;
    if (rng.chance(0.25)) {
      s.groups = p.out_channels = p.in_channels;
      if (s.groups > 4096) continue;
    } else if (rng.chance(0.2)) {
      s.groups = 2;
      p.in_channels = (p.in_channels + 1) / 2 * 2;
      p.out_channels = (p.out_channels + 1) / 2 * 2;
    }
    if (rng.chance(0.15)) {
      p.height = p.width = 1;
      s = {1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1};
    }
    if (!p.complete()) continue;
    const int64_t most = int64_t{1} << 24;
    if (static_cast<int64_t>(p.in_channels) * p.height * p.width > most) continue;
    if (static_cast<int64_t>(p.out_channels) * p.out_height * p.out_width > most) continue;
    if (static_cast<int64_t>(p.in_channels / s.groups) * p.out_channels * p.taps() > (1 << 28)) continue;
    l.sparse = s.groups == 1 && rng.chance(0.6);
    l.accumulate = rng.chance(0.5);
    l.relu = rng.chance(0.5);
    l.selected = rng.chance(0.5);
    return l;
  }
}

inline Tensor shape_of(int rows, int channels, int height, int width) {
  static float nothing;
  const Layout layout = layout_of(rows);
  return {&nothing, layout.groups, channels, height, width, layout.lanes};
}

// ask(kernel name, bytes) for each kernel that a layer of this shape could call with `rows` batch rows. Table: anything
// with the scratch functions of a KernelTable.
template <class Table, class Ask>
void ask_scratch(const Table& t, const LayerShape& l, int rows, Ask ask) {
  const ConvProblem& p = l.conv;
  const Tensor x = shape_of(rows, p.in_channels, p.height, p.width),
               y = shape_of(rows, p.out_channels, p.out_height, p.out_width);
  const ActivationSpec activation = {l.relu ? Activation::kRelu : Activation::kNone, 0, 0};
  static const uint8_t one = 1;
  const uint8_t* selected = l.selected ? &one : nullptr;
  const bool linear = p.height == 1 && p.width == 1 && p.taps() == 1 && p.shape.groups == 1;
  if (l.sparse) {
    const SparsePattern forward = pattern_of(p.out_channels, p.in_channels, p.taps(), 10),
                        transposed = pattern_of(p.in_channels, p.out_channels, p.taps(), 10);
    if (linear) {
      ask("sparse_linear_forward",
          t.sparse_linear_forward_scratch_bytes({x, y, forward, nullptr, nullptr, activation}));
      ask("sparse_linear_backward_data",
          t.sparse_linear_backward_data_scratch_bytes({y, x, transposed, nullptr, l.accumulate}));
      ask("sparse_linear_backward_weight",
          t.sparse_linear_backward_weight_scratch_bytes({x, y, forward, selected, nullptr, nullptr}));
    } else {
      ask("sparse_conv_forward",
          t.sparse_conv_forward_scratch_bytes({x, y, forward, nullptr, nullptr, p.shape, activation}));
      ask("sparse_conv_backward_data",
          t.sparse_conv_backward_data_scratch_bytes({y, x, transposed, nullptr, p.shape, l.accumulate}));
      ask("sparse_conv_backward_weight",
          t.sparse_conv_backward_weight_scratch_bytes({x, y, forward, selected, nullptr, nullptr, p.shape}));
    }
  } else if (linear) {
    ask("linear_forward", t.linear_forward_scratch_bytes({x, y, nullptr, nullptr, activation}));
    ask("linear_backward_data", t.linear_backward_data_scratch_bytes({y, x, nullptr, l.accumulate}));
    ask("linear_backward_weight", t.linear_backward_weight_scratch_bytes({x, y, nullptr, nullptr}));
  } else {
    ask("conv_forward", t.conv_forward_scratch_bytes({x, y, nullptr, nullptr, p.shape, activation}));
    ask("conv_backward_data", t.conv_backward_data_scratch_bytes({y, x, nullptr, p.shape, l.accumulate}));
    ask("conv_backward_weight", t.conv_backward_weight_scratch_bytes({x, y, nullptr, nullptr, p.shape}));
  }
  if (p.shape.groups == 1 || (p.shape.groups == p.in_channels && p.shape.groups == p.out_channels)) {
    const Int8Tensor from = {nullptr, rows, p.height, p.width, p.in_channels, 0},
                     to = {nullptr, rows, p.out_height, p.out_width, p.out_channels, 0};
    const Int8ConvArgs int8 = {from, to, nullptr, nullptr, p.shape, -128, 127};
    ask("int8_conv", p.shape.groups == 1 ? t.int8_conv_scratch_bytes(int8) : t.int8_depthwise_scratch_bytes(int8));
  }
  const PoolArgs pool = {x, y, p.shape, false};
  const PoolBackwardArgs unpool = {x, y, y, x, p.shape, false, l.accumulate};
  ask("max_pool_forward", t.max_pool_forward_scratch_bytes(pool));
  ask("max_pool_backward", t.max_pool_backward_scratch_bytes(unpool));
  ask("average_pool_forward", t.average_pool_forward_scratch_bytes(pool));
  ask("average_pool_backward", t.average_pool_backward_scratch_bytes(unpool));
  ask("group_norm_forward", t.group_norm_forward_scratch_bytes({x, x, nullptr, nullptr, 1, 0, nullptr, nullptr, {}}));
  ask("group_norm_backward", t.group_norm_backward_scratch_bytes(
                                 {x, x, x, x, nullptr, 1, nullptr, nullptr, nullptr, nullptr, l.accumulate, {}}));
  ask("l2_normalize_forward", t.l2_normalize_forward_scratch_bytes({x, x, 1}));
  ask("l2_normalize_backward", t.l2_normalize_backward_scratch_bytes({x, x, x, 1, l.accumulate}));
  ask("layer_norm_forward", t.layer_norm_forward_scratch_bytes({x, x, nullptr, nullptr, 1, l.relu, nullptr, nullptr}));
  ask("layer_norm_backward_data",
      t.layer_norm_backward_data_scratch_bytes({x, x, x, nullptr, nullptr, nullptr, l.relu, l.accumulate}));
  MatmulArgs product = {};
  product.a = product.y = x;
  product.b = y;
  ask("matmul", t.matmul_scratch_bytes(product));
  // The same channels over the width, which is time.
  const Tensor sequence = shape_of(rows, p.in_channels, 1, p.width),
               states = shape_of(rows, p.out_channels, 1, p.width);
  const RecurrentShape cell = {static_cast<RecurrentCell>((p.out_channels + p.width) % kRecurrentCells), l.relu};
  static float kept;
  ask("recurrent_forward", t.recurrent_forward_scratch_bytes({sequence, states, nullptr, nullptr, nullptr, nullptr,
                                                              cell, l.accumulate ? &kept : nullptr}));
  ask("recurrent_steps_backward", t.recurrent_steps_backward_scratch_bytes({states, states, nullptr, cell, nullptr}));
  ask("recurrent_data_backward",
      t.recurrent_data_backward_scratch_bytes({states, sequence, nullptr, cell, nullptr, l.accumulate}));
  ask("softmax_forward", t.softmax_forward_scratch_bytes({x, x, l.relu}));
  ask("softmax_backward", t.softmax_backward_scratch_bytes({x, x, x, l.relu, l.accumulate}));
  BinaryArgs binary = {};
  binary.a = binary.y = x;
  BinaryBackwardArgs unbinary = {};
  unbinary.a = unbinary.dy = unbinary.da = x;
  InputArgs input = {};
  input.y = x;
  input.is_u8 = l.relu;
  ask("binary_forward", t.binary_forward_scratch_bytes(binary));
  ask("binary_backward", t.binary_backward_scratch_bytes(unbinary));
  ask("input_normalize", t.input_normalize_scratch_bytes(input));
}

}  // namespace edgecl::test

#endif  // EDGECL_TESTS_KERNELS_SCRATCH_SHAPES_H_
