// Cases of the sparse convolution and linear kernels, their pattern, and their equality with the dense kernels at full
// density.
// Never here: dense kernels by themselves.
#include <string.h>

#include "tests/kernels/shapes.h"

namespace edgecl::test {
namespace {

constexpr int kSlackBytes = kReadSlack * 4;

// One weight's pattern, its transpose and its values, from a random set of flat positions.
struct SparseWeight {
  std::vector<uint32_t> flat, order;
  SparsePattern pattern, transposed;
  const float* value;             // in the pattern's order
  const float* value_transposed;  // gathered
};

SparsePattern empty_pattern(int rows, int channels, int taps, size_t nnz) {
  const int block = sparse_channel_block(channels, taps);
  return {rows,    channels, taps,   block, (channels + block - 1) / block, static_cast<uint32_t>(nnz),
          nullptr, nullptr,  nullptr};
}

size_t row_starts(const SparsePattern& p) {
  return static_cast<size_t>(p.n_blocks) * static_cast<size_t>(p.rows) + 1;
}

SparseWeight make_weight(Tests& tests, Case& c, int rows, int channels, int taps, double density) {
  Rng& rng = c.rng();
  SparseWeight w;
  for (int r = 0; r < rows; r++) {
    const double row_density = density < 1.0 && rng.chance(0.1) ? 0.0 : density;  // some rows stay empty
    for (int k = 0; k < channels * taps; k++)
      if (rng.chance(row_density)) w.flat.push_back(static_cast<uint32_t>(r * channels * taps + k));
  }
  const size_t nnz = w.flat.size();
  w.order.resize(nnz + 1);
  w.pattern = empty_pattern(rows, channels, taps, nnz);
  std::vector<uint32_t> row_start(row_starts(w.pattern)), source(nnz);
  std::vector<uint16_t> index(nnz);
  sparse_build(w.flat.data(), static_cast<uint32_t>(nnz), rows, channels, taps, row_start.data(), index.data(),
               w.order.data());
  w.pattern.row_start = c.copy(row_start, kSlackBytes);
  w.pattern.index = c.copy(index, kSlackBytes);
  w.value = c.floats(static_cast<int64_t>(nnz));

  w.transposed = empty_pattern(channels, rows, taps, nnz);
  row_start.assign(row_starts(w.transposed), 0);
  sparse_transpose(w.pattern, row_start.data(), index.data(), source.data());
  w.transposed.row_start = c.copy(row_start, kSlackBytes);
  w.transposed.index = c.copy(index, kSlackBytes);
  w.transposed.source = c.copy(source, kSlackBytes);
  float* gathered = c.floats(static_cast<int64_t>(nnz));
  sparse_gather(w.value, w.transposed.source, static_cast<uint32_t>(nnz), gathered);
  w.value_transposed = gathered;

  // Every stored entry must be found again where the two patterns say it lies.
  std::vector<uint32_t> found(nnz, ~0u);
  for (int b = 0; b < w.pattern.n_blocks; b++)
    for (int r = 0; r < rows; r++)
      for (uint32_t k = w.pattern.row_start[b * rows + r]; k < w.pattern.row_start[b * rows + r + 1]; k++)
        found[k] = static_cast<uint32_t>((r * channels + b * w.pattern.channel_block) * taps) + w.pattern.index[k];
  bool forward_ok = true, transposed_ok = true;
  for (size_t k = 0; k < nnz; k++) forward_ok &= found[w.order[k]] == w.flat[k];
  for (int b = 0; b < w.transposed.n_blocks; b++)
    for (int r = 0; r < channels; r++)
      for (uint32_t k = w.transposed.row_start[b * channels + r]; k < w.transposed.row_start[b * channels + r + 1];
           k++) {
        const int out = b * w.transposed.channel_block + w.transposed.index[k] / taps,
                  tap = w.transposed.index[k] % taps;
        transposed_ok &= found[w.transposed.source[k]] == static_cast<uint32_t>((out * channels + r) * taps + tap);
      }
  tests.expect(forward_ok, text("sparse_build finds %zu entries of %dx%dx%d again", nnz, rows, channels, taps));
  tests.expect(transposed_ok, text("sparse_transpose finds %zu entries of %dx%dx%d again", nnz, rows, channels, taps));
  return w;
}

const uint8_t* random_selection(Case& c, size_t nnz) {
  if (c.rng().chance(0.4)) return nullptr;
  std::vector<uint8_t> selected(nnz);
  const double share = c.rng().pick({0.0, 0.1, 0.5, 1.0});
  for (uint8_t& s : selected) s = c.rng().chance(share);
  return c.copy(selected);
}

void conv(Tests& tests, Rng& rng, const ConvProblem& p, double density) {
  const std::string name = p.name() + text(", density %g", density);
  Case shared(rng);
  const SparseWeight w = make_weight(tests, shared, p.out_channels, p.in_channels, p.taps(), density);
  {
    Case c(rng);
    SparseConvForwardArgs args = {c.tensor(p.batch, p.in_channels, p.height, p.width),
                                  c.output_shape(p.batch, p.out_channels, p.out_height, p.out_width),
                                  w.pattern,
                                  w.value,
                                  rng.chance(0.5) ? c.floats(p.out_channels) : nullptr,
                                  p.shape,
                                  random_fused_activation(rng)};
    c.output(args.y);
    CHECK_KERNEL(tests, c, sparse_conv_forward, args, name);
  }
  {
    Case c(rng);
    SparseConvBackwardDataArgs args = {c.tensor(p.batch, p.out_channels, p.out_height, p.out_width),
                                       c.output_shape(p.batch, p.in_channels, p.height, p.width),
                                       w.transposed,
                                       w.value_transposed,
                                       p.shape,
                                       rng.chance(0.5)};
    c.output(args.dx);
    CHECK_KERNEL(tests, c, sparse_conv_backward_data, args, name);
  }
  {
    Case c(rng);
    SparseConvBackwardWeightArgs args = {c.tensor(p.batch, p.in_channels, p.height, p.width),
                                         c.tensor(p.batch, p.out_channels, p.out_height, p.out_width),
                                         w.pattern,
                                         random_selection(c, w.flat.size()),
                                         nullptr,
                                         nullptr,
                                         p.shape};
    c.output(&args.dvalue, static_cast<int64_t>(w.flat.size()));
    if (rng.chance(0.5)) c.output(&args.dbias, p.out_channels);
    CHECK_KERNEL(tests, c, sparse_conv_backward_weight, args, name);
  }
}

void linear(Tests& tests, Rng& rng, int batch, int in, int out, double density) {
  const std::string name = text("batch %d, %d->%d, density %g", batch, in, out, density);
  Case shared(rng);
  const SparseWeight w = make_weight(tests, shared, out, in, 1, density);
  {
    Case c(rng);
    SparseLinearForwardArgs args = {c.tensor(batch, in, 1, 1),
                                    c.output_shape(batch, out, 1, 1),
                                    w.pattern,
                                    w.value,
                                    rng.chance(0.5) ? c.floats(out) : nullptr,
                                    random_fused_activation(rng)};
    c.output(args.y);
    CHECK_KERNEL(tests, c, sparse_linear_forward, args, name);
  }
  {
    Case c(rng);
    SparseLinearBackwardDataArgs args = {c.tensor(batch, out, 1, 1), c.output_shape(batch, in, 1, 1), w.transposed,
                                         w.value_transposed, rng.chance(0.5)};
    c.output(args.dx);
    CHECK_KERNEL(tests, c, sparse_linear_backward_data, args, name);
  }
  {
    Case c(rng);
    SparseLinearBackwardWeightArgs args = {c.tensor(batch, in, 1, 1),
                                           c.tensor(batch, out, 1, 1),
                                           w.pattern,
                                           random_selection(c, w.flat.size()),
                                           nullptr,
                                           nullptr};
    c.output(&args.dvalue, static_cast<int64_t>(w.flat.size()));
    if (rng.chance(0.5)) c.output(&args.dbias, out);
    CHECK_KERNEL(tests, c, sparse_linear_backward_weight, args, name);
  }
}

// With every weight stored, the sparse chains are the dense ones: forward and input gradient have the same bits.
void equals_dense(Tests& tests, Rng& rng, const ConvProblem& p) {
  const KernelTable& k = *kernel_table("reference");
  Case c(rng);
  const SparseWeight w = make_weight(tests, c, p.out_channels, p.in_channels, p.taps(), 1.0);
  std::vector<float> dense(w.flat.size());
  for (size_t i = 0; i < w.flat.size(); i++) dense[w.flat[i]] = w.value[w.order[i]];
  const float* weight = c.copy(dense, kSlackBytes);
  const ActivationSpec none = {Activation::kNone, 0.0f, 0.0f};
  const Tensor x = c.tensor(p.batch, p.in_channels, p.height, p.width),
               dy = c.tensor(p.batch, p.out_channels, p.out_height, p.out_width);
  Tensor out[4] = {dy, dy, x, x};
  for (Tensor& t : out) t.data = c.floats(t.size());
  const float* bias = c.floats(p.out_channels);
  const ConvForwardArgs a0 = {x, out[0], weight, bias, p.shape, none};
  const SparseConvForwardArgs a1 = {x, out[1], w.pattern, w.value, bias, p.shape, none};
  const ConvBackwardDataArgs a2 = {dy, out[2], weight, p.shape, false};
  const SparseConvBackwardDataArgs a3 = {dy, out[3], w.transposed, w.value_transposed, p.shape, false};
  std::vector<double> scratch[4];  // doubles are 8-byte aligned; the reference needs no more
  scratch[0].resize(k.conv_forward_scratch_bytes(a0) / 8 + 8);
  scratch[1].resize(k.sparse_conv_forward_scratch_bytes(a1) / 8 + 8);
  scratch[2].resize(k.conv_backward_data_scratch_bytes(a2) / 8 + 8);
  scratch[3].resize(k.sparse_conv_backward_data_scratch_bytes(a3) / 8 + 8);
  k.conv_forward(a0, 0, 1, scratch[0].data());
  k.sparse_conv_forward(a1, 0, 1, scratch[1].data());
  k.conv_backward_data(a2, 0, 1, scratch[2].data());
  k.sparse_conv_backward_data(a3, 0, 1, scratch[3].data());
  tests.expect(memcmp(out[0].data, out[1].data, static_cast<size_t>(dy.size()) * 4) == 0,
               "full sparse forward is dense forward, " + p.name());
  tests.expect(memcmp(out[2].data, out[3].data, static_cast<size_t>(x.size()) * 4) == 0,
               "full sparse input gradient is the dense one, " + p.name());
}

}  // namespace

void sparse_cases(Tests& tests) {
  Rng rng(0x59);
  for (const ConvProblem& p : known_convs(false)) conv(tests, rng, p, rng.pick({0.05, 0.1, 0.25}));
  // Weight gradients by tiles, with and without the lanes beyond 16, in bands and in pieces of them; targets large
  // enough to go past the caches.
  for (int batch : {16, 20, 32})
    for (int size : {4, 8, 12})
      for (int kernel : {1, 3, 5})
        for (int stride : {1, 2})
          conv(tests, rng, conv_problem(batch, 18, 6, size * stride, kernel, stride, kernel / 2), 0.2);
  // More than 16 lanes that are no multiple of a tile: 16 of them at a time, the last ones in part.
  for (int batch : {17, 24, 30, 47})
    for (int size : {4, 9})
      for (int kernel : {1, 3})
        for (int stride : {1, 2})
          conv(tests, rng, conv_problem(batch, 21, 6, size * stride, kernel, stride, kernel / 2), 0.2);
  conv(tests, rng, conv_problem(20, 4, 200, 16, 1, 1, 0), 0.2);
  conv(tests, rng, conv_problem(16, 3, 136, 16, 3, 1, 2, 1, 2), 0.1);
  conv(tests, rng, conv_problem(16, 20, 32, 32, 3, 1, 1), 0.02);
  conv(tests, rng, conv_problem(16, 32, 20, 32, 3, 1, 1), 0.02);
  for (int i = 0; i < tests.repeats(250, 2500); i++)
    conv(tests, rng, random_conv(rng, tests.repeats(150000, 400000), false),
         rng.pick({0.0, 0.02, 0.1, 0.1, 0.3, 0.6, 1.0}));
  for (int i = 0; i < tests.repeats(20, 200); i++) equals_dense(tests, rng, random_conv(rng, 100000, false));
  for (int batch : {1, 2, 3, 8, 10, 16, 17, 20, 30, 32, 48, 64, 80})
    for (int i = 0; i < tests.repeats(8, 60); i++)
      linear(tests, rng, batch, rng.pick({1, 3, 16, 20, 64, 160, 301, 600}), rng.pick({1, 2, 5, 10, 16, 33, 100}),
             rng.pick({0.0, 0.05, 0.2, 0.5, 1.0}));
  // Weight gradients over several reduction blocks: more than 16 chunks of 16 rows, in one group and in many; and more
  // entries of a row than are looked up at once.
  // So many rows that plans are those of a class of batches.
  for (int batch : {161, 190, 201, 257, 300, 176, 208, 272})
    for (int i = 0; i < tests.repeats(3, 12); i++) {
      ConvProblem p = random_conv(rng, 4000, false);
      p.batch = batch;
      conv(tests, rng, p, rng.pick({0.02, 0.1, 0.6}));
    }
  for (int batch : {161, 192, 257, 272, 530}) linear(tests, rng, batch, 37, 11, 0.3);
  for (int batch : {1, 7, 16, 32}) linear(tests, rng, batch, 1400, 3, 0.9);
}

}  // namespace edgecl::test
