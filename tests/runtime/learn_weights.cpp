// Weights of rows and of classes in the loss.
// Never here: the loss without them (learn_methods.cpp).
#include <math.h>

#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;

edgecl_status learn(Session* session, const Stream& stream, const std::vector<float>& weights,
                    edgecl_learn_report* report = nullptr) {
  edgecl_batch batch = session->batch(stream.data(), static_cast<uint32_t>(stream.labels.size()));
  batch.weights = weights.empty() ? nullptr : weights.data();
  return edgecl_learn(session->session, &batch, stream.labels.data(), report);
}

std::vector<float> weight_of(const Session& session, uint32_t index, size_t n) {
  std::vector<float> out(n);
  CHECK(edgecl_weights_read(session.session, index, out.data(), n) == EDGECL_OK);
  return out;
}

}  // namespace

TEST(weights_of_one_change_nothing) {
  const Model model(mlp());
  Session a(model, model.config()), b(model, model.config());
  Stream stream(model.info, 3);
  for (int i = 0; i < 5; i++) {
    stream.next(4, 0, 3);
    CHECK(learn(&a, stream, {}) == EDGECL_OK && learn(&b, stream, {1, 1, 1, 1}) == EDGECL_OK);
    CHECK(edgecl_class_weight_set(b.session, stream.labels[0], 1) == EDGECL_OK);
  }
  CHECK(a.digest() == b.digest());
}

// The gradient is a sum over rows: two rows with weights are the sum of steps of one row each, in the limit exactly the
// sum of their updates, because plain SGD is linear in the gradient.
TEST(a_weight_multiplies_the_gradient_of_its_row) {
  BundleSource source = mlp();
  source.method = format::kMethodFinetune;
  source.replay_capacity = 0;
  source.classes = {{0, "a"}, {1, "b"}, {2, "c"}, {3, "d"}};
  const Model model(source);
  Stream stream(model.info, 3);
  stream.next(2, 0, 4);
  stream.labels = {1, 2};
  const uint32_t head = 2;  // [hidden][columns]
  const size_t n = kHidden * kColumns;
  Session start(model, model.config());
  const std::vector<float> before = weight_of(start, head, n);
  const auto update = [&](const std::vector<float>& weights, float class_weight) {
    Session session(model, model.config());
    CHECK(edgecl_class_weight_set(session.session, 2, class_weight) == EDGECL_OK);
    CHECK(learn(&session, stream, weights) == EDGECL_OK);
    std::vector<float> change = weight_of(session, head, n);
    for (size_t i = 0; i < n; i++) change[i] -= before[i];
    return change;
  };
  const std::vector<float> first = update({1, 0}, 1), second = update({0, 1}, 1), both = update({0.5f, 3}, 1),
                           by_class = update({0.5f, 1.5f}, 2);
  float largest = 0;
  for (size_t i = 0; i < n; i++) {
    CHECK(fabsf(0.5f * first[i] + 3 * second[i] - both[i]) < 1e-6f);
    CHECK(fabsf(both[i] - by_class[i]) < 1e-6f);
    largest = fmaxf(largest, fabsf(both[i]));
  }
  CHECK(largest > 1e-4f);
}

TEST(a_row_without_weight_stays_outside) {
  const Model model(mlp());
  Session session(model, model.config());
  Stream stream(model.info, 3);
  stream.next(4, 0, 2);
  edgecl_learn_report report = {};
  report.struct_size = sizeof report;
  float loss[4];
  report.row_loss = loss;
  CHECK(learn(&session, stream, {1, 0, 2, 0}, &report) == EDGECL_OK);
  CHECK(session.stats().replay_fill == 2 && session.stats().samples_seen == 2);
  CHECK(loss[0] > 0 && loss[1] == 0 && loss[2] > 0 && loss[3] == 0);
}

TEST(weights_that_are_none_are_refused) {
  const Model model(mlp());
  Session session(model, model.config());
  Stream stream(model.info, 3);
  stream.next(2, 0, 2);
  CHECK(learn(&session, stream, {}) == EDGECL_OK);
  const std::string digest = session.digest();
  for (const float bad : {-1.0f, 2e6f, NAN, INFINITY}) {
    CHECK(learn(&session, stream, {1, bad}) == EDGECL_E_ARGUMENT);
    CHECK(edgecl_class_weight_set(session.session, stream.labels[0], bad) == EDGECL_E_ARGUMENT);
  }
  CHECK(edgecl_class_weight_set(session.session, 3, 1) == EDGECL_E_NOT_FOUND);
  CHECK(session.digest() == digest);
}

TEST(class_weights_and_label_kinds_are_part_of_the_state) {
  const Model model(mlp());
  Session session(model, model.config()), copy(model, model.config());
  Stream stream(model.info, 3);
  stream.next(4, 0, 3);
  CHECK(learn(&session, stream, {}) == EDGECL_OK);
  const std::string digest = session.digest();
  CHECK(edgecl_class_weight_set(session.session, stream.labels[0], 2.5f) == EDGECL_OK && session.digest() != digest);
  CHECK(edgecl_label_kind_set(session.session, EDGECL_LABELS_INTEGER) == EDGECL_OK);
  CHECK(edgecl_label_kind_set(session.session, 5) == EDGECL_E_ARGUMENT);
  const std::vector<uint8_t> bytes = session.state();
  CHECK(edgecl_state_import(copy.session, bytes.data(), bytes.size()) == EDGECL_OK && copy.state() == bytes);
  float weight = 0;
  uint32_t kind = 0;
  CHECK(edgecl_class_weight_get(copy.session, stream.labels[0], &weight) == EDGECL_OK && weight == 2.5f);
  CHECK(edgecl_label_kind_get(copy.session, &kind) == EDGECL_OK && kind == EDGECL_LABELS_INTEGER);
  CHECK(edgecl_class_forget(copy.session, stream.labels[0]) == EDGECL_OK);
  CHECK(edgecl_session_reset(copy.session) == EDGECL_OK);
  CHECK(edgecl_label_kind_get(copy.session, &kind) == EDGECL_OK && kind == EDGECL_LABELS_UNKNOWN);
}

RUN_TESTS()
