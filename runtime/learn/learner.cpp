// The units of a step, stage by stage.
// Never here: anything that writes lasting memory.
#include "runtime/learn/learner.h"

#include "runtime/core/encoder.h"
#include "runtime/core/weights.h"
#include "runtime/learn/batch.h"
#include "runtime/learn/loss.h"
#include "runtime/learn/replay/augment.h"
#include "runtime/learn/session_domains.h"

namespace edgecl {
namespace {

void next_stage(StepMemory* step, Stage stage) {
  step->stage = stage;
  step->at = 0;
}

// How the rows of a step go through the network above a border. An embedding that statistics take is the one that
// predictions see.
Mode upper_mode(const Session& session) {
  return session.head->by_gradient ? Mode::kLearn : Mode::kPredict;
}

Status load_rows(Session* session) {
  const bool latent = session->border.op != 0;
  const uint32_t rows = latent ? session->step.n_current : session->step.n_rows;
  const Mode mode = latent ? Mode::kPredict : upper_mode(*session);
  if (rows == 0) return Status();  // a rehearsal of latent exemplars has no raw sample
  load_input(*session, session->learning(), session->step.samples, rows, mode, session->step.crop_y != nullptr);
  return check_loaded_input(*session, rows, mode);
}

// Ops [0, border) for the current rows with predict offsets, then the rest for all rows. Unit 0 is the input; with a
// border one unit more stands between the two parts.
Status forward_unit(Session* session) {
  StepMemory& step = session->step;
  const uint32_t border = session->border.op, unit = step.at++;
  if (unit == 0) return load_rows(session);
  const Net net = session->learning();
  if (unit <= border) {
    if (step.n_current > 0) forward_ops(net, step.n_current, Mode::kPredict, unit - 1, unit);
    return Status();
  }
  if (border != 0 && unit == border + 1) return cross_border(session);
  const uint32_t op = border == 0 ? unit - 1 : unit - 2;
  if (op < session->head_op) {
    forward_ops(net, step.n_rows, upper_mode(*session), op, op + 1, &step.probe);
    keep_taps(net, session->domains, op, step.n_rows, session->config.max_batch);
    return Status();
  }
  if (session->head->by_gradient)
    session->head->score(session->head_memory, net, step.n_rows, Mode::kLearn, &step.probe);
  next_stage(&step, Stage::kLoss);
  return Status();
}

Status loss_unit(Session* session, const StepKind& kind) {
  StepMemory& step = session->step;
  if (kind.after_forward) kind.after_forward(session);
  if (!session->head->by_gradient) {
    // No loss and nothing to update; what the head learns must be numbers.
    if (!all_finite(step.embeddings, static_cast<int64_t>(step.n_current) * session->head_memory.dim) ||
        !features_finite(*session, step.n_current))
      return failure(EDGECL_E_NUMERIC, "%s", kind.loss_failure);
    step.loss = {};
    for (uint32_t r = 0; r < step.n_current; r++) step.loss_rows[r] = 0;
    step.macs = row_macs(session->learning(), session->border.op, 0);
    next_stage(&step, Stage::kCommit);
    return Status();
  }
  step.loss = compute_loss(*session, step.rows, step.terms);
  if (!loss_finite(step.loss)) return failure(EDGECL_E_NUMERIC, "%s", kind.loss_failure);
  if (kind.after_loss) EDGECL_RETURN_IF_FAILED(kind.after_loss(session));
  next_stage(&step, Stage::kBackward);
  return Status();
}

// Records of the backward list that are the head's: the list descends.
uint32_t head_records(const Session& session) {
  uint32_t n = 0;
  while (n < session.plan->backward.n && session.plan->backward[n].op >= session.head_op) n++;
  return n;
}

void backward_unit(Session* session) {
  StepMemory& step = session->step;
  const Net net = session->learning();
  const bool first = step.at == 0;
  if (first) {
    gather_transposed_values(net);
    const uint32_t own = head_records(*session);
    step.at = own < step.n_records ? own : step.n_records;
    session->head->backward(session->head_memory, net, step.n_rows, step.at, &step.probe);
  }
  // Also behind a head without a record: a unit that did nothing would be taken for ever.
  if (step.at < step.n_records && !(first && step.at > 0)) {
    backward_records(net, step.n_rows, step.at, step.at + 1, &step.probe);
    step.at++;
  }
  if (step.at >= step.n_records) next_stage(&step, Stage::kCheck);
}

Status check_unit(Session* session, const StepKind& kind) {
  StepMemory& step = session->step;
  const Net net = session->learning();
  step.macs = row_macs(net, session->border.op, step.n_records);
  step.rates = {session->counters.learning_rate, session->config.momentum, session->config.weight_decay};
  step.bounds = session->bounds;
  if (!update_is_sound(net, step.n_rows, step.rates, &step.bounds))
    return failure(EDGECL_E_NUMERIC, "%s", kind.update_failure);
  next_stage(&step, Stage::kCommit);
  return Status();
}

Status unit_of(Session* session, const StepKind& kind) {
  switch (session->step.stage) {
    case Stage::kDraw:
      kind.draw(session);
      next_stage(&session->step, Stage::kForward);
      return Status();
    case Stage::kForward:
      return forward_unit(session);
    case Stage::kLoss:
      return loss_unit(session, kind);
    case Stage::kBackward:
      backward_unit(session);
      return Status();
    case Stage::kCheck:
      return check_unit(session, kind);
    case Stage::kCommit:
      kind.commit(session);
      next_stage(&session->step, Stage::kIdle);
      return Status();
    default:
      return Status();
  }
}

}  // namespace

Status advance(Session* session, const StepKind& kind) {
  Status status = unit_of(session, kind);
  if (!status.ok()) next_stage(&session->step, Stage::kIdle);
  return status;
}

void begin_draw(Session* session) {
  session->step.n_records = session->plan->backward.n;
  session->step.probe = LayerProbe();
  session->step.probe.user = session;
  session->step.scores_layers = false;
}

void draw_row_augmentation(Session* session, RandomStream random) {
  StepMemory& step = session->step;
  if (step.crop_y == nullptr) return;
  const Augment augment = {session->config.augment_crop, session->config.augment_flip != 0};
  draw_augmentation(augment, session->plan->tensors[0].height, step.n_rows, &random, step.crop_y, step.crop_x,
                    step.flip);
}

}  // namespace edgecl
