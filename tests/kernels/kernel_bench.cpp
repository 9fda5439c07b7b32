// kernel_bench [--level NAME] [--once] [FILTER]: time, GFLOP/s and share of the FMA peak of the hot kernels at the
// layer shapes of CIFAR ResNet-18 (first width 64 and 20) and batch 1, 10 and 32, on one thread of this machine; and of two
// mobile networks at batch 1 in float32 and int8 (filter "mobile").
// Never here: tests, and predictions for other machines.
#include <stdio.h>
#include <string.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/kernels/int8_layers.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace edgecl::test {
namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Fused multiply-adds in twelve independent chains of one vector: enough to hide the latency of every CPU that we know.
constexpr int kChains = 12;
#define EDGECL_PEAK(name, attributes, Vector, lanes, set, fma, extract)                      \
  attributes double name(int64_t rounds) {                                                   \
    Vector acc[kChains];                                                                     \
    const Vector a = set(0.999f), b = set(1e-3f);                                            \
    for (int i = 0; i < kChains; i++) acc[i] = set(static_cast<float>(i));                   \
    const double start = seconds();                                                          \
    for (int64_t r = 0; r < rounds; r++) {                                                   \
      _Pragma("GCC unroll 12") for (int i = 0; i < kChains; i++) acc[i] = fma(acc[i], a, b); \
    }                                                                                        \
    const double time = seconds() - start;                                                   \
    volatile float sink = 0;                                                                 \
    for (int i = 0; i < kChains; i++) sink = sink + extract(acc[i]);                         \
    return 2.0 * kChains * lanes * static_cast<double>(rounds) / time;                       \
  }
#if defined(__x86_64__)
EDGECL_PEAK(peak_v3, __attribute__((target("avx2,fma"), noinline)), __m256, 8, _mm256_set1_ps, _mm256_fmadd_ps,
            _mm256_cvtss_f32)
EDGECL_PEAK(peak_v4, __attribute__((target("avx512f"), noinline)), __m512, 16, _mm512_set1_ps, _mm512_fmadd_ps,
            _mm512_cvtss_f32)
#elif defined(__aarch64__)
float32x4_t fma_neon(float32x4_t a, float32x4_t b, float32x4_t c) {
  return vfmaq_f32(c, a, b);
}
float first_neon(float32x4_t a) {
  return vgetq_lane_f32(a, 0);
}
EDGECL_PEAK(peak_neon, __attribute__((noinline)), float32x4_t, 4, vdupq_n_f32, fma_neon, first_neon)
#endif

// Best of several short runs; 0 where the level has no fused vector instruction.
double peak_flops(const std::string& level) {
  double (*measure)(int64_t) = nullptr;
#if defined(__x86_64__)
  if (level == "x86-64-v3") measure = peak_v3;
  if (level == "x86-64-v4" || level == "x86-64-v4-vnni") measure = peak_v4;
#elif defined(__aarch64__)
  if (level == "neon" || level == "neon-dot") measure = peak_neon;
#endif
  double best = 0;
  for (int i = 0; measure && i < 8; i++) {
    const double flops = measure(1000000);
    if (flops > best) best = flops;
  }
  return best;
}

class Bench {
 public:
  Bench(const KernelTable& table, std::string filter, bool once)
      : table_(table), filter_(std::move(filter)), once_(once), peak_(peak_flops(table.level)) {
    printf("level %s, FMA peak of one thread (measured here) %.1f GFLOP/s\n", table.level, peak_ / 1e9);
    printf("%-26s %-34s %9s %9s %7s %8s\n", "kernel", "shape", "ms", "GFLOP/s", "% peak", "GB/s");
  }
  // The same with the peak of double, of which a register holds half as many.
  Bench in_double() const {
    Bench b = *this;
    b.peak_ /= 2;
    return b;
  }
  // The same with the peak of int8: a dot product of bytes takes four values where a multiply-add takes one, and without
  // it products of 16 bits take two.
  Bench in_int8() const {
    Bench b = *this;
    const bool dots = strcmp(table_.level, "x86-64-v4-vnni") == 0 || strcmp(table_.level, "neon-dot") == 0;
    b.peak_ *= dots ? 4 : 2;
    return b;
  }
  bool wants(const char* kernel) const { return strstr(kernel, filter_.c_str()) != nullptr; }

  // flops: two per multiply-add (non-zeros only for sparse kernels); bytes: read and written once, 0 = not shown.
  // Returns the best time in seconds.
  template <class Args>
  double time(const char* kernel, const std::string& shape, double flops, double bytes,
              uint64_t (ScratchTable::*scratch_bytes)(const Args&) const,
              void (*KernelTable::*run)(const Args&, int, int, void*), const Args& args) const {
    std::vector<unsigned char> memory((table_.*scratch_bytes)(args) + 64);
    void* scratch = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
    return time_best(kernel, shape, flops, bytes, [] {}, [&] { (table_.*run)(args, 0, 1, scratch); });
  }

  // All phases of the factor of the matrix.
  void factor(const std::vector<double>& from, double* matrix, int d) const {
    if (!wants("cholesky_factor")) return;
    int32_t failed = 0;
    CholeskyFactorArgs args = {matrix, d, 0, 0.0, &failed};
    std::vector<double> scratch(table_.cholesky_factor_scratch_bytes(args) / sizeof(double) + 8);
    const auto run = [&] {
      for (args.phase = 0; args.phase < cholesky_phases(d); args.phase++)
        table_.cholesky_factor(args, 0, 1, scratch.data());
    };
    time_best(
        "cholesky_factor", text("d %d", d), 1.0 / 3.0 * d * d * d, 0,
        [&] { memcpy(matrix, from.data(), from.size() * sizeof(double)); }, run);
  }

 private:
  template <class Prepare, class Run>
  double time_best(const char* kernel, const std::string& shape, double flops, double bytes, Prepare prepare,
                   Run run) const {
    double best = 1e30;
    const double until = seconds() + 0.08;
    do {
      prepare();
      const double start = seconds();
      run();
      const double spent = seconds() - start;
      if (spent < best) best = spent;
    } while (!once_ && seconds() < until);
    printf("%-26s %-34s %9.4f", kernel, shape.c_str(), best * 1e3);
    if (flops > 0)
      printf(" %9.1f %6.1f%%", flops / best / 1e9, peak_ > 0 ? 100.0 * flops / best / peak_ : 0.0);
    else
      printf(" %9s %7s", "-", "-");
    if (bytes > 0) printf(" %8.1f", bytes / best / 1e9);
    printf("\n");
    return best;
  }

  const KernelTable& table_;
  std::string filter_;
  bool once_;
  double peak_;
};
#define EDGECL_TIME(bench, name, shape, flops, bytes, args) \
  if ((bench).wants(#name))                                 \
  (bench).time(#name, shape, flops, bytes, &KernelTable::name##_scratch_bytes, &KernelTable::name, args)

const ActivationSpec kNoActivation = {Activation::kNone, 0.0f, 0.0f};
const ActivationSpec kReluActivation = {Activation::kRelu, 0.0f, 0.0f};

std::string layer_name(const ConvProblem& p) {
  return text("%dx%d->%dx%d %dx%d b%d", p.in_channels, p.height, p.out_channels, p.out_height, p.shape.kernel_h,
              p.shape.kernel_w, p.batch);
}

void dense_conv(const Bench& bench, Rng& rng, const ConvProblem& p) {
  Case c(rng);
  const Tensor x = c.tensor(p.batch, p.in_channels, p.height, p.width),
               y = c.tensor(p.batch, p.out_channels, p.out_height, p.out_width);
  const int64_t weights = static_cast<int64_t>(p.out_channels) * p.in_channels * p.taps();
  float *weight = c.floats(weights), *bias = c.floats(p.out_channels);
  const double flops = 2.0 * static_cast<double>(p.multiplies());
  const ConvForwardArgs forward = {x, y, weight, bias, p.shape, kNoActivation};
  const ConvBackwardDataArgs data = {y, x, weight, p.shape, false};
  const ConvBackwardWeightArgs gradient = {x, y, weight, bias, p.shape};
  EDGECL_TIME(bench, conv_forward, layer_name(p), flops, 0, forward);
  EDGECL_TIME(bench, conv_backward_data, layer_name(p), flops, 0, data);
  EDGECL_TIME(bench, conv_backward_weight, layer_name(p), flops, 0, gradient);
}

void sparse_conv(const Bench& bench, Rng& rng, const ConvProblem& p, double density) {
  Case c(rng);
  const Tensor x = c.tensor(p.batch, p.in_channels, p.height, p.width),
               y = c.tensor(p.batch, p.out_channels, p.out_height, p.out_width);
  std::vector<uint32_t> flat;
  const int64_t weights = static_cast<int64_t>(p.out_channels) * p.in_channels * p.taps();
  for (int64_t k = 0; k < weights; k++)
    if (rng.chance(density)) flat.push_back(static_cast<uint32_t>(k));
  const uint32_t nnz = static_cast<uint32_t>(flat.size());
  const auto make = [&](int rows, int channels) {
    const int block = sparse_channel_block(channels, p.taps()), blocks = (channels + block - 1) / block;
    return SparsePattern{
        rows,
        channels,
        p.taps(),
        block,
        blocks,
        nnz,
        c.copy(std::vector<uint32_t>(static_cast<size_t>(blocks) * static_cast<size_t>(rows) + 1), 4 * kReadSlack),
        c.copy(std::vector<uint16_t>(nnz), 4 * kReadSlack),
        nullptr};
  };
  const SparsePattern pattern = make(p.out_channels, p.in_channels);
  SparsePattern transposed = make(p.in_channels, p.out_channels);
  uint32_t *source = c.copy(std::vector<uint32_t>(nnz), 4 * kReadSlack), *order = c.copy(std::vector<uint32_t>(nnz));
  sparse_build(flat.data(), nnz, p.out_channels, p.in_channels, p.taps(), const_cast<uint32_t*>(pattern.row_start),
               const_cast<uint16_t*>(pattern.index), order);
  sparse_transpose(pattern, const_cast<uint32_t*>(transposed.row_start), const_cast<uint16_t*>(transposed.index),
                   source);
  transposed.source = source;
  float *value = c.floats(nnz), *bias = c.floats(p.out_channels);
  const double flops = 2.0 * static_cast<double>(nnz) * p.batch * p.out_height * p.out_width;
  const SparseConvForwardArgs forward = {x, y, pattern, value, bias, p.shape, kNoActivation};
  const SparseConvBackwardDataArgs data = {y, x, transposed, value, p.shape, false};
  const SparseConvBackwardWeightArgs gradient = {x, y, pattern, nullptr, value, bias, p.shape};
  const std::string name = layer_name(p) + text(" %g%%", 100 * density);
  EDGECL_TIME(bench, sparse_conv_forward, name, flops, 0, forward);
  EDGECL_TIME(bench, sparse_conv_backward_data, name, flops, 0, data);
  EDGECL_TIME(bench, sparse_conv_backward_weight, name, flops, 0, gradient);
}

void linear(const Bench& bench, Rng& rng, int batch, int in, int out) {
  Case c(rng);
  const Tensor x = c.tensor(batch, in, 1, 1), y = c.tensor(batch, out, 1, 1);
  float *weight = c.floats(static_cast<int64_t>(in) * out), *bias = c.floats(out);
  const double flops = 2.0 * batch * in * out;
  const LinearForwardArgs forward = {x, y, weight, bias, kNoActivation};
  const LinearBackwardDataArgs data = {y, x, weight, false};
  const LinearBackwardWeightArgs gradient = {x, y, weight, bias};
  const std::string name = text("%d->%d b%d", in, out, batch);
  EDGECL_TIME(bench, linear_forward, name, flops, 0, forward);
  EDGECL_TIME(bench, linear_backward_data, name, flops, 0, data);
  EDGECL_TIME(bench, linear_backward_weight, name, flops, 0, gradient);
}

void batch_norm(const Bench& bench, Rng& rng, int batch, int channels, int size) {
  Case c(rng);
  const Tensor x = c.tensor(batch, channels, size, size), y = c.tensor(batch, channels, size, size);
  const Tensor dy = c.tensor(batch, channels, size, size), dx = c.tensor(batch, channels, size, size);
  float* residual = c.floats(x.size());
  float* parameters[6];
  for (float*& p : parameters) p = c.floats(channels);
  BatchNormForwardArgs forward = {
      x,     y,       parameters[0],  parameters[1], nullptr, nullptr, parameters[2], parameters[3], parameters[4],
      1e-5f, nullptr, kReluActivation};
  BatchNormBackwardArgs backward = {x,
                                    y,
                                    dy,
                                    dx,
                                    parameters[0],
                                    parameters[1],
                                    parameters[2],
                                    parameters[3],
                                    parameters[4],
                                    parameters[5],
                                    false,
                                    false,
                                    nullptr,
                                    false,
                                    kReluActivation};
  const double bytes = 4.0 * static_cast<double>(x.size());
  const std::string name = text("%dx%dx%d b%d relu", channels, size, size, batch);
  EDGECL_TIME(bench, batch_norm_forward, name, 0, 2 * bytes, forward);
  forward.residual = residual;
  EDGECL_TIME(bench, batch_norm_forward, name + " residual", 0, 3 * bytes, forward);
  EDGECL_TIME(bench, batch_norm_backward, name, 0, 4 * bytes, backward);
  backward.beta = nullptr;
  backward.dresidual = residual;
  EDGECL_TIME(bench, batch_norm_backward, name + " residual", 0, 5 * bytes, backward);
}

void l2_normalize(const Bench& bench, Rng& rng, int batch, int channels, int size) {
  Case c(rng);
  const Tensor x = c.tensor(batch, channels, size, size), y = c.tensor(batch, channels, size, size),
               dx = c.tensor(batch, channels, size, size);
  const L2NormalizeForwardArgs forward = {x, y, 1e-12f};
  const L2NormalizeBackwardArgs backward = {x, y, dx, 1e-12f, false};
  const double bytes = 4.0 * static_cast<double>(x.size());
  const std::string name = text("%dx%dx%d b%d", channels, size, size, batch);
  EDGECL_TIME(bench, l2_normalize_forward, name, 0, 2 * bytes, forward);
  EDGECL_TIME(bench, l2_normalize_backward, name, 0, 3 * bytes, backward);
}

// Heads of `width` numbers over so many tokens, which lie in the channels: queries by keys, weights by values, all
// gradients; the softmax between them, and a layer norm of the tokens.
void attention(const Bench& bench, Rng& rng, int batch, int32_t heads, int32_t width, int32_t tokens) {
  Case c(rng);
  const Tensor x = c.tensor(batch, heads * width, 1, tokens), y = c.tensor(batch, heads * width, 1, tokens),
               z = c.tensor(batch, heads * width, 1, tokens), w = c.tensor(batch, heads, tokens, tokens);
  const int32_t head = width * tokens, square = tokens * tokens;
  // Axes: heads, rows, columns, sum.
  const int32_t* scores =
      c.copy(std::vector<int32_t>{1, 1, heads, tokens, tokens, width,  0, 0, head,   1,      0, tokens,
                                  0, 0, head,  0,      1,      tokens, 0, 0, square, tokens, 1, 0});
  const int32_t* values =
      c.copy(std::vector<int32_t>{1, 1, heads, tokens, width,  tokens, 0, 0, square, tokens, 0,      1,
                                  0, 0, head,  0,      tokens, 1,      0, 0, head,   1,      tokens, 0});
  const auto product = [](const int32_t* v, const Tensor& a, int of_a, const Tensor& b, int of_b, const Tensor& to,
                          int of_y, float scale) {
    return MatmulArgs{a, b, to, v, v + 6 * of_a, v + 6 * of_b, v + 6 * of_y, 0, 0, 0, scale, false};
  };
  const double macs = static_cast<double>(batch) * heads * square * width;
  const double bytes = 4.0 * static_cast<double>(x.size()), wide = 4.0 * static_cast<double>(w.size());
  const std::string name = text("%d heads of %d, %d tokens b%d", heads, width, tokens, batch);
  EDGECL_TIME(bench, matmul, name + " scores", 2 * macs, 0, product(scores, x, 1, y, 2, w, 3, 0.25f));
  EDGECL_TIME(bench, matmul, name + " scores, left", 2 * macs, 0, product(scores, w, 3, y, 2, z, 1, 0.25f));
  EDGECL_TIME(bench, matmul, name + " scores, right", 2 * macs, 0, product(scores, x, 1, w, 3, z, 2, 0.25f));
  EDGECL_TIME(bench, matmul, name + " values", 2 * macs, 0, product(values, w, 1, y, 2, z, 3, 1.0f));
  EDGECL_TIME(bench, matmul, name + " values, left", 2 * macs, 0, product(values, x, 3, y, 2, w, 1, 1.0f));
  EDGECL_TIME(bench, matmul, name + " values, right", 2 * macs, 0, product(values, w, 1, x, 3, z, 2, 1.0f));
  EDGECL_TIME(bench, softmax_forward, name + " attention", 0, 2 * wide, (SoftmaxForwardArgs{w, w, false}));
  EDGECL_TIME(bench, softmax_backward, name + " attention", 0, 3 * wide, (SoftmaxBackwardArgs{w, w, w, false, false}));
  const float* gamma = c.floats(heads * width);
  float *mean = c.floats(x.plane() * x.groups), *rstd = c.floats(x.plane() * x.groups),
        *sums = c.floats(2 * heads * width);
  EDGECL_TIME(bench, layer_norm_forward, name, 0, 2 * bytes,
              (LayerNormForwardArgs{x, y, gamma, gamma, 1e-5f, true, mean, rstd}));
  EDGECL_TIME(bench, layer_norm_backward_data, name, 0, 3 * bytes,
              (LayerNormBackwardDataArgs{x, y, z, gamma, mean, rstd, true, false}));
  EDGECL_TIME(bench, layer_norm_backward_weight, name, 0, 2 * bytes,
              (LayerNormBackwardWeightArgs{x, y, mean, rstd, true, sums, sums + heads * width}));
}

// A transpose to channels last, a slice, a softmax over the width, a reduction, and two functions.
void views(const Bench& bench, Rng& rng, int batch, int channels, int size) {
  Case c(rng);
  const Tensor x = c.tensor(batch, channels, size, size), y = c.tensor(batch, channels, size, size);
  const double bytes = 4.0 * static_cast<double>(x.size());
  const std::string name = text("%dx%dx%d b%d", channels, size, size, batch);
  const int32_t area = size * size;
  const int32_t* turn = c.copy(std::vector<int32_t>{1, 1, 1, 1, area, channels, 0, 0, 0, 0, 1, area});
  EDGECL_TIME(bench, strided_forward, name + " transposed", 0, 2 * bytes, (StridedForwardArgs{x, y, turn, 0}));
  EDGECL_TIME(bench, strided_backward, name + " transposed", 0, 2 * bytes, (StridedBackwardArgs{y, x, turn, 0, false}));
  const Tensor half = c.tensor(batch, channels / 2, size, size);
  const int32_t* slice = c.copy(std::vector<int32_t>{1, 1, 1, 1, channels / 2, area, 0, 0, 0, 0, 2 * area, 1});
  EDGECL_TIME(bench, strided_forward, name + " every other channel", 0, bytes, (StridedForwardArgs{x, half, slice, 0}));
  EDGECL_TIME(bench, softmax_forward, name, 0, 2 * bytes, (SoftmaxForwardArgs{x, y, false}));
  EDGECL_TIME(bench, softmax_backward, name, 0, 3 * bytes, (SoftmaxBackwardArgs{x, y, y, false, false}));
  const Tensor line = c.tensor(batch, channels, 1, size);
  EDGECL_TIME(bench, reduce_forward, name + " mean", 0, bytes, (ReduceForwardArgs{x, line, Reduction::kMean}));
  for (const Activation kind : {Activation::kGelu, Activation::kTanh, Activation::kSilu}) {
    const ActivationSpec spec = {kind, 1, 0};
    const std::string what = name + text(" kind %d", static_cast<int>(kind));
    EDGECL_TIME(bench, activation_forward, what, 0, 2 * bytes, (ActivationForwardArgs{x.data, y.data, x.size(), spec}));
    EDGECL_TIME(bench, activation_backward, what, 0, 3 * bytes,
                (ActivationBackwardArgs{x.data, x.data, y.data, y.data, x.size(), false, spec}));
  }
}

// A layer of `hidden` over `steps` steps, forward and back.
void recurrent(const Bench& bench, Rng& rng, int batch, int inputs, int hidden, int steps, RecurrentCell cell) {
  const RecurrentShape shape = {cell, false};
  Case c(rng);
  const Tensor x = c.tensor(batch, inputs, 1, steps), y = c.tensor(batch, hidden, 1, steps);
  const int64_t columns = static_cast<int64_t>(shape.gates()) * hidden, positions = static_cast<int64_t>(batch) * steps;
  const auto small = [&](int64_t n) { return c.floats(n, -0.1f, 0.1f); };
  const float *weight = small(inputs * columns), *weight_r = small(hidden * columns), *bias = small(columns);
  float* kept = small(positions * shape.kept() * hidden);
  const std::string name =
      text("%d -> %d, %d steps, cell %d b%d", inputs, hidden, steps, static_cast<int>(cell), batch);
  const double of_x = 2.0 * static_cast<double>(positions * columns * inputs),
               of_h = 2.0 * static_cast<double>(positions * columns * hidden);
  EDGECL_TIME(bench, recurrent_forward, name, of_x + of_h, 0,
              (RecurrentForwardArgs{x, y, weight, weight_r, bias, bias, shape, nullptr}));
  EDGECL_TIME(bench, recurrent_forward, name + " kept", of_x + of_h, 0,
              (RecurrentForwardArgs{x, y, weight, weight_r, bias, bias, shape, kept}));
  EDGECL_TIME(bench, recurrent_steps_backward, name, of_h, 0,
              (RecurrentStepsBackwardArgs{y, y, weight_r, shape, kept}));
  kept = small(positions * shape.kept() * hidden);  // became gradients of gradients
  EDGECL_TIME(bench, recurrent_data_backward, name, of_x, 0,
              (RecurrentDataBackwardArgs{y, x, weight, shape, kept, false}));
  float *dweight = small(inputs * columns), *dweight_r = small(hidden * columns), *dbias = small(2 * columns);
  EDGECL_TIME(bench, recurrent_weight_backward, name, of_x + of_h, 0,
              (RecurrentWeightBackwardArgs{x, y, shape, kept, dweight, dweight_r, dbias, dbias + columns}));
}

// Of d features: rows quantised and added, n at once, and a model of `classes` from the moments.
void moments(const Bench& bench, Rng& rng, int d, int classes) {
  Case c(rng);
  const size_t size = static_cast<size_t>(moments_size(d)), features = static_cast<size_t>(d);
  const auto values = [&](size_t n) { return std::vector<double>(n, 0.5); };
  int64_t* m = c.copy(std::vector<int64_t>(size, 3), 4 * kReadSlack);
  int64_t* sums = c.copy(std::vector<int64_t>(features * static_cast<size_t>(classes), 5), 4 * kReadSlack);
  std::vector<double> identity(size, 0.0);
  for (int i = 0; i < d; i++) identity[static_cast<size_t>(moments_at(i, i, d))] = 1.0;
  double* matrix = c.copy(identity, 4 * kReadSlack);
  double* b = c.copy(values(features * static_cast<size_t>(classes)), 4 * kReadSlack);
  int16_t* q = c.copy(std::vector<int16_t>(features * kMomentRows, 7), 4 * kReadSlack);
  int32_t* counts = c.copy(std::vector<int32_t>(kMomentRows), 4 * kReadSlack);
  const double pairs = 0.5 * d * (d + 1.0);
  const Bench in_double = bench.in_double();
  const QuantizeRowsArgs quantize = {c.floats(static_cast<int64_t>(d) * 16), q, counts, 16, d, 1000.0f};
  EDGECL_TIME(bench, quantize_rows, text("d %d n 16", d), 0, 6.0 * 16 * d, quantize);
  for (int n : {1, 8, 16, 32}) {
    const MomentsUpdateArgs update = {q, m, n, d, false};
    EDGECL_TIME(bench, moments_update, text("d %d n %d", d, n), 0, 16 * pairs, update);
  }
  const MomentsToCovarianceArgs covariance = {m, matrix, sums, b, classes, d, 1.0, 1.0};
  EDGECL_TIME(in_double, moments_to_covariance, text("d %d, %d sums", d, classes), 2 * pairs * classes, 16 * pairs,
              covariance);
  in_double.factor(identity, matrix, d);
  const CholeskySolveArgs solve = {matrix, b, d, classes, false};
  EDGECL_TIME(in_double, cholesky_solve, text("d %d, %d columns", d, classes), 4 * pairs * classes, 0, solve);
}

// One row of features to a code, and what follows with codes of that size: 4 layers, 50 classes, 32 codes to count.
void hyperdimensional(const Bench& bench, Rng& rng, int width, int bits) {
  constexpr int kLayers = 4, kClasses = 50, kCounted = 32;
  Case c(rng);
  const auto codes = [&](int rows) {
    std::vector<uint64_t> words(static_cast<size_t>(rows) * static_cast<size_t>(bits / 64));
    for (uint64_t& w : words) w = rng.next();
    return c.copy(words);
  };
  std::vector<int16_t> x(static_cast<size_t>(width));
  for (int16_t& v : x) v = static_cast<int16_t>(rng.range(-kHdMaxFeature, kHdMaxFeature));
  const std::vector<int32_t> numbers(static_cast<size_t>(kClasses) * static_cast<size_t>(bits), 1);
  const HdEncodeArgs encode = {c.copy(x), 1, width, 1, 0, bits, codes(1)};
  EDGECL_TIME(bench, hd_encode, text("%d features, %d bits", width, bits), 0, 0, encode);
  if (width > 100) return;
  HdBundleArgs bundle = {{}, {}, kLayers, 1, bits, 1, true, codes(1)};
  for (auto& layer : bundle.codes) layer = codes(1);
  EDGECL_TIME(bench, hd_bundle_majority, text("%d layers, %d bits", kLayers, bits), 0, 0, bundle);
  const HdAccumulateArgs accumulate = {codes(kCounted), kCounted, bits, c.copy(numbers), false};
  EDGECL_TIME(bench, hd_accumulate, text("%d codes of %d bits", kCounted, bits), 0, 0, accumulate);
  const HdSignsArgs signs = {c.copy(numbers), kClasses, bits, 1, codes(kClasses)};
  EDGECL_TIME(bench, hd_signs, text("%d classes of %d bits", kClasses, bits), 0, 0, signs);
  const HdHammingArgs hamming = {codes(1), codes(kClasses), 1, kClasses, bits, c.copy(numbers)};
  EDGECL_TIME(bench, hd_hamming, text("%d exemplars of %d bits", kClasses, bits), 0, 0, hamming);
}

// A layer of a network, `times` times.
struct MobileLayer {
  ConvProblem conv;
  int times;
};

// Inverted residuals: channels out, first stride, kernel, expansion and repetitions of each stage.
struct MobileStage {
  int out, stride, kernel, expansion, repeats;
};
std::vector<MobileLayer> mobile_network(int size, const std::vector<MobileStage>& stages) {
  std::vector<MobileLayer> layers = {{conv_problem(1, 3, 32, size, 3, 2, 1), 1}};
  int width = 32;
  size /= 2;
  const auto pointwise = [&](int in, int out, int times) {
    layers.push_back({conv_problem(1, in, out, size, 1, 1, 0), times});
  };
  for (const MobileStage& s : stages) {
    for (int part = 0; part < (s.repeats > 1 ? 2 : 1); part++) {
      const int times = part == 0 ? 1 : s.repeats - 1, hidden = width * s.expansion, stride = part == 0 ? s.stride : 1;
      if (s.expansion > 1) pointwise(width, hidden, times);
      layers.push_back({conv_problem(1, hidden, hidden, size, s.kernel, stride, s.kernel / 2, hidden), times});
      size /= stride;
      pointwise(hidden, s.out, times);
      width = s.out;
    }
  }
  pointwise(width, 1280, 1);
  return layers;
}

// The convolutions of a network at batch 1, in float32 and in int8.
void mobile(const Bench& bench, Rng& rng, const char* name, const std::vector<MobileLayer>& layers) {
  if (!bench.wants("mobile")) return;
  const Bench in_int8 = bench.in_int8();
  double floats = 0, bytes = 0;
  for (const MobileLayer& l : layers) {
    const ConvProblem& p = l.conv;
    const bool depthwise = p.shape.groups > 1;
    Case c(rng);
    const Tensor x = c.tensor(1, p.in_channels, p.height, p.width),
                 y = c.tensor(1, p.out_channels, p.out_height, p.out_width);
    const int64_t weights = static_cast<int64_t>(p.out_channels) * p.in_channels / p.shape.groups * p.taps();
    const ConvForwardArgs in_floats = {x, y, c.floats(weights), c.floats(p.out_channels), p.shape, kReluActivation};
    Int8ConvArgs args = int8_layer(c, p, depthwise);
    args.y.data = c.copy(std::vector<int8_t>(static_cast<size_t>(args.y.size())), 4 * kReadSlack);
    const double flops = 2.0 * static_cast<double>(p.multiplies());
    floats += l.times * bench.time("conv_forward", layer_name(p), flops, 0, &KernelTable::conv_forward_scratch_bytes,
                                   &KernelTable::conv_forward, in_floats);
    bytes += l.times *
             (depthwise ? in_int8.time("int8_depthwise", layer_name(p), flops, 0,
                                       &KernelTable::int8_depthwise_scratch_bytes, &KernelTable::int8_depthwise, args)
                        : in_int8.time("int8_conv", layer_name(p), flops, 0, &KernelTable::int8_conv_scratch_bytes,
                                       &KernelTable::int8_conv, args));
  }
  printf("%s: convolutions of one image %.3f ms in float32, %.3f ms in int8 (x%.2f)\n", name, floats * 1e3, bytes * 1e3,
         floats / bytes);
}

}  // namespace
}  // namespace edgecl::test

int main(int argc, char** argv) {
  using namespace edgecl;
  using namespace edgecl::test;
  const char *level = nullptr, *filter = "";
  bool once = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--level") == 0 && i + 1 < argc)
      level = argv[++i];
    else if (strcmp(argv[i], "--once") == 0)
      once = true;
    else
      filter = argv[i];
  }
  const KernelTable* table = kernel_table(level);
  if (!table) {
    printf("expected a level that this build and CPU have, found '%s'\n", level);
    return 2;
  }
  const Bench bench(*table, filter, once);
  Rng rng(1);
  for (int bits : {4096, 10048})
    for (int width : {1280, 96}) hyperdimensional(bench, rng, width, bits);
  for (int batch : {1, 10, 32}) {
    std::vector<ConvProblem> layers = {conv_problem(batch, 3, 64, 32, 3, 1, 1)};
    for (int width : {64, 20})
      for (int stage = 0, size = 32; stage < 4; stage++, width *= 2, size /= 2) {
        if (stage > 0) layers.push_back(conv_problem(batch, width / 2, width, size * 2, 3, 2, 1));
        layers.push_back(conv_problem(batch, width, width, size, 3, 1, 1));
      }
    for (const ConvProblem& p : layers) {
      dense_conv(bench, rng, p);
      if (p.in_channels > 3) sparse_conv(bench, rng, p, 0.1);
    }
    linear(bench, rng, batch, 512, 10);
    linear(bench, rng, batch, 160, 100);
    linear(bench, rng, batch, 1024, 1024);
    for (int stage = 0; stage < 4; stage++) batch_norm(bench, rng, batch, 64 << stage, 32 >> stage);
    batch_norm(bench, rng, batch, 20, 32);
    for (int channels : {1280, 2048}) l2_normalize(bench, rng, batch, channels, 1);
    l2_normalize(bench, rng, batch, 256, 8);
    views(bench, rng, batch, 64, 16);
    attention(bench, rng, batch, 4, 16, 128);
    attention(bench, rng, batch, 1, 64, 128);
    recurrent(bench, rng, batch, 64, 64, 128, RecurrentCell::kGruLinear);
    recurrent(bench, rng, batch, 9, 32, 64, RecurrentCell::kLstm);
  }
  for (int d : {96, 512, 1280, 2048}) moments(bench, rng, d, 50);
  mobile(bench, rng, "MobileNetV2",
         mobile_network(224, {{16, 1, 3, 1, 1},
                              {24, 2, 3, 6, 2},
                              {32, 2, 3, 6, 3},
                              {64, 2, 3, 6, 4},
                              {96, 1, 3, 6, 3},
                              {160, 2, 3, 6, 3},
                              {320, 1, 3, 6, 1}}));
  mobile(bench, rng, "EfficientNet-Lite0",
         mobile_network(224, {{16, 1, 3, 1, 1},
                              {24, 2, 3, 6, 2},
                              {40, 2, 5, 6, 2},
                              {80, 2, 3, 6, 3},
                              {112, 1, 5, 6, 3},
                              {192, 2, 5, 6, 4},
                              {320, 1, 3, 6, 1}}));
  return 0;
}
