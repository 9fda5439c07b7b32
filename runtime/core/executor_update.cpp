// What follows a backward pass: is it sound, then take it over into weights and running statistics.
// Never here: passes, optimiser arithmetic (kernels).
#include "runtime/core/executor.h"

namespace edgecl {

bool gradients_finite(const Plan& plan, const Buffers& buffers) {
  constexpr uint32_t kMaxParts = 64;
  uint8_t sound[kMaxParts];
  const uint32_t n_parts = buffers.parallel.n_threads < kMaxParts ? buffers.parallel.n_threads : kMaxParts;
  auto body = [&](uint32_t part) {
    bool finite = true;
    for (uint32_t p = 0; p < plan.params.n && finite; p++) {
      const ParamBuffers& param = buffers.params[p];
      if (param.gradient == nullptr || param.rests) continue;
      const uint64_t begin = param.n * part / n_parts, end = param.n * (part + 1) / n_parts;
      finite = all_finite(param.gradient + begin, static_cast<int64_t>(end - begin));
    }
    for (uint32_t i = part; i < plan.ops.n && finite; i += n_parts) {
      if (plan.ops[i].kind != format::kOpBatchNorm || buffers.norms[i].batch_mean == nullptr) continue;
      const int64_t channels = plan.tensors[plan.ops[i].output].channels;
      finite = all_finite(buffers.norms[i].batch_mean, channels) && all_finite(buffers.norms[i].batch_var, channels);
    }
    sound[part] = finite ? 1 : 0;
  };
  buffers.parallel.run(n_parts, body);
  for (uint32_t part = 0; part < n_parts; part++) {
    if (sound[part] == 0) return false;
  }
  return true;
}

void commit_statistics(const Plan& plan, Buffers* buffers) {
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    const format::OpRecord& op = plan.ops[i];
    const NormBuffers& norm = buffers->norms[i];
    if (op.kind != format::kOpBatchNorm || norm.batch_mean == nullptr) continue;
    const float keep = 1.0f - op.momentum;
    for (uint32_t c = 0; c < plan.tensors[op.output].channels; c++) {
      norm.running_mean[c] = keep * norm.running_mean[c] + op.momentum * norm.batch_mean[c];
      norm.running_var[c] = keep * norm.running_var[c] + op.momentum * norm.batch_var[c];
    }
  }
  refresh_statistics(plan, buffers);
}

void sgd(const Plan& plan, const Buffers& buffers, float learning_rate, float momentum, float weight_decay) {
  const int n_parts = static_cast<int>(buffers.parallel.n_threads);
  // One round of the thread pool for all parameters: most of them are small vectors.
  auto body = [&](uint32_t part) {
    for (uint32_t p = 0; p < plan.params.n; p++) {
      const ParamBuffers& param = buffers.params[p];
      if (param.gradient == nullptr || param.rests) continue;
      buffers.kernels->sgd_update(SgdArgs{param.value, param.velocity, param.gradient, static_cast<int64_t>(param.n),
                                          learning_rate, momentum, weight_decay},
                                  static_cast<int>(part), n_parts, buffers.scratch + part * buffers.scratch_stride);
    }
  };
  buffers.parallel.run(static_cast<uint32_t>(n_parts), body);
}

}  // namespace edgecl
