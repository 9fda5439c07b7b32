// How much scratch memory a thread needs, for any kernel that a session may call.
// Never here: the kernels' own formulas.
#include "runtime/core/arena.h"
#include "runtime/core/executor.h"
#include "runtime/core/executor_ops.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

struct Measure {
  const ScratchTable& kernels;
  uint64_t bytes = 0;

  void add(uint64_t need) {
    if (need > bytes) bytes = need;
  }
  KernelVisitor visitor() {
    return {this, [](void* user, const KernelCall& call) {
              Measure& measure = *static_cast<Measure*>(user);
              measure.add(call.scratch_bytes(measure.kernels, call.args));
            }};
  }
};

// Kernels that the layer above calls by itself: input, losses, update.
void measure_surroundings(const Pass& pass, bool learning, Measure* measure) {
  const ScratchTable& kernels = measure->kernels;
  const Tensor x = pass.tensor(pass.net.plan.model->input_tensor);
  measure->add(
      kernels.input_normalize_scratch_bytes(InputArgs{nullptr, true, pass.net.plan.input->channels_last != 0, x, 1.0f,
                                                      Pass::unmapped(), Pass::unmapped(), nullptr, nullptr, nullptr}));
  if (!learning) return;
  const Tensor logits = pass.tensor(pass.net.plan.model->logits_tensor);
  const int32_t rows = static_cast<int32_t>(pass.rows);
  measure->add(kernels.cross_entropy_scratch_bytes(
      CrossEntropyArgs{logits, logits, nullptr, nullptr, 0, rows, 1.0f, Pass::unmapped()}));
  measure->add(kernels.logits_mse_scratch_bytes(
      LogitsMseArgs{logits, logits, nullptr, nullptr, 0, rows, 1.0f, Pass::unmapped()}));
}

}  // namespace

uint64_t scratch_bytes_per_thread(const Plan& plan, const ScratchTable& kernels, uint32_t max_rows, bool learning,
                                  bool masked) {
  const Weights no_weights;
  const Workspace no_work;
  const Environment no_environment;
  const Net shapes_only = {plan, no_weights, no_work, no_environment};
  Measure measure = {kernels};
  const KernelVisitor visitor = measure.visitor();
  for (uint32_t rows = next_row_count(0, max_rows); rows != 0; rows = next_row_count(rows, max_rows)) {
    const Pass predict = {shapes_only, rows, Mode::kPredict};
    measure_surroundings(predict, learning, &measure);
    for (uint32_t i = 0; i < plan.ops.n; i++) visit_forward(predict, i, visitor);
    if (!learning) continue;
    const Pass learn = {shapes_only, rows, Mode::kLearn, masked};
    for (uint32_t i = 0; i < plan.ops.n; i++) {
      if (op_rule(plan.ops[i].kind)->follows_batch) visit_forward(learn, i, visitor);  // what depends on the mode
    }
    for (const format::BackwardRecord& record : plan.backward) visit_backward(learn, record, visitor);
  }
  if (learning) {
    for (const format::ParamRecord& param : plan.params) {
      if (param.trainable == 0) continue;
      measure.add(kernels.sgd_update_scratch_bytes(SgdArgs{Pass::unmapped(), Pass::unmapped(), Pass::unmapped(),
                                                           static_cast<int64_t>(param_stored(param)), 0, 0, 0}));
    }
  }
  return (measure.bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

}  // namespace edgecl
