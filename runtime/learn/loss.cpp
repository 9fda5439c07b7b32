// Runs the loss kernels over the segments of a step and adds up their rows.
// Never here: weights of terms.
#include "runtime/learn/loss.h"

#include "runtime/core/encoder.h"
#include "runtime/learn/methods/cosine_logits.h"
#include "runtime/learn/profile.h"

namespace edgecl {
namespace {

template <class Args>
Args term_args(const Session& session, const LossTerm& term, int32_t row_begin, int32_t row_end, uint32_t rows) {
  Args args = {};
  args.logits = plan_tensor(session.learning(), session.plan->model->logits_tensor, rows, Mode::kLearn);
  args.dlogits = plan_tensor(session.learning(), session.plan->logits_gradient(), rows, Mode::kLearn);
  args.allowed = term.scope == ClassScope::kBatch ? session.step.batch_classes : session.step.present;
  args.row_begin = row_begin;
  args.row_end = row_end;
  args.weight = term.row_weight;
  args.loss_row = session.step.loss_rows;
  return args;
}

// Rows whose cross-entropy has a weight of its own: that of their class, and of a current row the caller's.
void apply_weights(const Session& session, const LossTerm& term, int32_t first, int32_t last, uint32_t rows) {
  const StepMemory& step = session.step;
  const Tensor gradient = plan_tensor(session.learning(), session.plan->logits_gradient(), rows, Mode::kLearn);
  for (int32_t r = first; r < last; r++) {
    float weight = session.classes.entries[step.labels[r]].weight;
    if (!session.classes.present[step.labels[r]]) weight = 1;  // a class that comes with this step
    if (term.segment == kSegmentCurrent && step.row_weights) weight *= step.row_weights[r];
    if (weight == 1) continue;
    step.loss_rows[r] *= weight;
    for (int32_t c = 0; c < gradient.channels; c++) *tensor_place(gradient, static_cast<uint32_t>(r), c, 0) *= weight;
  }
}

}  // namespace

LossSums compute_loss(const Session& session, const StepRows& rows, const LossTerms& terms) {
  const Net net = session.learning();
  const ProfileScope profile(net.env, kProfileLoss, 0);
  const KernelTable& kernels = *net.env.kernels;
  int32_t begin[kMaxSegments + 1] = {};
  for (uint32_t s = 0; s < kMaxSegments; s++) begin[s + 1] = begin[s] + static_cast<int32_t>(rows.n[s]);
  const uint32_t n_rows = static_cast<uint32_t>(begin[kMaxSegments]);

  LossSums sums = {};
  for (uint32_t t = 0; t < terms.n_terms; t++) {
    const LossTerm& term = terms.terms[t];
    const int32_t first = begin[term.segment], last = begin[term.segment + 1];
    if (term.kind != LossKind::kLogitsMse) {
      const bool cosine = term.kind == LossKind::kCosineCrossEntropy;
      if (cosine) write_cosine_logits(session);
      CrossEntropyArgs args = term_args<CrossEntropyArgs>(session, term, first, last, n_rows);
      args.labels = session.step.labels;
      run_kernel(net, kernels.cross_entropy, args);
      apply_weights(session, term, first, last, n_rows);
      if (cosine) scale_cosine_gradient(session);
    } else {
      LogitsMseArgs args = term_args<LogitsMseArgs>(session, term, first, last, n_rows);
      args.target = session.step.targets;
      run_kernel(net, kernels.logits_mse, args);
    }
    float* sum = term.kind == LossKind::kLogitsMse ? &sums.logits
                 : term.segment == kSegmentCurrent ? &sums.current
                                                   : &sums.replay;
    for (int32_t r = first; r < last; r++) *sum += session.step.loss_rows[r];
  }
  sums.total = sums.current + sums.replay + sums.logits;
  return sums;
}

bool loss_finite(const LossSums& sums) {
  return all_finite(&sums.total, 1);
}

}  // namespace edgecl
