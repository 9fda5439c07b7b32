// Predictions, probabilities, logits, embeddings.
// Never here: passes (runtime/learn/inference.cpp).
#include "runtime/api/api_batch.h"
#include "runtime/api/api_objects.h"
#include "runtime/learn/inference.h"

namespace edgecl::api {
namespace {

void store_prediction(void* context, uint64_t row, const Prediction& prediction) {
  const edgecl_prediction record = {prediction.label, prediction.probability, prediction.margin, 0};
  static_cast<const Elements*>(context)->write(static_cast<size_t>(row), record);
}

Status predict(edgecl_session* session, const edgecl_batch* from, edgecl_prediction* out, size_t out_stride) {
  Batch batch;
  EDGECL_RETURN_IF_FAILED(read_batch(from, &batch));
  EDGECL_RETURN_IF_FAILED(check_pointer(out, "out"));
  EDGECL_RETURN_IF_FAILED(check_stride(out_stride, "out_stride", "edgecl_prediction"));
  Elements array = {reinterpret_cast<uint8_t*>(out), out_stride};
  return predict_rows(&session->session, batch, &array, store_prediction);
}

// Batch and room of a call that writes `width` floats per sample.
Status read_request(const edgecl_batch* from, const float* out, size_t capacity, uint64_t width, Batch* batch) {
  EDGECL_RETURN_IF_FAILED(read_batch(from, batch));
  EDGECL_RETURN_IF_FAILED(check_pointer(out, "out"));
  if (batch->n * width > capacity) {
    return failure(EDGECL_E_SHAPE, "expected room for %llu floats; found %zu; enlarge the array",
                   static_cast<unsigned long long>(batch->n * width), capacity);
  }
  return Status();
}

Status logits(edgecl_session* session, const edgecl_batch* from, float* out, size_t capacity) {
  Batch batch;
  EDGECL_RETURN_IF_FAILED(read_request(from, out, capacity, session->session.classes.n_columns, &batch));
  return logits_rows(&session->session, batch, out);
}

Status probabilities(edgecl_session* session, const edgecl_batch* from, float* out, size_t capacity) {
  Batch batch;
  EDGECL_RETURN_IF_FAILED(read_request(from, out, capacity, session->session.classes.n_columns, &batch));
  return probability_rows(&session->session, batch, out);
}

Status embed(edgecl_session* session, const edgecl_batch* from, float* out, size_t capacity) {
  Batch batch;
  EDGECL_RETURN_IF_FAILED(read_request(from, out, capacity, embedding_size(*session->session.plan), &batch));
  return embed_rows(&session->session, batch, out);
}

}  // namespace
}  // namespace edgecl::api

using namespace edgecl;

extern "C" {

edgecl_status edgecl_predict(edgecl_session* session, const edgecl_batch* batch, edgecl_prediction* out,
                             size_t out_stride) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::predict(session, batch, out, out_stride)) : call.refusal();
}

edgecl_status edgecl_logits(edgecl_session* session, const edgecl_batch* batch, float* out, size_t capacity) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::logits(session, batch, out, capacity)) : call.refusal();
}

edgecl_status edgecl_probabilities(edgecl_session* session, const edgecl_batch* batch, float* out, size_t capacity) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::probabilities(session, batch, out, capacity)) : call.refusal();
}

edgecl_status edgecl_embed(edgecl_session* session, const edgecl_batch* batch, float* out, size_t capacity) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::embed(session, batch, out, capacity)) : call.refusal();
}

}  // extern "C"
