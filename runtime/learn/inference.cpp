// Predict-mode passes over pieces of a batch, and what is read from them.
// Never here: training mode.
#include "runtime/learn/inference.h"

#include "kernels/exp_log.h"
#include "runtime/core/encoder.h"

namespace edgecl {
namespace {

// Runs the pieces, each through encoder and (where scores are wanted) head; `read(context, tensor, first row of the
// batch, rows)` sees each piece.
using ReadPiece = void (*)(const void* context, const Tensor& result, uint64_t begin, uint32_t rows);
Status run_pieces(Session* session, const Batch& batch, bool scores, const void* context, ReadPiece read_piece) {
  EDGECL_RETURN_IF_FAILED(check_batch(*session, batch));
  const Plan& plan = *session->plan;
  const Net net = session->predicting();
  if (scores && session->head->prepare) EDGECL_RETURN_IF_FAILED(session->head->prepare(session->head_memory, net));
  const uint32_t watched = scores ? plan.model->logits_tensor : plan.model->embedding_tensor;
  for (uint32_t begin = 0; begin < batch.n;) {
    const uint32_t left = batch.n - begin;
    const uint32_t rows = left < session->config.max_batch ? left : session->config.max_batch;
    for (uint32_t r = 0; r < rows; r++) session->predict_samples[r] = batch.sample(*session, begin + r);
    load_input(*session, net, session->predict_samples, rows, Mode::kPredict, false);
    encode(net, rows, Mode::kPredict, 0, session->head_op, nullptr, 0);
    if (scores) session->head->score(session->head_memory, net, rows, Mode::kPredict, nullptr);
    const Tensor result = plan_tensor(net, watched, rows, Mode::kPredict);
    if (!all_finite(result.data, result.size())) {
      return failure(EDGECL_E_NUMERIC,
                     "expected finite scores; found NaN or infinity among those of samples %u..%u; check their range",
                     begin, begin + rows - 1);
    }
    read_piece(context, result, begin, rows);
    session->samples_predicted += rows;
    begin += rows;
  }
  return Status();
}

// The loop is there once, whatever reads.
template <class Read>
Status run_pieces(Session* session, const Batch& batch, bool scores, const Read& read) {
  return run_pieces(session, batch, scores, &read,
                    [](const void* context, const Tensor& result, uint64_t begin, uint32_t rows) {
                      (*static_cast<const Read*>(context))(result, begin, rows);
                    });
}

// The softmax of a row: its largest logit and the sum of exp(logit - largest), over the classes present.
struct Softmax {
  int32_t label = -1;  // of the largest; -1 without classes
  uint32_t n = 0;
  float largest = 0, second = 0, sum = 0;
};

Softmax softmax_of(const ClassTable& classes, const Tensor& logits, uint32_t row) {
  Softmax s;
  for (uint32_t c = 0; c < classes.n_columns; c++) {
    if (!classes.present[c]) continue;
    const float z = tensor_element(logits, row, static_cast<int32_t>(c), 0);
    if (s.n == 0 || z > s.largest) {
      s.second = s.n == 0 ? z : s.largest;
      s.largest = z;
      s.label = static_cast<int32_t>(c);
    } else if (s.n == 1 || z > s.second) {
      s.second = z;
    }
    s.n++;
  }
  for (uint32_t c = 0; c < classes.n_columns; c++) {
    if (classes.present[c]) s.sum += exp_scalar(tensor_element(logits, row, static_cast<int32_t>(c), 0) - s.largest);
  }
  return s;
}

Prediction judge(const ClassTable& classes, const Tensor& logits, uint32_t row) {
  const Softmax s = softmax_of(classes, logits, row);
  if (s.n == 0) return {-1, 0.0f, 0.0f};
  return {s.label, 1.0f / s.sum, s.n > 1 ? s.largest - s.second : 0.0f};  // exp(0) of the largest is 1
}

}  // namespace

uint64_t embedding_size(const Plan& plan) {
  return plan.model->embedding_tensor == format::kNone ? 0
                                                       : tensor_row_floats(plan.tensors[plan.model->embedding_tensor]);
}

Status predict_rows(Session* session, const Batch& batch, void* context, PredictionSink sink) {
  return run_pieces(session, batch, true, [&](const Tensor& logits, uint64_t begin, uint32_t rows) {
    for (uint32_t r = 0; r < rows; r++) sink(context, begin + r, judge(session->classes, logits, r));
  });
}

Status logits_rows(Session* session, const Batch& batch, float* out) {
  const ClassTable& classes = session->classes;
  return run_pieces(session, batch, true, [&](const Tensor& logits, uint64_t begin, uint32_t rows) {
    for (uint32_t r = 0; r < rows; r++) {
      float* to = out + (begin + r) * classes.n_columns;
      for (uint32_t c = 0; c < classes.n_columns; c++)
        to[c] = classes.present[c] ? tensor_element(logits, r, static_cast<int32_t>(c), 0) : -__builtin_inff();
    }
  });
}

Status probability_rows(Session* session, const Batch& batch, float* out) {
  const ClassTable& classes = session->classes;
  return run_pieces(session, batch, true, [&](const Tensor& logits, uint64_t begin, uint32_t rows) {
    for (uint32_t r = 0; r < rows; r++) {
      const Softmax s = softmax_of(classes, logits, r);
      float* to = out + (begin + r) * classes.n_columns;
      for (uint32_t c = 0; c < classes.n_columns; c++) {
        const float z = tensor_element(logits, r, static_cast<int32_t>(c), 0);
        to[c] = classes.present[c] ? exp_scalar(z - s.largest) / s.sum : 0.0f;
      }
    }
  });
}

uint32_t own_novelty(const Session& session) {
  return session.config.novelty != kNoveltyNone ? session.config.novelty
                                                : kNoveltyEnergy;  // which every session can make
}

Status resolve_novelty(const Session& session, uint32_t* kind) {
  if (*kind == kNoveltyNone) *kind = own_novelty(session);
  if (novelty_kind(*kind) != nullptr) return Status();
  return failure(EDGECL_E_ARGUMENT, "expected a novelty score in 1..%u; found %u; set EDGECL_NOVELTY_*", kNoveltyScores,
                 *kind);
}

Status novelty_rows(Session* session, const Batch& batch, uint32_t number, void* context, NoveltySink sink) {
  EDGECL_RETURN_IF_FAILED(resolve_novelty(*session, &number));
  const NoveltyKind& kind = *novelty_kind(number);
  EDGECL_RETURN_IF_FAILED(kind.check(session->head_memory, session->novelty));
  const Net net = session->predicting();
  EDGECL_RETURN_IF_FAILED(kind.prepare(session->head_memory, session->novelty, net));
  const format::ModelRecord& model = *session->plan->model;
  return run_pieces(session, batch, kind.logits, [&](const Tensor&, uint64_t begin, uint32_t rows) {
    Tensor embedding = {};
    if (model.embedding_tensor != format::kNone)
      embedding = plan_tensor(net, model.embedding_tensor, rows, Mode::kPredict);
    const NoveltyInput input = {session->head_memory,
                                session->novelty,
                                session->classes.present,
                                net,
                                embedding,
                                plan_tensor(net, model.logits_tensor, rows, Mode::kPredict)};
    for (uint32_t r = 0; r < rows; r++) sink(context, begin + r, kind.score(input, r));
  });
}

Status embed_rows(Session* session, const Batch& batch, float* out) {
  const uint64_t size = embedding_size(*session->plan);
  if (size == 0) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a bundle with a separate head; found none in \"%s\"; use edgecl_logits",
                   session->plan->string(session->plan->model->name));
  }
  return run_pieces(session, batch, false, [&](const Tensor& x, uint64_t begin, uint32_t rows) {
    copy_rows_out(session->predicting(), x, rows, false, out + begin * size);
  });
}

}  // namespace edgecl
