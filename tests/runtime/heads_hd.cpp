// The head of hyperdimensional codes: scores against a plain transcription, exactness over random histories, its section
// of a state, refusals.
// Never here: the kernels (tests/kernels), levels and threads (learn_same_bits.cpp).
#include <algorithm>
#include <string>

#include "kernels/kernels.h"
#include "runtime/heads/hd_head.h"
#include "tests/runtime/learn_fixture.h"
#include "tests/runtime/state_forging.h"

namespace {

using namespace edgecl_test;

constexpr uint32_t kHeadSection = 8, kBits = 192, kRows = 24;

edgecl_session_config config_of(const Model& model, uint32_t bits = kBits) {
  edgecl_session_config config = model.config();
  config.head = EDGECL_HEAD_HD;
  config.novelty = EDGECL_NOVELTY_HD;
  config.hd_bits = bits;
  config.feature_range = 4;
  return config;
}

// Rows to learn and take back one by one, of classes 0, 1, 2.
struct Rows {
  explicit Rows(const Model& model) {
    Stream stream(model.info, 11);
    stream.next(kRows, 0, 3);
    samples = stream.floats;
    labels = stream.labels;
  }
  const float* row(uint32_t i) const { return samples.data() + i * kFeatures; }
  edgecl_status learn(Session* session, uint32_t i) const { return session->learn(row(i), {labels[i]}); }
  edgecl_status unlearn(Session* session, uint32_t i) const {
    const edgecl_batch batch = session->batch(row(i), 1);
    return edgecl_unlearn(session->session, &batch, &labels[i]);
  }
  std::vector<float> samples;
  std::vector<int32_t> labels;
};

template <class Call>
std::vector<float> floats_of(const Session& session, const Rows& rows, size_t n, const Call& call) {
  std::vector<float> out(n);
  const edgecl_batch batch = session.batch(rows.samples.data(), kRows);
  const edgecl_status status = call(session.session, &batch, out.data(), n);
  CHECK_MESSAGE(status == EDGECL_OK, "%s", edgecl_session_error(session.session));
  return out;
}
std::vector<float> logits(const Session& session, const Rows& rows) {
  return floats_of(session, rows, kRows * kColumns, edgecl_logits);
}
std::vector<float> novelty(const Session& session, const Rows& rows) {
  return floats_of(session, rows, kRows, [](edgecl_session* s, const edgecl_batch* batch, float* out, size_t n) {
    return edgecl_novelty_scores(s, batch, 0, out, n);
  });
}

edgecl_status import(Session* session, const std::vector<uint8_t>& state) {
  return edgecl_state_import(session->session, state.data(), state.size());
}

std::vector<uint8_t> head_section(const Session& session) {
  std::vector<uint8_t> state = session.state();
  const size_t at = section_at(&state, kHeadSection);
  return {state.begin() + static_cast<long>(at), state.end() - 32};
}

edgecl_head_info info_of(const Session& session) {
  edgecl_head_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_head_describe(session.session, &info) == EDGECL_OK);
  return info;
}

}  // namespace

TEST(scores_are_those_of_a_plain_transcription) {
  const Model model(mlp());
  const Rows rows(model);
  const edgecl::KernelTable& kernels = *edgecl::kernel_table("reference");
  for (const uint32_t bits : {64u, 192u, 4096u}) {
    Session session(model, config_of(model, bits == 4096 ? 0 : bits));
    for (uint32_t i = 0; i < kRows; i++) CHECK(rows.learn(&session, i) == EDGECL_OK);
    const std::vector<float> embeddings = floats_of(session, rows, kRows * kHidden, edgecl_embed);
    std::vector<int16_t> features(embeddings.size());
    std::vector<int32_t> saturated(kRows), counters(kColumns * bits);
    kernels.quantize_rows({embeddings.data(), features.data(), saturated.data(), kRows, kHidden, 16383 / 4.0f}, 0, 1,
                          nullptr);
    const uint32_t words = bits / 64;
    std::vector<uint64_t> codes(kRows * words), exemplars(kColumns * words);
    edgecl::HdEncodeArgs encode = {features.data(), kRows, kHidden, edgecl::kHdSeed, 0, static_cast<int32_t>(bits),
                                   codes.data()};
    std::vector<uint8_t> scratch(kernels.hd_encode_scratch_bytes(encode));
    kernels.hd_encode(encode, 0, 1, scratch.data());
    const auto bit = [&](const std::vector<uint64_t>& of, uint32_t row, uint32_t b) {
      return (of[row * words + b / 64] >> (b % 64)) & 1;
    };
    for (uint32_t i = 0; i < kRows; i++) {
      for (uint32_t b = 0; b < bits; b++)
        counters[static_cast<uint32_t>(rows.labels[i]) * bits + b] += bit(codes, i, b) != 0 ? 1 : -1;
    }
    kernels.hd_signs({counters.data(), kColumns, static_cast<int32_t>(bits), edgecl::kHdSeed, exemplars.data()}, 0, 1,
                     nullptr);
    const std::vector<float> found = logits(session, rows), strange = novelty(session, rows);
    uint32_t right = 0;
    for (uint32_t i = 0; i < kRows; i++) {
      float largest = -2;
      for (uint32_t c = 0; c < 3; c++) {
        int32_t differ = 0;
        for (uint32_t b = 0; b < bits; b++) differ += bit(codes, i, b) != bit(exemplars, c, b);
        const float similarity = static_cast<float>(static_cast<int32_t>(bits) - 2 * differ) / static_cast<float>(bits);
        CHECK(found[i * kColumns + c] == 16 * similarity);
        largest = std::max(largest, similarity);
      }
      CHECK(strange[i] == -largest);
      CHECK(found[i * kColumns + 3] == -__builtin_inff());  // no such class
      right += found[i * kColumns + static_cast<uint32_t>(rows.labels[i])] == 16 * largest;
    }
    CHECK_MESSAGE(right > kRows / 2, "%u right with %u bits", right, bits);
    CHECK(info_of(session).solved == 1 && info_of(session).rows == kRows && info_of(session).bank_rows == 0);
  }
}

// Learn, take back, forget a class, score and save in any order: what is left is what rows that stayed make of a fresh
// session, section and scores, bit for bit.
TEST(a_history_is_what_is_left_of_it) {
  const Model model(mlp());
  const Rows rows(model);
  edgecl::RandomStream random = {21, 1, 0};
  for (uint32_t history = 0; history < 300; history++) {
    Session session(model, config_of(model)), fresh(model, config_of(model));
    for (Session* one : {&session, &fresh}) {
      int32_t label;
      for (int c = 0; c < 3; c++) CHECK(edgecl_class_add(one->session, nullptr, &label) == EDGECL_OK);
    }
    std::vector<uint32_t> inside;
    for (uint32_t event = random.bounded(40); event > 0; event--) {
      const uint32_t what = random.bounded(8), row = random.bounded(kRows);
      const auto found = std::find(inside.begin(), inside.end(), row);
      if (what == 0) {
        logits(session, rows);
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
    const bool forget = random.bounded(2) != 0;  // whatever was learned: no bank is needed
    if (forget) CHECK(edgecl_class_forget(session.session, 1) == EDGECL_OK);
    for (uint32_t i = static_cast<uint32_t>(inside.size()); i-- > 0;) {  // in another order
      if (!forget || rows.labels[inside[i]] != 1) CHECK(rows.learn(&fresh, inside[i]) == EDGECL_OK);
    }
    if (forget) CHECK(edgecl_class_forget(fresh.session, 1) == EDGECL_OK);
    CHECK_MESSAGE(head_section(session) == head_section(fresh), "history %u", history);
    CHECK_MESSAGE(logits(session, rows) == logits(fresh, rows), "history %u", history);
  }
}

TEST(a_state_goes_out_and_in) {
  const Model model(mlp());
  const Rows rows(model);
  Session session(model, config_of(model)), copy(model, config_of(model));
  for (uint32_t i = 0; i < 12; i++) CHECK(rows.learn(&session, i) == EDGECL_OK);
  // Of rows that were never learned, those are noticed that would leave counters of no rows.
  for (uint32_t i = 16; i < 20; i++) {
    const std::string digest = session.digest();
    if (rows.unlearn(&session, i) != EDGECL_OK) CHECK(session.digest() == digest);
  }
  CHECK(import(&copy, session.state()) == EDGECL_OK && copy.digest() == session.digest());
  CHECK(copy.state() == session.state() && logits(copy, rows) == logits(session, rows));
  edgecl_session_config reading = config_of(model);
  reading.predict_only = 1;
  Session reader(model, reading);
  CHECK_MESSAGE(import(&reader, session.state()) == EDGECL_OK, "%s", edgecl_session_error(reader.session));
  CHECK(logits(reader, rows) == logits(session, rows) && rows.unlearn(&reader, 0) == EDGECL_E_UNSUPPORTED);
  edgecl_sizes sizes = {};
  sizes.struct_size = sizeof sizes;
  CHECK(edgecl_session_sizes(model.model, &session.config(), &sizes, nullptr) == EDGECL_OK);
  CHECK(session.state().size() <= sizes.state_bytes_max);
  Session other(model, config_of(model, 64)), ncm(model, model.config());
  const std::string before = other.digest();
  CHECK(import(&other, session.state()) == EDGECL_E_STATE_MISMATCH && other.digest() == before);
  CHECK(import(&ncm, session.state()) == EDGECL_E_STATE_MISMATCH);
  // The last row of a class leaves it present and never predicted; a forgotten class is gone.
  Session few(model, config_of(model));
  CHECK(rows.learn(&few, 0) == EDGECL_OK && rows.unlearn(&few, 0) == EDGECL_OK);
  CHECK(rows.unlearn(&few, 0) == EDGECL_E_NOT_FOUND && info_of(few).rows == 0);
  const edgecl_batch batch = few.batch(rows.samples.data(), 1);
  float score = 0;
  CHECK(edgecl_novelty_scores(few.session, &batch, 0, &score, 1) == EDGECL_E_SEQUENCE);
}

TEST(a_forged_section_changes_nothing) {
  const Model model(mlp());
  const Rows rows(model);
  Session session(model, config_of(model));
  for (uint32_t i = 0; i < 20; i++) CHECK(rows.learn(&session, i) == EDGECL_OK);
  std::vector<uint8_t> state = session.state();
  const std::string before = session.digest();
  const size_t at = section_at(&state, kHeadSection), classes = at + 16, class_bytes = 24 + kBits * 4;
  struct Forgery {
    size_t at;
    int64_t value;
  };
  const Forgery forgeries[] = {
      {at, 9 | 0x457ff000ll << 32},  // features
      {at + 8, 5 | 192ll << 32},     // more classes than columns
      {at + 8, 3 | 128ll << 32},     // bits
      {classes, 9},                  // a class that does not exist
      {classes + class_bytes, 0},    // out of order
      {classes + 8, 0},
      {classes + 8, -3},
      {classes + 8, 1ll << 40},  // rows
  };
  for (const Forgery& forgery : forgeries) {
    std::vector<uint8_t> forged = state;
    memcpy(forged.data() + forgery.at, &forgery.value, sizeof forgery.value);
    seal(&forged);
    CHECK_MESSAGE(import(&session, forged) == EDGECL_E_STATE_CORRUPT, "byte %zu", forgery.at - at);
    CHECK(session.digest() == before && strstr(edgecl_session_error(session.session), "HEAD") != nullptr);
  }
}

TEST(widths_and_scores_that_do_not_fit_are_refused) {
  const Model model(mlp());
  std::string message;
  for (const uint32_t bits : {1u, 63u, 100u, 65537u, 131072u}) {
    CHECK(create_status(model, config_of(model, bits), &message) == EDGECL_E_ARGUMENT);
    CHECK_MESSAGE(strstr(message.c_str(), "hd_bits") != nullptr, "%s", message.c_str());
  }
  edgecl_session_config config = config_of(model);
  config.head = EDGECL_HEAD_NCM;
  CHECK(create_status(model, config, &message) == EDGECL_E_UNSUPPORTED);
  config.head = EDGECL_HEAD_HD;
  for (const uint32_t score : {EDGECL_NOVELTY_KNN, EDGECL_NOVELTY_RMDS}) {
    config.novelty = EDGECL_NOVELTY_HD;
    Session session(model, config);
    const Rows rows(model);
    CHECK(rows.learn(&session, 0) == EDGECL_OK);
    const edgecl_batch batch = session.batch(rows.samples.data(), 1);
    float out = 0;
    CHECK(edgecl_novelty_scores(session.session, &batch, score, &out, 1) == EDGECL_E_UNSUPPORTED);
  }
}

RUN_TESTS()
