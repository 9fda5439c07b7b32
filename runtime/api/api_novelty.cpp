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

struct Decisions {
  Threshold threshold;
  int32_t* out;
};
void store_decision(void* decisions, uint64_t row, float score) {
  const Decisions& to = *static_cast<const Decisions*>(decisions);
  to.out[row] = static_cast<int32_t>(decide(to.threshold, score));
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
  session->session.thresholds.of[score] = threshold;
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

Status decide_rows(edgecl_session* session, const edgecl_batch* from, int32_t* out, size_t capacity) {
  Batch batch;
  EDGECL_RETURN_IF_FAILED(read_request(from, out, capacity, &batch));
  uint32_t score = kNoveltyNone;
  EDGECL_RETURN_IF_FAILED(resolve_novelty(session->session, &score));
  const Threshold& threshold = session->session.thresholds.of[score];
  if (threshold.rows == 0) {
    return failure(EDGECL_E_SEQUENCE,
                   "expected thresholds of the session's novelty score; found none; call edgecl_novelty_calibrate with "
                   "scores of held-out rows first");
  }
  Decisions decisions = {threshold, out};
  return novelty_rows(&session->session, batch, score, &decisions, store_decision);
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
  return call.entered() ? call.done(api::decide_rows(session, batch, out, capacity)) : call.refusal();
}

}  // extern "C"
