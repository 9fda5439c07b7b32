// The drift alarm: its chances against counting, its window against a plain one, its section of a state, refusals.
// Never here: rates on real data (tools/bench/novelty.py), Python (tests/python/test_drift.py).
#include <algorithm>
#include <deque>

#include "runtime/novelty/window.h"
#include "tests/runtime/learn_fixture.h"
#include "tests/runtime/state_forging.h"

namespace {

using namespace edgecl_test;

constexpr uint32_t kDriftSection = 13;

edgecl_drift_info drift_of(const Session& session) {
  edgecl_drift_info info = {};
  info.struct_size = sizeof info;
  CHECK_MESSAGE(edgecl_drift(session.session, &info) == EDGECL_OK, "%s", edgecl_session_error(session.session));
  return info;
}

edgecl_status observe(Session* session, const Stream& stream, uint32_t n) {
  std::vector<int32_t> decisions(n), judged(n);
  const edgecl_batch batch = session->batch(stream.data(), n);
  const edgecl_status status = edgecl_observe(session->session, &batch, decisions.data(), n);
  if (status == EDGECL_OK) {
    CHECK(edgecl_decide(session->session, &batch, judged.data(), n) == EDGECL_OK);
    CHECK(decisions == judged);
  }
  return status;
}

void calibrate(Session* session, uint32_t n, float centre) {
  std::vector<float> scores(n);
  for (uint32_t i = 0; i < n; i++) scores[i] = centre + 0.001f * static_cast<float>(i);
  CHECK(edgecl_novelty_calibrate(session->session, 0, scores.data(), n, 0.9, 0.95) == EDGECL_OK);
}

bool import_ok(Session* to, const Session& from) {
  const std::vector<uint8_t> state = from.state();
  return edgecl_state_import(to->session, state.data(), state.size()) == EDGECL_OK;
}

// Bytes of section DRIFT, the last of the state.
size_t drift_at(std::vector<uint8_t>* state) {
  const uint32_t n = word<uint32_t>(state, 48);
  CHECK(word<uint32_t>(state, 64 + 64 * (n - 1)) == kDriftSection);
  return section_at(state, n);
}

}  // namespace

// Of n held-out and m new rows every order is equally likely: C(n + m, m) ways to choose which are new. At least j new
// ones above the k-th smallest held-out one: counted by a recurrence over the rows from above, in exact integers.
TEST(chances_are_those_of_all_orders) {
  for (uint32_t n = 1; n <= 9; n++) {
    for (uint32_t k = (n + 1) / 2; k <= n; k++) {
      for (uint32_t m = 1; m <= 9; m++) {
        // ways[h][c]: orders of h held-out rows, the highest ones, with c new rows above the lowest of these.
        const uint32_t held = n + 1 - k;
        std::vector<uint64_t> of_count(m + 1);
        const auto choose = [](uint64_t a, uint64_t b) {
          uint64_t c = 1;
          for (uint64_t i = 1; i <= b; i++) c = c * (a - b + i) / i;
          return c;
        };
        uint64_t all = 0;
        for (uint32_t c = 0; c <= m; c++) {
          of_count[c] = choose(held - 1 + c, c) * choose(n - held + m - c, m - c);
          all += of_count[c];
        }
        CHECK(all == choose(n + m, m));
        for (uint32_t j = 0; j <= m; j++) {
          uint64_t tail = 0;
          for (uint32_t c = j; c <= m; c++) tail += of_count[c];
          const double expected = static_cast<double>(tail) / static_cast<double>(all);
          const double found = edgecl::chance_above(n, k, m, j);
          CHECK_MESSAGE(found - expected < 1e-12 && expected - found < 1e-12, "n %u k %u m %u j %u: %g for %g", n, k, m,
                        j, found, expected);
        }
      }
    }
  }
  // Far from overflow where windows and calibrations are largest.
  for (const uint64_t n : {uint64_t{1}, uint64_t{1000}, ~uint64_t{0}}) {
    for (const uint64_t k : {edgecl::median_rank(n), n}) {
      CHECK(edgecl::chance_above(n, k, 512, 0) == 1);
      const double one = edgecl::chance_above(n, k, 512, 1);
      CHECK(one >= 0 && one <= 1 && edgecl::chance_above(n, k, 512, 512) <= one);
    }
  }
}

// Random scores through windows of many lengths, beside one that keeps the scores; hysteresis by its definition.
TEST(a_window_counts_what_it_holds) {
  edgecl::RandomStream random = {3, 1, 0};
  for (uint32_t length : {1u, 2u, 7u, 63u, 64u, 65u, 200u, 512u}) {
    std::vector<uint64_t> words[2] = {std::vector<uint64_t>(8), std::vector<uint64_t>(8)};
    edgecl::NoveltyWindow window;
    window.length = length;
    for (int i = 0; i < 2; i++) window.levels[i].above = words[i].data();
    std::vector<float> held_out(150);
    for (float& x : held_out) x = random.next_float();
    edgecl::Threshold threshold = {};
    CHECK(edgecl::make_threshold(held_out.data(), held_out.size(), 0.9, 0.95, &threshold).ok());
    std::sort(held_out.begin(), held_out.end());
    CHECK(threshold.median == held_out[74] && threshold.accept == held_out[threshold.accept_rank - 1]);
    edgecl::restart_window(threshold, &window);
    std::deque<float> kept;
    bool alarm = false;
    uint64_t alarms = 0;
    for (uint32_t i = 0; i < 6 * length + 100; i++) {
      const bool strange = i / (2 * length + 20) % 2 == 1;
      const float score = random.next_float() + (strange ? 0.6f : 0.0f);
      edgecl::observe(edgecl::levels_above(threshold, score), &window);
      kept.push_back(score);
      if (kept.size() > length) kept.pop_front();
      bool high = false, calm = true;
      for (int level = 0; level < 2; level++) {
        const float limit = level == 0 ? threshold.median : threshold.accept;
        const uint64_t rank = level == 0 ? 75 : threshold.accept_rank;
        const uint32_t count =
            static_cast<uint32_t>(std::count_if(kept.begin(), kept.end(), [&](float x) { return x > limit; }));
        CHECK(window.levels[level].count == count);
        if (kept.size() < length) continue;
        const double tail = edgecl::chance_above(150, rank, length, count);
        high = high || tail <= edgecl::kAlarmTail;
        calm = calm && tail > edgecl::kCalmTail;
      }
      if (kept.size() == length) {
        alarms += high && !alarm;
        alarm = high || (alarm && !calm);
      }
      CHECK_MESSAGE(window.alarm == alarm && window.alarms == alarms, "length %u, sample %u", length, i);
      CHECK(window.filled() == kept.size() && (alarm || window_chance(threshold, window) > 2 * edgecl::kAlarmTail));
    }
    CHECK((alarms > 0) == (length >= 7));  // one or two samples are never enough
  }
}

TEST(an_alarm_goes_on_after_a_restart) {
  const Model model(mlp());
  edgecl_session_config config = model.config();
  config.novelty_window = 10;
  Session session(model, config), copy(model, config);
  Stream stream(model.info, 5);
  stream.next(4);
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  edgecl_drift_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_drift(session.session, &info) == EDGECL_E_SEQUENCE);
  CHECK(observe(&session, stream, 2) == EDGECL_E_SEQUENCE);
  calibrate(&session, 200, -1000);  // everything is novel
  const std::string before = session.digest();
  for (uint32_t i = 0; i < 9; i++) {
    stream.next(1);
    CHECK(observe(&session, stream, 1) == EDGECL_OK && drift_of(session).alarm == 0 && drift_of(session).chance == 1);
    CHECK(import_ok(&copy, session) && drift_of(copy).filled == i + 1 && copy.digest() == session.digest());
    CHECK(session.digest() != before);
  }
  stream.next(1);
  for (Session* one : {&session, &copy}) {
    CHECK(observe(one, stream, 1) == EDGECL_OK);
    info = drift_of(*one);
    CHECK(info.alarm == 1 && info.alarms == 1 && info.unknown == 1 && info.unusual == 1 && info.observed == 10);
    CHECK(info.window == 10 && info.filled == 10 && info.score == EDGECL_NOVELTY_ENERGY && info.chance < 1e-6f);
  }
  CHECK(session.digest() == copy.digest());
  // A reader of another window takes the thresholds and begins its own.
  edgecl_session_config reading = model.config();
  reading.predict_only = 1;
  Session reader(model, reading);
  CHECK(import_ok(&reader, session) && drift_of(reader).filled == 0 && drift_of(reader).window == 64);
  // Looking changes nothing; a new calibration and a reset begin anew.
  const std::string judged = session.digest();
  drift_of(session);
  CHECK(session.digest() == judged);
  calibrate(&session, 200, 1000);
  CHECK(drift_of(session).alarm == 0 && drift_of(session).observed == 0);
  CHECK(edgecl_session_reset(copy.session) == EDGECL_OK);
  CHECK(edgecl_drift(copy.session, &info) == EDGECL_E_SEQUENCE);
}

// A refused batch leaves the window as it was, also where its first pieces were sound.
TEST(a_refused_batch_is_not_observed) {
  const Model model(mlp());
  Session session(model, model.config());
  Stream stream(model.info, 5);
  stream.next(4);
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  calibrate(&session, 50, 0);
  stream.next(12);
  const std::string before = session.digest();
  std::vector<float> rows = stream.floats;
  for (uint32_t i = 0; i < 2 * kFeatures; i++)  // finite, until the network adds up
    rows[10 * kFeatures + i] = (i < kFeatures) == (i % 2 == 0) ? 3e38f : -3e38f;
  std::vector<int32_t> decisions(12);
  edgecl_batch batch = session.batch(rows.data(), 12);
  CHECK(edgecl_observe(session.session, &batch, decisions.data(), 12) == EDGECL_E_NUMERIC);
  CHECK(session.digest() == before && drift_of(session).observed == 0);
  for (const int32_t decision : decisions) CHECK(decision >= EDGECL_ACCEPT && decision <= EDGECL_NOVEL);
  CHECK(edgecl_observe(session.session, &batch, decisions.data(), 11) == EDGECL_E_SHAPE);
  CHECK(edgecl_drift(session.session, nullptr) == EDGECL_E_ARGUMENT);
}

TEST(a_forged_window_changes_nothing) {
  const Model model(mlp());
  Session session(model, model.config());
  Stream stream(model.info, 5);
  stream.next(4);
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  calibrate(&session, 50, 0);
  stream.next(20);
  CHECK(observe(&session, stream, 20) == EDGECL_OK);
  std::vector<uint8_t> state = session.state();
  const std::string before = session.digest();
  const size_t at = drift_at(&state), window = at + 8 + 24;
  struct Forgery {
    size_t at;
    uint64_t value;
  };
  const Forgery forgeries[] = {
      {at, 2},                     // one level more than there are
      {at + 8, 9},                 // of no score
      {at + 8, 1},                 // of a score without thresholds
      {at + 16, 0x7f7fffff},       // a median above the threshold of acceptance
      {at + 24, 0},                // no rank
      {at + 24, 3},                // below the median
      {at + 24, 51},               // more than rows
      {window, 0},                 // no length
      {window, 2 | 513ull << 32},  // beyond the limit
      {window + 8, 1ull << 60},    // observed
      {window + 16, 21},           // more alarms than samples
      {window + 24, 2},            // neither yes nor no
      {window + 24, 1},            // an alarm that never rose
      {window + 24, 1ull << 32},   // not zero
      {window + 32, 1ull << 20},   // a sample that was not observed
  };
  for (const Forgery& forgery : forgeries) {
    std::vector<uint8_t> forged = state;
    memcpy(forged.data() + forgery.at, &forgery.value, sizeof forgery.value);
    seal(&forged);
    CHECK_MESSAGE(edgecl_state_import(session.session, forged.data(), forged.size()) == EDGECL_E_STATE_CORRUPT,
                  "byte %zu", forgery.at - at);
    CHECK(session.digest() == before && strstr(edgecl_session_error(session.session), "DRIFT") != nullptr);
  }
  // Accepted, but not familiar: no score is above the second level alone.
  std::vector<uint8_t> forged = state;
  word<uint64_t>(&forged, window + 32) = 0;
  word<uint64_t>(&forged, window + 40) = 1;
  seal(&forged);
  CHECK(edgecl_state_import(session.session, forged.data(), forged.size()) == EDGECL_E_STATE_CORRUPT);
  CHECK(session.digest() == before);
}

RUN_TESTS()
