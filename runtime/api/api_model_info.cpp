// Descriptions of a model, its parameters and its classes.
// Never here: opening, sessions.
#include "runtime/api/api_objects.h"
#include "runtime/learn/config.h"
#include "runtime/learn/inference.h"

namespace edgecl::api {
namespace {

// Running statistics lie among the parameters but are not weights.
bool is_statistic(const Plan& plan, uint32_t param) {
  for (const format::OpRecord& op : plan.ops) {
    if (op.kind == format::kOpBatchNorm && (op.params[2] == param || op.params[3] == param)) return true;
  }
  return false;
}

void count_weights(const Plan& plan, edgecl_model_info* info) {
  for (uint32_t p = 0; p < plan.params.n; p++) {
    if (is_statistic(plan, p)) continue;
    const format::ParamRecord& param = plan.params[p];
    info->weights_total += param_size(param);
    info->weights_stored += param_stored(param);
    if (!param.trainable) continue;
    info->n_trainable_params++;
    info->weights_trainable += param_size(param);
  }
}

edgecl_model_info describe(const Plan& plan) {
  edgecl_model_info info;
  memset(&info, 0, sizeof info);
  info.format_version = plan.format_version;
  info.name = plan.string(plan.model->name);
  info.producer = plan.string(plan.model->producer);
  info.bundle_bytes = plan.n_bytes;
  memcpy(info.digest, plan.digest, sizeof info.digest);
  info.input_dtype = plan.input->dtype == format::kInputU8 ? EDGECL_U8 : EDGECL_F32;
  info.input_rank = plan.input->rank;
  for (uint32_t i = 0; i < plan.input->rank; i++) info.input_dims[i] = plan.input->dims[i];
  info.channels_last = plan.input->channels_last;
  info.input_elements = sample_elements(plan);
  info.embedding_dim = static_cast<uint32_t>(embedding_size(plan));
  info.class_capacity = plan.model->class_capacity;
  info.n_classes = plan.classes.n;
  info.n_ops = plan.ops.n;
  info.n_params = plan.params.n;
  count_weights(plan, &info);
  info.macs_forward = plan_macs_forward(plan, false);
  info.macs_forward_sparse = plan_macs_forward(plan, true);
  info.macs_backward = plan_macs_backward(plan, false);
  info.macs_backward_sparse = plan_macs_backward(plan, true);
  info.parity_source = "";
  if (plan.parity) {
    info.parity_rows = plan.parity->n_rows;
    info.parity_max_abs = plan.parity->max_abs_difference;
    info.parity_mean_abs = plan.parity->mean_abs_difference;
    info.parity_reference_abs = plan.parity->max_abs_reference;
    info.parity_source = plan.string(plan.parity->source);
  }
  info.label_kind = plan.model->label_kind;
  info.n_exemplars = plan.exemplars.n;
  info.is_signed = plan.signature != nullptr ? 1 : 0;
  info.notes = plan.notes;
  return info;
}

}  // namespace
}  // namespace edgecl::api

using namespace edgecl;

extern "C" {

edgecl_status edgecl_model_describe(const edgecl_model* model, edgecl_model_info* info) {
  if (model == nullptr || !api::check_struct(info, "edgecl_model_info").ok()) return EDGECL_E_ARGUMENT;
  api::write_struct(api::describe(model->plan), info);
  return EDGECL_OK;
}

edgecl_status edgecl_model_param(const edgecl_model* model, uint32_t index, edgecl_param_info* info) {
  if (model == nullptr || !api::check_struct(info, "edgecl_param_info").ok()) return EDGECL_E_ARGUMENT;
  const Plan& plan = model->plan;
  if (index >= plan.params.n) return EDGECL_E_NOT_FOUND;
  const FpControl fp;
  const format::ParamRecord& param = plan.params[index];
  edgecl_param_info found;
  memset(&found, 0, sizeof found);
  found.name = plan.string(param.name);
  found.rank = param.rank;
  for (uint32_t i = 0; i < param.rank; i++) found.dims[i] = param.dims[i];
  found.trainable = param.trainable;
  found.sparse = param.storage == format::kStorageSparse ? 1 : 0;
  found.stored = param_stored(param);
  found.density = static_cast<float>(found.stored) / static_cast<float>(param_size(param));
  api::write_struct(found, info);
  return EDGECL_OK;
}

edgecl_status edgecl_model_class(const edgecl_model* model, uint32_t index, edgecl_class_info* info) {
  if (model == nullptr || !api::check_struct(info, "edgecl_class_info").ok()) return EDGECL_E_ARGUMENT;
  const Plan& plan = model->plan;
  if (index >= plan.classes.n) return EDGECL_E_NOT_FOUND;
  edgecl_class_info found;
  memset(&found, 0, sizeof found);
  found.label = static_cast<int32_t>(plan.classes[index].label);
  found.name = plan.string(plan.classes[index].name);
  found.present = 1;
  api::write_struct(found, info);
  return EDGECL_OK;
}

}  // extern "C"
