// Exemplars of a bundle and of the caller: what the buffer holds, how it goes on, the note of an empty one.
// Never here: the reservoir's arithmetic (learn_replay.cpp).
#include <algorithm>

#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;

edgecl_status remember(Session* session, const Stream& stream) {
  const edgecl_batch batch = session->batch(stream.data(), static_cast<uint32_t>(stream.labels.size()));
  return edgecl_remember(session->session, &batch, stream.labels.data());
}

std::vector<float> scores(const Session& session, const void* data, uint32_t n) {
  std::vector<float> out(n * static_cast<size_t>(kColumns));
  const edgecl_batch batch = session.batch(data, n);
  CHECK(edgecl_logits(session.session, &batch, out.data(), out.size()) == EDGECL_OK);
  return out;
}

}  // namespace

TEST(a_session_begins_with_the_exemplars_of_its_bundle) {
  const BundleSource source = with_exemplars(mlp(), format::kElementF32);
  const Model model(source);
  CHECK(model.info.n_exemplars == 6);
  edgecl_session_config config = model.config();
  config.method = EDGECL_METHOD_DERPP;
  Session session(model, config);
  DecodedState state = StateDecoder(session.state()).decode();
  CHECK(state.replay.size() == 6 && state.seen == 120);
  AlignedBytes samples(source.exemplars.samples);
  const std::vector<float> expected = scores(session, samples.data(), 6);
  for (size_t i = 0; i < state.replay.size(); i++) {
    CHECK(state.replay[i].label == static_cast<int32_t>(i % 3));
    CHECK(memcmp(state.replay[i].sample.data(), samples.data() + i * state.sample_bytes, state.sample_bytes) == 0);
    for (uint32_t c = 0; c < 3; c++) CHECK(state.replay[i].logits[c] == expected[i * kColumns + c]);
  }
  // It goes out and comes in, and a reset fills the buffer again.
  Session copy(model, config);
  Stream stream(model.info, 3);
  stream.next(4, 0, 4);
  CHECK(copy.learn(stream.data(), stream.labels) == EDGECL_OK);
  const std::vector<uint8_t> bytes = session.state();
  CHECK(edgecl_state_import(copy.session, bytes.data(), bytes.size()) == EDGECL_OK);
  CHECK(copy.digest() == session.digest());
  CHECK(copy.learn(stream.data(), stream.labels) == EDGECL_OK && edgecl_session_reset(copy.session) == EDGECL_OK);
  CHECK(copy.digest() == session.digest());
  // Two slots are free: the next rows take them.
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK && session.stats().replay_fill == 8);
  CHECK(session.stats().samples_seen == 124);
}

TEST(a_small_buffer_takes_the_first_ones) {
  const Model model(with_exemplars(mlp(), format::kElementF32));
  edgecl_session_config config = model.config();
  config.replay_capacity = 3;
  const Session session(model, config);
  const DecodedState state = StateDecoder(session.state()).decode();
  CHECK(state.replay.size() == 3);
  for (int32_t i = 0; i < 3; i++) CHECK(state.replay[static_cast<size_t>(i)].label == i);
  config.replay_capacity = 0;
  config.method = EDGECL_METHOD_FINETUNE;
  CHECK(Session(model, config).stats().replay_fill == 0);
  config = model.config();
  config.predict_only = 1;
  CHECK(Session(model, config).stats().replay_fill == 0);
}

TEST(integers_stand_for_floats) {
  const BundleSource source = with_exemplars(mlp(), format::kElementI8);
  const Model model(source);
  Session session(model, model.config());
  const DecodedState state = StateDecoder(session.state()).decode();
  CHECK(state.replay.size() == 6);
  for (size_t i = 0; i < 6; i++) {
    for (size_t e = 0; e < kFeatures; e++) {
      float found;
      memcpy(&found, state.replay[i].sample.data() + e * sizeof found, sizeof found);
      const float stored = static_cast<float>(static_cast<int8_t>(source.exemplars.samples[i * kFeatures + e]));
      CHECK(found == stored * (1.0f / 128) + 0.5f);
    }
  }
}

TEST(latent_exemplars_are_those_of_a_learn_step) {
  BundleSource source = with_exemplars(tail_net(), format::kElementU8);
  source.method = format::kMethodEr;
  source.latent_replay = 1;
  const Model model(source);
  Session shipped(model, model.config());
  const DecodedState state = StateDecoder(shipped.state()).decode();
  CHECK(state.replay.size() == 6);
  // The same rows through a step of a bundle without exemplars.
  BundleSource bare = source;
  bare.exemplars = {};
  const Model other(bare);
  Session learner(other, other.config());
  AlignedBytes samples(source.exemplars.samples);
  CHECK(learner.learn(samples.data(), {0, 1, 2}) == EDGECL_OK);
  const DecodedState learned = StateDecoder(learner.state()).decode();
  for (size_t i = 0; i < 3; i++) CHECK(learned.replay[i].sample == state.replay[i].sample);
}

TEST(remembering_is_learning_without_a_step) {
  const BundleSource source = with_exemplars(mlp(), format::kElementF32);
  BundleSource bare = source;
  bare.exemplars = {};
  const Model model(bare);
  edgecl_session_config config = model.config();
  config.method = EDGECL_METHOD_DERPP;
  Session session(model, config);
  Stream stream(model.info, 3);
  stream.next(4, 0, 3);
  const std::vector<float> before = scores(session, stream.data(), 4);
  CHECK(remember(&session, stream) == EDGECL_OK);
  CHECK(scores(session, stream.data(), 4) == before && session.stats().steps == 0);
  const DecodedState state = StateDecoder(session.state()).decode();
  CHECK(state.replay.size() == 4 && state.seen == 4);
  for (size_t i = 0; i < 4; i++) {
    CHECK(state.replay[i].label == stream.labels[i]);
    for (uint32_t c = 0; c < 3; c++) CHECK(state.replay[i].logits[c] == before[i * kColumns + c]);
  }
  // Many more rows: a uniform sample, and the state stays sound.
  for (int i = 0; i < 20; i++) {
    stream.next(4, 0, 3);
    CHECK(remember(&session, stream) == EDGECL_OK);
  }
  CHECK(session.stats().replay_fill == 8 && session.stats().samples_seen == 84);
  Session copy(model, config);
  const std::vector<uint8_t> bytes = session.state();
  CHECK(edgecl_state_import(copy.session, bytes.data(), bytes.size()) == EDGECL_OK);

  const std::string digest = session.digest();
  stream.labels[3] = 3;
  CHECK(remember(&session, stream) == EDGECL_E_NOT_FOUND);
  stream.next(5, 0, 3);
  CHECK(remember(&session, stream) == EDGECL_E_CAPACITY);
  stream.next(2, 0, 3);
  stream.floats[1] = 1e30f;
  CHECK(remember(&session, stream) == EDGECL_E_NUMERIC);
  CHECK(session.digest() == digest);
  config.method = EDGECL_METHOD_FINETUNE;
  config.replay_capacity = 0;
  Session none(model, config);
  stream.next(2, 0, 3);
  CHECK(remember(&none, stream) == EDGECL_E_UNSUPPORTED);
}

TEST(an_empty_buffer_over_shipped_classes_is_told_once) {
  const BundleSource source = with_exemplars(mlp(), format::kElementF32);
  BundleSource bare = source;
  bare.exemplars = {};
  const Model shipped(source), model(bare), empty(mlp());
  Stream stream(model.info, 3);
  stream.next(3, 0, 3);
  edgecl_learn_report report = {};
  report.struct_size = sizeof report;
  {  // shipped classes alone: nothing to tell, and then some of them are in the buffer
    Session session(model, model.config());
    CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_OK && report.note == nullptr);
    stream.next(3, 3, 1);
    CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_OK && report.note == nullptr);
  }
  for (const bool replays : {true, false}) {
    edgecl_session_config config = model.config();
    config.replay_capacity = replays ? 8 : 0;
    Session session(model, config);
    CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_OK);
    CHECK(report.note != nullptr && (strstr(report.note, "edgecl_remember") != nullptr) == replays);
    CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_OK && report.note == nullptr);
    Session with(shipped, shipped.config());
    CHECK(with.learn(stream.data(), stream.labels, &report) == EDGECL_OK && report.note == nullptr);
    Session without(empty, empty.config());
    CHECK(without.learn(stream.data(), stream.labels, &report) == EDGECL_OK && report.note == nullptr);
  }
}

TEST(broken_exemplars_are_refused) {
  const auto refused = [](BundleSource source) {
    std::string error;
    const bool empty = edgecl::write_bundle(source, &error).empty();
    return empty && error.find("EXEMPLARS") != std::string::npos;
  };
  const BundleSource good = with_exemplars(mlp(), format::kElementF32);
  BundleSource bad = good;
  bad.exemplars.labels[0] = 3;
  CHECK(refused(bad));  // a class that the bundle does not ship
  bad = good;
  bad.exemplars.rows[0].second = 1;
  CHECK(refused(bad));  // fewer rows than samples
  bad = good;
  bad.exemplars.rows.pop_back();
  CHECK(refused(bad));
  bad = good;
  bad.exemplars.samples.pop_back();
  CHECK(refused(bad));
  bad = good;
  bad.exemplars.dtype = format::kElementU8;
  CHECK(refused(bad));
  bad = good;
  memset(&bad.exemplars.samples[8], 0xff, 4);
  CHECK(refused(bad));  // NaN
}

TEST(a_class_balanced_buffer_holds_as_many_of_each) {
  const Model model(mlp());
  edgecl_session_config config = model.config();
  config.replay_policy = EDGECL_REPLAY_CLASS_BALANCED;
  Session session(model, config);
  Stream stream(model.info, 3);
  const auto learn = [&](int steps, uint32_t first, uint32_t n_labels) {
    for (int i = 0; i < steps; i++) {
      stream.next(4, first, n_labels);
      CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
    }
  };
  const auto counts = [&] {
    std::vector<size_t> n(kColumns);
    for (const auto& exemplar : StateDecoder(session.state()).decode().replay) n[static_cast<size_t>(exemplar.label)]++;
    return n;
  };
  learn(100, 0, 1);
  CHECK(counts() == (std::vector<size_t>{8, 0, 0, 0}));
  learn(2, 1, 1);
  CHECK(counts() == (std::vector<size_t>{4, 4, 0, 0}));
  learn(50, 0, 2);
  learn(3, 2, 2);
  for (const size_t n : counts()) CHECK(n == 2);
  Session copy(model, config);
  std::vector<uint8_t> bytes = session.state();
  CHECK(edgecl_state_import(copy.session, bytes.data(), bytes.size()) == EDGECL_OK && copy.state() == bytes);
  CHECK(edgecl_class_forget(session.session, 1) == EDGECL_OK);
  learn(1, 3, 1);
  CHECK(counts() == (std::vector<size_t>{2, 0, 2, 4}));  // what was free is taken first
  learn(40, 2, 2);
  bytes = session.state();
  CHECK(edgecl_state_import(copy.session, bytes.data(), bytes.size()) == EDGECL_OK && copy.state() == bytes);
}

RUN_TESTS()
