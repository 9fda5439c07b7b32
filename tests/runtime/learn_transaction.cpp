// A refused step changes nothing that is exported; a step allocates nothing.
// Never here: what a step computes.
#include <math.h>

#include <atomic>

#include "tests/runtime/learn_fixture.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define EDGECL_TEST_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EDGECL_TEST_SANITIZED 1
#endif

#if defined(__GLIBC__) && !defined(EDGECL_TEST_SANITIZED)
#define EDGECL_TEST_COUNTS_ALLOCATIONS 1
static std::atomic<uint64_t> n_allocations{0};
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t n, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
void* malloc(size_t bytes) noexcept {
  n_allocations++;
  return __libc_malloc(bytes);
}
void* calloc(size_t n, size_t bytes) noexcept {
  n_allocations++;
  return __libc_calloc(n, bytes);
}
void* realloc(void* memory, size_t bytes) noexcept {
  n_allocations++;
  return __libc_realloc(memory, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) noexcept {
  n_allocations++;
  return __libc_memalign(alignment, bytes);
}
}
#endif

namespace {

using namespace edgecl_test;

// Runs `steps` good steps, so that the buffer, momentum and classes hold something.
void warm_up(Session* session, Stream* stream, int steps) {
  for (int i = 0; i < steps; i++) {
    stream->next(4);
    CHECK(session->learn(stream->data(), stream->labels) == EDGECL_OK);
  }
}

edgecl_session_config momentum_config(const Model& model) {
  edgecl_session_config config = model.config();
  config.method = EDGECL_METHOD_DERPP;
  config.momentum = 0.9f;
  return config;
}

void check_refused(Session* session, const edgecl_batch& batch, const int32_t* labels, edgecl_status expected,
                   const char* part) {
  const std::string before = session->digest();
  const uint64_t refused = session->stats().refused_steps;
  edgecl_learn_report report = {};
  report.struct_size = sizeof report;
  const edgecl_status status = edgecl_learn(session->session, &batch, labels, &report);
  CHECK_MESSAGE(status == expected, "%s instead of %s", edgecl_status_name(status), edgecl_status_name(expected));
  const char* sentence = edgecl_session_error(session->session);
  CHECK_MESSAGE(strstr(sentence, part) && strstr(sentence, "expected") && strstr(sentence, "found"), "%s", sentence);
  CHECK(session->digest() == before);
  CHECK(session->stats().refused_steps == refused + 1 && report.step == 0);
}

}  // namespace

TEST(refused_requests_change_nothing) {
  const Model model(mlp());
  Session session(model, momentum_config(model));
  Stream stream(model.info, 1);
  warm_up(&session, &stream, 5);
  stream.next(4);
  const edgecl_batch good = session.batch(stream.data(), 4);
  const int32_t* labels = stream.labels.data();

  edgecl_batch bad = good;
  bad.n_samples = 0;
  check_refused(&session, bad, labels, EDGECL_E_ARGUMENT, "n_samples");
  bad = good;
  bad.n_samples = 5;
  check_refused(&session, bad, labels, EDGECL_E_CAPACITY, "max_batch");
  bad = good;
  bad.dtype = EDGECL_U8;
  check_refused(&session, bad, labels, EDGECL_E_DTYPE, "dtype");
  bad = good;
  bad.dtype = 7;
  check_refused(&session, bad, labels, EDGECL_E_DTYPE, "dtype");
  bad = good;
  bad.elements_per_sample = kFeatures + 1;
  check_refused(&session, bad, labels, EDGECL_E_SHAPE, "elements");
  bad = good;
  bad.data = nullptr;
  check_refused(&session, bad, labels, EDGECL_E_ARGUMENT, "NULL");
  bad = good;
  bad.reserved = 1;
  check_refused(&session, bad, labels, EDGECL_E_ARGUMENT, "reserved");
  check_refused(&session, good, nullptr, EDGECL_E_ARGUMENT, "labels");
  const int32_t negative[] = {0, 1, -1, 0}, beyond[] = {0, 1, 0, kColumns};
  check_refused(&session, good, negative, EDGECL_E_ARGUMENT, "-1 at row 2");
  check_refused(&session, good, beyond, EDGECL_E_CAPACITY, "4 at row 3");
}

TEST(non_finite_inputs_change_nothing) {
  const Model model(mlp());
  Session session(model, momentum_config(model));
  Stream stream(model.info, 1);
  warm_up(&session, &stream, 5);
  for (const float poison : {NAN, INFINITY, -INFINITY}) {
    stream.next(4);
    stream.floats[2 * kFeatures + 3] = poison;
    check_refused(&session, session.batch(stream.data(), 4), stream.labels.data(), EDGECL_E_NUMERIC, "sample 2");
  }
  // Finite inputs that no sound sensor gives are refused too; they would poison the buffer.
  stream.next(4);
  for (float& x : stream.floats) x *= 3e38f / 1.7f;
  check_refused(&session, session.batch(stream.data(), 4), stream.labels.data(), EDGECL_E_NUMERIC, "once normalised");
  warm_up(&session, &stream, 10);
}

// With a huge learning rate the gradients are fine and only the update would overflow: it is refused, not stored.
TEST(overflowing_updates_change_nothing) {
  const Model model(mlp());
  Session session(model, momentum_config(model));
  Stream stream(model.info, 1);
  warm_up(&session, &stream, 5);
  CHECK(edgecl_learning_rate_set(session.session, 3e38f) == EDGECL_OK);
  stream.next(4);
  check_refused(&session, session.batch(stream.data(), 4), stream.labels.data(), EDGECL_E_NUMERIC,
                "lower the learning rate");
  CHECK(edgecl_learning_rate_set(session.session, 0.05f) == EDGECL_OK);
  warm_up(&session, &stream, 3);
  // Repeated large steps end in a refusal, never in a weight that is not finite.
  CHECK(edgecl_learning_rate_set(session.session, 1e30f) == EDGECL_OK);
  edgecl_status status = EDGECL_OK;
  for (int i = 0; i < 50 && status == EDGECL_OK; i++) {
    stream.next(4);
    status = session.learn(stream.data(), stream.labels);
  }
  CHECK(status == EDGECL_E_NUMERIC);
  for (const DecodedState::Param& param : decode(session).params) {
    for (const float w : param.values) CHECK(fabsf(w) <= 1e9f);
    for (const float v : param.velocity) CHECK(fabsf(v) <= 1e9f);
  }
}

// A refused step spends no randomness: the next good step is the one that would have come anyway.
TEST(refused_steps_leave_no_trace) {
  const Model model(image_net());
  edgecl_session_config config = model.config();
  config.max_batch = 4;
  Session plain(model, config), disturbed(model, config);
  Stream a(model.info, 2), b(model.info, 2);
  for (int step = 0; step < 10; step++) {
    a.next(4);
    b.next(4);
    const int32_t bad[] = {0, 1, 2, 99};
    const edgecl_batch batch = disturbed.batch(b.data(), 4);
    CHECK(edgecl_learn(disturbed.session, &batch, bad, nullptr) == EDGECL_E_CAPACITY);
    CHECK(plain.learn(a.data(), a.labels) == EDGECL_OK && disturbed.learn(b.data(), b.labels) == EDGECL_OK);
    CHECK(plain.digest() == disturbed.digest());
  }
}

TEST(room_for_slots_is_checked_before_the_step) {
  const Model model(mlp());
  Session session(model, momentum_config(model));
  Stream stream(model.info, 1);
  warm_up(&session, &stream, 2);
  stream.next(4);
  uint32_t slots[6];
  edgecl_learn_report report = {};
  report.struct_size = sizeof report;
  report.replay_slots = slots;
  report.replay_slots_capacity = 5;
  const std::string before = session.digest();
  CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_E_SHAPE && session.digest() == before);
  report.replay_slots_capacity = 6;
  CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_OK && report.n_replayed == 6);
}

TEST(nothing_allocates_after_creation) {
#if defined(EDGECL_TEST_COUNTS_ALLOCATIONS)
  const Model model(image_net());
  edgecl_session_config config = model.config();
  config.max_batch = 8;
  Session session(model, config);
  Stream stream(model.info, 6);
  stream.next(20);
  std::vector<edgecl_prediction> predictions(20);
  std::vector<float> floats(20 * 16);
  size_t n = 0;
  CHECK(edgecl_state_size(session.session, &n) == EDGECL_OK);
  std::vector<uint8_t> state(2 * n + 100000);
  const edgecl_batch batch8 = session.batch(stream.data(), 8), batch20 = session.batch(stream.data(), 20);
  const int32_t bad[8] = {99};
  uint8_t digest[32];
  edgecl_stats stats = {};
  stats.struct_size = sizeof stats;
  edgecl_class_info info = {};
  info.struct_size = sizeof info;
  int32_t label = 0;

  std::vector<float> weights(4096);
  edgecl_session_config present = {};
  present.struct_size = sizeof present;

  const uint64_t before = n_allocations;
  bool good = true;
  for (int i = 0; i < 30; i++)
    good = good && edgecl_learn(session.session, &batch8, stream.labels.data(), nullptr) == EDGECL_OK;
  good = good && edgecl_learn(session.session, &batch8, bad, nullptr) != EDGECL_OK;
  good = good && edgecl_predict(session.session, &batch20, predictions.data(), sizeof(edgecl_prediction)) == EDGECL_OK;
  good = good && edgecl_logits(session.session, &batch20, floats.data(), floats.size()) == EDGECL_OK;
  good = good && edgecl_probabilities(session.session, &batch20, floats.data(), floats.size()) == EDGECL_OK;
  good = good && edgecl_weights_read(session.session, 0, weights.data(), weights.size()) == EDGECL_OK;
  good = good && edgecl_session_config_get(session.session, &present) == EDGECL_OK;
  good = good && edgecl_embed(session.session, &batch20, floats.data(), floats.size()) == EDGECL_OK;
  good = good && edgecl_state_export(session.session, state.data(), state.size(), &n) == EDGECL_OK;
  good = good && edgecl_state_import(session.session, state.data(), n) == EDGECL_OK;
  good = good && edgecl_state_digest(session.session, digest) == EDGECL_OK;
  good = good && edgecl_session_stats(session.session, &stats) == EDGECL_OK;
  good = good && edgecl_class_add(session.session, "cup", &label) == EDGECL_OK;
  good = good && edgecl_class_describe(session.session, label, &info) == EDGECL_OK;
  good = good && edgecl_class_forget(session.session, 0) == EDGECL_OK;
  good = good && edgecl_task_begin(session.session) == EDGECL_OK;
  good = good && edgecl_session_reset(session.session) == EDGECL_OK;
  const uint64_t after = n_allocations;
  CHECK_MESSAGE(good, "%s", edgecl_session_error(session.session));
  CHECK_MESSAGE(after == before, "%llu allocations", static_cast<unsigned long long>(after - before));
  CHECK(n_allocations > 0);  // the counter works
#else
  printf("skipped: allocations are counted with glibc and without sanitizers only\n");
#endif
}

RUN_TESTS()
