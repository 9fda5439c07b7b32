// Rows through the encoder and out of the head's statistics.
// Never here: what statistics are (heads/statistics.cpp).
#include "runtime/learn/unlearn.h"

#include "runtime/core/encoder.h"
#include "runtime/learn/session_domains.h"

namespace edgecl {

Status unlearn(Session* session, const Batch& batch, const int32_t* labels) {
  if (session->config.predict_only || session->head->unlearn_rows == nullptr) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a session that learns with a head that keeps statistics; found %s; make one with "
                   "head = ncm, lda, ridge, hd or fecam",
                   session->config.predict_only ? "predict_only = 1" : "a head that learns by gradients");
  }
  if (batch.n > session->config.max_batch) {
    return failure(EDGECL_E_CAPACITY, "expected at most max_batch = %u samples; found %u; hand them in pieces",
                   session->config.max_batch, batch.n);
  }
  EDGECL_RETURN_IF_FAILED(check_batch(*session, batch));
  StepMemory& step = session->step;
  step.stage = Stage::kIdle;
  for (uint32_t r = 0; r < batch.n; r++) {
    EDGECL_RETURN_IF_FAILED(check_present(*session, labels[r]));
    step.samples[r] = batch.sample(*session, r);
  }
  const Net net = session->learning();
  load_input(*session, net, step.samples, batch.n, Mode::kPredict, false);
  for (uint32_t op = 0; op < session->head_op; op++) {
    forward_ops(net, batch.n, Mode::kPredict, op, op + 1);
    keep_taps(net, session->domains, op, batch.n, session->config.max_batch);
  }
  if (session->domains.any()) gather_features(*session->plan, session->domains, batch.n, session->config.max_batch);
  copy_rows_out(net, plan_tensor(net, session->plan->model->embedding_tensor, batch.n, Mode::kPredict), batch.n, false,
                step.embeddings);
  if (!all_finite(step.embeddings, static_cast<int64_t>(batch.n) * session->head_memory.dim) ||
      !features_finite(*session, batch.n)) {
    return failure(EDGECL_E_NUMERIC,
                   "expected finite embeddings; found NaN or infinity among those of the samples; check their range");
  }
  const Domains& domains = session->domains;
  Domain* const domain = domains.any() ? &domains.list[domains.selected] : nullptr;
  if (domain != nullptr) {
    EDGECL_RETURN_IF_FAILED(routing_take_rows(net, domains.features, labels, batch.n, domain->rows, &domain->routing));
  }
  const Status taken = session->head->unlearn_rows(session->head_memory, net, step.embeddings, labels, batch.n);
  if (domain != nullptr && !taken.ok()) routing_put_back(net, domains.features, labels, batch.n, &domain->routing);
  if (!taken.ok()) return taken;
  if (domain != nullptr) {
    routing_drop_held(net, domains.features, batch.n, &domain->routing);
    domain->rows -= domain->rows < batch.n ? domain->rows : batch.n;
  }
  novelty_stale(session->novelty);
  for (uint32_t r = 0; r < batch.n; r++) {
    uint64_t* const of_class = &session->classes.entries[labels[r]].samples_seen;
    if (*of_class == 0 || session->replay.seen == 0) continue;  // a state may say so
    --*of_class;
    session->replay.seen--;
  }
  return Status();
}

}  // namespace edgecl
