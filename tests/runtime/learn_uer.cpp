// UER: cosine logits of the current rows, ordinary logits of the replayed ones, and their exact gradient.
// Never here: other methods.
#include "tests/runtime/learn_oracle.h"

namespace {

using namespace edgecl_test;

edgecl_session_config uer_config(const Model& model) {
  edgecl_session_config config = model.config();
  config.method = EDGECL_METHOD_UER;
  config.cosine_scale = 7;
  config.seed = 5;
  return config;
}

struct StepRecord {
  edgecl_learn_report report = {};
  uint32_t slots[8] = {};
  uint8_t correct[4] = {};
  float loss[4] = {};
  StepRecord() {
    report.struct_size = sizeof report;
    report.replay_slots = slots;
    report.replay_slots_capacity = 8;
    report.row_correct = correct;
    report.row_loss = loss;
  }
};

void check_step(const Session& session, const Stream& stream, const DecodedState& before, const StepRecord& step) {
  const DecodedState after = decode(session);
  std::vector<bool> present(kColumns);
  for (const uint32_t label : after.labels_present) present[label] = true;
  const double scale = static_cast<double>(session.config().cosine_scale);
  const double n = static_cast<double>(stream.labels.size()), m = step.report.n_replayed;
  const auto current = [&](const Oracle& net) {
    double sum = 0;
    for (size_t r = 0; r < stream.labels.size(); r++)
      sum += Oracle::cross_entropy(net.cosines(&stream.floats[r * kFeatures], scale), stream.labels[r], present) / n;
    return sum;
  };
  const auto replayed = [&](const Oracle& net) {
    double sum = 0;
    for (uint32_t i = 0; i < step.report.n_replayed; i++) {
      const DecodedState::Exemplar& e = before.replay[step.slots[i]];
      sum += Oracle::cross_entropy(net.logits(floats_of(e)), e.label, present) / m;
    }
    return sum;
  };
  const Oracle net(before);
  check_close("loss_current", static_cast<double>(step.report.loss_current), current(net), 1e-5);
  check_close("loss_replay", static_cast<double>(step.report.loss_replay), replayed(net), 1e-5);
  const auto gradient = net.gradient([&](const Oracle& moved) { return current(moved) + replayed(moved); });
  for (size_t p = 0; p < 4; p++) {
    for (size_t i = 0; i < gradient[p].size(); i++) {
      check_close("weight", static_cast<double>(after.params[p].values[i]),
                  net.params[p][i] - static_cast<double>(session.config().learning_rate) * gradient[p][i], 2e-6);
    }
  }
  for (size_t r = 0; r < stream.labels.size(); r++) {
    const float* x = &stream.floats[r * kFeatures];
    check_close("row_loss", static_cast<double>(step.loss[r]),
                Oracle::cross_entropy(net.cosines(x, scale), stream.labels[r], present), 1e-5);
    const std::vector<double> z = net.logits(x);  // by what a prediction would say
    bool largest = true;
    for (uint32_t c = 0; c < kColumns; c++)
      largest = largest && (!present[c] || z[c] <= z[static_cast<size_t>(stream.labels[r])]);
    CHECK(step.correct[r] == (largest ? 1 : 0));
  }
}

}  // namespace

TEST(steps_match_central_differences) {
  const Model model(mlp());
  Session session(model, uer_config(model));
  Stream stream(model.info, 21);
  uint32_t n_correct = 0;
  for (uint32_t i = 0; i < 14; i++) {
    stream.next(4, i < 6 ? 0 : 2);
    const DecodedState before = decode(session);
    StepRecord step;
    CHECK(session.learn(stream.data(), stream.labels, &step.report) == EDGECL_OK);
    CHECK(step.report.n_replayed == (i == 0 ? 0u : 3u));
    check_step(session, stream, before, step);
    for (const uint8_t c : step.correct) n_correct += c;
  }
  CHECK(n_correct > 0 && n_correct < 14 * 4);
}

// A bias takes no part in a cosine: without replayed rows it stays where it was.
TEST(current_rows_leave_the_bias_alone) {
  const Model model(mlp());
  Session session(model, uer_config(model));
  Stream stream(model.info, 2);
  stream.next(4);
  const DecodedState before = decode(session);
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  const DecodedState after = decode(session);
  CHECK(after.params[3].values == before.params[3].values && after.params[2].values != before.params[2].values);
}

// A column of zeros and a sample whose embedding is zero have a cosine, and a bounded gradient.
TEST(zero_norms) {
  BundleSource source = mlp();
  for (float& w : source.params[2].values) w = 0;
  for (float& b : source.params[1].values) b = 0;
  const Model model(source);
  Session session(model, uer_config(model));
  const std::vector<float> zeros(2 * kFeatures, 0.0f);
  edgecl_learn_report report = {};
  report.struct_size = sizeof report;
  CHECK(session.learn(zeros.data(), {0, 1}, &report) == EDGECL_OK);
  check_close("loss", static_cast<double>(report.loss), log(2.0), 1e-6);
  Stream stream(model.info, 8);
  for (int step = 0; step < 20; step++) {
    stream.next(4);
    CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  }
}

// A refused step changes nothing, and the next one is as if it had never been tried.
TEST(refused_step_leaves_no_trace) {
  const Model model(mlp());
  Session session(model, uer_config(model)), other(model, uer_config(model));
  Stream stream(model.info, 3);
  for (int step = 0; step < 3; step++) {
    stream.next(4);
    std::vector<float> broken(stream.floats);
    broken[0] = NAN;
    const std::string before = session.digest();
    CHECK(session.learn(broken.data(), stream.labels) == EDGECL_E_NUMERIC && session.digest() == before);
    broken[0] = 1e13f;
    CHECK(session.learn(broken.data(), stream.labels) == EDGECL_E_NUMERIC && session.digest() == before);
    CHECK(edgecl_learning_rate_set(session.session, 3e38f) == EDGECL_OK);  // an update beyond all bounds
    CHECK(session.learn(stream.data(), stream.labels) == EDGECL_E_NUMERIC);
    CHECK(edgecl_learning_rate_set(session.session, session.config().learning_rate) == EDGECL_OK);
    CHECK(session.digest() == before);
    for (Session* s : {&session, &other}) CHECK(s->learn(stream.data(), stream.labels) == EDGECL_OK);
    CHECK(session.digest() == other.digest());
  }
}

TEST(what_it_asks_of_bundle_and_settings) {
  std::string message;
  const Model model(mlp());
  edgecl_session_config config = uer_config(model);
  for (const float scale : {0.0f, -1.0f, NAN, 1e7f}) {
    config.cosine_scale = scale;
    CHECK(create_status(model, config, &message) == EDGECL_E_ARGUMENT &&
          message.find("cosine_scale") != std::string::npos);
  }
  NetBuilder net(3);
  uint32_t x = net.input(kFeatures, 1, 1);
  net.source.input_dims = {kFeatures};
  x = net.linear(x, kHidden);
  net.finish(net.linear(x, kColumns, 0.5f), x);  // a sparse head
  const Model sparse(net.source);
  CHECK(create_status(sparse, uer_config(sparse), &message) == EDGECL_E_UNSUPPORTED);
  CHECK(message.find("dense, trainable linear head") != std::string::npos);
  config = uer_config(sparse);
  config.predict_only = 1;
  CHECK(create_status(sparse, config, &message) == EDGECL_OK);
}

RUN_TESTS()
