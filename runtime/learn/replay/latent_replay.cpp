// Latent exemplars, and the step across the border.
// Never here: backward passes (they end above the border by themselves).
#include "runtime/learn/replay/latent_replay.h"

#include "runtime/core/encoder.h"
#include "runtime/learn/batch.h"
#include "runtime/learn/magnitude.h"

namespace edgecl {

Border config_border(const Plan& plan, const SessionConfig& config) {
  return config.latent_replay && learns_by_gradient(config) ? find_border(plan) : Border();
}

uint64_t exemplar_bytes(const Plan& plan, const SessionConfig& config) {
  const Border border = config_border(plan, config);
  return border.op == 0 ? sample_bytes(plan) : tensor_row_floats(plan.tensors[border.tensor]) * sizeof(float);
}

Status check_latent_replay(const Plan& plan, const SessionConfig& config) {
  if (!config.latent_replay) return Status();
  if (config.augment_crop > 0 || config.augment_flip) {
    return failure(EDGECL_E_ARGUMENT,
                   "expected augment_crop = 0 and augment_flip = 0 with latent_replay, since activations cannot be "
                   "cropped or flipped; found %u and %u; set them to 0, or latent_replay",
                   config.augment_crop, config.augment_flip ? 1u : 0u);
  }
  if (find_border(plan).op != 0) return Status();
  return failure(EDGECL_E_UNSUPPORTED,
                 "expected a bundle whose lower part, its batch norms too, is frozen up to one tensor; found none in "
                 "\"%s\"; export it with trainable=\"tail\" or \"head\", or set latent_replay = 0",
                 plan.string(plan.model->name));
}

Status cross_border(Session* session) {
  const Plan& plan = *session->plan;
  const Net net = session->learning();
  StepMemory& step = session->step;
  const uint32_t border = session->border.tensor;
  const uint64_t elements = tensor_row_floats(plan.tensors[border]);
  if (step.n_current > 0) {
    copy_rows_out(net, plan_tensor(net, border, step.n_current, Mode::kPredict), step.n_current, false, step.latents);
    for (uint32_t r = 0; r < step.n_current; r++) step.samples[r] = step.latents + r * elements;
  }
  const Tensor x = plan_tensor(net, border, step.n_rows, Mode::kLearn);
  copy_rows_in(net, reinterpret_cast<const float* const*>(step.samples), step.n_rows, x);
  if (magnitudes_within(x.data, static_cast<uint64_t>(x.size()), kLargestInput)) return Status();
  return failure(EDGECL_E_NUMERIC,
                 "expected activations of the frozen part that stay below 1e12; found a larger number, NaN or "
                 "infinity; repair or drop the sample");
}

}  // namespace edgecl
