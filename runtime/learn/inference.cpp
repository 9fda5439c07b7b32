// Predict-mode passes over pieces of a batch, and what is read from them.
// Never here: training mode.
#include "runtime/learn/inference.h"

#include "kernels/exp_log.h"

namespace edgecl {
namespace {

// Element `channel`, flat position `at` of batch row `row`.
float element(const Tensor& t, uint32_t row, int32_t channel, int64_t at) {
  const int64_t group = row / static_cast<uint32_t>(t.lanes), lane = row % static_cast<uint32_t>(t.lanes);
  return t.data[(group * t.channels + channel) * t.plane() + at * t.lanes + lane];
}

// Runs the pieces; `read(values of the tensor, row of the batch, row of the piece)` sees each row.
template <class Read>
Status run_pieces(Session* session, const Batch& batch, uint32_t tensor, const Read& read) {
  EDGECL_RETURN_IF_FAILED(check_batch(*session, batch));
  const Plan& plan = *session->plan;
  for (uint32_t begin = 0; begin < batch.n;) {
    const uint32_t left = batch.n - begin;
    const uint32_t rows = left < session->config.max_batch ? left : session->config.max_batch;
    for (uint32_t r = 0; r < rows; r++) session->step.samples[r] = batch.sample(*session, begin + r);
    load_input(*session, rows, Mode::kPredict, false);
    forward(plan, session->buffers, rows, Mode::kPredict);
    const Tensor result = plan_tensor(plan, session->buffers, tensor, rows, Mode::kPredict);
    if (!all_finite(result.data, result.size())) {
      return failure(EDGECL_E_NUMERIC,
                     "expected finite scores; found NaN or infinity among those of samples %u..%u; check their range",
                     begin, begin + rows - 1);
    }
    for (uint32_t r = 0; r < rows; r++) read(result, begin + r, r);
    session->samples_predicted += rows;
    begin += rows;
  }
  return Status();
}

Prediction judge(const ClassTable& classes, const Tensor& logits, uint32_t row) {
  Prediction best = {-1, 0.0f, 0.0f};
  float largest = 0, second = 0;
  uint32_t n = 0;
  for (uint32_t c = 0; c < classes.n_columns; c++) {
    if (!classes.present[c]) continue;
    const float z = element(logits, row, static_cast<int32_t>(c), 0);
    if (n == 0 || z > largest) {
      second = n == 0 ? z : largest;
      largest = z;
      best.label = static_cast<int32_t>(c);
    } else if (n == 1 || z > second) {
      second = z;
    }
    n++;
  }
  if (n == 0) return best;
  float sum = 0;
  for (uint32_t c = 0; c < classes.n_columns; c++) {
    if (classes.present[c]) sum += exp_scalar(element(logits, row, static_cast<int32_t>(c), 0) - largest);
  }
  best.probability = 1.0f / sum;  // exp(0) of the largest is 1
  best.margin = n > 1 ? largest - second : 0.0f;
  return best;
}

}  // namespace

uint64_t embedding_size(const Plan& plan) {
  return plan.model->embedding_tensor == format::kNone ? 0
                                                       : tensor_row_floats(plan.tensors[plan.model->embedding_tensor]);
}

Status predict_rows(Session* session, const Batch& batch, void* context, PredictionSink sink) {
  return run_pieces(session, batch, session->plan->model->logits_tensor,
                    [&](const Tensor& logits, uint64_t row, uint32_t piece_row) {
                      sink(context, row, judge(session->classes, logits, piece_row));
                    });
}

Status logits_rows(Session* session, const Batch& batch, float* out) {
  const ClassTable& classes = session->classes;
  return run_pieces(session, batch, session->plan->model->logits_tensor,
                    [&](const Tensor& logits, uint64_t row, uint32_t piece_row) {
                      for (uint32_t c = 0; c < classes.n_columns; c++) {
                        const float z = element(logits, piece_row, static_cast<int32_t>(c), 0);
                        out[row * classes.n_columns + c] = classes.present[c] ? z : -__builtin_inff();
                      }
                    });
}

Status embed_rows(Session* session, const Batch& batch, float* out) {
  const uint64_t size = embedding_size(*session->plan);
  if (size == 0) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a bundle with a separate head; found none in \"%s\"; use edgecl_logits",
                   session->plan->string(session->plan->model->name));
  }
  return run_pieces(session, batch, session->plan->model->embedding_tensor,
                    [&](const Tensor& x, uint64_t row, uint32_t piece_row) {
                      float* to = out + row * size;
                      const int64_t positions = static_cast<int64_t>(x.height) * x.width;
                      for (int32_t c = 0; c < x.channels; c++) {
                        for (int64_t at = 0; at < positions; at++) *to++ = element(x, piece_row, c, at);
                      }
                    });
}

}  // namespace edgecl
