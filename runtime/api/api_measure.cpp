// Statistics, profiles, descriptions of operators.
// Never here: anything that changes what is learned.
#include "runtime/api/api_objects.h"

namespace edgecl::api {
namespace {

Status stats(const edgecl_session* session, edgecl_stats* out) {
  EDGECL_RETURN_IF_FAILED(check_struct(out, "edgecl_stats"));
  const Session& s = session->session;
  edgecl_stats found;
  memset(&found, 0, sizeof found);
  found.n_classes = s.classes.n_present;
  found.steps = s.counters.step;
  found.samples_learned = s.counters.samples_learned;
  found.samples_predicted = s.samples_predicted;
  found.samples_seen = s.replay.seen;
  found.replay_fill = s.replay.fill;
  found.replay_capacity = s.replay.capacity;
  found.arena_bytes = session->arena_bytes;
  found.macs_learn = s.counters.macs_learn;
  found.macs_learn_dense = s.counters.macs_learn_dense;
  found.refused_steps = s.refused_steps;
  found.tasks = s.counters.tasks;
  found.macs_paper = s.counters.macs_paper;
  found.macs_paper_dense = s.counters.macs_paper_dense;
  found.structure_updates = s.counters.structure_updates;
  found.weights_dropped = s.counters.weights_dropped;
  found.weights_grown = s.counters.weights_grown;
  for (uint32_t p = 0; p < s.plan->params.n; p++) {
    if (s.plan->params[p].trainable != 0) found.weights_stored += s.weights.params[p].n;
  }
  found.weights_trainable = s.weights_trained;
  found.structure_us = s.structure_us;
  found.learn_us = s.learn_us;
  found.steps_in_task = s.counters.steps_in_task;
  write_struct(found, out);
  return Status();
}

void store_event(void* user, uint32_t op, uint32_t pass, uint64_t begin_us, uint64_t end_us, uint64_t macs) {
  edgecl_session* session = static_cast<edgecl_session*>(user);
  if (session->n_events == session->events_capacity) {
    session->n_dropped++;
    return;
  }
  const edgecl_profile_event event = {op, pass, begin_us, end_us, macs};
  session->events.write(session->n_events++, event);
}

Status profile_start(edgecl_session* session, edgecl_profile_event* events, size_t event_stride, size_t capacity) {
  EDGECL_RETURN_IF_FAILED(check_pointer(events, "events"));
  EDGECL_RETURN_IF_FAILED(check_stride(event_stride, "event_stride", "edgecl_profile_event"));
  Environment& env = session->session.env;
  if (env.now_us == nullptr) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a session with the now_us hook; found none; hand one in with edgecl_session_options");
  }
  if (session->events.first)
    return failure(EDGECL_E_SEQUENCE, "expected no profile in progress; found one; call edgecl_profile_stop first");
  session->events = {reinterpret_cast<uint8_t*>(events), event_stride};
  session->events_capacity = capacity;
  session->n_events = session->n_dropped = 0;
  env.profiler = {session, store_event};
  return Status();
}

Status profile_stop(edgecl_session* session, size_t* n_events, size_t* n_dropped) {
  EDGECL_RETURN_IF_FAILED(check_pointer(n_events, "n_events"));
  EDGECL_RETURN_IF_FAILED(check_pointer(n_dropped, "n_dropped"));
  if (session->events.first == nullptr)
    return failure(EDGECL_E_SEQUENCE, "expected a profile in progress; found none; call edgecl_profile_start first");
  *n_events = session->n_events;
  *n_dropped = session->n_dropped;
  session->events = {};
  session->session.env.profiler = Profiler();
  return Status();
}

edgecl_op_info describe_op(const Plan& plan, uint32_t index) {
  const format::OpRecord& op = plan.ops[index];
  edgecl_op_info info;
  memset(&info, 0, sizeof info);
  info.name = plan.string(op.name);
  info.kind = op_shown_kind(plan, index);
  info.macs_forward = op_macs_forward(plan, index, true);
  info.macs_backward = op_macs_backward(plan, index, true);
  for (const uint32_t p : op.params) {
    if (p == format::kNone) continue;
    info.weight_bytes += param_stored(plan.params[p]) * element_bytes(plan.params[p].dtype);
    if (plan.params[p].storage == format::kStorageSparse) {
      info.sparse = 1;
      info.index_bytes += param_stored(plan.params[p]) * sizeof(uint16_t);
    }
    if (plan.params[p].trainable) info.trainable = 1;
  }
  const auto tensor_bytes = [&](uint32_t t) {
    return tensor_row_floats(plan.tensors[t]) * element_bytes(plan.tensors[t].dtype);
  };
  for (uint32_t i = 0; i < op.n_inputs; i++) info.input_bytes += tensor_bytes(op.inputs[i]);
  info.output_bytes = tensor_bytes(op.output);
  return info;
}

}  // namespace
}  // namespace edgecl::api

using namespace edgecl;

extern "C" {

edgecl_status edgecl_session_stats(const edgecl_session* session, edgecl_stats* out) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::stats(session, out)) : call.refusal();
}

edgecl_status edgecl_profile_start(edgecl_session* session, edgecl_profile_event* events, size_t event_stride,
                                   size_t capacity) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::profile_start(session, events, event_stride, capacity)) : call.refusal();
}

edgecl_status edgecl_profile_stop(edgecl_session* session, size_t* n_events, size_t* n_dropped) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::profile_stop(session, n_events, n_dropped)) : call.refusal();
}

edgecl_status edgecl_model_op(const edgecl_model* model, uint32_t index, edgecl_op_info* info) {
  if (model == nullptr || !api::check_struct(info, "edgecl_op_info").ok()) return EDGECL_E_ARGUMENT;
  if (index >= model->plan.ops.n) return EDGECL_E_NOT_FOUND;
  api::write_struct(api::describe_op(model->plan, index), info);
  return EDGECL_OK;
}

}  // extern "C"
