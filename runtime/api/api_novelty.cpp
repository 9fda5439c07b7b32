// Novelty scores, thresholds and decisions.
// Never here: a score (runtime/novelty/), passes (runtime/learn/inference.cpp).
#include "runtime/api/api_batch.h"
#include "runtime/api/api_objects.h"
#include "runtime/learn/inference.h"

namespace edgecl::api {
namespace {

Status read_request(const edgecl_batch* from, const void* out, size_t capacity, Batch* batch) {
  EDGECL_RETURN_IF_FAILED(read_batch(from, batch));
  EDGECL_RETURN_IF_FAILED(check_pointer(out, "out"));
  if (batch->n <= capacity) return Status();
  return failure(EDGECL_E_SHAPE, "expected room for %u numbers; found %zu; enlarge the array", batch->n, capacity);
}

void store_score(void* out, uint64_t row, float score) {
  static_cast<float*>(out)[row] = score;
}

// A decision, and above it the levels that the score exceeds, which are masked out when all rows are through.
constexpr int32_t kDecisionBits = 2, kDecisionMask = (1 << kDecisionBits) - 1;
struct Decisions {
  Threshold threshold;
  int32_t* out;
  uint64_t n;  // stored
};
void store_decision(void* decisions, uint64_t row, float score) {
  Decisions* const to = static_cast<Decisions*>(decisions);
  const int32_t above = static_cast<int32_t>(levels_above(to->threshold, score));
  to->out[row] = static_cast<int32_t>(decide(to->threshold, score)) | above << kDecisionBits;
  if (to->n <= row) to->n = row + 1;  // with domains rows do not come in order
}

Status scores(edgecl_session* session, const edgecl_batch* from, uint32_t score, float* out, size_t capacity) {
  Batch batch;
  EDGECL_RETURN_IF_FAILED(read_request(from, out, capacity, &batch));
  return novelty_rows(&session->session, batch, score, out, store_score);
}

Status calibrate(edgecl_session* session, uint32_t score, const float* found, size_t n, double accepted, double kept) {
  EDGECL_RETURN_IF_FAILED(check_pointer(found, "scores"));
  EDGECL_RETURN_IF_FAILED(resolve_novelty(session->session, &score));
  Threshold threshold;
  EDGECL_RETURN_IF_FAILED(make_threshold(found, n, accepted, kept, &threshold));
  set_threshold(&session->session, score, threshold);
  return Status();
}

Status describe(const edgecl_session* session, uint32_t score, edgecl_threshold* out) {
  EDGECL_RETURN_IF_FAILED(check_struct(out, "edgecl_threshold"));
  EDGECL_RETURN_IF_FAILED(resolve_novelty(session->session, &score));
  const Threshold& threshold = session->session.thresholds.of[score];
  edgecl_threshold found;
  memset(&found, 0, sizeof found);
  found.score = score;
  found.accept = threshold.accept;
  found.novel = threshold.novel;
  found.rows = threshold.rows;
  write_struct(found, out);
  return Status();
}

Status check_calibrated(bool calibrated) {
  if (calibrated) return Status();
  return failure(EDGECL_E_SEQUENCE,
                 "expected thresholds of the session's novelty score; found none; call edgecl_novelty_calibrate with "
                 "scores of held-out rows first");
}

// The window sees all rows or none: it is part of the state, and a pass may fail at a later piece.
Status decide_rows(edgecl_session* session, const edgecl_batch* from, bool watch, int32_t* out, size_t capacity) {
  Batch batch;
  EDGECL_RETURN_IF_FAILED(read_request(from, out, capacity, &batch));
  Session* const own = &session->session;
  const Threshold& threshold = own->thresholds.of[own_novelty(*own)];
  EDGECL_RETURN_IF_FAILED(check_calibrated((watch ? threshold.accept_rank : threshold.rows) > 0));
  Decisions decisions = {threshold, out, 0};
  const Status status = novelty_rows(own, batch, own_novelty(*own), &decisions, store_decision);
  for (uint64_t r = 0; r < decisions.n; r++) {
    if (watch && status.ok()) observe(static_cast<uint32_t>(out[r] >> kDecisionBits), &own->window);
    out[r] &= kDecisionMask;
  }
  return status;
}

Status describe_drift(const edgecl_session* session, edgecl_drift_info* out) {
  EDGECL_RETURN_IF_FAILED(check_struct(out, "edgecl_drift_info"));
  const Session& own = session->session;
  const NoveltyWindow& window = own.window;
  const Threshold& threshold = own.thresholds.of[own_novelty(own)];
  EDGECL_RETURN_IF_FAILED(check_calibrated(threshold.accept_rank > 0));
  edgecl_drift_info found;
  memset(&found, 0, sizeof found);
  found.score = own_novelty(own);
  found.window = window.length;
  found.filled = window.filled();
  found.alarm = window.alarm ? 1 : 0;
  const float n = static_cast<float>(found.filled > 0 ? found.filled : 1);
  found.unknown = static_cast<float>(window.levels[kLevelAccept].count) / n;
  found.unusual = static_cast<float>(window.levels[kLevelMedian].count) / n;
  found.chance = static_cast<float>(window_chance(threshold, window));
  found.observed = window.observed;
  found.alarms = window.alarms;
  write_struct(found, out);
  return Status();
}

}  // namespace
}  // namespace edgecl::api

using namespace edgecl;

extern "C" {

edgecl_status edgecl_novelty_scores(edgecl_session* session, const edgecl_batch* batch, uint32_t score, float* out,
                                    size_t capacity) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::scores(session, batch, score, out, capacity)) : call.refusal();
}

edgecl_status edgecl_novelty_calibrate(edgecl_session* session, uint32_t score, const float* scores, size_t n,
                                       double accepted, double kept) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::calibrate(session, score, scores, n, accepted, kept)) : call.refusal();
}

edgecl_status edgecl_novelty_threshold(const edgecl_session* session, uint32_t score, edgecl_threshold* threshold) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::describe(session, score, threshold)) : call.refusal();
}

edgecl_status edgecl_decide(edgecl_session* session, const edgecl_batch* batch, int32_t* out, size_t capacity) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::decide_rows(session, batch, false, out, capacity)) : call.refusal();
}

edgecl_status edgecl_observe(edgecl_session* session, const edgecl_batch* batch, int32_t* out, size_t capacity) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::decide_rows(session, batch, true, out, capacity)) : call.refusal();
}

edgecl_status edgecl_drift(const edgecl_session* session, edgecl_drift_info* info) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::describe_drift(session, info)) : call.refusal();
}

}  // extern "C"
