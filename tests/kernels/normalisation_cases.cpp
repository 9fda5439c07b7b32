// Cases of batch, group, layer and L2 normalisation.
// Never here: other kernels.
#include <float.h>
#include <math.h>

#include "tests/kernels/shapes.h"

namespace edgecl::test {
namespace {

struct NormProblem {
  int batch, channels, height, width;
};

// Makes y what the forward pass gives without a residual; returns its beta.
const float* output_of_forward(Case& c, const BatchNormBackwardArgs& a) {
  const float* beta = c.floats(a.x.channels);
  BatchNormForwardArgs forward = {};
  forward.x = a.x;
  forward.y = a.y;
  forward.gamma = a.gamma;
  forward.beta = beta;
  forward.mean = a.mean;
  forward.rstd = a.rstd;
  forward.activation = a.activation;
  kernel_table("reference")->batch_norm_forward(forward, 0, 1, nullptr);
  return beta;
}

void batch_norm(Tests& tests, Rng& rng, const NormProblem& p) {
  const bool frozen = rng.chance(0.3);
  const ActivationSpec activation = random_fused_activation(rng);
  const std::string name = text("batch %d, %d channels, %dx%d, frozen %d, activation %d", p.batch, p.channels, p.height,
                                p.width, frozen, static_cast<int>(activation.kind));
  {
    Case c(rng);
    BatchNormForwardArgs args = {};
    args.x = c.tensor(p.batch, p.channels, p.height, p.width);
    args.y = c.output_shape(p.batch, p.channels, p.height, p.width);
    args.gamma = c.floats(p.channels);
    args.beta = c.floats(p.channels);
    args.eps = 1e-5f;
    args.activation = activation;
    if (rng.chance(0.5)) args.residual = c.floats(args.x.size());
    c.output(args.y);
    if (frozen) {
      args.mean = c.floats(p.channels);
      args.rstd = c.floats(p.channels, 0.5f, 2.0f);
    } else {
      c.output(&args.batch_mean, p.channels);
      c.output(&args.batch_rstd, p.channels);
      c.output(&args.batch_var_unbiased, p.channels);
    }
    CHECK_KERNEL(tests, c, batch_norm_forward, args, name);
  }
  {
    Case c(rng);
    BatchNormBackwardArgs args = {};
    args.x = c.tensor(p.batch, p.channels, p.height, p.width);
    args.y = c.tensor(p.batch, p.channels, p.height, p.width);
    args.dy = c.tensor(p.batch, p.channels, p.height, p.width);
    args.dx = c.output_shape(p.batch, p.channels, p.height, p.width);
    args.gamma = c.floats(p.channels);
    args.mean = c.floats(p.channels);
    args.rstd = c.floats(p.channels, 0.5f, 2.0f);
    args.frozen = frozen;
    args.activation = activation;
    if (rng.chance(0.5)) args.beta = output_of_forward(c, args);
    args.accumulate_dx = rng.chance(0.3);
    args.accumulate_residual = rng.chance(0.3);
    if (rng.chance(0.8)) c.output(args.dx);
    if (rng.chance(0.8)) c.output(&args.dgamma, p.channels);
    if (rng.chance(0.8)) c.output(&args.dbeta, p.channels);
    if (rng.chance(0.5)) c.output(&args.dresidual, args.x.size());
    CHECK_KERNEL(tests, c, batch_norm_backward, args, name);
  }
  {  // in place: dx is dy's memory
    Case c(rng);
    BatchNormBackwardArgs args = {};
    args.x = c.tensor(p.batch, p.channels, p.height, p.width);
    args.y = c.tensor(p.batch, p.channels, p.height, p.width);
    args.dy = args.dx = c.output_shape(p.batch, p.channels, p.height, p.width);
    args.gamma = c.floats(p.channels);
    args.mean = c.floats(p.channels);
    args.rstd = c.floats(p.channels, 0.5f, 2.0f);
    args.frozen = frozen;
    args.activation = activation;
    c.also(c.output(&args.dx.data, args.dx.size()), &args.dy.data);
    c.output(&args.dgamma, p.channels);
    CHECK_KERNEL(tests, c, batch_norm_backward, args, name + ", in place");
  }
}

void group_norm(Tests& tests, Rng& rng, const NormProblem& p, int n_groups) {
  const ActivationSpec activation = random_fused_activation(rng);
  const std::string name = text("batch %d, %d channels in %d groups, %dx%d, activation %d", p.batch, p.channels,
                                n_groups, p.height, p.width, static_cast<int>(activation.kind));
  const int64_t statistics = static_cast<int64_t>(n_groups) * p.batch;
  {
    Case c(rng);
    GroupNormForwardArgs args = {c.tensor(p.batch, p.channels, p.height, p.width),
                                 c.output_shape(p.batch, p.channels, p.height, p.width),
                                 c.floats(p.channels),
                                 c.floats(p.channels),
                                 n_groups,
                                 1e-5f,
                                 nullptr,
                                 nullptr,
                                 activation};
    c.output(args.y);
    c.output(&args.mean, statistics);
    c.output(&args.rstd, statistics);
    CHECK_KERNEL(tests, c, group_norm_forward, args, name);
  }
  {
    Case c(rng);
    GroupNormBackwardArgs args = {};
    args.x = c.tensor(p.batch, p.channels, p.height, p.width);
    args.y = c.tensor(p.batch, p.channels, p.height, p.width);
    args.dy = c.tensor(p.batch, p.channels, p.height, p.width);
    args.dx = c.output_shape(p.batch, p.channels, p.height, p.width);
    args.gamma = c.floats(p.channels);
    args.n_groups = n_groups;
    args.mean = c.floats(statistics);
    args.rstd = c.floats(statistics, 0.5f, 2.0f);
    args.accumulate_dx = rng.chance(0.3);
    args.activation = activation;
    if (rng.chance(0.8)) c.output(args.dx);
    if (rng.chance(0.8)) c.output(&args.dgamma, p.channels);
    if (rng.chance(0.8)) c.output(&args.dbeta, p.channels);
    CHECK_KERNEL(tests, c, group_norm_backward, args, name);
  }
}

// Columns (channels of one position) of three kinds: as they come, zero, and with a norm below epsilon.
void mix_columns(Rng& rng, const Tensor& x, float eps) {
  const int64_t plane = x.plane();
  for (int64_t g = 0; g < x.groups; g++)
    for (int64_t k = 0; k < plane; k++) {
      const float factor = rng.pick({1.0f, 1.0f, 1.0f, 1.0f, 0.0f, 0.01f * eps});
      for (int64_t c = 0; c < x.channels; c++) x.data[(g * x.channels + c) * plane + k] *= factor;
    }
}

void l2_normalize(Tests& tests, Rng& rng, const NormProblem& p) {
  const float eps = rng.pick({1e-12f, 1e-3f, FLT_MIN});
  const std::string name = text("batch %d, %d channels, %dx%d, epsilon %g", p.batch, p.channels, p.height, p.width,
                                static_cast<double>(eps));
  {
    Case c(rng);
    L2NormalizeForwardArgs args = {c.tensor(p.batch, p.channels, p.height, p.width),
                                   c.output_shape(p.batch, p.channels, p.height, p.width), eps};
    mix_columns(rng, args.x, eps);
    c.output(args.y);
    CHECK_KERNEL(tests, c, l2_normalize_forward, args, name);
  }
  {
    Case c(rng);
    L2NormalizeBackwardArgs args = {c.tensor(p.batch, p.channels, p.height, p.width),
                                    c.tensor(p.batch, p.channels, p.height, p.width),
                                    c.output_shape(p.batch, p.channels, p.height, p.width), eps, rng.chance(0.3)};
    mix_columns(rng, args.x, eps);
    c.output(args.dx);
    CHECK_KERNEL(tests, c, l2_normalize_backward, args, name);
  }
}

// A zero row gives zeros, and its gradient is dy / epsilon; a row that holds a NaN is NaN throughout, and its
// neighbours are not touched by it.
void l2_normalize_of_odd_rows(Tests& tests, const KernelTable& t) {
  constexpr int kRows = 3, kChannels = 5;
  float x[kRows * kChannels + kReadSlack] = {}, dy[kRows * kChannels + kReadSlack] = {}, y[kRows * kChannels],
                              dx[kRows * kChannels];
  for (int c = 0; c < kChannels; c++) {
    x[c * kRows + 1] = c == 2 ? NAN : 1.0f;
    x[c * kRows + 2] = c == 4 ? -2.0f : 0.0f;
    for (int r = 0; r < kRows; r++) dy[c * kRows + r] = 0.25f * static_cast<float>(c + 1);
  }
  const Tensor shape = {nullptr, 1, kChannels, 1, 1, kRows};
  const auto with = [&](float* data) { return Tensor{data, 1, shape.channels, 1, 1, shape.lanes}; };
  constexpr float kEps = 0x1p-20f;
  const L2NormalizeForwardArgs forward = {with(x), with(y), kEps};
  const L2NormalizeBackwardArgs backward = {with(x), with(dy), with(dx), kEps, false};
  std::vector<float> scratch(t.l2_normalize_backward_scratch_bytes(backward) / sizeof(float) + 16);
  float* aligned = scratch.data() + (64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64) % 64 / sizeof(float);
  t.l2_normalize_forward(forward, 0, 1, aligned);
  t.l2_normalize_backward(backward, 0, 1, aligned);
  bool ok = true;
  for (int c = 0; c < kChannels; c++) {
    const int i = c * kRows;
    ok = ok && y[i] == 0.0f && dx[i] == dy[i] * 0x1p20f;
    ok = ok && y[i + 1] != y[i + 1] && dx[i + 1] != dx[i + 1];
    ok = ok && y[i + 2] == (c == 4 ? -1.0f : 0.0f) && dx[i + 2] == (c == 4 ? 0.0f : dy[i + 2] * 0.5f);
  }
  tests.expect(ok, text("l2_normalize of a zero row, a NaN and one axis, level %s", t.level));
}

void layer_norm(Tests& tests, Rng& rng, const NormProblem& p) {
  const bool centred = rng.chance(0.6);
  const std::string name = text("batch %d, %d channels, %dx%d%s", p.batch, p.channels, p.height, p.width,
                                centred ? "" : ", without the mean");
  const int64_t columns = static_cast<int64_t>(p.batch) * p.height * p.width;
  {
    Case c(rng);
    LayerNormForwardArgs args = {c.tensor(p.batch, p.channels, p.height, p.width),
                                 c.output_shape(p.batch, p.channels, p.height, p.width),
                                 rng.chance(0.7) ? c.floats(p.channels) : nullptr,
                                 rng.chance(0.7) ? c.floats(p.channels) : nullptr,
                                 1e-5f,
                                 centred,
                                 nullptr,
                                 nullptr};
    c.output(args.y);
    if (rng.chance(0.7)) {
      c.output(&args.mean, columns);
      c.output(&args.rstd, columns);
    }
    CHECK_KERNEL(tests, c, layer_norm_forward, args, name);
  }
  {
    Case c(rng);
    LayerNormBackwardDataArgs args = {};
    args.x = c.tensor(p.batch, p.channels, p.height, p.width);
    args.dy = c.tensor(p.batch, p.channels, p.height, p.width);
    args.dx = c.output_shape(p.batch, p.channels, p.height, p.width);
    if (rng.chance(0.7)) args.gamma = c.floats(p.channels);
    if (centred) args.mean = c.floats(columns);
    args.rstd = c.floats(columns, 0.5f, 2.0f);
    args.centred = centred;
    args.accumulate = rng.chance(0.3);
    c.output(args.dx);
    CHECK_KERNEL(tests, c, layer_norm_backward_data, args, name);
  }
  {
    Case c(rng);
    LayerNormBackwardWeightArgs args = {};
    args.x = c.tensor(p.batch, p.channels, p.height, p.width);
    args.dy = c.tensor(p.batch, p.channels, p.height, p.width);
    if (centred) args.mean = c.floats(columns);
    args.rstd = c.floats(columns, 0.5f, 2.0f);
    args.centred = centred;
    const bool gamma = rng.chance(0.8);
    if (gamma) c.output(&args.dgamma, p.channels);
    if (!gamma || rng.chance(0.8)) c.output(&args.dbeta, p.channels);
    CHECK_KERNEL(tests, c, layer_norm_backward_weight, args, name);
  }
}

}  // namespace

void normalisation_cases(Tests& tests) {
  Rng rng(0xb2);
  for (int i = 0; i < tests.repeats(300, 2000); i++) {
    const NormProblem p = {random_batch(rng), rng.pick({1, 2, 3, 7, 8}), rng.pick({1, 2, 3, 5, 8, 13}),
                           rng.pick({1, 2, 3, 4, 7, 9})};
    batch_norm(tests, rng, p);
  }
  for (int i = 0; i < tests.repeats(300, 2000); i++) {
    const int n_groups = rng.pick({1, 2, 3, 4}), per_group = rng.pick({1, 2, 3, 5});
    const NormProblem p = {random_batch(rng), n_groups * per_group, rng.pick({1, 2, 3, 5, 8}),
                           rng.pick({1, 2, 3, 4, 7, 9})};
    group_norm(tests, rng, p, n_groups);
  }
  for (int i = 0; i < tests.repeats(300, 2000); i++) {
    const bool vector = rng.chance(0.4);  // as embeddings are
    const NormProblem p = {random_batch(rng), rng.pick({1, 2, 5, 15, 16, 17, 31, 40, 130}),
                           vector ? 1 : rng.pick({1, 2, 3, 5, 8}), vector ? 1 : rng.pick({1, 2, 3, 4, 7, 9})};
    l2_normalize(tests, rng, p);
    layer_norm(tests, rng, p);
  }
  const char* names[8];
  for (int i = 0; i < kernel_levels(names, 8); i++) l2_normalize_of_odd_rows(tests, *kernel_table(names[i]));
}

}  // namespace edgecl::test
