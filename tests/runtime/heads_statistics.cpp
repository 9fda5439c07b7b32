// Heads that keep statistics: exactness over random histories, their section of a state, refusals.
// Never here: scores against formulas (tests/python/test_heads.py), levels and threads (learn_same_bits.cpp).
#include <algorithm>
#include <string>

#include "runtime/heads/statistics.h"
#include "tests/runtime/learn_fixture.h"
#include "tests/runtime/state_forging.h"

namespace {

using namespace edgecl_test;

constexpr uint32_t kHeadSection = 8, kBank = 16;
const uint32_t kStatisticsHeads[] = {EDGECL_HEAD_NCM, EDGECL_HEAD_NCM_DISTANCE, EDGECL_HEAD_LDA, EDGECL_HEAD_RIDGE,
                                     EDGECL_HEAD_FECAM};
constexpr size_t kTriangleBytes = kHidden * (kHidden + 1) / 2 * 8;

// All rows share one triangle of second moments.
bool shares_moments(uint32_t head) {
  return head == EDGECL_HEAD_LDA || head == EDGECL_HEAD_RIDGE;
}

size_t class_bytes_of(uint32_t head) {
  return 32 + kHidden * 8 + (head == EDGECL_HEAD_FECAM ? kTriangleBytes : 0);
}

edgecl_session_config config_of(const Model& model, uint32_t head, uint32_t bank = kBank) {
  edgecl_session_config config = model.config();
  config.head = head;
  config.head_bank = bank;
  return config;
}

// Rows of a stream, to learn and take back one by one.
struct Rows {
  Rows(const Model& model, uint32_t n) {
    Stream stream(model.info, 11);
    stream.next(n, 0, 3);
    samples = stream.floats;
    labels = stream.labels;
    elements = model.info.input_elements;
  }
  edgecl_status learn(Session* session, uint32_t row) const {
    return session->learn(samples.data() + row * elements, {labels[row]});
  }
  edgecl_status unlearn(Session* session, uint32_t row) const {
    const edgecl_batch batch = session->batch(samples.data() + row * elements, 1);
    return edgecl_unlearn(session->session, &batch, &labels[row]);
  }
  std::vector<float> samples;
  std::vector<int32_t> labels;
  uint64_t elements = 0;
};

std::vector<float> logits(Session* session, const Rows& rows) {
  std::vector<float> out(rows.labels.size() * kColumns);
  const edgecl_batch batch = session->batch(rows.samples.data(), static_cast<uint32_t>(rows.labels.size()));
  CHECK_MESSAGE(edgecl_logits(session->session, &batch, out.data(), out.size()) == EDGECL_OK, "%s",
                edgecl_session_error(session->session));
  return out;
}

std::vector<uint8_t> head_section(const Session& session) {
  std::vector<uint8_t> state = session.state();
  const size_t at = section_at(&state, kHeadSection);
  return {state.begin() + static_cast<long>(at), state.end() - 32};
}

edgecl_status import(Session* session, const std::vector<uint8_t>& state) {
  return edgecl_state_import(session->session, state.data(), state.size());
}

edgecl_head_info info_of(const Session& session) {
  edgecl_head_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_head_describe(session.session, &info) == EDGECL_OK);
  return info;
}

}  // namespace

// Learn, take back, forget a class, score and save in any order: what is left is what rows that stayed make of a fresh
// session, section and scores, bit for bit.
TEST(a_history_is_what_is_left_of_it) {
  const Model model(mlp());
  const Rows rows(model, 24);
  edgecl::RandomStream random = {21, 1, 0};
  for (uint32_t history = 0; history < 1000; history++) {
    const uint32_t head = kStatisticsHeads[history % 5];
    edgecl_session_config config = config_of(model, head, shares_moments(head) ? 64 : history % 2 * 64);
    config.feature_root = head == EDGECL_HEAD_FECAM && history % 3 == 0;
    Session session(model, config), fresh(model, config);
    for (Session* one : {&session, &fresh}) {
      int32_t label;
      for (int c = 0; c < 3; c++) CHECK(edgecl_class_add(one->session, nullptr, &label) == EDGECL_OK);
    }
    std::vector<uint32_t> inside;
    for (uint32_t event = random.bounded(40); event > 0; event--) {
      const uint32_t what = random.bounded(8);
      const uint32_t row = random.bounded(24);
      const auto found = std::find(inside.begin(), inside.end(), row);
      if (what == 0) {
        logits(&session, rows);
      } else if (what == 1) {
        CHECK_MESSAGE(import(&session, session.state()) == EDGECL_OK, "%s", edgecl_session_error(session.session));
      } else if (what <= 3 && found != inside.end()) {
        CHECK(rows.unlearn(&session, row) == EDGECL_OK);
        inside.erase(found);
      } else {
        CHECK(rows.learn(&session, row) == EDGECL_OK);
        inside.push_back(row);
      }
    }
    const bool forget = random.bounded(2) != 0;
    if (forget) CHECK(edgecl_class_forget(session.session, 1) == EDGECL_OK);
    for (const uint32_t row : inside) {
      if (!forget || rows.labels[row] != 1) CHECK(rows.learn(&fresh, row) == EDGECL_OK);
    }
    if (forget) CHECK(edgecl_class_forget(fresh.session, 1) == EDGECL_OK);
    CHECK_MESSAGE(head_section(session) == head_section(fresh), "history %u", history);
    CHECK_MESSAGE(logits(&session, rows) == logits(&fresh, rows), "history %u", history);
  }
}

TEST(a_state_of_a_head_goes_out_and_in) {
  const Model model(mlp());
  const Rows rows(model, 24);
  for (const uint32_t head : kStatisticsHeads) {
    Session session(model, config_of(model, head)), copy(model, config_of(model, head));
    for (uint32_t row = 0; row < 21; row++) CHECK(rows.learn(&session, row) == EDGECL_OK);
    CHECK(import(&copy, session.state()) == EDGECL_OK && copy.digest() == session.digest());
    CHECK(copy.state() == session.state() && logits(&copy, rows) == logits(&session, rows));
    CHECK(info_of(copy).rows == 21 && info_of(copy).bank_rows == kBank);
    // A reader that never learns has the same scores.
    edgecl_session_config reading = config_of(model, head);
    reading.predict_only = 1;
    Session reader(model, reading);
    CHECK_MESSAGE(import(&reader, session.state()) == EDGECL_OK, "%s", edgecl_session_error(reader.session));
    CHECK(logits(&reader, rows) == logits(&session, rows));
    CHECK(rows.unlearn(&reader, 0) == EDGECL_E_UNSUPPORTED);
    size_t bytes = 0;
    edgecl_sizes sizes = {};
    sizes.struct_size = sizeof sizes;
    CHECK(edgecl_session_sizes(model.model, &session.config(), &sizes, nullptr) == EDGECL_OK);
    CHECK(edgecl_state_size(session.session, &bytes) == EDGECL_OK && bytes <= sizes.state_bytes_max);
  }
}

// A step has activations of its own, as large as it needs.
TEST(predictions_may_have_activations_of_their_own) {
  for (const uint32_t head : kStatisticsHeads) {
    std::string digests[2];
    uint64_t bytes[2];
    for (uint32_t separate = 0; separate < 2; separate++) {
      const Model model(image_net());
      edgecl_session_config config = config_of(model, head);
      config.separate_predict = separate;
      Session session(model, config);
      Stream stream(model.info, 5);
      for (int step = 0; step < 3; step++) {
        stream.next(config.max_batch, 0, 3);
        CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
        edgecl_prediction prediction;
        const edgecl_batch batch = session.batch(stream.data(), 1);
        CHECK(edgecl_predict(session.session, &batch, &prediction, sizeof prediction) == EDGECL_OK);
      }
      digests[separate] = session.digest();
      bytes[separate] = session.stats().arena_bytes;
    }
    CHECK(digests[0] == digests[1]);
    CHECK(bytes[1] > bytes[0] + 4096);  // activations twice
  }
}

// Without a bank some rows that were never learned are not noticed; the state of these odd sums still comes in as it went out.
TEST(a_state_of_wrong_sums_goes_out_and_in) {
  const Model model(mlp());
  const Rows rows(model, 24);
  for (const uint32_t head : kStatisticsHeads) {
    Session session(model, config_of(model, head, 0)), copy(model, config_of(model, head, 0));
    for (uint32_t row = 0; row < 12; row++) CHECK(rows.learn(&session, row) == EDGECL_OK);
    uint32_t taken = 0;
    for (uint32_t row = 12; row < 24; row++) taken += rows.unlearn(&session, row) == EDGECL_OK;
    CHECK_MESSAGE(taken > 0, "head %u", head);
    CHECK_MESSAGE(import(&copy, session.state()) == EDGECL_OK, "%s", edgecl_session_error(copy.session));
    CHECK(copy.digest() == session.digest());
  }
}

// Rows that would leave sums of no rows were never learned. Nothing changes then.
TEST(sums_that_no_rows_have_are_refused) {
  const Model model(mlp());
  const Rows rows(model, 24);
  for (const uint32_t head : kStatisticsHeads) {
    Session session(model, config_of(model, head, 0));
    uint32_t other = 1;
    while (rows.labels[other] != rows.labels[0]) other++;
    CHECK(rows.learn(&session, 0) == EDGECL_OK);
    const std::string before = session.digest();
    CHECK(rows.unlearn(&session, other) == EDGECL_E_NOT_FOUND && session.digest() == before);
    CHECK(strstr(edgecl_session_error(session.session), "no rows would have its sums") != nullptr);
    // Two of one class that are one thing, and far from the others.
    std::vector<float> twins(rows.samples.begin(), rows.samples.begin() + kFeatures);
    twins.insert(twins.end(), twins.begin(), twins.end());
    CHECK(session.learn(twins.data(), {rows.labels[0], rows.labels[0]}) == EDGECL_OK);
    const std::string three = session.digest();
    CHECK(rows.unlearn(&session, other) == EDGECL_E_NOT_FOUND && session.digest() == three);
    for (int i = 0; i < 3; i++) CHECK(rows.unlearn(&session, 0) == EDGECL_OK);
  }
}

// Sums wrap around, so any of them comes in and goes out, and what is learned can be taken back.
TEST(sums_at_the_edge_of_their_range_go_out_and_in) {
  const Model model(mlp());
  const Rows rows(model, 24);
  for (const uint32_t head : kStatisticsHeads) {
    Session session(model, config_of(model, head, 0));
    for (uint32_t row = 0; row < 12; row++) CHECK(rows.learn(&session, row) == EDGECL_OK);
    const size_t classes = 3, class_bytes = class_bytes_of(head);
    for (const int64_t edge : {INT64_MAX, INT64_MIN}) {
      std::vector<uint8_t> state = session.state();
      const size_t first = section_at(&state, kHeadSection) + 16, of_class = first + 32 + kHidden * 8;
      const size_t moments = shares_moments(head) ? first + classes * class_bytes : of_class;
      std::vector<size_t> sums = {first + 16, first + 24, first + 32, of_class - 8};
      if (head >= EDGECL_HEAD_LDA) sums.insert(sums.end(), {moments, moments + 8});
      for (const size_t at : sums) memcpy(state.data() + at, &edge, sizeof edge);
      seal(&state);
      Session odd(model, config_of(model, head, 0)), copy(model, config_of(model, head, 0));
      CHECK_MESSAGE(import(&odd, state) == EDGECL_OK, "%s", edgecl_session_error(odd.session));
      const std::vector<uint8_t> before = head_section(odd);
      for (uint32_t row = 12; row < 24; row++) CHECK(rows.learn(&odd, row) == EDGECL_OK);
      CHECK_MESSAGE(import(&copy, odd.state()) == EDGECL_OK, "%s", edgecl_session_error(copy.session));
      CHECK(copy.digest() == odd.digest() && head_section(odd) != before);
      for (uint32_t row = 12; row < 24; row++) CHECK(rows.unlearn(&odd, row) == EDGECL_OK);
      CHECK(head_section(odd) == before);
    }
  }
}

TEST(a_forged_section_changes_nothing) {
  const Model model(mlp());
  const Rows rows(model, 24);
  for (const uint32_t head : kStatisticsHeads) {
    Session session(model, config_of(model, head));
    for (uint32_t row = 0; row < 21; row++) CHECK(rows.learn(&session, row) == EDGECL_OK);
    std::vector<uint8_t> state = session.state();
    const std::string before = session.digest();
    const size_t at = section_at(&state, kHeadSection), end = state.size() - 32;
    const size_t classes = at + 16, class_bytes = class_bytes_of(head);
    struct Forgery {
      size_t at;
      int64_t value;
    };
    const std::vector<Forgery> forgeries = {
        {classes, 9},                // a class that does not exist
        {classes + class_bytes, 0},  // out of order
        {classes + 8, 0},
        {classes + 8, -3},
        {classes + 8, 1ll << 40},  // rows
    };
    for (const Forgery& forgery : forgeries) {
      std::vector<uint8_t> forged = state;
      memcpy(forged.data() + forgery.at, &forgery.value, sizeof forgery.value);
      seal(&forged);
      CHECK_MESSAGE(import(&session, forged) == EDGECL_E_STATE_CORRUPT, "head %u, byte %zu", head, forgery.at - at);
      CHECK(session.digest() == before && strstr(edgecl_session_error(session.session), "HEAD") != nullptr);
    }
    // Single words, of dim, scale, counts and the bank's last label; any answer but a changed session.
    for (const size_t word_at : {at, at + 4, at + 8, at + 12, end - 4 - kHidden * 2}) {
      std::vector<uint8_t> forged = state;
      word<uint32_t>(&forged, word_at) = 0x7fffffff;
      seal(&forged);
      CHECK_MESSAGE(import(&session, forged) == EDGECL_E_STATE_CORRUPT, "head %u, byte %zu", head, word_at - at);
      CHECK(session.digest() == before);
    }
    Session gradient(model, model.config());
    CHECK(import(&gradient, state) == EDGECL_E_STATE_MISMATCH);
    CHECK(import(&session, gradient.state()) == EDGECL_E_STATE_MISMATCH && session.digest() == before);
  }
}

TEST(a_range_of_features_is_one_that_numbers_can_be_divided_by) {
  const Model model(mlp());
  for (const float range : {1e-30f, 9e-7f, -1.0f, 2e6f, __builtin_nanf("")}) {
    edgecl_session_config config = config_of(model, EDGECL_HEAD_NCM);
    config.feature_range = range;
    edgecl_sizes sizes = {};
    sizes.struct_size = sizeof sizes;
    edgecl_error error = {};
    error.struct_size = sizeof error;
    CHECK(edgecl_session_sizes(model.model, &config, &sizes, &error) == EDGECL_E_ARGUMENT);
    CHECK_MESSAGE(strstr(error.message, "feature_range") != nullptr, "%s", error.message);
  }
}

TEST(refused_steps_leave_statistics_alone) {
  const Model model(mlp());
  const Rows rows(model, 24);
  Session session(model, config_of(model, EDGECL_HEAD_RIDGE));
  for (uint32_t row = 0; row < 5; row++) CHECK(rows.learn(&session, row) == EDGECL_OK);
  const std::string before = session.digest();
  std::vector<float> bad(kFeatures, 1e13f);
  CHECK(session.learn(bad.data(), {0}) == EDGECL_E_NUMERIC && session.digest() == before);
  bad[2] = __builtin_nanf("");
  CHECK(session.learn(bad.data(), {0}) == EDGECL_E_NUMERIC && session.digest() == before);
  const edgecl_batch batch = session.batch(bad.data(), 1);
  const int32_t label = 0, absent = 3, negative = -1;
  CHECK(edgecl_unlearn(session.session, &batch, &label) == EDGECL_E_NUMERIC);
  CHECK(edgecl_unlearn(session.session, &batch, nullptr) == EDGECL_E_ARGUMENT);
  const edgecl_batch good = session.batch(rows.samples.data(), 1);
  CHECK(edgecl_unlearn(session.session, &good, &absent) == EDGECL_E_NOT_FOUND);
  CHECK(edgecl_unlearn(session.session, &good, &negative) == EDGECL_E_NOT_FOUND);
  const std::vector<int32_t> many(session.config().max_batch + 1, 0);
  const edgecl_batch large = session.batch(rows.samples.data(), session.config().max_batch + 1);
  CHECK(edgecl_unlearn(session.session, &large, many.data()) == EDGECL_E_CAPACITY);
  CHECK(edgecl_class_weight_set(session.session, 0, 2.0f) == EDGECL_E_UNSUPPORTED);
  CHECK(edgecl_rehearse(session.session, 1, nullptr) == EDGECL_E_UNSUPPORTED);
  CHECK(edgecl_remember(session.session, &good, &label) == EDGECL_E_UNSUPPORTED);
  CHECK(session.digest() == before);
  Session gradient(model, model.config());
  edgecl_head_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_head_describe(gradient.session, &info) == EDGECL_E_UNSUPPORTED);
}

// A bank that does not hold a class keeps it from being forgotten, with second moments of all rows together.
TEST(a_class_is_forgotten_as_a_whole_or_not_at_all) {
  const Model model(mlp());
  const Rows rows(model, 24);
  for (const uint32_t head : kStatisticsHeads) {
    Session session(model, config_of(model, head, 3));
    for (uint32_t row = 0; row < 24; row++) CHECK(rows.learn(&session, row) == EDGECL_OK);
    const std::string before = session.digest();
    const bool moments = shares_moments(head);
    CHECK(edgecl_class_forget(session.session, 2) == (moments ? EDGECL_E_UNSUPPORTED : EDGECL_OK));
    CHECK((session.digest() == before) == moments);
    if (!moments) continue;
    for (uint32_t row = 0; row < 24; row++) {
      if (rows.labels[row] == 2) CHECK(rows.unlearn(&session, row) == EDGECL_OK);
    }
    CHECK(edgecl_class_forget(session.session, 2) == EDGECL_OK);
  }
}

// A batch of mixed classes has the sums of its rows one by one, and leaves none when it is taken back.
TEST(a_batch_of_several_classes_is_its_rows) {
  const Model model(mlp());
  const Rows rows(model, 24);
  for (const uint32_t head : kStatisticsHeads) {
    Session session(model, config_of(model, head, 0)), single(model, config_of(model, head, 0));
    const uint32_t n = session.config().max_batch;
    for (Session* one : {&session, &single}) {
      for (uint32_t row = n; row < 24; row++) CHECK(rows.learn(one, row) == EDGECL_OK);
    }
    const std::vector<uint8_t> before = head_section(session);
    const std::vector<int32_t> labels(rows.labels.begin(), rows.labels.begin() + n);
    CHECK(session.learn(rows.samples.data(), labels) == EDGECL_OK);
    for (uint32_t row = 0; row < n; row++) CHECK(rows.learn(&single, row) == EDGECL_OK);
    CHECK_MESSAGE(head_section(session) == head_section(single), "head %u", head);
    const edgecl_batch batch = session.batch(rows.samples.data(), n);
    CHECK(edgecl_unlearn(session.session, &batch, labels.data()) == EDGECL_OK);
    CHECK_MESSAGE(head_section(session) == before, "head %u", head);
  }
}

// Rows with the sums and squares of those learned, but other products of features: a triangle a class tells them apart.
TEST(products_of_features_tell_rows_apart) {
  NetBuilder net(7);
  const uint32_t x = net.input(kFeatures, 1, 1);
  net.source.input_dims = {kFeatures};
  net.finish(net.linear(x, kColumns), x);  // the sample is the embedding
  const Model model(net.source);
  edgecl_session_config config = config_of(model, EDGECL_HEAD_FECAM, 0);
  config.feature_range = edgecl::kQuantizedLimit;  // features are kept as they are
  Session session(model, config);
  const std::vector<float> learned = {16, 32, 0, 0, 0, 0, 48, 64, 0, 0, 0, 0};
  const std::vector<float> others = {16, 64, 0, 0, 0, 0, 48, 32, 0, 0, 0, 0};
  const int32_t labels[] = {1, 1};
  CHECK(session.learn(learned.data(), {0, 0}) == EDGECL_OK && session.learn(learned.data(), {1, 1}) == EDGECL_OK);
  const std::string before = session.digest();
  const edgecl_batch wrong = session.batch(others.data(), 2), right = session.batch(learned.data(), 2);
  CHECK(edgecl_unlearn(session.session, &wrong, labels) == EDGECL_E_NOT_FOUND && session.digest() == before);
  CHECK(strstr(edgecl_session_error(session.session), "no rows would have its sums") != nullptr);
  CHECK(edgecl_unlearn(session.session, &right, labels) == EDGECL_OK);
}

// A head that has a triangle of moments a class says how many fit, and what to do.
TEST(moments_of_classes_have_a_limit) {
  NetBuilder net(7);
  uint32_t x = net.input(kFeatures, 1, 1);
  net.source.input_dims = {kFeatures};
  x = net.linear(x, edgecl::kMaxFeatures);  // four triangles of 268 MB
  net.finish(net.linear(x, kColumns), x);
  const Model wide(net.source);
  edgecl_sizes sizes = {};
  sizes.struct_size = sizeof sizes;
  edgecl_error error = {};
  error.struct_size = sizeof error;
  edgecl_session_config config = config_of(wide, EDGECL_HEAD_FECAM);
  CHECK(edgecl_session_sizes(wide.model, &config, &sizes, &error) == EDGECL_E_UNSUPPORTED);
  CHECK_MESSAGE(strstr(error.message, "second moments of all classes") != nullptr, "%s", error.message);
  config.head = EDGECL_HEAD_LDA;
  CHECK(edgecl_session_sizes(wide.model, &config, &sizes, &error) == EDGECL_OK);
  // Roots of features are this head's alone.
  config.feature_root = 1;
  CHECK(edgecl_session_sizes(wide.model, &config, &sizes, &error) == EDGECL_E_UNSUPPORTED);
  CHECK_MESSAGE(strstr(error.message, "feature_root") != nullptr, "%s", error.message);
}

RUN_TESTS()
