// The gradient head by cosines: scores and steps against an oracle in double precision, states, forgetting, refusals.
// Never here: long runs against PyTorch (tests/test_cosine_parity.py).
#include "tests/runtime/learn_oracle.h"

namespace {

using namespace edgecl_test;

constexpr float kScale = 7;

edgecl_session_config config_of(const Model& model, uint32_t method = EDGECL_METHOD_FINETUNE) {
  edgecl_session_config config = model.config();
  config.head = EDGECL_HEAD_COSINE;
  config.cosine_scale = kScale;
  config.method = method;
  return config;
}

// mlp() whose last layer is sparse, too.
BundleSource sparse_head() {
  NetBuilder net(7);
  uint32_t x = net.input(kFeatures, 1, 1);
  net.source.input_dims = {kFeatures};
  x = net.activation(net.linear(x, kHidden), edgecl::Activation::kRelu);
  net.finish(net.linear(x, kColumns, 0.5f), x);
  net.source.classes.clear();
  net.source.learning_rate = 0.05f;
  net.source.batch_size = 4;
  return net.source;
}

// The oracle of a state whose last layer may be sparse: positions are [class][input].
Oracle oracle_of(const DecodedState& state) {
  DecodedState dense = state;
  DecodedState::Param& weight = dense.params[2];
  if (!weight.positions.empty()) {
    std::vector<float> values(kHidden * kColumns);
    for (size_t k = 0; k < weight.positions.size(); k++) {
      const uint32_t c = weight.positions[k] / kHidden, i = weight.positions[k] % kHidden;
      values[i * kColumns + c] = weight.values[k];
    }
    weight.values = values;
  }
  return Oracle(dense);
}

double mean_loss(const Oracle& net, const Stream& stream, const std::vector<bool>& present) {
  double sum = 0;
  for (size_t r = 0; r < stream.labels.size(); r++)
    sum += Oracle::cross_entropy(net.cosines(&stream.floats[r * kFeatures], kScale), stream.labels[r], present);
  return sum / static_cast<double>(stream.labels.size());
}

std::vector<float> logits(const Session& session, const Stream& stream) {
  const uint32_t n = static_cast<uint32_t>(stream.labels.size());
  std::vector<float> out(n * kColumns);
  const edgecl_batch batch = session.batch(stream.data(), n);
  CHECK_MESSAGE(edgecl_logits(session.session, &batch, out.data(), out.size()) == EDGECL_OK, "%s",
                edgecl_session_error(session.session));
  return out;
}

void add_classes(const Session& session, uint32_t n) {
  int32_t label;
  for (uint32_t c = 0; c < n; c++) CHECK(edgecl_class_add(session.session, nullptr, &label) == EDGECL_OK);
}

}  // namespace

// Batches of one lane group, of several, and of lanes that are no multiple of a piece.
TEST(steps_match_central_differences) {
  for (const BundleSource& source : {mlp(), sparse_head()}) {
    const Model model(source);
    for (const uint32_t rows : {1u, 4u, 16u, 23u, 48u}) {
      edgecl_session_config config = config_of(model);
      config.max_batch = rows;
      config.momentum = 0;
      Session session(model, config);
      add_classes(session, 3);  // the fourth column is absent
      Stream stream(model.info, 21 + rows);
      for (int step = 0; step < 3; step++) {
        stream.next(rows, 0, 3);
        const Oracle net = oracle_of(decode(session));
        const std::vector<bool> present = {true, true, true, false};
        const std::vector<float> scores = logits(session, stream);
        for (size_t r = 0; r < rows; r++) {
          const std::vector<double> expected = net.cosines(&stream.floats[r * kFeatures], static_cast<double>(kScale));
          for (size_t c = 0; c < 3; c++)
            check_close("score", static_cast<double>(scores[r * kColumns + c]), expected[c], 1e-5);
        }
        const auto loss = [&](const Oracle& moved) { return mean_loss(moved, stream, present); };
        edgecl_learn_report report = {};
        report.struct_size = sizeof report;
        const DecodedState before = decode(session);
        CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_OK);
        check_close("loss", static_cast<double>(report.loss), loss(net), 1e-5);
        const auto gradient = net.gradient(loss);
        const Oracle after = oracle_of(decode(session));
        for (size_t p = 0; p < 4; p++) {
          for (size_t i = 0; i < gradient[p].size(); i++) {
            const bool held = p == 2 && !before.params[2].positions.empty() && net.params[p][i] == 0;  // not stored
            const double moved = held ? 0 : static_cast<double>(config.learning_rate) * gradient[p][i];
            check_close("weight", after.params[p][i], net.params[p][i] - moved, 2e-6);
          }
        }
        CHECK(after.params[3] == net.params[3]);  // a bias takes no part in a cosine
      }
    }
  }
}

TEST(every_method_but_uer_learns_with_it) {
  for (const BundleSource& source : {mlp(), mlp(0.5f), sparse_head(), image_net()}) {
    for (const uint32_t method : {EDGECL_METHOD_ER, EDGECL_METHOD_ER_ACE, EDGECL_METHOD_DERPP, EDGECL_METHOD_FPF}) {
      BundleSource with = source;
      with.replay_capacity = 8;
      with.replay_batch = 3;
      const Model model(with);
      Session session(model, config_of(model, method)), copy(model, config_of(model, method));
      Stream stream(model.info, 9);
      double first = 0, last = 0;
      for (int step = 0; step < 40; step++) {
        stream.next(4, 0, 3);
        edgecl_learn_report report = {};
        report.struct_size = sizeof report;
        CHECK_MESSAGE(session.learn(stream.data(), stream.labels, &report) == EDGECL_OK, "%s",
                      edgecl_session_error(session.session));
        (step < 10 ? first : last) += static_cast<double>(report.loss) * (step >= 10 && step < 30 ? 0 : 1);
      }
      CHECK_MESSAGE(last < first, "method %u: %g, then %g", method, first, last);
      const std::vector<uint8_t> state = session.state();
      CHECK(edgecl_state_import(copy.session, state.data(), state.size()) == EDGECL_OK);
      CHECK(logits(copy, stream) == logits(session, stream));
      for (Session* one : {&session, &copy}) CHECK(one->learn(stream.data(), stream.labels) == EDGECL_OK);
      CHECK(copy.digest() == session.digest());
    }
  }
}

// A mask holds entries of the last layer back: they do not move, the others go by the whole gradient.
TEST(masked_entries_stay) {
  const Model model(sparse_head());
  edgecl_session_config masked = config_of(model);
  masked.gradient_mask = EDGECL_GRADIENT_DGM;
  masked.gradient_interval = 100;
  masked.gradient_keep = 0.5f;
  masked.momentum = 0;
  Session session(model, masked);
  add_classes(session, 3);
  Stream stream(model.info, 5);
  uint32_t held = 0, moved = 0;
  for (int step = 0; step < 4; step++) {
    stream.next(4, 0, 3);
    const DecodedState before = decode(session);
    CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
    const DecodedState after = decode(session);
    const std::vector<float>&was = before.params[2].values, &is = after.params[2].values;
    const std::vector<uint8_t>& selection = before.params[2].selection;
    if (step == 0) continue;  // the step that chooses sees all of them
    const Oracle net = oracle_of(before);
    const std::vector<bool> present = {true, true, true, false};
    const auto gradient = net.gradient([&](const Oracle& at) { return mean_loss(at, stream, present); });
    for (size_t k = 0; k < is.size(); k++) {
      const uint32_t c = before.params[2].positions[k] / kHidden, i = before.params[2].positions[k] % kHidden;
      if (selection[k] == 0) {
        held += is[k] == was[k];
        CHECK(is[k] == was[k]);
        continue;
      }
      moved += is[k] != was[k];
      const double expected =
          static_cast<double>(was[k]) - static_cast<double>(masked.learning_rate) * gradient[2][i * kColumns + c];
      check_close("weight", static_cast<double>(is[k]), expected, 2e-6);
    }
  }
  CHECK(held > 0 && moved > 0);
}

TEST(structures_move_under_it) {
  for (const uint32_t structure : {EDGECL_STRUCTURE_TDM, EDGECL_STRUCTURE_SET, EDGECL_STRUCTURE_RIGL}) {
    BundleSource source = sparse_head();
    for (SourceParam& param : source.params) {
      if (param.sparse) param.nnz_capacity = static_cast<uint32_t>(param.positions.size()) + 5;
    }
    const Model model(source);
    edgecl_session_config config = config_of(model);
    config.structure = structure;
    config.structure_interval = 3;
    config.structure_updates = 4;
    config.structure_inter = config.structure_intra = 0.1f;
    config.importance_current = 0.5f;
    Session session(model, config), copy(model, config);
    Stream stream(model.info, 5);
    for (int step = 0; step < 15; step++) {
      stream.next(4, 0, 3);
      CHECK_MESSAGE(session.learn(stream.data(), stream.labels) == EDGECL_OK, "%s",
                    edgecl_session_error(session.session));
    }
    CHECK(decode(session).structure_updates > 0);
    const std::vector<uint8_t> state = session.state();
    CHECK(edgecl_state_import(copy.session, state.data(), state.size()) == EDGECL_OK);
    CHECK(logits(copy, stream) == logits(session, stream));
  }
}

// The column of a forgotten class has a direction, the same one in every session, and learns as any other.
TEST(a_forgotten_class_leaves_a_direction) {
  for (const BundleSource& source : {mlp(), sparse_head()}) {
    const Model model(source);
    Session session(model, config_of(model)), other(model, config_of(model));
    Stream stream(model.info, 3);
    for (Session* one : {&session, &other}) {
      add_classes(*one, 3);
      stream.next(4, 0, 3);
      CHECK(one->learn(stream.data(), stream.labels) == EDGECL_OK);
      CHECK(edgecl_class_forget(one->session, 1) == EDGECL_OK);
    }
    const Oracle net = oracle_of(decode(session)), same = oracle_of(decode(other));
    double square = 0;
    for (uint32_t i = 0; i < kHidden; i++) {
      square += net.params[2][i * kColumns + 1] * net.params[2][i * kColumns + 1];
      CHECK(net.params[2][i * kColumns + 1] == same.params[2][i * kColumns + 1]);
    }
    check_close("length", square, 1, 1e-6);
    add_classes(session, 2);  // the new label and the one that was given back
    stream.next(4, 1, 1);
    CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  }
}

// A column of zeros and a sample whose embedding is zero have a cosine, and a bounded gradient.
TEST(zero_norms) {
  BundleSource source = mlp();
  for (float& w : source.params[2].values) w = 0;
  for (float& b : source.params[1].values) b = 0;
  const Model model(source);
  Session session(model, config_of(model));
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

TEST(what_it_does_not_go_with) {
  const Model model(mlp());
  const auto refusal = [&](const edgecl_session_config& config) {
    edgecl_sizes sizes = {};
    sizes.struct_size = sizeof sizes;
    edgecl_error error = {};
    error.struct_size = sizeof error;
    CHECK(edgecl_session_sizes(model.model, &config, &sizes, &error) == EDGECL_E_UNSUPPORTED);
    return std::string(error.message);
  };
  CHECK(refusal(config_of(model, EDGECL_METHOD_UER)).find("uer") != std::string::npos);
  edgecl_session_config domains = config_of(model);
  domains.max_domains = 2;
  CHECK(refusal(domains).find("keeps statistics") != std::string::npos);
  const Model other(image_net());
  Session gradient(model, model.config()), cosine(model, config_of(model));
  const std::vector<uint8_t> state = cosine.state();
  CHECK(edgecl_state_import(gradient.session, state.data(), state.size()) == EDGECL_E_STATE_MISMATCH);
}

RUN_TESTS()
