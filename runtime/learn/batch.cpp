// Check of a batch, and the input kernel's call.
// Never here: labels, forward passes.
#include "runtime/learn/batch.h"

#include <string.h>

#include "runtime/learn/magnitude.h"
#include "runtime/learn/profile.h"

namespace edgecl {

Status check_batch(const Session& session, const Batch& batch) {
  if (batch.n == 0) return failure(EDGECL_E_ARGUMENT, "expected n_samples of at least 1; found 0; hand in a sample");
  if (batch.dtype != session.plan->input->dtype) {
    return failure(
        EDGECL_E_DTYPE,
        "expected samples of dtype %u (0 float32, 1 uint8); found %u; convert them, or export for that dtype",
        session.plan->input->dtype, batch.dtype);
  }
  if (batch.elements != session.sample_elements) {
    return failure(
        EDGECL_E_SHAPE, "expected %llu elements per sample; found %llu; reshape the samples to the bundle's input_dims",
        static_cast<unsigned long long>(session.sample_elements), static_cast<unsigned long long>(batch.elements));
  }
  if (batch.dtype != format::kInputF32) return Status();
  for (uint32_t row = 0; row < batch.n; row++) {
    if (!all_finite(static_cast<const float*>(batch.sample(session, row)), static_cast<int64_t>(batch.elements))) {
      return failure(EDGECL_E_NUMERIC,
                     "expected finite numbers; found NaN or infinity in sample %u; drop or repair the sample", row);
    }
  }
  return Status();
}

void load_input(const Session& session, const Net& net, const void* const* samples, uint32_t rows, Mode mode,
                bool augmented) {
  const ProfileScope profile(net.env, kProfileInput, 0);
  const Plan& plan = net.plan;
  InputArgs args = {};
  args.rows = samples;
  args.is_u8 = plan.input->dtype == format::kInputU8;
  args.channels_last = plan.input->channels_last != 0;
  args.y = plan_tensor(net, 0, rows, mode);
  args.scale = plan.input->scale;
  args.mean = plan.input_mean;
  args.inv_std = plan.input_inv_std;
  if (augmented) {
    args.crop_y = session.step.crop_y;
    args.crop_x = session.step.crop_x;
    args.flip = session.step.flip;
  }
  run_kernel(net, net.env.kernels->input_normalize, args);
}

namespace {

float read_float(const void* floats, uint64_t i) {  // at any address
  float x;
  memcpy(&x, static_cast<const uint8_t*>(floats) + i * sizeof x, sizeof x);
  return x;
}

// Whether no sample of bytes goes beyond the limit, as is the rule: the kernel's three rounded steps keep the order of
// raw values, so that the least and the largest stand for all.
bool all_bytes_within(const Plan& plan) {
  for (uint32_t c = 0; c < plan.tensors[0].channels; c++) {
    for (int end = 0; end < 2; end++) {
      const float scaled = static_cast<float>(end * 255) * plan.input->scale;
      const float centred = scaled - plan.input_mean[c];
      const float value = centred * plan.input_inv_std[c];
      if (!magnitudes_within(&value, 1, kLargestInput)) return false;
    }
  }
  return true;
}

}  // namespace

bool sample_within_limit(const Plan& plan, const void* sample) {
  const bool bytes = plan.input->dtype == format::kInputU8;
  const uint64_t n = sample_elements(plan), channels = plan.tensors[0].channels, pixels = n / channels;
  for (uint64_t i = 0; i < n; i++) {
    const float raw = bytes ? static_cast<float>(static_cast<const uint8_t*>(sample)[i]) : read_float(sample, i);
    const uint64_t c = plan.input->channels_last != 0 ? i % channels : i / pixels;
    const float scaled = raw * plan.input->scale;
    const float centred = scaled - plan.input_mean[c];
    const float value = centred * plan.input_inv_std[c];
    // The raw value too: a scale of 0 hides an infinity from nothing but this.
    if (!magnitudes_within(&value, 1, kLargestInput) || raw - raw != 0) return false;
  }
  return true;
}

Status check_loaded_input(const Session& session, uint32_t rows, Mode mode) {
  if (session.plan->input->dtype == format::kInputU8 && all_bytes_within(*session.plan)) return Status();
  const Tensor x = plan_tensor(session.learning(), 0, rows, mode);
  if (magnitudes_within(x.data, static_cast<uint64_t>(x.size()), kLargestInput)) return Status();
  return failure(
      EDGECL_E_NUMERIC,
      "expected samples that stay below 1e12 once normalised; found a larger number; repair or drop the sample");
}

}  // namespace edgecl
