// Small networks for the runtime's tests.
// Never here: the builder (net_builder.h), checks.
#ifndef EDGECL_TESTS_RUNTIME_CORE_NETS_H_
#define EDGECL_TESTS_RUNTIME_CORE_NETS_H_

#include "tests/runtime/net_builder.h"

namespace edgecl_test {

// conv - bn - relu - max pool - sparse conv - bn + residual - global pool - linear: every kind that a small residual
// network has.
inline BundleSource residual_net(uint64_t seed = 1) {
  NetBuilder net(seed);
  uint32_t x = net.input(2, 6, 6);
  x = net.conv(x, 4, {});
  x = net.batch_norm(x, edgecl::Activation::kRelu);
  x = net.pool(x, format::kOpMaxPool, 2, 2, 0);
  NetBuilder::ConvOptions sparse;
  sparse.density = 0.4f;
  uint32_t branch = net.conv(x, 4, sparse);
  x = net.batch_norm(branch, edgecl::Activation::kRelu, x);
  x = net.global_pool(x);
  net.finish(net.linear(x, 3), x);
  return net.source;
}

// Every kind of operator and every broadcast once, dense and sparse layers, some of it frozen.
inline BundleSource all_kinds_net(uint64_t seed = 2) {
  using edgecl::Activation;
  NetBuilder net(seed);
  uint32_t x = net.input(3, 9, 9);
  x = net.int8_conv(net.quantize(x), 5, 3);
  const uint32_t sum = net.int8_add(x, net.int8_conv(x, 5, 3, 5)),
                 whole = net.int8_pool(net.int8_pool(sum, format::kOpInt8MaxPool), format::kOpInt8AveragePool),
                 mean = net.dequantize(net.int8_mean(whole));
  x = net.binary(format::kOpAdd, net.dequantize(whole), mean);
  NetBuilder::ConvOptions stem;
  stem.stride = 2;
  stem.bias = true;
  stem.trainable = false;
  x = net.conv(x, 4, stem);  // frozen: no input gradient, no weight gradient
  x = net.batch_norm(x, Activation::kClip, format::kNone, true);
  NetBuilder::ConvOptions depthwise;
  depthwise.groups = 4;
  depthwise.bias = true;
  depthwise.activation = Activation::kClip;
  const uint32_t left = net.conv(x, 4, depthwise);
  const uint32_t right = net.pool(x, format::kOpAveragePool, 3, 1, 1);
  x = net.concat({left, right});
  x = net.group_norm(x, 2);
  x = net.activation(x, Activation::kHardSwish);
  NetBuilder::ConvOptions sparse;
  sparse.density = 0.5f;
  sparse.activation = Activation::kRelu;
  x = net.conv(x, 6, sparse);
  const uint32_t squeezed = net.global_pool(x);
  const uint32_t gate = net.activation(squeezed, Activation::kHardSigmoid, 0.2f, 0.5f);
  x = net.binary(format::kOpMul, x, gate);
  x = net.binary_constant(format::kOpMul, x, {6, 1, 1}, true);
  x = net.binary_constant(format::kOpAdd, x, {1, 5, 5}, false);
  x = net.strided(x, {12, 4, 5}, {1, 1, 6, 2, 4, 5, 0, 0, 25, 5, 5, 1}, 0);  // windows of four rows, which overlap
  const uint32_t larger = net.binary(format::kOpMaximum, net.softmax(x, false), net.prelu(x)),
                 smaller = net.binary(format::kOpMinimum, larger, x);
  x = net.place({net.reduce(smaller, edgecl::Reduction::kMean), net.reduce(smaller, edgecl::Reduction::kMax)},
                {12, 3, 5},
                {1, 1, 1, 12, 3, 5, 0, 0, 0, 0, 0, 0, 1, 1, 1, 12, 1, 5, 0, 0, 0, 0, 2, 0, 1, 1, 1, 12, 1, 5}, 0.5f);
  x = net.activation(x, Activation::kSigmoid);
  x = net.l2_normalize(x, 1e-12f);
  x = net.layer_norm(net.layer_norm(x, true, true, true), false, true, false);
  // Attention of 5 tokens with 3 heads of 12 numbers; then a part of the weights, shared by two blocks of products.
  const uint32_t values = net.activation(x, Activation::kTanh);
  const uint32_t weights =
      net.softmax(net.matmul(x, values, {3, 5, 5},
                             {1, 1, 3, 5, 5, 12, 0, 0, 5, 1, 0, 15, 0, 0, 5, 0, 1, 15, 0, 0, 25, 5, 1, 0}, 0.3f),
                  false);
  x = net.matmul(weights, values, {12, 3, 5},
                 {1, 1, 3, 5, 12, 5, 0, 0, 25, 5, 0, 1, 0, 0, 5, 0, 15, 1, 0, 0, 5, 1, 15, 0}, 1.0f);
  const uint32_t parts = net.matmul(weights, values, {8, 2, 3},
                                    {1, 2, 3, 2, 4, 3, 0, 0, 25, 5, 0, 1, 0, 60, 0, 0, 15, 5, 0, 24, 8, 4, 1, 0}, 0.5f);
  net.source.ops.back().i[0] = 2;
  x = net.pool(x, format::kOpMaxPool, 3, 2, 1);
  x = net.reduce(net.batch_norm(x, Activation::kNone), edgecl::Reduction::kSum);
  const uint32_t onwards = net.recurrent(x, 5, edgecl::RecurrentCell::kLstm, false);
  x = net.concat({onwards, net.recurrent(x, 3, edgecl::RecurrentCell::kGruLinear, true)});
  x = net.concat({net.flatten(x), net.flatten(parts)});
  x = net.linear(x, 8, 0.4f);
  const uint32_t embedding = net.activation(x, Activation::kRelu);
  net.finish(net.linear(embedding, 5), embedding);
  return net.source;
}

// A random chain with skips, sums, products and concatenations; always valid.
inline BundleSource random_net(uint64_t seed) {
  NetBuilder net(seed);
  // One draw a statement: compilers differ in the order in which they evaluate arguments.
  const uint32_t channels = 1 + net.pick(4), height = 4 + net.pick(6), width = 4 + net.pick(6);
  uint32_t x = net.input(channels, height, width);
  std::vector<uint32_t> kept = {x};  // tensors that a later op may use again
  const uint32_t n_ops = 3 + net.pick(25);
  const bool freeze_front = net.pick(2) == 0;
  for (uint32_t i = 0; i < n_ops; i++) {
    const edgecl::SourceTensor shape = net.source.tensors[x];
    uint32_t mate = format::kNone;
    for (uint32_t t : kept) {
      const edgecl::SourceTensor& other = net.source.tensors[t];
      if (t != x && other.channels == shape.channels && other.height == shape.height && other.width == shape.width &&
          net.pick(2) == 0)
        mate = t;
    }
    const bool trainable = !(freeze_front && i < n_ops / 2);
    switch (net.pick(8)) {
      case 0:
      case 1: {
        NetBuilder::ConvOptions o;
        o.trainable = trainable;
        o.density = net.pick(3) == 0 ? 0.3f : 1.0f;
        o.bias = net.pick(2) == 0;
        o.activation = net.pick(2) == 0 ? edgecl::Activation::kRelu : edgecl::Activation::kNone;
        x = net.conv(x, net.pick(3) == 0 ? 1 + net.pick(8) : shape.channels, o);
        break;
      }
      case 2:
        x = net.batch_norm(x, edgecl::Activation::kRelu, mate, !trainable, trainable);
        break;
      case 3:
        x = net.activation(x, net.pick(2) == 0 ? edgecl::Activation::kHardSwish : edgecl::Activation::kSigmoid);
        break;
      case 4:
        if (shape.height >= 4 && shape.width >= 4)
          x = net.pool(x, net.pick(2) == 0 ? format::kOpMaxPool : format::kOpAveragePool, 2, 2, 0);
        break;
      case 5:
        if (mate != format::kNone) x = net.binary(net.pick(2) == 0 ? format::kOpAdd : format::kOpMul, x, mate);
        break;
      case 6:
        if (mate != format::kNone && shape.channels <= 8) x = net.concat({x, mate});
        break;
      default:
        x = net.binary(format::kOpMul, x, net.activation(net.global_pool(x), edgecl::Activation::kSigmoid));
        break;
    }
    if (net.pick(2) == 0) kept.push_back(x);
  }
  if (net.pick(2) == 0)
    x = net.flatten(net.global_pool(x));
  else
    x = net.flatten(x);
  const uint32_t n_classes = 2 + net.pick(5);
  const float density = net.pick(2) == 0 ? 0.5f : 1.0f;
  net.finish(net.linear(x, n_classes, density), x);
  return net.source;
}

}  // namespace edgecl_test

#endif  // EDGECL_TESTS_RUNTIME_CORE_NETS_H_
