// Predict-mode passes over pieces of a batch, and what is read from them.
// Never here: training mode.
#include "runtime/learn/inference.h"

#include "kernels/exp_log.h"
#include "runtime/core/encoder.h"
#include "runtime/learn/session_domains.h"

namespace edgecl {
namespace {

// Where the rows of a pass are read: of each row of the batch once, from the domain that it belongs to.
struct Reader {
  const void* context;
  void (*row)(const void* context, const Tensor& result, uint32_t row, uint64_t batch_row);
};

Status not_finite(uint32_t begin, uint32_t rows) {
  return failure(EDGECL_E_NUMERIC,
                 "expected finite scores; found NaN or infinity among those of samples %u..%u; check their range",
                 begin, begin + rows - 1);
}

// The encoder from op `op` and, where scores are wanted, the head, for the domain in place. Rows of another route are not
// read; route null: all are.
Status finish_piece(Session* session, uint32_t op, uint32_t begin, uint32_t rows, bool scores, const int32_t* route,
                    int32_t wanted, const Reader& reader) {
  const Plan& plan = *session->plan;
  const Net net = session->predicting();
  encode(net, rows, Mode::kPredict, op, session->head_op, nullptr, 0);
  if (scores) session->head->score(session->head_memory, net, rows, Mode::kPredict, nullptr);
  const Tensor result =
      plan_tensor(net, scores ? plan.model->logits_tensor : plan.model->embedding_tensor, rows, Mode::kPredict);
  if (!all_finite(result.data, result.size())) return not_finite(begin, rows);
  for (uint32_t r = 0; r < rows; r++) {
    if (route == nullptr || route[r] == wanted) reader.row(reader.context, result, r, begin + r);
  }
  return Status();
}

// The ops in front of what domains have of their own, with their taps; then the best domain of each row.
Status route_pass(Session* session, uint32_t rows) {
  const Plan& plan = *session->plan;
  Domains* const domains = &session->domains;
  const Net net = session->predicting();
  for (uint32_t i = 0; i < domain_op(plan); i++) {
    forward_ops(net, rows, Mode::kPredict, i, i + 1);
    keep_taps(net, *domains, i, rows, session->config.max_batch);
  }
  gather_features(plan, *domains, rows, session->config.max_batch);
  if (!all_finite(domains->features, static_cast<int64_t>(rows) * domains->dim)) return not_finite(0, rows);
  return route_rows(net, rows, domains);
}

// The frozen part once, then of each domain that rows were routed to what is its own.
Status route_piece(Session* session, uint32_t begin, uint32_t rows, bool scores, const Reader& reader) {
  const Plan& plan = *session->plan;
  Domains* const domains = &session->domains;
  const Net net = session->predicting();
  const uint32_t op = domain_op(plan), border = domain_border(plan);
  EDGECL_RETURN_IF_FAILED(route_pass(session, rows));
  const uint64_t width = tensor_row_floats(plan.tensors[border]);
  copy_rows_out(net, plan_tensor(net, border, rows, Mode::kPredict), rows, false, domains->border);
  Status status;
  for (uint32_t d = 0; d < domains->capacity && status.ok(); d++) {
    uint32_t n = 0;
    for (uint32_t r = 0; r < rows; r++) n += domains->route[r] == static_cast<int32_t>(d);
    if (n == 0) continue;
    place_domain(plan, d, session->weights, domains, &session->head_memory);
    if (scores) status = session->head->prepare(session->head_memory, net);  // works in the activations
    for (uint32_t r = 0; r < rows; r++) session->predict_samples[r] = domains->border + r * width;
    copy_rows_in(net, reinterpret_cast<const float* const*>(session->predict_samples), rows,
                 plan_tensor(net, border, rows, Mode::kPredict));
    if (status.ok())
      status = finish_piece(session, op, begin, rows, scores, domains->route, static_cast<int32_t>(d), reader);
  }
  place_selected(session);
  return status;
}

// Runs the pieces of a batch; the reader sees every row.
Status run_pieces(Session* session, const Batch& batch, bool scores, const Reader& reader) {
  EDGECL_RETURN_IF_FAILED(check_batch(*session, batch));
  const Net net = session->predicting();
  const bool routed = routes_by_fit(*session);
  if (scores && !routed && session->head->prepare)
    EDGECL_RETURN_IF_FAILED(session->head->prepare(session->head_memory, net));
  for (uint32_t begin = 0; begin < batch.n;) {
    const uint32_t left = batch.n - begin;
    const uint32_t rows = left < session->config.max_batch ? left : session->config.max_batch;
    for (uint32_t r = 0; r < rows; r++) session->predict_samples[r] = batch.sample(*session, begin + r);
    load_input(*session, net, session->predict_samples, rows, Mode::kPredict, false);
    EDGECL_RETURN_IF_FAILED(routed ? route_piece(session, begin, rows, scores, reader)
                                   : finish_piece(session, 0, begin, rows, scores, nullptr, 0, reader));
    session->samples_predicted += rows;
    begin += rows;
  }
  return Status();
}

template <class Read>
Status run_pieces(Session* session, const Batch& batch, bool scores, const Read& read) {
  const Reader reader = {&read, [](const void* context, const Tensor& result, uint32_t row, uint64_t batch_row) {
                           (*static_cast<const Read*>(context))(result, row, batch_row);
                         }};
  return run_pieces(session, batch, scores, reader);
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
  return run_pieces(session, batch, true, [&](const Tensor& logits, uint32_t r, uint64_t row) {
    sink(context, row, judge(session->classes, logits, r));
  });
}

Status logits_rows(Session* session, const Batch& batch, float* out) {
  const ClassTable& classes = session->classes;
  return run_pieces(session, batch, true, [&](const Tensor& logits, uint32_t r, uint64_t row) {
    float* to = out + row * classes.n_columns;
    for (uint32_t c = 0; c < classes.n_columns; c++)
      to[c] = classes.present[c] ? tensor_element(logits, r, static_cast<int32_t>(c), 0) : -__builtin_inff();
  });
}

Status probability_rows(Session* session, const Batch& batch, float* out) {
  const ClassTable& classes = session->classes;
  return run_pieces(session, batch, true, [&](const Tensor& logits, uint32_t r, uint64_t row) {
    const Softmax s = softmax_of(classes, logits, r);
    float* to = out + row * classes.n_columns;
    for (uint32_t c = 0; c < classes.n_columns; c++) {
      const float z = tensor_element(logits, r, static_cast<int32_t>(c), 0);
      to[c] = classes.present[c] ? exp_scalar(z - s.largest) / s.sum : 0.0f;
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

void set_threshold(Session* session, uint32_t kind, const Threshold& threshold) {
  session->thresholds.of[kind] = threshold;
  if (kind == own_novelty(*session)) restart_window(threshold, &session->window);
}

namespace {

Status fit_rows(Session* session, const Batch& batch, void* context, NoveltySink sink) {
  struct To {
    void* context;
    NoveltySink sink;
  } to = {context, sink};
  return routed_rows(session, batch, &to, [](void* into, uint64_t row, const Route& route) {
    const To& found = *static_cast<const To*>(into);
    found.sink(found.context, row, route.fit);
  });
}

}  // namespace

Status novelty_rows(Session* session, const Batch& batch, uint32_t number, void* context, NoveltySink sink) {
  EDGECL_RETURN_IF_FAILED(resolve_novelty(*session, &number));
  if (number == kNoveltyFit) return fit_rows(session, batch, context, sink);
  const NoveltyKind& kind = *novelty_kind(number);
  EDGECL_RETURN_IF_FAILED(kind.check(session->head_memory, session->novelty));
  const Net net = session->predicting();
  EDGECL_RETURN_IF_FAILED(kind.prepare(session->head_memory, session->novelty, net));
  const format::ModelRecord& model = *session->plan->model;
  return run_pieces(session, batch, kind.logits, [&](const Tensor& result, uint32_t r, uint64_t row) {
    // Rows of the pass, of which the result tells.
    const uint32_t rows = static_cast<uint32_t>(result.groups) * static_cast<uint32_t>(result.lanes);
    Tensor embedding = {};
    if (model.embedding_tensor != format::kNone)
      embedding = plan_tensor(net, model.embedding_tensor, rows, Mode::kPredict);
    const NoveltyInput input = {session->head_memory,
                                session->novelty,
                                session->classes.present,
                                net,
                                embedding,
                                plan_tensor(net, model.logits_tensor, rows, Mode::kPredict)};
    sink(context, row, kind.score(input, r));
  });
}

Status embed_rows(Session* session, const Batch& batch, float* out) {
  const uint64_t size = embedding_size(*session->plan);
  if (size == 0) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a bundle with a separate head; found none in \"%s\"; use edgecl_logits",
                   session->plan->string(session->plan->model->name));
  }
  return run_pieces(session, batch, false,
                    [&](const Tensor& x, uint32_t r, uint64_t row) { gather_row(x, r, out + row * size); });
}

bool routes_by_fit(const Session& session) {
  const Domains& domains = session.domains;
  if (!domains.any() || !domains.routes || domains.n_used() < 2) return false;
  for (uint32_t d = 0; d < domains.capacity; d++) {
    if (domains.list[d].used && routing_has_rows(domains.list[d].routing)) return true;
  }
  return false;
}

Status routed_rows(Session* session, const Batch& batch, void* context, RouteSink sink) {
  EDGECL_RETURN_IF_FAILED(check_has_domains(*session));
  EDGECL_RETURN_IF_FAILED(check_batch(*session, batch));
  const Domains& domains = session->domains;
  const Net net = session->predicting();
  for (uint32_t begin = 0; begin < batch.n;) {
    const uint32_t left = batch.n - begin;
    const uint32_t rows = left < session->config.max_batch ? left : session->config.max_batch;
    for (uint32_t r = 0; r < rows; r++) session->predict_samples[r] = batch.sample(*session, begin + r);
    load_input(*session, net, session->predict_samples, rows, Mode::kPredict, false);
    EDGECL_RETURN_IF_FAILED(route_pass(session, rows));
    for (uint32_t r = 0; r < rows; r++) {
      const float bound = domains.list[domains.route[r]].routing.bound;
      sink(context, begin + r, {domains.route[r], domains.fits[r], domains.fits[r] > bound});
    }
    session->samples_predicted += rows;
    begin += rows;
  }
  return Status();
}

}  // namespace edgecl
