// A builder of small networks over BundleSource, with an exporter's backward list.
// Never here: networks (core_nets.h), checks.
#ifndef EDGECL_TESTS_RUNTIME_NET_BUILDER_H_
#define EDGECL_TESTS_RUNTIME_NET_BUILDER_H_

#include <stdlib.h>
#include <string.h>

#include <string>
#include <utility>
#include <vector>

#include "kernels/kernels.h"
#include "runtime/bundle/bundle_reader.h"
#include "runtime/bundle/bundle_writer.h"
#include "runtime/core/rng.h"

namespace edgecl_test {

using edgecl::BundleSource;
using edgecl::SourceOp;
using edgecl::SourceParam;
namespace format = edgecl::format;

// Bytes at a 64-byte aligned address, as a mapped file has them.
class AlignedBytes {
 public:
  explicit AlignedBytes(const std::vector<uint8_t>& bytes) : size_(bytes.size()) {
    memory_ = aligned_alloc(64, (size_ + 127) / 64 * 64);
    if (size_ > 0) memcpy(memory_, bytes.data(), size_);
  }
  explicit AlignedBytes(size_t n) : AlignedBytes(std::vector<uint8_t>(n)) {}
  ~AlignedBytes() { free(memory_); }
  AlignedBytes(const AlignedBytes&) = delete;
  AlignedBytes& operator=(const AlignedBytes&) = delete;
  uint8_t* data() { return static_cast<uint8_t*>(memory_); }
  size_t size() const { return size_; }

 private:
  void* memory_;
  size_t size_;
};

// read_bundle with scratch memory of exactly the size that it asks for.
inline edgecl::Status read_plan(AlignedBytes* bytes, edgecl::Plan* plan) {
  size_t scratch_bytes = 0;
  EDGECL_RETURN_IF_FAILED(edgecl::bundle_scratch_bytes(bytes->data(), bytes->size(), &scratch_bytes));
  AlignedBytes scratch(scratch_bytes);
  return edgecl::read_bundle(bytes->data(), bytes->size(), scratch.data(), scratch_bytes, plan);
}

// Builds a source op by op; each function returns the index of the tensor it made.
class NetBuilder {
 public:
  explicit NetBuilder(uint64_t seed = 1) : random_{seed, 0, 0} {
    source.name = "net";
    source.producer = "test";
    source.learning_rate = 0.1f;
    source.momentum = 0.9f;
    source.batch_size = 16;
  }

  BundleSource source;

  uint32_t input(uint32_t channels, uint32_t height, uint32_t width) {
    source.input_dims = {channels, height, width};
    source.input_mean.assign(channels, 0.0f);
    source.input_inv_std.assign(channels, 1.0f);
    return tensor("input", channels, height, width);
  }

  uint32_t tensor(const std::string& name, uint32_t channels, uint32_t height, uint32_t width) {
    edgecl::SourceTensor t;
    t.name = name;
    t.channels = channels;
    t.height = height;
    t.width = width;
    source.tensors.push_back(t);
    return static_cast<uint32_t>(source.tensors.size() - 1);
  }

  uint32_t param(const std::string& name, std::vector<uint32_t> dims, bool trainable, float low, float high) {
    SourceParam p;
    p.name = name;
    p.trainable = trainable;
    p.dims = std::move(dims);
    uint64_t n = 1;
    for (uint32_t d : p.dims) n *= d;
    for (uint64_t i = 0; i < n; i++) p.values.push_back(low + (high - low) * random_.next_float());
    source.params.push_back(p);
    return static_cast<uint32_t>(source.params.size() - 1);
  }

  // Keeps about `density` of a parameter's entries (at least one).
  void make_sparse(uint32_t param, float density) {
    SourceParam& p = source.params[param];
    std::vector<float> kept;
    for (size_t i = 0; i < p.values.size(); i++) {
      if (random_.next_float() < density || (i + 1 == p.values.size() && kept.empty())) {
        p.positions.push_back(static_cast<uint32_t>(i));
        kept.push_back(p.values[i]);
      }
    }
    p.values = kept;
    p.sparse = true;
  }

  SourceOp& op(uint32_t kind, std::vector<uint32_t> inputs, uint32_t output, std::vector<uint32_t> params = {}) {
    SourceOp o;
    o.name = "op" + std::to_string(source.ops.size());
    o.kind = kind;
    o.inputs = std::move(inputs);
    o.output = output;
    o.params = std::move(params);
    source.ops.push_back(o);
    return source.ops.back();
  }

  struct ConvOptions {
    uint32_t kernel = 3, stride = 1, pad = 1, groups = 1;
    float density = 1;
    bool trainable = true, bias = false;
    edgecl::Activation activation = edgecl::Activation::kNone;
  };
  uint32_t conv(uint32_t x, uint32_t channels, const ConvOptions& o) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t height = (in.height + 2 * o.pad - o.kernel) / o.stride + 1,
                   width = (in.width + 2 * o.pad - o.kernel) / o.stride + 1;
    const uint32_t weight = param("w" + std::to_string(source.params.size()),
                                  {channels, in.channels / o.groups, o.kernel, o.kernel}, o.trainable, -0.5f, 0.5f);
    if (o.density < 1) make_sparse(weight, o.density);
    const uint32_t bias = o.bias
                              ? param("b" + std::to_string(source.params.size()), {channels}, o.trainable, -0.2f, 0.2f)
                              : format::kNone;
    const uint32_t y = tensor("conv", channels, height, width);
    SourceOp& node = op(format::kOpConv, {x}, y, {weight, bias});
    window(&node, static_cast<int>(o.kernel), static_cast<int>(o.stride), static_cast<int>(o.pad));
    node.groups = static_cast<int>(o.groups);
    node.activation = static_cast<uint32_t>(o.activation);
    node.activation_hi = 6;
    return y;
  }

  uint32_t int8_tensor(const std::string& name, uint32_t channels, uint32_t height, uint32_t width,
                       int32_t zero_point) {
    const uint32_t y = tensor(name, channels, height, width);
    source.tensors[y].dtype = format::kElementI8;
    source.tensors[y].scale = 0.05f;
    source.tensors[y].zero_point = zero_point;
    return y;
  }

  template <class T>
  uint32_t integers(const std::string& name, std::vector<uint32_t> dims, uint32_t dtype, const std::vector<T>& values) {
    SourceParam p;
    p.name = name;
    p.dims = std::move(dims);
    p.dtype = dtype;
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(values.data());
    p.integers.assign(bytes, bytes + values.size() * sizeof(T));
    source.params.push_back(p);
    return static_cast<uint32_t>(source.params.size() - 1);
  }

  uint32_t quantize(uint32_t x) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t y = int8_tensor("quantized", in.channels, in.height, in.width, -3);
    op(format::kOpQuantize, {x}, y);
    return y;
  }
  uint32_t dequantize(uint32_t x) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t y = tensor("dequantized", in.channels, in.height, in.width);
    op(format::kOpDequantize, {x}, y);
    return y;
  }

  // At most 16 channels out, so one block; depthwise with groups.
  uint32_t int8_conv(uint32_t x, uint32_t channels, uint32_t kernel, uint32_t groups = 1) {
    const edgecl::SourceTensor in = source.tensors[x];
    const bool depthwise = groups > 1;
    const uint32_t k = kernel * kernel * (depthwise ? 1 : in.channels), filled = (k + 3) / 4;
    std::vector<int8_t> weight(depthwise ? k * 16 : filled * 64);
    std::vector<int32_t> table(4 * 16);
    for (uint32_t o = 0; o < channels; o++) {
      for (uint32_t i = 0; i < k; i++) {
        const int8_t w = static_cast<int8_t>(static_cast<int>(pick(255)) - 127);
        weight[depthwise ? i * 16 + o : (i / 4 * 16 + o) * 4 + i % 4] = w;
        table[16 + o] += w;
      }
      table[o] = static_cast<int32_t>(pick(2000)) - 1000;
      table[32 + o] = (1 << 30) + static_cast<int32_t>(pick(1 << 20));
      table[48 + o] = -7;
    }
    const std::vector<uint32_t> dims =
        depthwise ? std::vector<uint32_t>{k, 16} : std::vector<uint32_t>{1, filled, 16, 4};
    const uint32_t w = integers("int8.weight", dims, format::kElementI8, weight),
                   t = integers("int8.table", {4, 16}, format::kElementI32, table);
    const uint32_t y = int8_tensor("int8", channels, in.height, in.width, 5);
    SourceOp& node = op(format::kOpInt8Conv, {x}, y, {w, t});
    window(&node, static_cast<int>(kernel), 1, static_cast<int>(kernel / 2));
    node.groups = static_cast<int>(groups);
    node.i[0] = -100;
    node.i[1] = 127;
    return y;
  }

  uint32_t int8_add(uint32_t a, uint32_t b) {
    const edgecl::SourceTensor in = source.tensors[a];
    const std::vector<int32_t> constants = {1 << 30, 1 << 30, 1 << 30, 0, -1, -18};
    const uint32_t y = int8_tensor("int8 sum", in.channels, in.height, in.width, 0);
    SourceOp& node =
        op(format::kOpInt8Add, {a, b}, y, {integers("int8.constants", {2, 3}, format::kElementI32, constants)});
    node.i[0] = -128;
    node.i[1] = 120;
    return y;
  }

  uint32_t int8_mean(uint32_t x) {
    const uint32_t y = int8_tensor("int8 mean", source.tensors[x].channels, 1, 1, 4);
    SourceOp& node = op(format::kOpInt8Mean, {x}, y);
    node.i[0] = 1 << 30;
    node.i[1] = -5;
    node.i[2] = 7;
    node.i[3] = -300;
    return y;
  }

  // 3 x 3 windows that keep the size.
  uint32_t int8_pool(uint32_t x, uint32_t kind) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t y = int8_tensor("int8 pool", in.channels, in.height, in.width, in.zero_point);
    SourceOp& node = op(kind, {x}, y);
    window(&node, 3, 1, 1);
    node.i[0] = -120;
    node.i[1] = 127;
    return y;
  }

  uint32_t linear(uint32_t x, uint32_t outputs, float density = 1, bool bias = true) {
    const uint32_t inputs = source.tensors[x].channels;
    const bool sparse = density < 1;
    const uint32_t weight =
        param("linear.weight", sparse ? std::vector<uint32_t>{outputs, inputs} : std::vector<uint32_t>{inputs, outputs},
              true, -0.5f, 0.5f);
    if (sparse) make_sparse(weight, density);
    const uint32_t b = bias ? param("linear.bias", {outputs}, true, -0.2f, 0.2f) : format::kNone;
    const uint32_t y = tensor("linear", outputs, 1, 1);
    op(format::kOpLinear, {x}, y, {weight, b});
    return y;
  }

  uint32_t batch_norm(uint32_t x, edgecl::Activation activation, uint32_t residual = format::kNone, bool frozen = false,
                      bool trainable = true) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t gamma = param("gamma", {in.channels}, trainable, 0.5f, 1.5f),
                   beta = param("beta", {in.channels}, trainable, -0.3f, 0.3f);
    const uint32_t mean = param("mean", {in.channels}, false, -0.2f, 0.2f),
                   variance = param("var", {in.channels}, false, 0.5f, 1.5f);
    const uint32_t y = tensor("bn", in.channels, in.height, in.width);
    std::vector<uint32_t> inputs = {x};
    if (residual != format::kNone) inputs.push_back(residual);
    SourceOp& node = op(format::kOpBatchNorm, inputs, y, {gamma, beta, mean, variance});
    node.activation = static_cast<uint32_t>(activation);
    node.activation_hi = 6;
    node.epsilon = 1e-5f;
    node.momentum = 0.1f;
    node.frozen = frozen;
    return y;
  }

  uint32_t group_norm(uint32_t x, int32_t groups) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t gamma = param("gamma", {in.channels}, true, 0.5f, 1.5f),
                   beta = param("beta", {in.channels}, true, -0.3f, 0.3f);
    const uint32_t y = tensor("gn", in.channels, in.height, in.width);
    SourceOp& node = op(format::kOpGroupNorm, {x}, y, {gamma, beta});
    node.epsilon = 1e-5f;
    node.i[0] = groups;
    return y;
  }

  uint32_t layer_norm(uint32_t x, bool centred, bool gamma, bool beta) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t scale = gamma ? param("gamma", {in.channels}, true, 0.5f, 1.5f) : format::kNone,
                   shift = beta ? param("beta", {in.channels}, true, -0.3f, 0.3f) : format::kNone;
    const uint32_t y = tensor("ln", in.channels, in.height, in.width);
    SourceOp& node = op(format::kOpLayerNorm, {x}, y, {scale, shift});
    node.epsilon = 1e-5f;
    node.i[0] = centred ? 0 : 1;
    return y;
  }

  uint32_t l2_normalize(uint32_t x, float epsilon) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t y = tensor("l2", in.channels, in.height, in.width);
    op(format::kOpL2Normalize, {x}, y).epsilon = epsilon;
    return y;
  }

  uint32_t activation(uint32_t x, edgecl::Activation kind, float lo = 0, float hi = 0) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t y = tensor("activation", in.channels, in.height, in.width);
    SourceOp& node = op(format::kOpActivation, {x}, y);
    node.activation = static_cast<uint32_t>(kind);
    node.activation_lo = lo;
    node.activation_hi = hi;
    return y;
  }

  uint32_t pool(uint32_t x, uint32_t kind, uint32_t kernel, uint32_t stride, uint32_t pad) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t y = tensor("pool", in.channels, (in.height + 2 * pad - kernel) / stride + 1,
                              (in.width + 2 * pad - kernel) / stride + 1);
    window(&op(kind, {x}, y), static_cast<int>(kernel), static_cast<int>(stride), static_cast<int>(pad));
    return y;
  }

  uint32_t global_pool(uint32_t x) {
    const uint32_t y = tensor("gap", source.tensors[x].channels, 1, 1);
    op(format::kOpGlobalAveragePool, {x}, y);
    return y;
  }

  uint32_t binary(uint32_t kind, uint32_t a, uint32_t b, edgecl::Activation activation = edgecl::Activation::kNone) {
    const edgecl::SourceTensor in = source.tensors[a];
    const uint32_t y = tensor("binary", in.channels, in.height, in.width);
    op(kind, {a, b}, y).activation = static_cast<uint32_t>(activation);
    return y;
  }

  uint32_t binary_constant(uint32_t kind, uint32_t a, std::vector<uint32_t> dims, bool trainable) {
    const edgecl::SourceTensor in = source.tensors[a];
    const uint32_t constant = param("constant", std::move(dims), trainable, 0.5f, 1.5f);
    const uint32_t y = tensor("scaled", in.channels, in.height, in.width);
    op(kind, {a}, y, {constant});
    return y;
  }

  uint32_t concat(const std::vector<uint32_t>& inputs) {
    uint32_t channels = 0;
    for (uint32_t t : inputs) channels += source.tensors[t].channels;
    const edgecl::SourceTensor in = source.tensors[inputs[0]];
    const uint32_t y = tensor("concat", channels, in.height, in.width);
    op(format::kOpConcat, inputs, y);
    return y;
  }

  // Rows of six sizes and strides; of a place the grid, then where each box begins and its sizes.
  uint32_t strided(uint32_t x, std::vector<uint32_t> shape, const std::vector<int32_t>& view, int32_t offset) {
    const uint32_t y = tensor("strided", shape[0], shape[1], shape[2]);
    op(format::kOpStrided, {x}, y, {integers("view", {2, 6}, format::kElementI32, view)}).i[0] = offset;
    return y;
  }
  uint32_t place(const std::vector<uint32_t>& inputs, std::vector<uint32_t> shape, const std::vector<int32_t>& boxes,
                 float fill) {
    const uint32_t y = tensor("place", shape[0], shape[1], shape[2]);
    const uint32_t rows = static_cast<uint32_t>(1 + 2 * inputs.size());
    op(format::kOpPlace, inputs, y, {integers("boxes", {rows, 6}, format::kElementI32, boxes)}).activation_lo = fill;
    return y;
  }
  uint32_t prelu(uint32_t x) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t slope = param("slope", {in.channels}, true, 0.1f, 0.4f);
    const uint32_t y = tensor("prelu", in.channels, in.height, in.width);
    op(format::kOpPrelu, {x}, y, {slope});
    return y;
  }
  uint32_t reduce(uint32_t x, edgecl::Reduction kind) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t y = tensor("reduce", in.channels, 1, in.width);
    op(format::kOpReduce, {x}, y).i[0] = static_cast<int32_t>(kind);
    return y;
  }
  uint32_t softmax(uint32_t x, bool logarithm) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t y = tensor("softmax", in.channels, in.height, in.width);
    op(format::kOpSoftmax, {x}, y).i[0] = logarithm;
    return y;
  }

  uint32_t recurrent(uint32_t x, uint32_t hidden, edgecl::RecurrentCell cell, bool reverse, bool bias = true) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t columns = hidden * static_cast<uint32_t>(edgecl::RecurrentShape{cell, reverse}.gates());
    std::vector<uint32_t> params = {param("recurrent.weight", {in.channels, columns}, true, -0.5f, 0.5f),
                                    param("recurrent.weight_r", {hidden, columns}, true, -0.5f, 0.5f)};
    for (int i = 0; i < 2; i++)
      params.push_back(bias ? param("recurrent.bias", {columns}, true, -0.2f, 0.2f) : format::kNone);
    const uint32_t y = tensor("recurrent", hidden, 1, in.width);
    SourceOp& node = op(format::kOpRecurrent, {x}, y, params);
    node.i[0] = static_cast<int32_t>(cell);
    node.i[1] = reverse;
    return y;
  }

  // Of four rows of six numbers: sizes (three batches, rows, columns, sum) and strides of a, b and the output.
  uint32_t matmul(uint32_t a, uint32_t b, std::vector<uint32_t> shape, const std::vector<int32_t>& view, float factor) {
    const uint32_t y = tensor("matmul", shape[0], shape[1], shape[2]);
    op(format::kOpMatmul, {a, b}, y, {integers("view", {4, 6}, format::kElementI32, view)}).activation_lo = factor;
    return y;
  }

  uint32_t flatten(uint32_t x) {
    const edgecl::SourceTensor in = source.tensors[x];
    const uint32_t y = tensor("flatten", in.channels * in.height * in.width, 1, 1);
    source.tensors[y].alias = x;
    op(format::kOpReshape, {x}, y);
    return y;
  }

  // Head facts, class names, and the backward list.
  void finish(uint32_t logits, uint32_t embedding = format::kNone) {
    source.logits_tensor = logits;
    source.embedding_tensor = embedding;
    source.class_capacity = source.tensors[logits].channels;
    const SourceOp& last = source.ops.back();
    if (last.kind == format::kOpLinear && last.output == logits) {
      source.head_weight = last.params[0];
      source.head_bias = last.params[1];
    }
    source.classes = {{0, "zero"}};
    if (source.class_capacity > 1) source.classes.push_back({1, "one"});
    add_backward();
  }

  float random(float low, float high) { return low + (high - low) * random_.next_float(); }
  uint32_t pick(uint32_t n) { return random_.bounded(n); }

 private:
  static void window(SourceOp* node, int kernel, int stride, int pad) {
    node->kernel_h = node->kernel_w = kernel;
    node->stride_h = node->stride_w = stride;
    node->pad_top = node->pad_left = node->pad_bottom = node->pad_right = pad;
  }

  bool op_trains(const SourceOp& op) const {
    for (uint32_t p : op.params) {
      if (p != format::kNone && source.params[p].trainable) return true;
    }
    return false;
  }

  void add_backward() {
    const size_t n_forward = source.tensors.size();
    std::vector<bool> needs(n_forward), reaches(n_forward);
    for (const SourceOp& op : source.ops) {
      bool needed = op_trains(op);
      for (uint32_t t : op.inputs) needed = needed || needs[t];
      needs[op.output] = needed;
    }
    reaches[source.logits_tensor] = true;
    for (size_t i = source.ops.size(); i-- > 0;) {
      if (!reaches[source.ops[i].output]) continue;
      for (uint32_t t : source.ops[i].inputs) reaches[t] = true;
    }
    std::vector<uint32_t> gradient(n_forward, format::kNone);
    for (size_t i = source.ops.size(); i-- > 0;) {
      const SourceOp op = source.ops[i];
      if (!needs[op.output] || !reaches[op.output]) continue;
      if (gradient[op.output] == format::kNone) gradient[op.output] = add_gradient(op.output);
      edgecl::SourceBackward record;
      record.op = static_cast<uint32_t>(i);
      record.output_gradient = gradient[op.output];
      for (uint32_t t : op.inputs) {
        const bool first = gradient[t] == format::kNone;
        if (needs[t] && first) {
          gradient[t] = add_gradient(t);
          if (op.kind == format::kOpReshape) source.tensors[gradient[t]].alias = record.output_gradient;
        }
        record.input_gradients.push_back(needs[t] ? gradient[t] : format::kNone);
        record.accumulate.push_back(needs[t] && !first);
      }
      for (uint32_t p : op.params) record.train_params.push_back(p != format::kNone && source.params[p].trainable);
      source.backward.push_back(record);
    }
  }

  uint32_t add_gradient(uint32_t t) {
    edgecl::SourceTensor g = source.tensors[t];
    g.name = "grad:" + g.name;
    g.gradient = true;
    g.alias = format::kNone;
    source.tensors.push_back(g);
    return static_cast<uint32_t>(source.tensors.size() - 1);
  }

  edgecl::RandomStream random_;
};

}  // namespace edgecl_test

#endif  // EDGECL_TESTS_RUNTIME_NET_BUILDER_H_
