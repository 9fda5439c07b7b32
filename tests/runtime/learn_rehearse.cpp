// Rehearsal: which parameters move and how far, what stays, its random words, and failures.
// Never here: learn steps by themselves.
#include "tests/runtime/learn_oracle.h"

namespace {

using namespace edgecl_test;

edgecl_rehearse_report rehearse(const Session& session, uint32_t n, edgecl_status expected = EDGECL_OK) {
  edgecl_rehearse_report report = {};
  report.struct_size = sizeof report;
  const edgecl_status status = edgecl_rehearse(session.session, n, &report);
  CHECK_MESSAGE(status == expected, "%d: %s", status, edgecl_session_error(session.session));
  return report;
}

edgecl_session_config fpf_config(const Model& model) {
  edgecl_session_config config = model.config();
  config.method = EDGECL_METHOD_FPF;
  config.seed = 9;
  return config;
}

void learn_some(Session* session, const Model& model, int steps, uint64_t seed = 4) {
  Stream stream(model.info, seed);
  for (int i = 0; i < steps; i++) {
    stream.next(session->config().max_batch, i % 2 ? model.info.class_capacity - 2 : 0);
    CHECK(session->learn(stream.data(), stream.labels) == EDGECL_OK);
  }
}

// Indices of trainable parameters that a rehearsal may move: head, scales and shifts.
std::vector<bool> sensitive(const BundleSource& source) {
  std::vector<bool> moves(source.params.size());
  for (const edgecl::SourceOp& op : source.ops) {
    const bool norm =
        op.kind == format::kOpBatchNorm || op.kind == format::kOpGroupNorm || op.kind == format::kOpLayerNorm;
    for (size_t slot = 0; slot < 2 && norm; slot++) {
      if (op.params[slot] != format::kNone) moves[op.params[slot]] = true;
    }
  }
  moves[source.head_weight] = moves[source.head_bias] = true;
  return moves;
}

}  // namespace

// A step of k-FPF is one of fine-tuning, and its rows enter the buffer.
TEST(steps_draw_nothing) {
  const Model model(mlp());
  Session fpf(model, fpf_config(model));
  edgecl_session_config config = fpf_config(model);
  config.method = EDGECL_METHOD_FINETUNE;
  Session plain(model, config);
  learn_some(&fpf, model, 5);
  learn_some(&plain, model, 5);
  const DecodedState a = decode(fpf), b = decode(plain);
  for (size_t p = 0; p < a.params.size(); p++) CHECK(a.params[p].values == b.params[p].values);
  for (size_t slot = 0; slot < 8; slot++) CHECK(a.replay[slot].sample == b.replay[slot].sample);
  CHECK(a.replay.size() == 8 && b.replay.size() == 8 && a.step == b.step);
}

// Full rehearsals of the whole buffer against central differences, with momentum and weight decay.
TEST(head_follows_the_buffer) {
  const Model model(mlp());
  edgecl_session_config config = fpf_config(model);
  config.replay_batch = config.replay_capacity;  // every draw is the whole buffer
  config.max_batch = 2;
  config.momentum = 0.5f;
  config.weight_decay = 0.02f;
  Session session(model, config);
  learn_some(&session, model, 6);
  const DecodedState before = decode(session);
  std::vector<bool> present(kColumns);
  for (const uint32_t label : before.labels_present) present[label] = true;
  const auto loss = [&](const Oracle& net) {
    double sum = 0;
    for (const DecodedState::Exemplar& e : before.replay)
      sum += Oracle::cross_entropy(net.logits(floats_of(e)), e.label, present);
    return sum / static_cast<double>(before.replay.size());
  };
  Oracle net(before);
  std::vector<std::vector<double>> velocity;
  for (const DecodedState::Param& p : before.params) velocity.emplace_back(p.velocity.begin(), p.velocity.end());
  double sum = 0;
  for (int step = 0; step < 5; step++) {
    sum += loss(net);
    const auto gradient = net.gradient(loss);
    for (size_t p = 2; p < 4; p++) {
      for (size_t i = 0; i < gradient[p].size(); i++) {
        velocity[p][i] = 0.5 * velocity[p][i] + gradient[p][i] + static_cast<double>(0.02f) * net.params[p][i];
        net.params[p][i] -= static_cast<double>(config.learning_rate) * velocity[p][i];
      }
    }
  }
  const edgecl_rehearse_report report = rehearse(session, 5);
  CHECK(report.done == 5);
  check_close("mean_loss", static_cast<double>(report.mean_loss), sum / 5, 1e-5);
  const DecodedState after = decode(session);
  for (size_t p = 0; p < 2; p++)
    CHECK(after.params[p].values == before.params[p].values && after.params[p].velocity == before.params[p].velocity);
  for (size_t p = 2; p < 4; p++) {
    for (size_t i = 0; i < net.params[p].size(); i++)
      check_close("weight", static_cast<double>(after.params[p].values[i]), net.params[p][i], 5e-6);
  }
  CHECK(after.step == before.step && after.seen == before.seen && after.replay.size() == before.replay.size());
}

// Of networks with normalisations, sparse layers and gradient masks only the sensitive parameters move, and learn steps
// go on as they were.
TEST(all_else_rests) {
  BundleSource sources[] = {image_net(), all_kinds_net()};
  for (BundleSource& source : sources) {
    source.classes.clear();
    source.replay_capacity = 20;
    source.replay_batch = 4;
    source.learning_rate = 0.01f;
    const Model model(source);
    const std::vector<bool> moves = sensitive(source);
    for (const uint32_t mask : {EDGECL_GRADIENT_ALL, EDGECL_GRADIENT_DGM, EDGECL_GRADIENT_HFT}) {
      edgecl_session_config config = model.config();
      config.method = EDGECL_METHOD_ER;
      config.max_batch = 3;
      config.momentum = 0.9f;
      config.gradient_mask = mask;
      config.gradient_interval = 4;
      config.gradient_keep = 0.5f;
      Session session(model, config);
      learn_some(&session, model, 6);
      const edgecl_stats stats_before = session.stats();
      const DecodedState before = decode(session);
      CHECK(rehearse(session, 7).done == 7);
      const DecodedState after = decode(session);
      size_t n_moved = 0;
      for (size_t i = 0; i < before.params.size(); i++) {
        const bool moved = after.params[i].values != before.params[i].values;
        n_moved += moved;
        CHECK_MESSAGE(!moved || moves[before.params[i].index], "param %u moved", before.params[i].index);
        CHECK(moved || after.params[i].velocity == before.params[i].velocity);
      }
      CHECK(n_moved >= 2);
      const edgecl_stats stats = session.stats();
      CHECK(stats.steps == stats_before.steps && stats.weights_trainable == stats_before.weights_trainable);
      // Less than a full step of as many rows.
      edgecl_learn_report report = {};
      report.struct_size = sizeof report;
      Stream stream(model.info, 6);
      stream.next(3);
      const uint64_t rehearsed = (stats.macs_learn - stats_before.macs_learn) / (7 * 4);
      CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_OK);
      const uint64_t learned = (report.macs_forward + report.macs_backward) / (3 + report.n_replayed);
      CHECK(rehearsed > 0 && (mask != EDGECL_GRADIENT_ALL || rehearsed < learned));
    }
  }
}

// Rehearsals spend words of their own: a learner's later draws are the same, and n steps at once are n steps one by
// one.
TEST(random_words) {
  const Model model(image_net());
  edgecl_session_config config = model.config();
  config.max_batch = 4;
  config.seed = 3;
  Session at_once(model, config), one_by_one(model, config), without(model, config);
  for (Session* s : {&at_once, &one_by_one, &without}) learn_some(s, model, 5);
  CHECK(rehearse(at_once, 4).done == 4);
  for (int i = 0; i < 4; i++) CHECK(rehearse(one_by_one, 1).done == 1);
  CHECK(at_once.digest() == one_by_one.digest() && at_once.digest() != without.digest());
  uint32_t slots[2][16];
  for (int i = 0; i < 2; i++) {
    edgecl_learn_report report = {};
    report.struct_size = sizeof report;
    report.replay_slots = slots[i];
    report.replay_slots_capacity = 16;
    Stream stream(model.info, 8);
    stream.next(4);
    CHECK((i ? at_once : without).learn(stream.data(), stream.labels, &report) == EDGECL_OK);
  }
  CHECK(memcmp(slots[0], slots[1], 8 * sizeof(uint32_t)) == 0);
  // The count of rehearsals is part of the state.
  Session copy(model, config);
  const std::vector<uint8_t> state = at_once.state();
  CHECK(edgecl_state_import(copy.session, state.data(), state.size()) == EDGECL_OK);
  rehearse(at_once, 2);
  rehearse(copy, 2);
  CHECK(at_once.digest() == copy.digest());
}

TEST(failures) {
  const Model model(mlp());
  edgecl_session_config config = fpf_config(model);
  Session session(model, config);
  CHECK(rehearse(session, 5).done == 0 && rehearse(session, 5).mean_loss == 0);  // an empty buffer
  CHECK(edgecl_rehearse(session.session, 1, nullptr) == EDGECL_OK);
  rehearse(session, UINT32_MAX, EDGECL_E_ARGUMENT);
  learn_some(&session, model, 3);
  // An absurd weight decay: weights double with each step until one is refused, which leaves the state of the step
  // before it.
  config.weight_decay = 60;
  Session start(model, config), growing(model, config), again(model, config);
  learn_some(&start, model, 3);
  const std::vector<uint8_t> state = start.state();
  for (Session* s : {&growing, &again}) CHECK(edgecl_state_import(s->session, state.data(), state.size()) == EDGECL_OK);
  const edgecl_rehearse_report report = rehearse(growing, 1000, EDGECL_E_NUMERIC);
  CHECK(report.done > 5 && report.mean_loss > 0);
  CHECK(rehearse(again, report.done).done == report.done && again.digest() == growing.digest());

  config.replay_capacity = 0;
  edgecl_session* none = nullptr;
  CHECK(edgecl_session_create(model.model, &config, nullptr, &none, nullptr) == EDGECL_E_ARGUMENT);  // k-FPF of nothing
  config.method = EDGECL_METHOD_FINETUNE;
  rehearse(Session(model, config), 1, EDGECL_E_UNSUPPORTED);
  config = fpf_config(model);
  config.predict_only = 1;
  rehearse(Session(model, config), 1, EDGECL_E_UNSUPPORTED);
}

RUN_TESTS()
