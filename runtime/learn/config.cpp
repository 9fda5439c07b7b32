// Default configuration of a bundle, and the check of a configuration.
// Never here: sizes and memory (session.cpp).
#include "runtime/learn/config.h"

#include <float.h>

#include "runtime/core/executor.h"
#include "runtime/heads/head.h"
#include "runtime/learn/methods/method.h"
#include "runtime/learn/replay/latent_replay.h"
#include "runtime/learn/sparsity/structure.h"

namespace edgecl {
namespace {

constexpr float kBelowOne = 1.0f - FLT_EPSILON / 2;

bool finite_in(float x, float low, float high) {
  return x >= low && x <= high;
}  // false for NaN

Status check_number(const char* field, float value, float low, float high, const char* range) {
  if (finite_in(value, low, high)) return Status();
  return failure(EDGECL_E_ARGUMENT, "expected %s in %s; found a value outside it; set it within the range", field,
                 range);
}

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

SessionConfig default_config(const Plan& plan) {
  const format::RecipeRecord& recipe = *plan.recipe;
  SessionConfig config = {};
  config.max_batch = recipe.batch_size ? recipe.batch_size : 1;
  config.n_threads = 1;
  config.max_classes = plan.model->class_capacity;
  config.method = recipe.method;
  config.replay_capacity = recipe.replay_capacity;
  config.replay_batch = recipe.replay_batch;
  config.class_mask = recipe.class_mask != 0;
  config.augment_crop = recipe.augment_crop;
  config.augment_flip = recipe.augment_flip != 0;
  config.predict_only = plan.logits_gradient() == format::kNone && head_kind(config.head)->by_gradient;
  config.learning_rate = recipe.learning_rate;
  config.momentum = recipe.momentum;
  config.weight_decay = recipe.weight_decay;
  config.alpha = recipe.alpha;
  config.beta = recipe.beta;
  config.latent_replay = recipe.latent_replay != 0;
  config.cosine_scale = recipe.cosine_scale;
  config.sparsity = recipe.sparsity;
  return config;
}

Status check_config(const Plan& plan, const SessionConfig& config) {
  EDGECL_RETURN_IF_FAILED(check_range("max_batch", config.max_batch, 1, format::kMaxRows));
  EDGECL_RETURN_IF_FAILED(check_range("n_threads", config.n_threads, 1, kMaxThreads));
  EDGECL_RETURN_IF_FAILED(check_range("max_classes", config.max_classes, 1, plan.model->class_capacity));
  EDGECL_RETURN_IF_FAILED(check_range("method", config.method, 0, format::kMethods - 1));
  EDGECL_RETURN_IF_FAILED(check_range("replay_capacity", config.replay_capacity, 0, format::kMaxReplayCapacity));
  EDGECL_RETURN_IF_FAILED(check_range("replay_batch", config.replay_batch, 0, format::kMaxRows));
  const HeadKind* head = head_kind(config.head);
  if (head == nullptr) return check_range("head", config.head, 0, kHeads - 1);
  EDGECL_RETURN_IF_FAILED(head->check(plan));
  EDGECL_RETURN_IF_FAILED(check_range("augment_crop", config.augment_crop, 0, format::kMaxCrop));
  if (plan.classes.n > 0) {
    const format::ClassRecord& last = plan.classes[plan.classes.n - 1];
    if (last.label >= config.max_classes) {
      return failure(
          EDGECL_E_CAPACITY,
          "expected max_classes above every label of the bundle; found max_classes %u and label %u; raise it",
          config.max_classes, last.label);
    }
  }
  if (!rows_fit(plan, config_step_rows(config))) {
    return failure(
        EDGECL_E_CAPACITY,
        "expected tensors below 2^31 numbers; found more with the %u rows of a step; lower max_batch or replay_batch",
        config_step_rows(config));
  }
  if (config.predict_only) return Status();
  if (plan.logits_gradient() == format::kNone && head->by_gradient) {
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
  EDGECL_RETURN_IF_FAILED(check_number("learning_rate", config.learning_rate, FLT_MIN, FLT_MAX, "(0, 3.4e38]"));
  EDGECL_RETURN_IF_FAILED(check_number("momentum", config.momentum, 0.0f, kBelowOne, "[0, 1)"));
  EDGECL_RETURN_IF_FAILED(check_number("weight_decay", config.weight_decay, 0.0f, FLT_MAX, "[0, 3.4e38]"));
  EDGECL_RETURN_IF_FAILED(check_number("alpha", config.alpha, 0.0f, FLT_MAX, "[0, 3.4e38]"));
  EDGECL_RETURN_IF_FAILED(check_number("beta", config.beta, 0.0f, FLT_MAX, "[0, 3.4e38]"));
  EDGECL_RETURN_IF_FAILED(check_latent_replay(plan, config));
  EDGECL_RETURN_IF_FAILED(check_method(plan, config));
  return check_structure(plan, config);
}

}  // namespace edgecl
