// Sizes, configuration, profile, logs, and the refusal of a second thread.
// Never here: learning results.
#include <atomic>
#include <chrono>
#include <thread>

#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;

edgecl_sizes sizes_of(const Model& model, const edgecl_session_config& config) {
  edgecl_sizes sizes = {};
  sizes.struct_size = sizeof sizes;
  edgecl_error err = fresh_error();
  CHECK_MESSAGE(edgecl_session_sizes(model.model, &config, &sizes, &err) == EDGECL_OK, "%s", err.message);
  return sizes;
}

std::atomic<uint64_t> fake_clock{0};
uint64_t tick(void*) {
  return ++fake_clock;
}

struct Log {
  int lines = 0;
  int32_t level = -1;
  std::string last;
};
void keep_line(void* user, int32_t level, const char* text) {
  Log* log = static_cast<Log*>(user);
  log->lines++;
  log->level = level;
  log->last = text;
}

}  // namespace

TEST(sizes_are_exact) {
  for (const bool images : {false, true}) {
    const Model model(images ? image_net() : mlp());
    for (const uint32_t method : {EDGECL_METHOD_FINETUNE, EDGECL_METHOD_DERPP}) {
      for (const uint32_t predict_only : {0u, 1u}) {
        edgecl_session_config config = model.config();
        config.method = method;
        config.predict_only = predict_only;
        config.max_batch = 8;
        config.n_threads = 2;
        const edgecl_sizes sizes = sizes_of(model, config);
        CHECK(sizes.arena_alignment == 64 && sizes.arena_bytes % 64 == 0);
        CHECK((sizes.learn_bytes == 0) == (predict_only == 1));
        CHECK(predict_only ? sizes.replay_bytes == 0 : sizes.replay_bytes > 0);
        // One block with guard bytes behind it; the smallest arena that works is the one announced.
        AlignedBytes arena(std::vector<uint8_t>(sizes.arena_bytes + 64, 0xa5));
        edgecl_session* session = nullptr;
        edgecl_error err = fresh_error();
        CHECK(edgecl_session_init(model.model, &config, nullptr, arena.data(), sizes.arena_bytes - 1, &session, &err) ==
              EDGECL_E_ARENA_TOO_SMALL);
        CHECK(edgecl_session_init(model.model, &config, nullptr, arena.data() + 1, sizes.arena_bytes, &session, &err) ==
              EDGECL_E_ARGUMENT);
        CHECK(edgecl_session_init(model.model, &config, nullptr, arena.data(), sizes.arena_bytes, &session, &err) ==
              EDGECL_OK);
        Stream stream(model.info, 1);
        stream.next(8);
        const edgecl_batch batch = {sizeof batch,  model.info.input_dtype,    8,       0,
                                    stream.data(), model.info.input_elements, nullptr, nullptr};
        for (int i = 0; i < 4 && !predict_only; i++)
          CHECK(edgecl_learn(session, &batch, stream.labels.data(), nullptr) == EDGECL_OK);
        edgecl_prediction out[8];
        CHECK(edgecl_predict(session, &batch, out, sizeof out[0]) == EDGECL_OK);
        edgecl_session_destroy(session);
        for (size_t i = sizes.arena_bytes; i < arena.size(); i++) CHECK(arena.data()[i] == 0xa5);
        for (size_t i = 0; i < sizes.arena_bytes; i++) {
          if (arena.data()[i] != 0) {
            CHECK(!"what was learned is wiped");
            break;
          }
        }
      }
    }
  }
}

TEST(predict_only_needs_less) {
  const Model model(image_net());
  edgecl_session_config config = model.config();
  const edgecl_sizes learning = sizes_of(model, config);
  config.predict_only = 1;
  const edgecl_sizes reading = sizes_of(model, config);
  CHECK(reading.arena_bytes < learning.arena_bytes / 2 && reading.learnable_bytes < learning.learnable_bytes);
}

TEST(configurations_out_of_range) {
  const Model model(mlp());
  edgecl_sizes sizes = {};
  sizes.struct_size = sizeof sizes;
  edgecl_error err = fresh_error();
  const auto refused = [&](void (*change)(edgecl_session_config*), edgecl_status expected, const char* field) {
    edgecl_session_config config = model.config();
    change(&config);
    const edgecl_status status = edgecl_session_sizes(model.model, &config, &sizes, &err);
    CHECK_MESSAGE(status == expected && strstr(err.message, field), "%s: %s %s", field, edgecl_status_name(status),
                  err.message);
  };
  using Config = edgecl_session_config;
  refused([](Config* c) { c->max_batch = 0; }, EDGECL_E_ARGUMENT, "max_batch");
  refused([](Config* c) { c->n_threads = 0; }, EDGECL_E_ARGUMENT, "n_threads");
  refused([](Config* c) { c->n_threads = 65; }, EDGECL_E_ARGUMENT, "n_threads");
  refused([](Config* c) { c->max_classes = 0; }, EDGECL_E_ARGUMENT, "max_classes");
  refused([](Config* c) { c->max_classes = kColumns + 1; }, EDGECL_E_ARGUMENT, "max_classes");
  refused([](Config* c) { c->method = 1000; }, EDGECL_E_ARGUMENT, "method");
  refused([](Config* c) { c->class_mask = 2; }, EDGECL_E_ARGUMENT, "class_mask");
  refused([](Config* c) { c->predict_only = 2; }, EDGECL_E_ARGUMENT, "predict_only");
  refused([](Config* c) { c->augment_flip = 1; }, EDGECL_E_UNSUPPORTED, "rank");
  refused([](Config* c) { c->augment_crop = 200; }, EDGECL_E_ARGUMENT, "augment_crop");
  refused([](Config* c) { c->learning_rate = 0; }, EDGECL_E_ARGUMENT, "learning_rate");
  refused([](Config* c) { c->learning_rate = __builtin_nanf(""); }, EDGECL_E_ARGUMENT, "learning_rate");
  refused([](Config* c) { c->momentum = -0.1f; }, EDGECL_E_ARGUMENT, "momentum");
  refused([](Config* c) { c->weight_decay = __builtin_inff(); }, EDGECL_E_ARGUMENT, "weight_decay");
  refused([](Config* c) { c->alpha = -1; }, EDGECL_E_ARGUMENT, "alpha");
}

TEST(frozen_bundles_only_predict) {
  NetBuilder net(5);
  uint32_t x = net.input(4, 1, 1);
  net.linear(x, 3);
  for (auto& param : net.source.params) param.trainable = false;
  net.finish(1, 0);
  const Model model(net.source);
  edgecl_session_config config = model.config();
  CHECK(config.predict_only == 1);
  Session session(model, config);
  config.predict_only = 0;
  edgecl_sizes sizes = {};
  sizes.struct_size = sizeof sizes;
  edgecl_error err = fresh_error();
  CHECK(edgecl_session_sizes(model.model, &config, &sizes, &err) == EDGECL_E_UNSUPPORTED &&
        strstr(err.message, "predict_only"));
}

// One thread is inside a call (it waits in the parallel_for hook); every other call is refused and changes nothing.
TEST(a_second_thread_is_refused) {
  struct Gate {
    std::atomic<bool> armed{false}, inside{false}, release{false};
  } gate;
  const Model model(mlp());
  edgecl_session_config config = model.config();
  config.n_threads = 2;
  edgecl_hooks hooks = no_hooks();
  hooks.user = &gate;
  hooks.parallel_for = [](void* user, uint32_t n, void (*body)(void*, uint32_t), void* context) {
    Gate* g = static_cast<Gate*>(user);
    if (g->armed.exchange(false)) {
      g->inside = true;
      while (!g->release) std::this_thread::yield();
    }
    for (uint32_t i = 0; i < n; i++) body(context, i);
  };
  Session session(model, config, &hooks);
  Stream stream(model.info, 1);
  stream.next(4);
  const edgecl_batch batch = session.batch(stream.data(), 4);
  gate.armed = true;
  edgecl_status first = EDGECL_E_INTERNAL;
  std::thread learner([&] { first = edgecl_learn(session.session, &batch, stream.labels.data(), nullptr); });
  while (!gate.inside) std::this_thread::yield();

  edgecl_prediction out[4];
  edgecl_stats stats = {};
  stats.struct_size = sizeof stats;
  edgecl_class_info info = {};
  info.struct_size = sizeof info;
  uint8_t digest[32];
  size_t n = 0;
  int32_t label = 0;
  CHECK(edgecl_learn(session.session, &batch, stream.labels.data(), nullptr) == EDGECL_E_BUSY);
  CHECK(edgecl_predict(session.session, &batch, out, sizeof out[0]) == EDGECL_E_BUSY);
  CHECK(edgecl_session_stats(session.session, &stats) == EDGECL_E_BUSY);
  CHECK(edgecl_class_describe(session.session, 0, &info) == EDGECL_E_BUSY);
  CHECK(edgecl_class_add(session.session, "x", &label) == EDGECL_E_BUSY);
  CHECK(edgecl_state_digest(session.session, digest) == EDGECL_E_BUSY);
  CHECK(edgecl_state_size(session.session, &n) == EDGECL_E_BUSY);
  CHECK(edgecl_session_reset(session.session) == EDGECL_E_BUSY);
  gate.release = true;
  learner.join();
  CHECK(first == EDGECL_OK && session.stats().steps == 1 && session.stats().refused_steps == 0);

  Session alone(model, model.config());
  CHECK(alone.learn(stream.data(), stream.labels) == EDGECL_OK && alone.digest() == session.digest());
}

// Many threads on one model, each with its own session.
TEST(a_model_is_shared_by_threads) {
  const Model model(image_net());
  std::vector<std::string> digests(4);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < digests.size(); t++) {
    threads.emplace_back([&, t] {
      edgecl_session_config config = model.config();
      config.max_batch = 4;
      Session session(model, config);
      Stream stream(model.info, 1);
      for (int i = 0; i < 4; i++) {
        stream.next(4);
        if (session.learn(stream.data(), stream.labels) != EDGECL_OK) return;
      }
      digests[t] = session.digest();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& digest : digests) CHECK(digest == digests[0] && digest.size() == 64);
}

TEST(profile_of_a_step) {
  const Model model(image_net());
  edgecl_session_config config = model.config();
  config.max_batch = 4;
  std::vector<edgecl_profile_event> events(1000);
  size_t n = 0, dropped = 0;
  {
    Session silent(model, config);
    CHECK(edgecl_profile_start(silent.session, events.data(), sizeof events[0], events.size()) == EDGECL_E_UNSUPPORTED);
  }
  edgecl_hooks hooks = no_hooks();
  hooks.now_us = tick;
  Session session(model, config, &hooks);
  Stream stream(model.info, 1);
  stream.next(4);
  CHECK(edgecl_profile_stop(session.session, &n, &dropped) == EDGECL_E_SEQUENCE);
  CHECK(edgecl_profile_start(session.session, events.data(), sizeof events[0], events.size()) == EDGECL_OK);
  CHECK(edgecl_profile_start(session.session, events.data(), sizeof events[0], events.size()) == EDGECL_E_SEQUENCE);
  edgecl_learn_report report = {};
  report.struct_size = sizeof report;
  CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_OK);
  CHECK(edgecl_profile_stop(session.session, &n, &dropped) == EDGECL_OK && dropped == 0 && n > 2 * model.info.n_ops);
  uint64_t forward_macs = 0, backward_macs = 0;
  bool input = false, loss = false, update = false, replay = false;
  for (size_t i = 0; i < n; i++) {
    CHECK(events[i].end_us > events[i].begin_us && events[i].pass <= 1);
    (events[i].pass ? backward_macs : forward_macs) += events[i].macs;
    input |= events[i].op == EDGECL_EVENT_INPUT;
    loss |= events[i].op == EDGECL_EVENT_LOSS;
    update |= events[i].op == EDGECL_EVENT_UPDATE;
    replay |= events[i].op == EDGECL_EVENT_REPLAY;
  }
  CHECK(input && loss && update && replay);
  CHECK(forward_macs == report.macs_forward && backward_macs == report.macs_backward);
  CHECK(edgecl_profile_start(session.session, events.data(), sizeof events[0], 3) == EDGECL_OK);
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  CHECK(edgecl_profile_stop(session.session, &n, &dropped) == EDGECL_OK && n == 3 && dropped > 10);
}

TEST(failures_are_logged) {
  const Model model(mlp());
  Log log;
  edgecl_hooks hooks = no_hooks();
  hooks.user = &log;
  hooks.log = keep_line;
  Session session(model, model.config(), &hooks);
  Stream stream(model.info, 1);
  stream.next(4);
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK && log.lines == 0);
  CHECK(strcmp(edgecl_session_error(session.session), "") == 0);
  stream.labels[1] = 99;
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_E_CAPACITY && log.lines == 1 && log.level == 2);
  CHECK(log.last == edgecl_session_error(session.session));
}

TEST(predictions_and_statistics) {
  const Model model(mlp());
  Session session(model, model.config());
  Stream stream(model.info, 1);
  stream.next(4);
  struct Wide {
    edgecl_prediction prediction;
    uint64_t mine;
  } out[4];
  const edgecl_batch batch = session.batch(stream.data(), 4);
  for (Wide& w : out) w.mine = 77;
  CHECK(edgecl_predict(session.session, &batch, &out[0].prediction, sizeof(Wide)) == EDGECL_OK);
  for (const Wide& w : out)
    CHECK(w.prediction.label == -1 && w.prediction.probability == 0 && w.mine == 77);  // no class yet
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  CHECK(edgecl_predict(session.session, &batch, &out[0].prediction, sizeof(Wide)) == EDGECL_OK);
  std::vector<float> logits(4 * kColumns);
  CHECK(edgecl_logits(session.session, &batch, logits.data(), logits.size()) == EDGECL_OK);
  for (size_t r = 0; r < 4; r++) {
    const float* z = &logits[r * kColumns];
    CHECK(z[2] == -__builtin_inff() && z[3] == -__builtin_inff());
    const int best = z[1] > z[0];
    const float margin = z[best] - z[1 - best];
    CHECK(out[r].prediction.label == best && out[r].prediction.margin == margin);
    const double p = 1 / (1 + __builtin_exp(-static_cast<double>(margin)));
    CHECK(__builtin_fabs(static_cast<double>(out[r].prediction.probability) - p) < 1e-6);
  }
  CHECK(edgecl_task_begin(session.session) == EDGECL_OK);
  const edgecl_stats stats = session.stats();
  CHECK(stats.steps == 1 && stats.samples_learned == 4 && stats.samples_predicted == 12 && stats.samples_seen == 4 &&
        stats.tasks == 1);
  CHECK(stats.replay_fill == 4 && stats.replay_capacity == 8 && stats.n_classes == 2 && stats.macs_learn > 0);
  CHECK(stats.macs_learn == stats.macs_learn_dense &&
        stats.arena_bytes == sizes_of(model, session.config()).arena_bytes);
}

TEST(probabilities_are_those_of_predictions) {
  const Model model(mlp());
  Session session(model, model.config());
  Stream stream(model.info, 1);
  stream.next(4, 0, 3);
  const edgecl_batch batch = session.batch(stream.data(), 4);
  std::vector<float> p(4 * kColumns, 5.0f);
  CHECK(edgecl_probabilities(session.session, &batch, p.data(), p.size() - 1) == EDGECL_E_SHAPE && p[0] == 5.0f);
  CHECK(edgecl_probabilities(session.session, &batch, p.data(), p.size()) == EDGECL_OK);
  for (const float x : p) CHECK(x == 0.0f);  // no class yet
  for (int i = 0; i < 5; i++) CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  edgecl_prediction out[4];
  CHECK(edgecl_predict(session.session, &batch, out, sizeof out[0]) == EDGECL_OK);
  CHECK(edgecl_probabilities(session.session, &batch, p.data(), p.size()) == EDGECL_OK);
  for (size_t r = 0; r < 4; r++) {
    const float* row = &p[r * kColumns];
    float sum = 0;
    for (uint32_t c = 0; c < kColumns; c++) {
      CHECK(row[c] <= out[r].probability && (row[c] > 0 || c == kColumns - 1));
      sum += row[c];
    }
    CHECK(row[out[r].label] == out[r].probability && row[kColumns - 1] == 0.0f);
    CHECK(sum > 0.999999f && sum < 1.000001f);
  }
}

TEST(getters_tell_what_is_in_force) {
  const Model model(mlp());
  edgecl_session_config config = model.config();
  config.seed = 5;
  config.momentum = 0.5f;
  Session donor(model, config);
  CHECK(edgecl_learning_rate_set(donor.session, 0.25f) == EDGECL_OK);
  const std::vector<uint8_t> state = donor.state();
  config.seed = 6;
  config.learning_rate = 0.125f;
  Session session(model, config);
  float rate = 0;
  CHECK(edgecl_learning_rate_get(session.session, &rate) == EDGECL_OK && rate == 0.125f);
  edgecl_session_config found = {};
  found.struct_size = sizeof found;
  CHECK(edgecl_session_config_get(session.session, &found) == EDGECL_OK);
  CHECK(memcmp(&found, &config, sizeof found) == 0);
  CHECK(edgecl_state_import(session.session, state.data(), state.size()) == EDGECL_OK);
  CHECK(edgecl_session_config_get(session.session, &found) == EDGECL_OK);
  CHECK(found.seed == 5 && found.learning_rate == 0.25f && found.momentum == 0.5f && found.add_unseen_labels == 1);
  CHECK(edgecl_learning_rate_get(session.session, &rate) == EDGECL_OK && rate == 0.25f);
  CHECK(edgecl_learning_rate_get(session.session, nullptr) == EDGECL_E_ARGUMENT);
}

TEST(weights_are_read_dense) {
  const Model model(mlp(0.5f));
  Session session(model, model.config());
  Stream stream(model.info, 1);
  stream.next(4);
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  const DecodedState state = decode(session);
  for (const DecodedState::Param& param : state.params) {
    edgecl_param_info info = {};
    info.struct_size = sizeof info;
    CHECK(edgecl_model_param(model.model, param.index, &info) == EDGECL_OK);
    size_t n = 1;
    for (uint32_t d = 0; d < info.rank; d++) n *= info.dims[d];
    std::vector<float> found(n, 5.0f), expected(n);
    CHECK(edgecl_weights_read(session.session, param.index, found.data(), n - 1) == EDGECL_E_SHAPE && found[0] == 5.0f);
    CHECK(edgecl_weights_read(session.session, param.index, found.data(), n) == EDGECL_OK);
    for (size_t k = 0; k < param.values.size(); k++)
      expected[param.storage == 1 ? param.positions[k] : k] = param.values[k];
    CHECK(found == expected);
  }
  CHECK(state.params[0].storage == 1);  // one of them was sparse
  float one = 0;
  CHECK(edgecl_weights_read(session.session, model.info.n_params, &one, 1) == EDGECL_E_NOT_FOUND);
}

// Running statistics are read where they move, not where the bundle keeps them.
TEST(running_statistics_are_read_as_they_are_now) {
  const Model model(image_net());
  edgecl_session_config config = model.config();
  config.max_batch = 4;
  Session session(model, config);
  const auto read_all = [&] {
    std::vector<std::vector<float>> all;
    for (uint32_t p = 0; p < model.info.n_params; p++) {
      all.emplace_back(4096);
      CHECK(edgecl_weights_read(session.session, p, all.back().data(), all.back().size()) == EDGECL_OK);
    }
    return all;
  };
  const auto before = read_all();
  Stream stream(model.info, 1);
  stream.next(4);
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  const auto after = read_all();
  size_t n_moved = 0;
  for (uint32_t p = 0; p < model.info.n_params; p++) n_moved += before[p] != after[p];
  CHECK_MESSAGE(n_moved == model.info.n_params, "%zu of %u moved", n_moved, model.info.n_params);
}

// A step that fails late, in its gradients, has written nothing.
TEST(a_failed_step_writes_no_row_outputs) {
  const Model model(mlp());
  Session session(model, model.config());
  Stream stream(model.info, 1);
  stream.next(4);
  uint8_t correct[4];
  float loss[4];
  edgecl_learn_report report = {};
  report.struct_size = sizeof report;
  report.row_correct = correct;
  report.row_loss = loss;
  memset(correct, 0x77, sizeof correct);
  for (float& x : loss) x = 77;
  CHECK(edgecl_learning_rate_set(session.session, 3e38f) == EDGECL_OK);
  CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_E_NUMERIC);
  for (int i = 0; i < 4; i++) CHECK(correct[i] == 0x77 && loss[i] == 77.0f);
  CHECK(edgecl_learning_rate_set(session.session, 0.05f) == EDGECL_OK);
  CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_OK);
  for (int i = 0; i < 4; i++) CHECK(correct[i] <= 1 && loss[i] > 0 && loss[i] != 77.0f);
}

// Sessions come and go on other threads while one closes the model. The model's memory is the caller's, so that calls
// which come too late are refused and not lost.
TEST(closing_and_creating_at_once) {
  AlignedBytes bytes(encode(mlp()));
  edgecl_error err = fresh_error();
  size_t need = 0;
  CHECK(edgecl_model_size(bytes.data(), bytes.size(), nullptr, &need, &err) == EDGECL_OK);
  for (int round = 0; round < 20; round++) {
    AlignedBytes memory(need);
    edgecl_model* model = nullptr;
    CHECK(edgecl_model_init(bytes.data(), bytes.size(), nullptr, memory.data(), need, &model, &err) == EDGECL_OK);
    edgecl_session_config config = {};
    config.struct_size = sizeof config;
    CHECK(edgecl_session_config_init(model, &config) == EDGECL_OK);
    std::atomic<int> ready{0}, wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; t++) {
      threads.emplace_back([&, t] {
        for (;;) {
          edgecl_session* session = nullptr;
          edgecl_error mine = fresh_error();
          const edgecl_status status = edgecl_session_create(model, &config, nullptr, &session, &mine);
          ready++;
          if (status == EDGECL_E_SEQUENCE && session == nullptr) return;
          if (status != EDGECL_OK) wrong++;
          edgecl_session_destroy(session);
          std::this_thread::sleep_for(std::chrono::microseconds(100 + 50 * t));  // else a close never finds a gap
        }
      });
    }
    while (ready < 3) std::this_thread::yield();
    while (edgecl_model_close(model) == EDGECL_E_SEQUENCE) std::this_thread::yield();
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
  }
}

RUN_TESTS()
