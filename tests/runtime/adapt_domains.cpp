// Domains: rows go where they fit and get what that domain alone would say, states, taking back, adaptors, refusals.
// Never here: fits against formulas (tests/python/test_domains.py).
#include <stdlib.h>

#include <algorithm>
#include <string>
#include <thread>

#include "kernels/kernels.h"
#include "tests/runtime/learn_fixture.h"
#include "tests/runtime/state_forging.h"

namespace {

using namespace edgecl_test;

constexpr uint32_t kDomains = 3;

edgecl_session_config config_of(const Model& model, uint32_t head = EDGECL_HEAD_LDA) {
  edgecl_session_config config = model.config();
  config.head = head;
  config.max_domains = kDomains;
  config.max_batch = 4;
  return config;
}

// Rows of a domain: samples around an offset of its own.
struct Rows {
  Rows(const Model& model, uint32_t n, float offset, uint64_t seed = 1) : n(n), elements(model.info.input_elements) {
    Stream stream(model.info, seed);
    stream.next(n, 0, 3);
    floats = stream.floats;
    labels = stream.labels;
    for (float& x : floats) x = 0.5f * x + offset;
  }
  edgecl_batch batch(const Session& session, uint32_t row, uint32_t count) const {
    return session.batch(floats.data() + row * elements, count);
  }
  void learn(Session* session, uint32_t begin, uint32_t end) const {
    for (uint32_t row = begin; row < end; row++) {
      const edgecl_batch one = batch(*session, row, 1);
      CHECK_MESSAGE(edgecl_learn(session->session, &one, &labels[row], nullptr) == EDGECL_OK, "%s",
                    edgecl_session_error(session->session));
    }
  }
  uint32_t n;
  uint64_t elements;
  std::vector<float> floats;
  std::vector<int32_t> labels;
};

constexpr uint32_t kRows = 60;
// Two domains that know what they are for; the third place is free.
struct Two {
  explicit Two(const Model& model, uint32_t head = EDGECL_HEAD_LDA, const edgecl_hooks* hooks = nullptr,
               uint32_t n_threads = 1)
      : near(model, kRows, 0.0f), far(model, kRows, 2.0f, 2), session(model, threaded(model, head, n_threads), hooks) {
    near.learn(&session, 0, kRows);
    int32_t domain = -1;
    CHECK(edgecl_domain_add(session.session, "far", &domain) == EDGECL_OK && domain == 1);
    CHECK(edgecl_domain_select(session.session, domain) == EDGECL_OK);
    far.learn(&session, 0, kRows);
    CHECK(edgecl_domain_select(session.session, EDGECL_DOMAIN_BY_FIT) == EDGECL_OK);
  }
  static edgecl_session_config threaded(const Model& model, uint32_t head, uint32_t n_threads) {
    edgecl_session_config config = config_of(model, head);
    config.n_threads = n_threads;
    return config;
  }
  Rows near, far;
  Session session;
};

std::vector<edgecl_route_result> routes(Session* session, const Rows& rows) {
  std::vector<edgecl_route_result> out(rows.n);
  const edgecl_batch batch = rows.batch(*session, 0, rows.n);
  CHECK_MESSAGE(edgecl_route(session->session, &batch, out.data(), sizeof out[0]) == EDGECL_OK, "%s",
                edgecl_session_error(session->session));
  return out;
}

std::vector<float> logits(Session* session, const Rows& rows) {
  std::vector<float> out(rows.n * kColumns);
  const edgecl_batch batch = rows.batch(*session, 0, rows.n);
  CHECK_MESSAGE(edgecl_logits(session->session, &batch, out.data(), out.size()) == EDGECL_OK, "%s",
                edgecl_session_error(session->session));
  return out;
}

edgecl_status import(Session* session, const std::vector<uint8_t>& state) {
  return edgecl_state_import(session->session, state.data(), state.size());
}

// Of the table of sections.
size_t domains_section(std::vector<uint8_t>* state) {
  for (uint32_t i = 0; i < word<uint32_t>(state, 48); i++) {
    if (word<uint32_t>(state, 64 + 64 * i) == 12) return static_cast<size_t>(word<uint64_t>(state, 80 + 64 * i));
  }
  CHECK_MESSAGE(false, "a state without domains");
  return 0;
}

edgecl_domain_info info_of(const Session& session, int32_t domain) {
  edgecl_domain_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_domain_describe(session.session, domain, &info) == EDGECL_OK);
  return info;
}

}  // namespace

// A mixed batch: each row has, bit for bit, the scores that its domain gives it when it is pinned.
TEST(rows_go_where_they_fit) {
  const Model model(domain_net());
  for (const uint32_t head : {EDGECL_HEAD_NCM, EDGECL_HEAD_LDA, EDGECL_HEAD_RIDGE, EDGECL_HEAD_FECAM}) {
    Two two(model, head);
    Rows mixed(model, 40, 0.0f, 9);
    for (uint32_t row = 0; row < mixed.n; row += 2) {
      for (uint64_t e = 0; e < mixed.elements; e++) mixed.floats[row * mixed.elements + e] += 2;
    }
    const std::vector<edgecl_route_result> found = routes(&two.session, mixed);
    const std::vector<float> routed = logits(&two.session, mixed);
    uint32_t right = 0;
    for (uint32_t row = 0; row < mixed.n; row++) right += found[row].domain == (row % 2 == 0 ? 1 : 0);
    CHECK_MESSAGE(right == mixed.n, "%u of %u rows", right, mixed.n);
    for (int32_t domain = 0; domain < 2; domain++) {
      CHECK(edgecl_domain_select(two.session.session, domain) == EDGECL_OK);
      const std::vector<float> pinned = logits(&two.session, mixed);
      for (uint32_t row = 0; row < mixed.n; row++) {
        if (found[row].domain != domain) continue;
        CHECK(memcmp(&pinned[row * kColumns], &routed[row * kColumns], kColumns * sizeof(float)) == 0);
      }
    }
    CHECK(edgecl_domain_select(two.session.session, EDGECL_DOMAIN_BY_FIT) == EDGECL_OK);
    // Decisions of rows that do not come in their order.
    edgecl_session_config deciding = config_of(model, head);
    deciding.novelty = EDGECL_NOVELTY_ENERGY;
    Session judge(model, deciding);
    two.near.learn(&judge, 0, kRows);
    int32_t second = -1, decisions[4];
    CHECK(edgecl_domain_add(judge.session, "far", &second) == EDGECL_OK);
    CHECK(edgecl_domain_select(judge.session, second) == EDGECL_OK);
    two.far.learn(&judge, 0, kRows);
    CHECK(edgecl_domain_select(judge.session, EDGECL_DOMAIN_BY_FIT) == EDGECL_OK);
    const float low[] = {-100, -99, -98};
    CHECK(edgecl_novelty_calibrate(judge.session, 0, low, 3, 0.5, 0.9) == EDGECL_OK);
    const edgecl_batch four = mixed.batch(judge, 0, 4);
    CHECK(edgecl_decide(judge.session, &four, decisions, 4) == EDGECL_OK);
    for (const int32_t decision : decisions) CHECK(decision >= EDGECL_ACCEPT && decision <= EDGECL_NOVEL);
    // What fits nothing is unknown, most of what fits is not.
    const Rows strange(model, 20, -3.0f, 4);
    for (const edgecl_route_result& route : routes(&two.session, strange)) CHECK(route.decision == EDGECL_NOVEL);
    uint32_t accepted = 0;
    for (const edgecl_route_result& route : found) accepted += route.decision == EDGECL_ACCEPT;
    CHECK_MESSAGE(accepted > mixed.n / 2, "%u of %u", accepted, mixed.n);
  }
}

// Without a tap and without an adaptor the embedding routes, and heads are what domains differ in.
TEST(the_embedding_routes_where_nothing_is_tapped) {
  const Model model(domain_net(false));
  Two two(model);
  uint32_t right = 0;
  for (const edgecl_route_result& route : routes(&two.session, two.near)) right += route.domain == 0;
  for (const edgecl_route_result& route : routes(&two.session, two.far)) right += route.domain == 1;
  CHECK_MESSAGE(right > 110, "%u of 120", right);
  CHECK(info_of(two.session, 1).features == model.info.embedding_dim);
}

TEST(a_state_of_domains_goes_out_and_in_and_on) {
  const Model model(domain_net());
  for (const uint32_t head : {EDGECL_HEAD_NCM_DISTANCE, EDGECL_HEAD_RIDGE}) {
    Two two(model, head);
    Session copy(model, config_of(model, head));
    CHECK_MESSAGE(import(&copy, two.session.state()) == EDGECL_OK, "%s", edgecl_session_error(copy.session));
    CHECK(copy.state() == two.session.state() && copy.digest() == two.session.digest());
    CHECK(logits(&copy, two.far) == logits(&two.session, two.far));
    const Rows more(model, 10, 2.0f, 7);
    for (Session* session : {&two.session, &copy}) {
      CHECK(edgecl_domain_select(session->session, 1) == EDGECL_OK);
      more.learn(session, 0, more.n);
      CHECK(edgecl_domain_select(session->session, EDGECL_DOMAIN_BY_FIT) == EDGECL_OK);
    }
    CHECK(copy.digest() == two.session.digest() && logits(&copy, two.near) == logits(&two.session, two.near));
    edgecl_sizes sizes = {};
    sizes.struct_size = sizeof sizes;
    CHECK(edgecl_session_sizes(model.model, &two.session.config(), &sizes, nullptr) == EDGECL_OK);
    CHECK(two.session.state().size() <= sizes.state_bytes_max);
    // A session of fewer domains says so.
    edgecl_session_config fewer = config_of(model, head);
    fewer.max_domains = 1;
    Session small(model, fewer);
    CHECK(import(&small, two.session.state()) == EDGECL_E_STATE_MISMATCH);
    CHECK(edgecl_session_reset(two.session.session) == EDGECL_OK);
    CHECK(two.session.digest() == Session(model, config_of(model, head)).digest());
  }
}

// Learn, and take back: nothing is left, neither in the head nor in what routes.
TEST(what_is_taken_back_leaves_no_trace) {
  const Model model(domain_net());
  Two two(model);
  const std::vector<uint8_t> before = two.session.state();
  const std::vector<float> scores = logits(&two.session, two.far);
  const Rows more(model, 40, 2.5f, 12);
  CHECK(edgecl_domain_select(two.session.session, 1) == EDGECL_OK);
  more.learn(&two.session, 0, more.n);
  CHECK(info_of(two.session, 1).rows == kRows + more.n);
  for (uint32_t row = more.n; row-- > 0;) {
    const edgecl_batch one = more.batch(two.session, row, 1);
    CHECK(edgecl_unlearn(two.session.session, &one, &more.labels[row]) == EDGECL_OK);
  }
  CHECK(edgecl_domain_select(two.session.session, EDGECL_DOMAIN_BY_FIT) == EDGECL_OK);
  std::vector<uint8_t> after = two.session.state(), former = before;
  const size_t at = domains_section(&after);
  CHECK(after.size() == former.size() && at == domains_section(&former));
  CHECK(std::equal(after.begin() + static_cast<long>(at), after.end() - 32, former.begin() + static_cast<long>(at)));
  CHECK(logits(&two.session, two.far) == scores);
  const Rows strangers(model, 3, 0.0f, 77);
  const edgecl_batch one = strangers.batch(two.session, 0, 1);
  const int32_t never = 3;
  CHECK(edgecl_unlearn(two.session.session, &one, &never) == EDGECL_E_NOT_FOUND);
}

TEST(a_domain_takes_over_the_adaptor_that_another_session_trained) {
  const Model model(domain_net());
  Two two(model);
  edgecl_session_config learner = model.config();
  learner.max_batch = 4;
  Session trainer(model, learner);
  const Rows rows(model, 24, -2.0f, 5);
  rows.learn(&trainer, 0, rows.n);
  int32_t domain = -1;
  uint32_t learned = 0;
  CHECK(edgecl_domain_add(two.session.session, "third", &domain) == EDGECL_OK && domain == 2);
  const std::vector<float> near_before = logits(&two.session, two.near);
  CHECK(edgecl_domain_adapt(two.session.session, domain, trainer.session, &learned) == EDGECL_OK);
  CHECK(learned == 12 && info_of(two.session, domain).rows == learned && info_of(two.session, domain).adapted == 1);
  CHECK(info_of(two.session, 0).adapted == 0);
  CHECK(logits(&two.session, two.near) == near_before);  // nobody else is touched
  const auto embed = [&](Session* session) {
    std::vector<float> out(rows.n * model.info.embedding_dim);
    const edgecl_batch batch = rows.batch(*session, 0, rows.n);
    CHECK(edgecl_embed(session->session, &batch, out.data(), out.size()) == EDGECL_OK);
    return out;
  };
  CHECK(edgecl_domain_select(two.session.session, domain) == EDGECL_OK);
  CHECK(embed(&two.session) == embed(&trainer));
  CHECK(edgecl_domain_select(two.session.session, 0) == EDGECL_OK);
  CHECK(embed(&two.session) != embed(&trainer));
  // It has rows now; a session without domains, one of another model and itself are no trainers.
  CHECK(edgecl_domain_adapt(two.session.session, domain, trainer.session, &learned) == EDGECL_E_SEQUENCE);
  CHECK(edgecl_domain_remove(two.session.session, domain) == EDGECL_OK);
  CHECK(edgecl_domain_adapt(two.session.session, domain, trainer.session, &learned) == EDGECL_E_NOT_FOUND);
  CHECK(edgecl_domain_add(two.session.session, "third", &domain) == EDGECL_OK && domain == 2);
  CHECK(edgecl_domain_adapt(trainer.session, 0, trainer.session, &learned) == EDGECL_E_BUSY);
  const Model other(domain_net());
  Session stranger(other, other.config());
  CHECK(edgecl_domain_adapt(two.session.session, domain, stranger.session, &learned) == EDGECL_E_ARGUMENT);
  Session statistics(model, config_of(model));
  CHECK(edgecl_domain_adapt(two.session.session, domain, statistics.session, &learned) == EDGECL_E_ARGUMENT);
  learner.latent_replay = 1;
  Session latent(model, learner);
  CHECK(edgecl_domain_adapt(two.session.session, domain, latent.session, &learned) == EDGECL_E_UNSUPPORTED);
}

// The alarm goes by the fit of the best domain: quiet in both, loud in neither; thresholds are part of the state.
TEST(an_alarm_by_fit_knows_all_domains) {
  const Model model(domain_net());
  edgecl_session_config config = config_of(model);
  config.novelty = EDGECL_NOVELTY_FIT;
  config.novelty_window = 16;
  Session session(model, config);
  CHECK(edgecl_domain_calibrate(session.session, 0.9, 0.95) == EDGECL_E_SEQUENCE);
  const Rows near(model, 200, 0.0f), far(model, 200, 2.0f, 2), other(model, 16, -3.0f, 3);
  near.learn(&session, 0, 150);
  int32_t domain = -1;
  CHECK(edgecl_domain_add(session.session, "far", &domain) == EDGECL_OK);
  CHECK(edgecl_domain_select(session.session, domain) == EDGECL_OK);
  far.learn(&session, 0, 150);
  CHECK(edgecl_domain_select(session.session, EDGECL_DOMAIN_BY_FIT) == EDGECL_OK);
  const std::string before = session.digest();
  CHECK(edgecl_domain_calibrate(session.session, 0.9, 0.8) == EDGECL_E_ARGUMENT && session.digest() == before);
  CHECK(edgecl_domain_calibrate(session.session, 0.9, 0.95) == EDGECL_OK);
  edgecl_threshold threshold = {};
  threshold.struct_size = sizeof threshold;
  CHECK(edgecl_novelty_threshold(session.session, 0, &threshold) == EDGECL_OK);
  CHECK(threshold.score == EDGECL_NOVELTY_FIT);
  CHECK(threshold.rows == info_of(session, 0).held + info_of(session, 1).held);

  edgecl_drift_info drift = {};
  drift.struct_size = sizeof drift;
  int32_t decisions[16];
  float scores[16];
  for (const Rows* rows : {&near, &far, &other}) {
    const edgecl_batch batch = rows->batch(session, rows->n - 16, 16);
    std::vector<edgecl_route_result> found(16);
    CHECK(edgecl_route(session.session, &batch, found.data(), sizeof found[0]) == EDGECL_OK);
    CHECK(edgecl_novelty_scores(session.session, &batch, EDGECL_NOVELTY_FIT, scores, 16) == EDGECL_OK);
    for (uint32_t r = 0; r < 16; r++) CHECK(scores[r] == found[r].fit);
    CHECK(edgecl_observe(session.session, &batch, decisions, 16) == EDGECL_OK);
    CHECK(edgecl_drift(session.session, &drift) == EDGECL_OK);
    CHECK_MESSAGE(drift.alarm == (rows == &other ? 1u : 0u), "unknown %.2f", static_cast<double>(drift.unknown));
  }
  Session copy(model, config);
  CHECK(import(&copy, session.state()) == EDGECL_OK && copy.digest() == session.digest());
}

TEST(what_cannot_be_is_refused_and_changes_nothing) {
  const Model model(domain_net());
  Two two(model);
  edgecl_session* session = two.session.session;
  const std::string before = two.session.digest();
  int32_t domain = -1;
  const std::string long_name(64, 'n');
  for (const char* name : {"far", "base", "", long_name.c_str(), "\xff"})
    CHECK_MESSAGE(edgecl_domain_add(session, name, &domain) == EDGECL_E_ARGUMENT, "%s", name);
  CHECK(edgecl_domain_add(session, nullptr, &domain) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_domain_select(session, 2) == EDGECL_E_NOT_FOUND);
  CHECK(edgecl_domain_select(session, -2) == EDGECL_E_NOT_FOUND);
  CHECK(edgecl_domain_remove(session, 0) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_domain_remove(session, 7) == EDGECL_E_NOT_FOUND);
  CHECK(edgecl_class_forget(session, 0) == EDGECL_E_UNSUPPORTED);
  edgecl_domain_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_domain_describe(session, 2, &info) == EDGECL_E_NOT_FOUND);
  CHECK(two.session.digest() == before);
  CHECK(edgecl_domain_add(session, "third", &domain) == EDGECL_OK);
  const std::string full = two.session.digest();
  CHECK(edgecl_domain_add(session, "fourth", &domain) == EDGECL_E_CAPACITY && two.session.digest() == full);
  CHECK(edgecl_domain_remove(session, 2) == EDGECL_OK && two.session.digest() == before);

  Session plain(model, model.config());
  const Rows rows(model, 1, 0.0f);
  const edgecl_batch batch = rows.batch(plain, 0, 1);
  edgecl_route_result route;
  CHECK(edgecl_route(plain.session, &batch, &route, sizeof route) == EDGECL_E_UNSUPPORTED);
  CHECK(edgecl_domain_add(plain.session, "one", &domain) == EDGECL_E_UNSUPPORTED);
  CHECK(edgecl_domain_select(plain.session, 0) == EDGECL_E_UNSUPPORTED);
  CHECK(edgecl_domain_calibrate(plain.session, 0.9, 0.95) == EDGECL_E_UNSUPPORTED);
  float score = 0;
  CHECK(edgecl_novelty_scores(plain.session, &batch, EDGECL_NOVELTY_FIT, &score, 1) == EDGECL_E_UNSUPPORTED);
  CHECK(edgecl_domain_describe(plain.session, 0, &info) == EDGECL_E_UNSUPPORTED);
  Session fresh(model, config_of(model));
  CHECK(edgecl_route(fresh.session, &batch, &route, sizeof route) == EDGECL_E_SEQUENCE);

  std::string message;
  edgecl_session_config config = config_of(model, EDGECL_HEAD_GRADIENT);
  CHECK(create_status(model, config, &message) == EDGECL_E_UNSUPPORTED &&
        message.find("max_domains") != std::string::npos);
  config = config_of(model);
  config.novelty = EDGECL_NOVELTY_RMDS;
  CHECK(create_status(model, config, &message) == EDGECL_E_UNSUPPORTED && message.find("rmds") != std::string::npos);
  config = model.config();
  config.novelty = EDGECL_NOVELTY_FIT;
  CHECK(create_status(model, config, &message) == EDGECL_E_UNSUPPORTED && message.find("fit") != std::string::npos);
  config = config_of(model);
  config.max_domains = 65;
  CHECK(create_status(model, config, &message) == EDGECL_E_ARGUMENT);
  const Model sparse(tail_net());
  config = sparse.config();
  config.head = EDGECL_HEAD_LDA;
  config.max_domains = 2;
  CHECK(create_status(sparse, config, &message) == EDGECL_E_UNSUPPORTED);
}

// Every word of the section in turn takes a foolish value: the state is refused and the session as before, or it comes in
// and goes out as it came.
TEST(a_forged_section_changes_nothing) {
  const Model model(domain_net());
  Two two(model, EDGECL_HEAD_NCM);
  Session victim(model, config_of(model, EDGECL_HEAD_NCM));
  const std::vector<uint8_t> state = two.session.state();
  std::vector<uint8_t> table = state;
  const size_t at = domains_section(&table), end = state.size() - 32;
  uint32_t refused = 0;
  for (size_t place = at; place + 4 <= end; place += place < at + 1024 ? 4 : 52) {
    for (const uint32_t value : {0u, 1u, 0x7fffffffu, 0xffffffffu, 0x7fc00000u}) {
      std::vector<uint8_t> forged = state;
      word<uint32_t>(&forged, place) = value;
      seal(&forged);
      const std::string before = victim.digest();
      const edgecl_status status = import(&victim, forged);
      if (status == EDGECL_OK) {
        CHECK(victim.state() == forged);
      } else {
        refused++;
        CHECK_MESSAGE(status == EDGECL_E_STATE_CORRUPT, "%d at %zu", static_cast<int>(status), place - at);
        CHECK(victim.digest() == before);
      }
    }
  }
  CHECK_MESSAGE(refused > 100, "%u", refused);
}

// One digest and the same fits at every level and for any number of threads.
TEST(threads_and_levels_give_the_same_domains) {
  const char* levels[16];
  const int n_levels = edgecl::kernel_levels(levels, 16);
  std::string first;
  std::vector<float> fits;
  edgecl_hooks hooks = no_hooks();
  hooks.parallel_for = [](void*, uint32_t n, void (*body)(void*, uint32_t), void* context) {
    std::vector<std::thread> threads;
    for (uint32_t i = n; i-- > 0;) threads.emplace_back(body, context, i);
    for (std::thread& t : threads) t.join();
  };
  for (int i = 0; i < n_levels; i++) {
    setenv("EDGECL_SIMD", levels[i], 1);
    const Model model(domain_net());
    unsetenv("EDGECL_SIMD");
    for (const uint32_t n_threads : {1u, 3u}) {
      Two two(model, EDGECL_HEAD_LDA, n_threads > 1 ? &hooks : nullptr, n_threads);
      std::vector<float> found = logits(&two.session, two.near);
      for (const edgecl_route_result& route : routes(&two.session, two.far)) found.push_back(route.fit);
      if (first.empty()) {
        first = two.session.digest();
        fits = found;
      }
      CHECK_MESSAGE(two.session.digest() == first && found == fits, "%s, %u threads", levels[i], n_threads);
    }
  }
}

RUN_TESTS()
