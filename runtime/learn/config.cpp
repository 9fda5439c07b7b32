// Default configuration of a bundle, and the check of a configuration.
// Never here: sizes and memory (session.cpp).
#include "runtime/learn/config.h"

#include "runtime/adapt/domains.h"
#include "runtime/core/executor.h"
#include "runtime/core/recipe.h"
#include "runtime/heads/head.h"
#include "runtime/heads/statistics_head.h"
#include "runtime/learn/methods/method.h"
#include "runtime/learn/replay/latent_replay.h"
#include "runtime/learn/sparsity/structure.h"
#include "runtime/novelty/novelty.h"

namespace edgecl {
namespace {

Status check_range(const char* field, uint32_t value, uint32_t low, uint32_t high) {
  if (value >= low && value <= high) return Status();
  return failure(EDGECL_E_ARGUMENT, "expected %s in %u..%u; found %u; set it within the range", field, low, high,
                 value);
}

}  // namespace

uint64_t sample_elements(const Plan& plan) {
  uint64_t n = 1;
  for (uint32_t i = 0; i < plan.input->rank; i++) n *= plan.input->dims[i];
  return n;
}

uint64_t sample_bytes(const Plan& plan) {
  return sample_elements(plan) * (plan.input->dtype == format::kInputU8 ? 1 : sizeof(float));
}

bool learns_by_gradient(const SessionConfig& config) {
  return !config.predict_only && head_kind(config.head)->by_gradient;
}

SessionConfig default_config(const Plan& plan) {
  SessionConfig config = {};
  static_cast<format::RecipeRecord&>(config) = *plan.recipe;
  config.max_batch = plan.recipe->batch_size;
  config.n_threads = 1;
  config.max_classes = plan.model->class_capacity;
  config.predict_only = plan.logits_gradient() == format::kNone && head_kind(config.head)->by_gradient;
  return config;
}

Status check_config(const Plan& plan, const SessionConfig& config) {
  EDGECL_RETURN_IF_FAILED(check_recipe(config));
  EDGECL_RETURN_IF_FAILED(check_built(config));
  EDGECL_RETURN_IF_FAILED(check_range("max_batch", config.max_batch, 1, format::kMaxRows));
  EDGECL_RETURN_IF_FAILED(check_range("n_threads", config.n_threads, 1, kMaxThreads));
  EDGECL_RETURN_IF_FAILED(check_range("max_classes", config.max_classes, 1, plan.model->class_capacity));
  const HeadKind* head = head_kind(config.head);
  EDGECL_RETURN_IF_FAILED(head->check(plan));
  if (config.novelty == kNoveltyRmds && (head->readout == nullptr || head->readout->moments == Moments::kNone)) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a head that keeps second moments for novelty = rmds; found another one; set head = lda, "
                   "ridge or fecam, or another score");
  }
  if (config.feature_root != 0 && config.head != kHeadFecam) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected head = fecam for feature_root = 1; found another one; set that head, or feature_root = 0");
  }
  if (config.head == kHeadCosine && config.method == format::kMethodUer) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected head = gradient for the method uer, whose cosines are of current rows alone; found head = "
                   "cosine; set head = gradient, or another method");
  }
  if (config.novelty == kNoveltyHd && config.head != kHeadHd) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected head = hd for novelty = hd; found another one; set that head, or another score");
  }
  if (plan.classes.n > 0) {
    const format::ClassRecord& last = plan.classes[plan.classes.n - 1];
    if (last.label >= config.max_classes) {
      return failure(
          EDGECL_E_CAPACITY,
          "expected max_classes above every label of the bundle; found max_classes %u and label %u; raise it",
          config.max_classes, last.label);
    }
  }
  EDGECL_RETURN_IF_FAILED(check_domains(plan, config));
  if (config.novelty == kNoveltyFit && config.max_domains == 0) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected max_domains above 0 for novelty = fit; found 0; set both, or another score");
  }
  if (config.max_domains > 0 && config.novelty == kNoveltyRmds) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected another score than rmds with max_domains above 0, since fits of domains take its place; "
                   "found rmds; set novelty = none");
  }
  if (!rows_fit(plan, config_step_rows(config))) {
    return failure(
        EDGECL_E_CAPACITY,
        "expected tensors below 2^31 numbers; found more with the %u rows of a step; lower max_batch or replay_batch",
        config_step_rows(config));
  }
  if (!learns_by_gradient(config)) return Status();
  if (plan.logits_gradient() == format::kNone) {
    return failure(
        EDGECL_E_UNSUPPORTED,
        "expected a bundle with trainable parameters; found none in \"%s\"; set predict_only = 1 or export it "
        "with a trainable part",
        plan.string(plan.model->name));
  }
  if ((config.augment_crop || config.augment_flip) && plan.input->rank != 3) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected samples of rank 3 for augment_crop and augment_flip; found rank %u; set both to 0",
                   plan.input->rank);
  }
  EDGECL_RETURN_IF_FAILED(check_latent_replay(plan, config));
  const Method& method = method_of(config);
  if (method.check) EDGECL_RETURN_IF_FAILED(method.check(plan, config));
  return check_structure(plan, config);
}

}  // namespace edgecl
