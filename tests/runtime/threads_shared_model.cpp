// One model and many threads: first use, two sessions at once, a session that is busy. ThreadSanitizer watches.
// Never here: results of learning; closing beside creating (api_session.cpp).
#include <atomic>
#include <thread>

#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;

constexpr uint32_t kThreads = 4;

// Runs body(0..kThreads-1), each on a thread of its own, all from one moment on.
template <class Body>
void together(const Body& body) {
  std::atomic<uint32_t> ready{0};
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      ready++;
      while (ready < kThreads) std::this_thread::yield();
      body(t);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

std::string learned(const Model& model, uint32_t steps) {
  edgecl_session_config config = model.config();
  config.seed = 3;
  Session session(model, config);
  Stream stream(model.info, 11);
  for (uint32_t i = 0; i < steps; i++) {
    stream.next(4);
    if (session.learn(stream.data(), stream.labels) != EDGECL_OK) return edgecl_session_error(session.session);
  }
  return session.digest();
}

}  // namespace

// Nothing of the library is set up by whoever comes first: all threads open, ask and learn at once.
TEST(first_use_from_all_threads_at_once) {
  const std::vector<uint8_t> bundle = encode(image_net());
  std::string digests[kThreads];
  together([&](uint32_t t) {
    const Model own(bundle);
    CHECK(strlen(edgecl_build_info()) > 0 && strlen(edgecl_model_kernel_level(own.model)) > 0);
    digests[t] = learned(own, 5);
  });
  for (const std::string& digest : digests) CHECK(digest == digests[0] && digest.size() == 64);
}

TEST(sessions_of_one_model_learn_at_once) {
  const Model model(image_net());
  std::string digests[kThreads];
  together([&](uint32_t t) { digests[t] = learned(model, 8); });
  const std::string alone = learned(model, 8);
  for (const std::string& digest : digests) CHECK(digest == alone);
}

// Every thread calls; a call is done whole or refused, and what is done is what one thread would have done. A session
// with separate_predict refuses in the same way: its flag is one.
TEST(one_session_is_used_by_one_thread_at_a_time) {
  const Model model(mlp(0.5f));
  for (const uint32_t separate : {0u, 1u}) {
    edgecl_session_config config = model.config();
    config.separate_predict = separate;
    Session session(model, config);
    Stream first(model.info, 5);
    first.next(4);
    CHECK(session.learn(first.data(), first.labels) == EDGECL_OK);
    std::atomic<uint64_t> done{1}, refused{0};
    together([&](uint32_t t) {
      Stream stream(model.info, 20 + t);
      for (uint32_t i = 0; i < 200; i++) {
        stream.next(4);
        const edgecl_batch batch = session.batch(stream.data(), 4);
        edgecl_prediction predictions[4];
        uint8_t digest[32];
        edgecl_status status = EDGECL_OK;
        if (t == 0) {
          status = edgecl_learn(session.session, &batch, stream.labels.data(), nullptr);
          if (status == EDGECL_OK) done++;
        } else if (t == 1) {
          status = edgecl_predict(session.session, &batch, predictions, sizeof predictions[0]);
        } else if (t == 2) {
          status = edgecl_state_digest(session.session, digest);
        } else {
          edgecl_stats stats = {};
          stats.struct_size = sizeof stats;
          status = edgecl_session_stats(session.session, &stats);
        }
        CHECK_MESSAGE(status == EDGECL_OK || status == EDGECL_E_BUSY, "thread %u: %s", t, edgecl_status_name(status));
        if (status == EDGECL_E_BUSY) refused++;
        if (i % 16 == 0) std::this_thread::yield();
      }
    });
    CHECK(session.stats().steps == done);
    printf("     %llu steps done, %llu calls refused\n", static_cast<unsigned long long>(done),
           static_cast<unsigned long long>(refused));
  }
}

// While a step is under way on one thread, predict, digest and export on another are refused, with separate_predict too.
TEST(predict_while_learning_is_refused) {
  const Model model(image_net());
  for (const uint32_t separate : {0u, 1u}) {
    edgecl_session_config config = model.config();
    config.separate_predict = separate;
    config.n_threads = 2;
    struct Gate {
      std::atomic<bool> armed{false}, inside{false}, release{false};
    } gate;
    edgecl_hooks hooks = {};
    hooks.struct_size = sizeof hooks;
    hooks.user = &gate;
    hooks.parallel_for = [](void* user, uint32_t n, void (*body)(void*, uint32_t), void* context) {
      Gate* g = static_cast<Gate*>(user);
      if (g->armed) {
        g->inside = true;
        while (!g->release) std::this_thread::yield();
      }
      for (uint32_t i = 0; i < n; i++) body(context, i);
    };
    edgecl_session_options options = {};
    options.struct_size = sizeof options;
    options.hooks = &hooks;
    edgecl_session* session = nullptr;
    CHECK(edgecl_session_create(model.model, &config, &options, &session, nullptr) == EDGECL_OK);
    Stream stream(model.info, 6);
    stream.next(4);
    const edgecl_batch batch = {sizeof batch,  model.info.input_dtype,    4,       0,
                                stream.data(), model.info.input_elements, nullptr, nullptr};
    gate.armed = true;
    std::atomic<edgecl_status> learned_status{1};
    std::thread learner([&] { learned_status = edgecl_learn(session, &batch, stream.labels.data(), nullptr); });
    while (!gate.inside && learned_status == 1) std::this_thread::yield();
    CHECK(gate.inside);  // a step hands work to the hook, so this thread now stands beside one
    edgecl_prediction predictions[4];
    uint8_t digest[32];
    size_t bytes = 0;
    CHECK(edgecl_predict(session, &batch, predictions, sizeof predictions[0]) == EDGECL_E_BUSY);
    CHECK(edgecl_state_digest(session, digest) == EDGECL_E_BUSY);
    CHECK(edgecl_state_size(session, &bytes) == EDGECL_E_BUSY);
    gate.release = true;
    learner.join();
    CHECK(learned_status == EDGECL_OK);
    CHECK(edgecl_predict(session, &batch, predictions, sizeof predictions[0]) == EDGECL_OK);
    edgecl_session_destroy(session);
  }
}

RUN_TESTS()
