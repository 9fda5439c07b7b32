// Forward, backward and update on small networks: finite differences, and the same bits for every split of the work.
// Never here: kernels one by one (tests/kernels), losses.
#include <math.h>

#include <algorithm>
#include <memory>

#include "runtime/bundle/bundle_reader.h"
#include "runtime/core/executor.h"
#include "runtime/core/weights.h"
#include "tests/runtime/bundle_forging.h"
#include "tests/runtime/check.h"
#include "tests/runtime/core_nets.h"
#include "tests/runtime/sentence.h"

using namespace edgecl;
using namespace edgecl_test;

// A session's memory around one plan, with a linear loss: sum over rows and classes of slope * logit.
class Runner {
 public:
  Runner(const BundleSource& source, uint32_t max_rows, const char* level = nullptr, uint32_t n_threads = 1,
         bool learning = true)
      : bundle_(written(source)), max_rows_(max_rows) {
    const Status status = read_plan(&bundle_, &plan);
    CHECK_MESSAGE(status.ok(), "%s", sentence(status).c_str());
    env.kernels = kernel_table(level);
    env.parallel.n_threads = n_threads;
    env.serial_work = 0;  // every op in parts
    env.parallel.parallel_for = [](void*, uint32_t n, void (*body)(void*, uint32_t), void* context) {
      for (uint32_t i = n; i-- > 0;) body(context, i);
    };
    const WeightOptions options = {learning, true, false, max_rows};
    Arena measuring;
    lay_out(&measuring, options);
    memory_.reset(new AlignedBytes(measuring.used()));
    memset(memory_->data(), 0xff, memory_->size());  // not-a-number wherever nobody writes
    Arena arena(memory_->data(), memory_->size());
    lay_out(&arena, options);
    CHECK(!arena.exhausted() && arena.used() == measuring.used());
    initialise_weights(plan, weights, work);
  }

  static float pattern(uint32_t a, uint32_t b) {
    return static_cast<float>((a * 2654435761u + b * 40503u + 12345u) >> 8 & 0xffff) / 32768.0f - 1.0f;
  }

  // Element (row, i) of a tensor in [G][C][H][W][L].
  static float& at(const Tensor& t, uint32_t row, int64_t i) {
    const int64_t per_row = static_cast<int64_t>(t.channels) * t.height * t.width;
    const int64_t g = row / static_cast<uint32_t>(t.lanes), lane = row % static_cast<uint32_t>(t.lanes);
    return t.data[(g * per_row + i) * t.lanes + lane];
  }

  void write_input(uint32_t rows, Mode mode, uint32_t first_row = 0) {
    const Tensor x = plan_tensor(net(), 0, rows, mode);
    for (uint32_t r = 0; r < rows; r++) {
      for (int64_t i = 0; i < x.size() / rows; i++) at(x, r, i) = pattern(first_row + r, static_cast<uint32_t>(i));
    }
  }

  // Logits of all rows, row-major.
  std::vector<float> run(uint32_t rows, Mode mode, uint32_t first_row = 0) {
    write_input(rows, mode, first_row);
    forward(net(), rows, mode);
    const Tensor y = plan_tensor(net(), plan.model->logits_tensor, rows, mode);
    std::vector<float> logits;
    for (uint32_t r = 0; r < rows; r++) {
      for (int32_t c = 0; c < y.channels; c++) logits.push_back(at(y, r, c));
    }
    return logits;
  }

  static float slope(uint32_t i) { return pattern(i, 77); }
  double loss(uint32_t rows) {
    const std::vector<float> logits = run(rows, Mode::kLearn);
    double sum = 0;
    for (size_t i = 0; i < logits.size(); i++)
      sum += static_cast<double>(slope(static_cast<uint32_t>(i))) * static_cast<double>(logits[i]);
    return sum;
  }

  void gradients(uint32_t rows) {
    run(rows, Mode::kLearn);
    const Tensor dy = plan_tensor(net(), plan.logits_gradient(), rows, Mode::kLearn);
    for (uint32_t r = 0; r < rows; r++) {
      for (int32_t c = 0; c < dy.channels; c++)
        at(dy, r, c) = slope(r * static_cast<uint32_t>(dy.channels) + static_cast<uint32_t>(c));
    }
    backward(net(), rows);
  }

  std::vector<float> all_gradients() const {
    std::vector<float> out;
    for (uint32_t p = 0; p < plan.params.n; p++) {
      const float* gradient = work.params[p].gradient;
      if (gradient) out.insert(out.end(), gradient, gradient + weights.params[p].n);
    }
    return out;
  }

  Net net() const { return {plan, weights, work, env}; }

  Plan plan;
  Weights weights;
  Workspace work;
  Environment env;

 private:
  void lay_out(Arena* arena, const WeightOptions& options) {
    lay_out_weights(arena, plan, options, &weights, &work);
    arena->begin_region("activations");
    work.activations = arena->take<float>(
        std::max(activation_floats(plan, Mode::kLearn, max_rows_), activation_floats(plan, Mode::kPredict, max_rows_)));
    arena->begin_region("scratch");
    work.scratch_stride = scratch_bytes_per_thread(plan, *env.kernels, max_rows_, options.learning, options.selection);
    work.scratch = arena->take<uint8_t>(work.scratch_stride * env.parallel.n_threads);
    arena->take<float>(kReadSlack);
  }

  AlignedBytes bundle_;
  std::unique_ptr<AlignedBytes> memory_;
  uint32_t max_rows_;
};

static bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

static double central_difference(Runner* runner, uint32_t rows, float* weight, double step) {
  const float before = *weight;
  *weight = before + static_cast<float>(step);
  const double above_at = static_cast<double>(*weight), above = runner->loss(rows);
  *weight = before - static_cast<float>(step);
  const double below_at = static_cast<double>(*weight), below = runner->loss(rows);
  *weight = before;
  return (above - below) / (above_at - below_at);
}

// Each gradient must agree with a central difference of one of several steps: a long one may cross the kink of a relu
// or of a maximum, a short one drowns in rounding, but a wrong gradient agrees with none. Judged against the
// parameter's largest gradient.
static void check_gradients(const BundleSource& source, uint32_t rows, const char* name) {
  Runner runner(source, rows);
  runner.gradients(rows);
  CHECK(gradients_finite(runner.net()));
  std::vector<std::vector<float>> analytic(runner.plan.params.n);
  for (uint32_t p = 0; p < runner.plan.params.n; p++) {
    const float* gradient = runner.work.params[p].gradient;
    if (gradient) analytic[p].assign(gradient, gradient + runner.weights.params[p].n);
  }
  for (uint32_t p = 0; p < runner.plan.params.n; p++) {
    double largest = 0.1;
    for (float g : analytic[p]) largest = std::max(largest, std::fabs(static_cast<double>(g)));
    for (size_t i = 0; i < analytic[p].size(); i += kSweepStep) {
      double best = 1e9;
      for (double step : {4e-3, 1e-3, 3e-4, 1e-4, 3e-5}) {
        const double numeric = central_difference(&runner, rows, &runner.weights.params[p].own[i], step);
        best = std::min(best, std::fabs(numeric - static_cast<double>(analytic[p][i])) / largest);
        if (best < 0.005) break;
      }
      CHECK_MESSAGE(best < 0.02, "%s, %u rows, param %u '%s', entry %zu: gradient %g, relative error %.4f", name, rows,
                    p, runner.plan.string(runner.plan.params[p].name), i, static_cast<double>(analytic[p][i]), best);
    }
  }
}

// Uses of a shared parameter at each place of each kind that may have one, each use on another input.
static BundleSource shared_net(float density) {
  NetBuilder net(11);
  uint32_t x = net.input(4, 5, 6);
  NetBuilder::ConvOptions conv, depthwise;
  conv.bias = depthwise.bias = true;
  conv.density = density;
  depthwise.groups = 4;
  std::vector<size_t> twice;
  auto used_again = [&](uint32_t y) {
    twice.push_back(net.source.ops.size() - 1);
    return y;
  };
  x = used_again(net.conv(x, 4, conv));
  x = used_again(net.conv(x, 4, depthwise));
  x = used_again(net.layer_norm(x, true, true, true));
  x = used_again(net.group_norm(x, 2));
  x = used_again(net.batch_norm(x, Activation::kNone));
  const size_t repeats[] = {twice[0], twice[3], twice[1], twice[2], twice[0], twice[4]};
  for (const size_t again : repeats) {
    SourceOp copy = net.source.ops[again];
    const SourceTensor shape = net.source.tensors[copy.output];
    x = net.activation(x, Activation::kTanh);
    copy.name += " again" + std::to_string(net.source.ops.size());
    copy.inputs = {x};
    copy.output = x = net.tensor("again", shape.channels, shape.height, shape.width);
    net.source.ops.push_back(copy);
  }
  x = net.linear(net.flatten(x), 12, density);
  for (int use = 0; use < 3; use++) {
    SourceOp copy = net.source.ops[net.source.ops.size() - 1];
    if (use == 0) {  // from 12 to 12, so that it may follow itself
      x = net.linear(net.activation(x, Activation::kTanh), 12, density);
      continue;
    }
    copy.inputs = {net.activation(x, Activation::kSigmoid)};
    copy.output = x = net.tensor("again", 12, 1, 1);
    net.source.ops.push_back(copy);
  }
  net.finish(net.linear(x, 3), x);
  return net.source;
}

TEST(gradients_of_shared_parameters) {
  for (float density : {1.0f, 0.4f}) {
    const BundleSource source = shared_net(density);
    AlignedBytes bytes(written(source));
    Plan plan;
    CHECK(read_plan(&bytes, &plan).ok() && plan.shared.n == 8);
    for (uint32_t rows : {5u, 16u}) check_gradients(source, rows, "shared");
  }
}

static std::string text_of_cell(int cell, bool reverse) {
  return "cell " + std::to_string(cell) + (reverse ? ", reverse" : "");
}

TEST(gradients_of_residual_net) {
  for (uint32_t rows : {5u, 16u}) check_gradients(residual_net(), rows, "residual");
}
TEST(gradients_of_all_kinds_net) {
  for (uint32_t rows : {3u, 16u}) check_gradients(all_kinds_net(), rows, "all kinds");
}
TEST(gradients_of_every_recurrent_cell) {
  for (int cell = 0; cell < kRecurrentCells; cell++) {
    for (bool reverse : {false, true}) {
      NetBuilder net(static_cast<uint64_t>(cell) + 3);
      uint32_t x = net.recurrent(net.input(3, 1, 5), 4, static_cast<RecurrentCell>(cell), reverse);
      x = net.flatten(net.recurrent(x, 3, static_cast<RecurrentCell>(cell), !reverse, false));
      net.finish(net.linear(x, 3), x);
      check_gradients(net.source, 5, text_of_cell(cell, reverse).c_str());
    }
  }
}
// What the tests of a single network show holds for every operator of the list.
TEST(all_kinds_net_has_every_operator) {
  const BundleSource source = all_kinds_net();
  for (uint32_t kind = 1; kind <= format::kOpKinds; kind++) {
    bool found = false;
    for (const SourceOp& op : source.ops) found = found || op.kind == kind;
    CHECK_MESSAGE(found, "all_kinds_net has no %s: add one", op_kind_name(kind));
  }
}
TEST(gradients_of_random_nets) {
  for (uint64_t seed = 0; seed < 24; seed++) check_gradients(random_net(seed), 4, std::to_string(seed).c_str());
}

TEST(same_bits_for_every_level_and_thread_count) {
  const char* levels[8];
  const int n_levels = kernel_levels(levels, 8);
  for (const BundleSource& source : {residual_net(), all_kinds_net(), shared_net(1), shared_net(0.4f)}) {
    for (uint32_t rows : {1u, 7u, 32u}) {
      Runner reference(source, 32, "reference");
      reference.gradients(rows);
      const std::vector<float> gradients = reference.all_gradients(), logits = reference.run(rows, Mode::kPredict);
      for (int level = 0; level < n_levels; level++) {
        for (uint32_t n_threads : {1u, 3u}) {
          Runner other(source, 32, levels[level], n_threads);
          other.gradients(rows);
          CHECK_MESSAGE(same_bits(other.all_gradients(), gradients), "gradients: level %s, %u parts, %u rows",
                        levels[level], n_threads, rows);
          CHECK_MESSAGE(same_bits(other.run(rows, Mode::kPredict), logits), "logits: level %s, %u parts, %u rows",
                        levels[level], n_threads, rows);
        }
      }
    }
  }
}

TEST(a_prediction_does_not_depend_on_its_batch) {
  for (const BundleSource& source : {residual_net(), all_kinds_net(), random_net(5)}) {
    Runner runner(source, 32, nullptr, 1, false);
    const std::vector<float> batch = runner.run(32, Mode::kPredict);
    const size_t n_classes = batch.size() / 32;
    for (uint32_t rows : {1u, 5u, 16u}) {
      const std::vector<float> piece = runner.run(rows, Mode::kPredict, 3);
      CHECK(memcmp(piece.data(), batch.data() + 3 * n_classes, piece.size() * sizeof(float)) == 0);
    }
  }
}

TEST(statistics_wait_for_commit) {
  Runner runner(residual_net(), 16);
  const std::vector<float> before = runner.run(16, Mode::kPredict);
  runner.gradients(16);
  CHECK(same_bits(runner.run(16, Mode::kPredict), before));
  const NormWeights norm = runner.weights.norms[1];
  const float mean = norm.running_mean[0], var = norm.running_var[0];

  // The batch statistics of channel 0, recomputed from the convolution's output.
  runner.run(16, Mode::kLearn);
  const Tensor x = plan_tensor(runner.net(), runner.plan.ops[0].output, 16, Mode::kLearn);
  double sum = 0, squares = 0;
  const int n = 16 * 36;
  for (int64_t i = 0; i < 36 * 16; i++) sum += static_cast<double>(x.data[i]);
  for (int64_t i = 0; i < 36 * 16; i++) squares += pow(static_cast<double>(x.data[i]) - sum / n, 2);
  commit_statistics(runner.net(), 16);
  CHECK(fabs(static_cast<double>(norm.running_mean[0]) - (0.9 * static_cast<double>(mean) + 0.1 * sum / n)) < 1e-5);
  CHECK(fabs(static_cast<double>(norm.running_var[0]) - (0.9 * static_cast<double>(var) + 0.1 * squares / (n - 1))) <
        1e-5);
  CHECK(norm.running_rstd[0] == 1.0f / sqrtf(norm.running_var[0] + 1e-5f));
  CHECK(!same_bits(runner.run(16, Mode::kPredict), before));
}

TEST(sgd_steps_lower_the_loss_and_keep_frozen_weights) {
  const BundleSource source = all_kinds_net();
  Runner runner(source, 16);
  std::vector<float> frozen;
  for (uint32_t p = 0; p < runner.plan.params.n; p++) {
    if (!runner.plan.params[p].trainable)
      frozen.insert(frozen.end(), runner.weights.params[p].value,
                    runner.weights.params[p].value + runner.weights.params[p].n);
  }
  const double before = runner.loss(16);
  for (int step = 0; step < 5; step++) {
    runner.gradients(16);
    sgd(runner.net(), 1e-3f, 0.9f, 0.0f);
  }
  CHECK(runner.loss(16) < before);
  std::vector<float> after;
  for (uint32_t p = 0; p < runner.plan.params.n; p++) {
    if (!runner.plan.params[p].trainable)
      after.insert(after.end(), runner.weights.params[p].value,
                   runner.weights.params[p].value + runner.weights.params[p].n);
  }
  CHECK(same_bits(after, frozen));
  // Back to the bundle.
  initialise_weights(runner.plan, runner.weights, runner.work);
  CHECK(runner.loss(16) == before);
}

// One row of vectors has no spread: a batch norm goes by its running statistics, which stay.
TEST(a_single_value_is_normalised_by_running_statistics) {
  NetBuilder net(1);
  uint32_t x = net.linear(net.input(6, 1, 1), 8);
  x = net.batch_norm(x, edgecl::Activation::kRelu);
  net.finish(net.linear(x, 3), x);
  Runner runner(net.source, 16);
  CHECK(same_bits(runner.run(1, Mode::kLearn), runner.run(1, Mode::kPredict)));
  CHECK(!same_bits(runner.run(2, Mode::kLearn), runner.run(2, Mode::kPredict)));
  const NormWeights norm = runner.weights.norms[1];
  const std::vector<float> mean(norm.running_mean, norm.running_mean + 8);
  runner.gradients(1);
  CHECK(gradients_finite(runner.net()) && statistics_finite(runner.net(), 1));
  commit_statistics(runner.net(), 1);
  CHECK(same_bits(mean, std::vector<float>(norm.running_mean, norm.running_mean + 8)));
  runner.gradients(2);
  commit_statistics(runner.net(), 2);
  CHECK(!same_bits(mean, std::vector<float>(norm.running_mean, norm.running_mean + 8)));
}

TEST(non_finite_gradients_are_seen) {
  for (uint32_t n_threads : {1u, 4u}) {
    Runner runner(residual_net(), 16, nullptr, n_threads);
    runner.gradients(16);
    CHECK(gradients_finite(runner.net()));
    for (uint32_t p = 0; p < runner.plan.params.n; p++) {
      float* const gradient = runner.work.params[p].gradient;
      if (gradient == nullptr) continue;
      const uint64_t last = runner.weights.params[p].n - 1;
      const float good = gradient[last];
      gradient[last] = INFINITY;
      CHECK(!gradients_finite(runner.net()));
      gradient[last] = good;
    }
    CHECK(statistics_finite(runner.net(), 16));
    runner.work.norms[1].batch_var[0] = NAN;
    CHECK(!statistics_finite(runner.net(), 16));
  }
}

TEST(profiler_sees_every_op) {
  struct Log {
    uint64_t now = 0, macs = 0;
    uint32_t forward_ops = 0, backward_ops = 0;
  } log;
  Runner runner(residual_net(), 16);
  runner.env.hook_user = &log;
  runner.env.now_us = [](void* user) { return ++static_cast<Log*>(user)->now; };
  runner.env.profiler.user = &log;
  runner.env.profiler.event = [](void* user, uint32_t, uint32_t pass, uint64_t begin, uint64_t end, uint64_t macs) {
    Log* all = static_cast<Log*>(user);
    (pass == 0 ? all->forward_ops : all->backward_ops)++;
    all->macs += macs;
    CHECK(end == begin + 1);
  };
  runner.gradients(16);
  CHECK(log.forward_ops == runner.plan.ops.n && log.backward_ops == runner.plan.backward.n);
  CHECK(log.macs == 16 * (runner.plan.model->macs_forward_sparse + runner.plan.model->macs_backward_sparse));
}

TEST(rows_that_fit_32_bit_indices) {
  Runner runner(residual_net(), 1);
  CHECK(rows_fit(runner.plan, 1) && rows_fit(runner.plan, 1000000) && !rows_fit(runner.plan, 1ull << 31));
}

RUN_TESTS()
