// One rehearsal step after the other, each a transaction as a learn step is.
// Never here: what is stored, the stream.
#include "runtime/learn/rehearse.h"

#include <string.h>

#include "runtime/learn/loss.h"
#include "runtime/learn/methods/method.h"
#include "runtime/learn/replay/augment.h"
#include "runtime/learn/streams.h"

namespace edgecl {
namespace {

bool is_normalisation(const format::OpRecord& op) {
  return op.kind == format::kOpBatchNorm || op.kind == format::kOpGroupNorm;
}

// Whether parameter `slot` of an op takes part.
bool takes_part(const Plan& plan, const format::OpRecord& op, uint32_t slot) {
  const uint32_t p = op.params[slot];
  if (p == format::kNone || plan.params[p].trainable == 0) return false;
  return p == plan.model->head_weight || p == plan.model->head_bias || (is_normalisation(op) && slot < 2);
}

// While it lives, all but the parameters that take part rest, and no gradient mask applies.
class Resting {
 public:
  explicit Resting(Session* session) : session_(session) {
    const Plan& plan = *session->plan;
    const uint32_t head = plan.model->head_weight;
    if (head != format::kNone) {  // the only one with a mask that may take part
      head_masked_ = session->buffers.params[head].masked;
      session->buffers.params[head].masked = false;
    }
    for (uint32_t p = 0; p < plan.params.n; p++) session->buffers.params[p].rests = true;
    for (uint32_t i = 0; i < plan.backward.n; i++) {
      const format::OpRecord& op = plan.ops[plan.backward[i].op];
      for (uint32_t slot = 0; slot < 4; slot++) {
        if (!takes_part(plan, op, slot)) continue;
        session->buffers.params[op.params[slot]].rests = false;
        n_records_ = i + 1;
      }
    }
  }
  ~Resting() {
    const Plan& plan = *session_->plan;
    for (uint32_t p = 0; p < plan.params.n; p++) session_->buffers.params[p].rests = false;
    if (plan.model->head_weight != format::kNone)
      session_->buffers.params[plan.model->head_weight].masked = head_masked_;
  }
  Resting(const Resting&) = delete;
  Resting& operator=(const Resting&) = delete;

  // Backward records down to the lowest parameter that takes part; 0: none does.
  uint32_t n_records() const { return n_records_; }

 private:
  Session* session_;
  bool head_masked_ = false;
  uint32_t n_records_ = 0;
};

// Draws the rows of the step under way; returns how many.
uint32_t gather(Session* session) {
  StepMemory& step = session->step;
  const Counters& counters = session->counters;
  RandomStream random = step_stream(counters.seed, Purpose::kRehearse, counters.rehearsals);
  const uint32_t n = replay_draw(&session->replay, &random, config_draw_rows(session->config), step.slots);
  for (uint32_t r = 0; r < n; r++) {
    step.samples[r] = session->replay.sample(step.slots[r]);
    step.labels[r] = session->replay.labels[step.slots[r]];
  }
  if (step.crop_y) {
    const Augment augment = {session->config.augment_crop, session->config.augment_flip};
    RandomStream words = step_stream(counters.seed, Purpose::kRehearseAugment, counters.rehearsals);
    draw_augmentation(augment, session->plan->tensors[0].height, n, &words, step.crop_y, step.crop_x, step.flip);
  }
  memcpy(step.present, session->classes.present, session->classes.n_columns);
  step.n_rows = n;
  step.n_current = 0;
  return n;
}

void count_step(Session* session, uint32_t n_rows, uint32_t n_records) {
  const RowMacs macs = row_macs(*session->plan, session->buffers, session->border.op, n_records);
  const RowMacs& dense = session->macs_dense;
  Counters& c = session->counters;
  c.rehearsals++;
  c.macs_learn += forward_macs(macs, n_rows, 0) + n_rows * (macs.input_gradient + macs.weight_gradient);
  c.macs_learn_dense += forward_macs(dense, n_rows, 0) + n_rows * (dense.input_gradient + dense.weight_gradient);
  c.macs_paper += paper_macs(macs, n_rows, 0);
  c.macs_paper_dense += paper_macs(dense, n_rows, 0);
}

Status rehearse_step(Session* session, uint32_t n_records, float* loss) {
  const Plan& plan = *session->plan;
  const uint32_t n = gather(session);
  session->buffers.probe = LayerProbe();
  EDGECL_RETURN_IF_FAILED(forward_step(session, session->step.crop_y != nullptr));
  StepRows rows = {};
  rows.n[kSegmentDraw1] = n;
  rows.n_present = session->classes.n_present;
  LossPlan terms = {};
  terms.add({LossKind::kCrossEntropy, kSegmentDraw1, ClassScope::kPresent, 1.0f / static_cast<float>(n)});
  const LossSums sums = compute_loss(*session, rows, terms);
  if (!loss_finite(sums)) {
    return failure(EDGECL_E_NUMERIC,
                   "expected a finite loss of the rehearsed rows; found NaN or infinity; lower the learning rate");
  }
  backward(plan, session->buffers, n, n_records);
  const SgdRates rates = {session->counters.learning_rate, session->config.momentum, session->config.weight_decay};
  UpdateBounds bounds = session->bounds;
  if (!update_is_sound(plan, session->buffers, rates, &bounds)) {
    return failure(EDGECL_E_NUMERIC,
                   "expected finite gradients and weights that stay below 1e9; found a rehearsal step that breaks "
                   "this; lower the learning rate");
  }
  apply_update(plan, session->buffers, rates);
  commit_statistics(plan, &session->buffers);
  session->bounds = bounds;
  count_step(session, n, n_records);
  *loss = sums.total;
  return Status();
}

Status check_request(const Session& session, uint32_t n_steps) {
  if (session.config.predict_only || config_draw_rows(session.config) == 0) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a session that learns with replay_capacity and replay_batch above 0; found %s; make one "
                   "with a buffer",
                   session.config.predict_only ? "predict_only = 1" : "no buffer");
  }
  if (n_steps <= kMaxRehearseSteps) return Status();
  return failure(EDGECL_E_ARGUMENT, "expected at most %u rehearsal steps; found %u; call several times",
                 kMaxRehearseSteps, n_steps);
}

}  // namespace

Status rehearse(Session* session, uint32_t n_steps, RehearseReport* report) {
  *report = {0, 0.0f};
  EDGECL_RETURN_IF_FAILED(check_request(*session, n_steps));
  const Resting resting(session);
  if (resting.n_records() == 0) {
    return failure(
        EDGECL_E_UNSUPPORTED,
        "expected a head or normalisations that train; found none in \"%s\"; export it with a trainable head",
        session->plan->string(session->plan->model->name));
  }
  const uint64_t begin_us = session->config.now_us ? session->config.now_us(session->config.hook_user) : 0;
  double sum = 0;
  Status status;
  while (session->replay.fill > 0 && report->done < n_steps) {
    float loss = 0;
    status = rehearse_step(session, resting.n_records(), &loss);
    if (!status.ok()) break;
    sum += static_cast<double>(loss);
    report->done++;
  }
  if (report->done > 0) report->mean_loss = static_cast<float>(sum / report->done);
  if (session->config.now_us) session->learn_us += session->config.now_us(session->config.hook_user) - begin_us;
  return status;
}

}  // namespace edgecl
