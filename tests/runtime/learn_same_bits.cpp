// One state for any number of threads, any SIMD level, any way of calling.
// Never here: accuracy.
#include <fenv.h>
#include <stdlib.h>

#include <thread>

#include "kernels/kernels.h"
#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;

// Runs every index on a thread of its own, backwards: nothing may depend on order.
void run_on_threads(void*, uint32_t n, void (*body)(void*, uint32_t), void* context) {
  std::vector<std::thread> threads;
  for (uint32_t i = n; i-- > 0;) threads.emplace_back(body, context, i);
  for (std::thread& t : threads) t.join();
}

struct Result {
  std::string digest;
  std::vector<float> logits;
};

Result learn_some(const BundleSource& source, uint32_t method, uint32_t n_threads, const char* level,
                  uint32_t batch_size, uint32_t head = EDGECL_HEAD_GRADIENT) {
  if (level) {
    setenv("EDGECL_SIMD", level, 1);
  } else {
    unsetenv("EDGECL_SIMD");
  }
  const Model model(source);
  if (level) CHECK(strcmp(edgecl_model_kernel_level(model.model), level) == 0);
  unsetenv("EDGECL_SIMD");
  edgecl_session_config config = model.config();
  config.method = method;
  config.max_batch = batch_size;
  config.n_threads = n_threads;
  config.seed = 42;
  config.cosine_scale = 9;
  config.head = head;
  config.head_bank = head == EDGECL_HEAD_GRADIENT ? 0 : 20;
  config.feature_root = head == EDGECL_HEAD_FECAM;
  edgecl_hooks hooks = no_hooks();
  if (n_threads > 1) hooks.parallel_for = run_on_threads;
  Session session(model, config, &hooks);
  Stream stream(model.info, 17);
  for (int step = 0; step < 6; step++) {
    stream.next(batch_size);
    CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  }
  if (method == EDGECL_METHOD_FPF) CHECK(edgecl_rehearse(session.session, 3, nullptr) == EDGECL_OK);
  Result result;
  result.digest = session.digest();
  result.logits.resize(batch_size * model.info.class_capacity);
  const edgecl_batch batch = session.batch(stream.data(), batch_size);
  CHECK(edgecl_logits(session.session, &batch, result.logits.data(), result.logits.size()) == EDGECL_OK);
  return result;
}

void check_same(const Result& a, const Result& b, const char* what) {
  CHECK_MESSAGE(a.digest == b.digest, "%s", what);
  CHECK_MESSAGE(memcmp(a.logits.data(), b.logits.data(), a.logits.size() * sizeof(float)) == 0, "%s", what);
}

}  // namespace

TEST(threads_and_levels_give_one_state) {
  const char* levels[16];
  const int n_levels = edgecl::kernel_levels(levels, 16);
  struct Case {
    BundleSource source;
    uint32_t method, batch;
  } cases[] = {{image_net(), EDGECL_METHOD_DERPP, 8}, {image_net(), EDGECL_METHOD_ER, 12},
               {mlp(0.5f), EDGECL_METHOD_ER_ACE, 16}, {image_net(), EDGECL_METHOD_UER, 7},
               {mlp(), EDGECL_METHOD_UER, 20},        {image_net(), EDGECL_METHOD_FPF, 8}};
  for (const Case& c : cases) {
    const Result first = learn_some(c.source, c.method, 1, nullptr, c.batch);
    for (const uint32_t n_threads : {2u, 3u, 4u, 7u})
      check_same(first, learn_some(c.source, c.method, n_threads, nullptr, c.batch), "threads");
    for (int i = 0; i < n_levels; i++) {
      check_same(first, learn_some(c.source, c.method, 1, levels[i], c.batch), levels[i]);
      check_same(first, learn_some(c.source, c.method, 4, levels[i], c.batch), levels[i]);
    }
  }
}

TEST(threads_and_levels_give_one_head) {
  const char* levels[16];
  const int n_levels = edgecl::kernel_levels(levels, 16);
  for (uint32_t head = EDGECL_HEAD_NCM; head <= EDGECL_HEAD_COSINE; head++) {
    for (const BundleSource& source : {image_net(), mlp()}) {
      const Result first = learn_some(source, EDGECL_METHOD_ER, 1, nullptr, 7, head);
      check_same(first, learn_some(source, EDGECL_METHOD_ER, 3, nullptr, 7, head), "threads");
      for (int i = 0; i < n_levels; i++)
        check_same(first, learn_some(source, EDGECL_METHOD_ER, 2, levels[i], 7, head), levels[i]);
    }
  }
}

// Rows come out the same whatever batch they were in.
TEST(predictions_do_not_depend_on_the_batch) {
  const Model model(image_net());
  edgecl_session_config config = model.config();
  config.max_batch = 16;
  Session session(model, config);
  Stream stream(model.info, 2);
  for (int step = 0; step < 5; step++) {
    stream.next(16);
    CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  }
  constexpr uint32_t kRows = 53;
  stream.next(kRows);
  const std::string before = session.digest();
  std::vector<edgecl_prediction> whole(kRows);
  edgecl_batch batch = session.batch(stream.data(), kRows);
  CHECK(edgecl_predict(session.session, &batch, whole.data(), sizeof whole[0]) == EDGECL_OK);
  for (const uint32_t size : {1u, 5u, 16u, 17u}) {
    for (uint32_t begin = 0; begin < kRows; begin += size) {
      const uint32_t n = begin + size < kRows ? size : kRows - begin;
      std::vector<edgecl_prediction> part(n);
      batch = session.batch(stream.bytes.data() + begin * model.info.input_elements, n);
      CHECK(edgecl_predict(session.session, &batch, part.data(), sizeof part[0]) == EDGECL_OK);
      CHECK_MESSAGE(memcmp(part.data(), &whole[begin], n * sizeof part[0]) == 0, "pieces of %u at %u", size, begin);
    }
  }
  CHECK(session.digest() == before);  // predicting is not learning
  CHECK(session.stats().samples_predicted == 5 * kRows);
}

// A caller's rounding mode changes nothing, and is as before after the call. (Flush-to-zero: core_basics.cpp, on the
// control word itself.)
TEST(rounding_mode_of_the_caller) {
  const Result first = learn_some(image_net(), EDGECL_METHOD_DERPP, 1, nullptr, 8);
  const Model model(image_net());
  edgecl_session_config config = model.config();
  config.max_batch = 8;
  config.seed = 42;
  config.cosine_scale = 9;
  Session session(model, config);
  Stream stream(model.info, 17);
  for (int step = 0; step < 6; step++) {
    stream.next(8);
    fesetround(FE_UPWARD);
    CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
    CHECK(fegetround() == FE_UPWARD);
    fesetround(FE_TONEAREST);
  }
  CHECK(session.digest() == first.digest);
}

RUN_TESTS()
