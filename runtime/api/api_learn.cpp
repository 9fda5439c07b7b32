// Learn steps, tasks, classes.
// Never here: the step itself (runtime/learn/learn_step.cpp).
#include "runtime/api/api_batch.h"
#include "runtime/api/api_objects.h"
#include "runtime/heads/statistics_head.h"
#include "runtime/learn/devices.h"
#include "runtime/learn/learn_step.h"
#include "runtime/learn/rehearse.h"
#include "runtime/learn/replay/remember.h"
#include "runtime/learn/unlearn.h"

namespace edgecl::api {
namespace {

Status learn_checked(edgecl_session* session, const edgecl_batch* from, const int32_t* labels,
                     edgecl_learn_report* out) {
  Batch batch;
  EDGECL_RETURN_IF_FAILED(read_batch(from, &batch));
  EDGECL_RETURN_IF_FAILED(check_pointer(labels, "labels"));
  edgecl_learn_report report;
  memset(&report, 0, sizeof report);
  if (out) {
    EDGECL_RETURN_IF_FAILED(check_struct(out, "edgecl_learn_report"));
    report = read_struct(out);
  }
  StepReport step;
  const uint32_t slots_capacity = report.replay_slots ? report.replay_slots_capacity : UINT32_MAX;
  EDGECL_RETURN_IF_FAILED(learn_step(&session->session, batch, labels, slots_capacity, &step));
  const Environment& env = session->session.env;
  if (step.note && env.log) env.log(env.hook_user, kWarning, step.note);
  if (out == nullptr) return Status();
  report.note = step.note;
  report.n_replayed = step.n_replayed;
  report.loss = step.loss.total;
  report.loss_current = step.loss.current;
  report.loss_replay = step.loss.replay;
  report.loss_logits = step.loss.logits;
  report.step = step.step;
  report.macs_forward = step.macs_forward;
  report.macs_backward = step.macs_backward;
  report.macs_paper = step.macs_paper;
  report.structure_changed = step.structure_changed ? 1 : 0;
  if (report.replay_slots && step.n_replayed)
    memcpy(report.replay_slots, step.slots, step.n_replayed * sizeof(uint32_t));
  if (report.row_correct) memcpy(report.row_correct, step.correct, batch.n);
  if (report.row_loss) memcpy(report.row_loss, step.row_loss, batch.n * sizeof(float));
  write_struct(report, out);
  return Status();
}

Status learn(edgecl_session* session, const edgecl_batch* batch, const int32_t* labels, edgecl_learn_report* report) {
  Status status = learn_checked(session, batch, labels, report);
  if (!status.ok()) session->session.refused_steps++;
  return status;
}

Status remember_checked(edgecl_session* session, const edgecl_batch* from, const int32_t* labels) {
  Batch batch;
  EDGECL_RETURN_IF_FAILED(read_batch(from, &batch));
  EDGECL_RETURN_IF_FAILED(check_pointer(labels, "labels"));
  return remember(&session->session, batch, labels);
}

Status unlearn_checked(edgecl_session* session, const edgecl_batch* from, const int32_t* labels) {
  Batch batch;
  EDGECL_RETURN_IF_FAILED(read_batch(from, &batch));
  EDGECL_RETURN_IF_FAILED(check_pointer(labels, "labels"));
  return unlearn(&session->session, batch, labels);
}

// On a failure in the middle the report tells how many steps stay done.
Status rehearse_checked(edgecl_session* session, uint32_t n_steps, edgecl_rehearse_report* report) {
  if (report) EDGECL_RETURN_IF_FAILED(check_struct(report, "edgecl_rehearse_report"));
  RehearseReport done;
  Status status = rehearse(&session->session, n_steps, &done);
  if (!status.ok()) session->session.refused_steps++;
  if (report == nullptr) return status;
  edgecl_rehearse_report out;
  memset(&out, 0, sizeof out);
  out.done = done.done;
  out.mean_loss = done.mean_loss;
  write_struct(out, report);
  return status;
}

Status describe(const edgecl_session* session, int32_t label, edgecl_class_info* info) {
  EDGECL_RETURN_IF_FAILED(check_struct(info, "edgecl_class_info"));
  const Session& s = session->session;
  if (label < 0 || static_cast<uint32_t>(label) >= s.classes.capacity) {
    return failure(EDGECL_E_NOT_FOUND, "expected a label in 0..%u; found %d; ask for one of these",
                   s.classes.capacity - 1, static_cast<int>(label));
  }
  const ClassEntry& entry = s.classes.entries[label];
  edgecl_class_info found;
  memset(&found, 0, sizeof found);
  found.label = label;
  found.name = entry.name;
  found.samples_seen = entry.samples_seen;
  found.replay_samples = replay_count(s.replay, label);
  found.present = s.classes.present[label];
  found.rows_merged = static_cast<uint64_t>(others_class_rows(s, static_cast<uint32_t>(label)));
  write_struct(found, info);
  return Status();
}

Status describe_head(const edgecl_session* session, edgecl_head_info* info) {
  EDGECL_RETURN_IF_FAILED(check_struct(info, "edgecl_head_info"));
  const Session& s = session->session;
  if (s.head->summary == nullptr) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a session with a head that keeps statistics; found one that learns by gradients");
  }
  const HeadSummary summary = s.head->summary(s.head_memory);
  edgecl_head_info found;
  memset(&found, 0, sizeof found);
  found.head = s.config.head;
  found.dim = s.head_memory.dim;
  found.bank_rows = summary.bank_rows;
  found.rows = summary.rows;
  found.saturated = summary.saturated;
  found.bytes = s.head_bytes;
  found.solved = summary.solved ? 1 : 0;
  found.devices = summary.devices;
  write_struct(found, info);
  return Status();
}

Status set_weight(edgecl_session* session, int32_t label, float weight) {
  if (!session->session.head->by_gradient) {
    return failure(
        EDGECL_E_UNSUPPORTED,
        "expected a head that learns by gradients, for a weight in its loss; found one that keeps statistics");
  }
  EDGECL_RETURN_IF_FAILED(check_present(session->session, label));
  if (!(weight >= 0 && weight <= kLargestClassWeight)) {
    return failure(EDGECL_E_ARGUMENT, "expected a class weight in 0..1e6; found another number; give one such as 2");
  }
  session->session.classes.entries[label].weight = weight;
  return Status();
}

Status get_weight(const edgecl_session* session, int32_t label, float* weight) {
  EDGECL_RETURN_IF_FAILED(check_pointer(weight, "weight"));
  EDGECL_RETURN_IF_FAILED(check_present(session->session, label));
  *weight = session->session.classes.entries[label].weight;
  return Status();
}

Status set_label_kind(edgecl_session* session, uint32_t kind) {
  if (kind >= format::kLabelKinds) {
    return failure(EDGECL_E_ARGUMENT, "expected a kind of labels in 0..%u; found %u; set EDGECL_LABELS_*",
                   format::kLabelKinds - 1, kind);
  }
  session->session.classes.label_kind = kind;
  return Status();
}

Status find(const edgecl_session* session, const char* name, int32_t* label) {
  EDGECL_RETURN_IF_FAILED(check_pointer(name, "name"));
  EDGECL_RETURN_IF_FAILED(check_pointer(label, "label"));
  const int32_t found = class_find(session->session.classes, name);
  if (found < 0) {
    return failure(EDGECL_E_NOT_FOUND,
                   "expected the name of a class that is present; found \"%.64s\"; add the class first", name);
  }
  *label = found;
  return Status();
}

}  // namespace
}  // namespace edgecl::api

using namespace edgecl;

extern "C" {

edgecl_status edgecl_learn(edgecl_session* session, const edgecl_batch* batch, const int32_t* labels,
                           edgecl_learn_report* report) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::learn(session, batch, labels, report)) : call.refusal();
}

edgecl_status edgecl_remember(edgecl_session* session, const edgecl_batch* batch, const int32_t* labels) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::remember_checked(session, batch, labels)) : call.refusal();
}

edgecl_status edgecl_unlearn(edgecl_session* session, const edgecl_batch* batch, const int32_t* labels) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::unlearn_checked(session, batch, labels)) : call.refusal();
}

edgecl_status edgecl_head_describe(const edgecl_session* session, edgecl_head_info* info) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::describe_head(session, info)) : call.refusal();
}

edgecl_status edgecl_task_begin(edgecl_session* session) {
  const api::SessionCall call(session);
  if (!call.entered()) return call.refusal();
  begin_task(&session->session);
  return EDGECL_OK;
}

edgecl_status edgecl_rehearse(edgecl_session* session, uint32_t n_steps, edgecl_rehearse_report* report) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::rehearse_checked(session, n_steps, report)) : call.refusal();
}

edgecl_status edgecl_class_add(edgecl_session* session, const char* name, int32_t* label) {
  const api::SessionCall call(session);
  if (!call.entered()) return call.refusal();
  if (label == nullptr) return call.done(api::check_pointer(label, "label"));
  return call.done(add_class(&session->session, name, label));
}

edgecl_status edgecl_class_forget(edgecl_session* session, int32_t label) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(forget_class(&session->session, label)) : call.refusal();
}

edgecl_status edgecl_class_describe(const edgecl_session* session, int32_t label, edgecl_class_info* info) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::describe(session, label, info)) : call.refusal();
}

edgecl_status edgecl_class_weight_set(edgecl_session* session, int32_t label, float weight) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::set_weight(session, label, weight)) : call.refusal();
}

edgecl_status edgecl_class_weight_get(const edgecl_session* session, int32_t label, float* weight) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::get_weight(session, label, weight)) : call.refusal();
}

edgecl_status edgecl_label_kind_set(edgecl_session* session, uint32_t kind) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::set_label_kind(session, kind)) : call.refusal();
}

edgecl_status edgecl_label_kind_get(const edgecl_session* session, uint32_t* kind) {
  const api::SessionCall call(session);
  if (!call.entered()) return call.refusal();
  if (kind == nullptr) return call.done(api::check_pointer(kind, "kind"));
  *kind = session->session.classes.label_kind;
  return EDGECL_OK;
}

edgecl_status edgecl_class_find(const edgecl_session* session, const char* name, int32_t* label) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::find(session, name, label)) : call.refusal();
}

}  // extern "C"
