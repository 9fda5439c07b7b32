// What follows a backward pass: is it sound, then take it over into weights and running statistics.
// Never here: passes, optimiser arithmetic (kernels).
#include "runtime/core/ops/norm.h"
#include "runtime/core/weights.h"

namespace edgecl {

bool statistics_finite(const Net& net, uint32_t rows) {
  for (uint32_t i = 0; i < net.plan.ops.n; i++) {
    const NormWork& norm = net.work.norms[i];
    if (norm.batch_var == nullptr || !follows_batch(net.plan, net.plan.ops[i], rows)) continue;
    const int64_t channels = net.plan.tensors[net.plan.ops[i].output].channels;
    if (!all_finite(norm.batch_mean, channels) || !all_finite(norm.batch_var, channels)) return false;
  }
  return true;
}

bool gradients_finite(const Net& net) {
  constexpr uint32_t kMaxParts = 64;
  uint8_t sound[kMaxParts];
  const uint32_t n_threads = net.env.parallel.n_threads, n_parts = n_threads < kMaxParts ? n_threads : kMaxParts;
  auto body = [&](uint32_t part) {
    bool finite = true;
    for (uint32_t p = 0; p < net.plan.params.n && finite; p++) {
      if (!takes_part(net.work.params[p])) continue;
      const uint64_t n = net.weights.params[p].n, begin = n * part / n_parts, end = n * (part + 1) / n_parts;
      finite = all_finite(net.work.params[p].gradient + begin, static_cast<int64_t>(end - begin));
    }
    sound[part] = finite ? 1 : 0;
  };
  net.env.parallel.run(n_parts, body);
  for (uint32_t part = 0; part < n_parts; part++) {
    if (sound[part] == 0) return false;
  }
  return true;
}

void commit_statistics(const Net& net, uint32_t rows) {
  for (uint32_t i = 0; i < net.plan.ops.n; i++) {
    const format::OpRecord& op = net.plan.ops[i];
    const NormWork& batch = net.work.norms[i];
    if (batch.batch_var == nullptr || !follows_batch(net.plan, op, rows)) continue;
    const NormWeights& norm = net.weights.norms[i];
    const float keep = 1.0f - op.momentum;
    for (uint32_t c = 0; c < net.plan.tensors[op.output].channels; c++) {
      norm.own_mean[c] = keep * norm.running_mean[c] + op.momentum * batch.batch_mean[c];
      norm.own_var[c] = keep * norm.running_var[c] + op.momentum * batch.batch_var[c];
    }
  }
  refresh_statistics(net.plan, net.weights);
}

void sgd(const Net& net, float learning_rate, float momentum, float weight_decay) {
  const int n_parts = static_cast<int>(net.env.parallel.n_threads);
  // One round of the thread pool for all parameters: most of them are small vectors.
  auto body = [&](uint32_t part) {
    for (uint32_t p = 0; p < net.plan.params.n; p++) {
      if (!takes_part(net.work.params[p])) continue;
      const ParamWeights& param = net.weights.params[p];
      net.env.kernels->sgd_update(SgdArgs{param.own, param.velocity, net.work.params[p].gradient,
                                          static_cast<int64_t>(param.n), learning_rate, momentum, weight_decay},
                                  static_cast<int>(part), n_parts, net.work.scratch + part * net.work.scratch_stride);
    }
  };
  net.env.parallel.run(static_cast<uint32_t>(n_parts), body);
}

}  // namespace edgecl
