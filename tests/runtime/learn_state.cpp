// Exported states: round trip, damage, forgery, mismatch.
// Never here: storage.
#include "runtime/api/api_objects.h"
#include "runtime/learn/session_state.h"
#include "tests/runtime/learn_fixture.h"
#include "tests/runtime/state_forging.h"

namespace {

using namespace edgecl_test;

edgecl_session_config config_of(const Model& model, uint32_t method = EDGECL_METHOD_DERPP, float momentum = 0.9f) {
  edgecl_session_config config = model.config();
  config.method = method;
  config.momentum = momentum;
  config.max_batch = 4;
  config.seed = 5;
  return config;
}

void learn(Session* session, Stream* stream, int steps) {
  for (int i = 0; i < steps; i++) {
    stream->next(4);
    CHECK(session->learn(stream->data(), stream->labels) == EDGECL_OK);
  }
}

edgecl_status import(Session* session, const std::vector<uint8_t>& bytes) {
  return edgecl_state_import(session->session, bytes.data(), bytes.size());
}

// Puts a section of one byte behind the last.
std::vector<uint8_t> with_section(const std::vector<uint8_t>& state, uint32_t id, uint32_t version, uint32_t flags) {
  std::vector<uint8_t> out = state;
  const uint32_t n = word<uint32_t>(&out, 48)++;
  for (uint32_t i = 0; i < n; i++) word<uint64_t>(&out, 80 + 64ull * i) += 64;
  std::vector<uint8_t> entry(64);
  word<uint32_t>(&entry, 0) = id;
  word<uint32_t>(&entry, 4) = version;
  word<uint32_t>(&entry, 8) = flags;
  word<uint64_t>(&entry, 16) = out.size() - 32 + 64;
  word<uint64_t>(&entry, 24) = 1;
  out.insert(out.end() - 32, 1, 0x77);
  out.insert(out.begin() + 64 + 64 * static_cast<long>(n), entry.begin(), entry.end());
  word<uint64_t>(&out, 8) = out.size();
  seal(&out);
  return out;
}

void check_round_trip(const BundleSource& source, uint32_t method, float momentum) {
  const Model model(source);
  Session original(model, config_of(model, method, momentum)), copy(model, config_of(model, method, momentum));
  Stream stream(model.info, 3);
  learn(&original, &stream, 7);
  int32_t label = 0;
  CHECK(edgecl_class_add(original.session, "mug", &label) == EDGECL_OK);
  CHECK(edgecl_class_forget(original.session, 0) == EDGECL_OK);
  CHECK(edgecl_learning_rate_set(original.session, 0.01f) == EDGECL_OK);
  const std::vector<uint8_t> state = original.state();
  uint8_t digest[32];
  CHECK(edgecl_state_digest(original.session, digest) == EDGECL_OK);
  CHECK(memcmp(digest, state.data() + state.size() - 32, 32) == 0);

  CHECK_MESSAGE(import(&copy, state) == EDGECL_OK, "%s", edgecl_session_error(copy.session));
  CHECK(copy.state() == state);
  // Both go on to the same bits.
  Stream a(model.info, 9), b(model.info, 9);
  for (int i = 0; i < 5; i++) {
    a.next(4, 1, 2);
    b.next(4, 1, 2);
    CHECK(original.learn(a.data(), a.labels) == EDGECL_OK && copy.learn(b.data(), b.labels) == EDGECL_OK);
  }
  CHECK(original.digest() == copy.digest());
}

}  // namespace

TEST(a_state_says_how_it_was_learned) {
  const Model model(mlp());
  edgecl_session_config made = config_of(model), found = model.config();
  made.method = EDGECL_METHOD_DERPP;
  made.max_batch = 3;
  made.seed = 77;
  made.max_classes = 3;
  Session session(model, made);
  CHECK(edgecl_learning_rate_set(session.session, 0.25f) == EDGECL_OK);
  const std::vector<uint8_t> state = session.state();
  CHECK(edgecl_session_config_from_state(model.model, state.data(), state.size(), &found, nullptr) == EDGECL_OK);
  CHECK(found.method == EDGECL_METHOD_DERPP && found.max_batch == 3 && found.seed == 77 && found.max_classes == 3);
  CHECK(found.learning_rate == 0.25f && found.predict_only == 0 && found.replay_capacity == made.replay_capacity);
  Session next(model, found);
  CHECK(import(&next, state) == EDGECL_OK && next.digest() == session.digest());
  const edgecl_session_config before = found;
  CHECK(edgecl_session_config_from_state(model.model, state.data(), state.size() - 1, &found, nullptr) ==
        EDGECL_E_STATE_CORRUPT);
  const Model other(mlp(0.5f));
  CHECK(edgecl_session_config_from_state(other.model, state.data(), state.size(), &found, nullptr) ==
        EDGECL_E_STATE_MISMATCH);
  CHECK(memcmp(&found, &before, sizeof found) == 0);
}

TEST(round_trip_and_go_on) {
  check_round_trip(mlp(), EDGECL_METHOD_DERPP, 0.9f);
  check_round_trip(mlp(0.5f), EDGECL_METHOD_ER, 0);
  check_round_trip(mlp(), EDGECL_METHOD_FINETUNE, 0.5f);
  check_round_trip(image_net(), EDGECL_METHOD_DERPP, 0.9f);
  check_round_trip(image_net(), EDGECL_METHOD_ER_ACE, 0);
}

TEST(export_is_as_long_as_announced) {
  const Model model(mlp());
  Session session(model, config_of(model));
  edgecl_sizes sizes = {};
  sizes.struct_size = sizeof sizes;
  CHECK(edgecl_session_sizes(model.model, &session.config(), &sizes, nullptr) == EDGECL_OK);
  Stream stream(model.info, 3);
  const std::string name(63, 'x');
  for (uint32_t label = 0; label < kColumns; label++) {
    int32_t issued = -1;
    CHECK(edgecl_class_add(session.session, (name.substr(1) + static_cast<char>('a' + label)).c_str(), &issued) ==
          EDGECL_OK);
    CHECK(edgecl_class_weight_set(session.session, issued, 2) == EDGECL_OK);
  }
  learn(&session, &stream, 5);
  CHECK(session.stats().replay_fill == session.config().replay_capacity);
  const float score = 1;
  for (uint32_t kind = EDGECL_NOVELTY_MAX_LOGIT; kind <= EDGECL_NOVELTY_FIT; kind++)
    CHECK(edgecl_novelty_calibrate(session.session, kind, &score, 1, 0.9, 0.9) == EDGECL_OK);
  // Names of 63 bytes, weights, thresholds, buffer full: nothing can be larger.
  CHECK(session.state().size() == sizes.state_bytes_max);
  size_t written = 77;
  std::vector<uint8_t> small(session.state().size() - 1);
  CHECK(edgecl_state_export(session.session, small.data(), small.size(), &written) == EDGECL_E_SHAPE && written == 77);
}

TEST(every_truncation_is_refused) {
  const Model model(mlp());
  Session source(model, config_of(model)), target(model, config_of(model));
  Stream stream(model.info, 3);
  learn(&source, &stream, 3);
  learn(&target, &stream, 2);
  const std::vector<uint8_t> state = source.state();
  const std::string before = target.digest();
  for (size_t n = 0; n < state.size(); n++) {
    std::vector<uint8_t> part(state.begin(), state.begin() + static_cast<long>(n));
    part.reserve(n + 1);
    CHECK(edgecl_state_import(target.session, part.data() ? part.data() : state.data(), n) == EDGECL_E_STATE_CORRUPT);
  }
  CHECK(target.digest() == before);
  CHECK(import(&target, state) == EDGECL_OK && target.digest() == source.digest());
}

TEST(every_flipped_byte_is_refused) {
  const Model model(mlp());
  Session source(model, config_of(model)), target(model, config_of(model));
  Stream stream(model.info, 3);
  learn(&source, &stream, 3);
  learn(&target, &stream, 2);
  std::vector<uint8_t> state = source.state();
  const std::string before = target.digest();
  for (size_t i = 0; i < state.size(); i++) {
    state[i] ^= 0x41;
    const edgecl_status status = import(&target, state);
    CHECK_MESSAGE(status == EDGECL_E_STATE_CORRUPT || (status == EDGECL_E_STATE_MISMATCH && i >= 4 && i < 8),
                  "byte %zu: %d", i, status);
    state[i] ^= 0x41;
  }
  CHECK(target.digest() == before);
}

// With a SHA-256 that fits, each changed byte is either refused with the session as it was, or gives a state that
// exports and imports again.
TEST(forged_states_never_leave_a_session_broken) {
  for (const bool images : {false, true}) {
    const Model model(images ? image_net() : mlp(0.5f));
    Session source(model, config_of(model)), target(model, config_of(model)), third(model, config_of(model));
    Stream stream(model.info, 3);
    learn(&source, &stream, 4);
    int32_t label = 0;
    CHECK(edgecl_class_add(source.session, "mug", &label) == EDGECL_OK);
    CHECK(edgecl_class_forget(source.session, 1) == EDGECL_OK);
    learn(&target, &stream, 2);
    const std::vector<uint8_t> state = source.state(), own = target.state();
    const std::string before = target.digest();
    size_t accepted = 0;
    for (size_t i = 0; i < state.size() - 32; i++) {
      for (const uint8_t flip : {0x01, 0x80, 0xff}) {
        std::vector<uint8_t> forged = state;
        forged[i] ^= flip;
        seal(&forged);
        if (import(&target, forged) != EDGECL_OK) {
          CHECK_MESSAGE(target.digest() == before, "byte %zu", i);
          continue;
        }
        accepted++;
        if (accepted % 50 == 1) {
          CHECK_MESSAGE(import(&third, target.state()) == EDGECL_OK && third.digest() == target.digest(),
                        "byte %zu: %s", i, edgecl_session_error(third.session));
        }
        CHECK(target.state() == forged && import(&target, own) == EDGECL_OK);
      }
    }
    CHECK(accepted > 100);  // mantissas of weights, pixels
  }
}

TEST(lengths_of_sections_are_checked) {
  const Model model(mlp());
  Session source(model, config_of(model)), target(model, config_of(model));
  Stream stream(model.info, 3);
  learn(&source, &stream, 2);
  const std::string before = target.digest();
  for (const size_t extra : {1ul, 4ul, 64ul}) {  // bytes between the last section and the trailer
    std::vector<uint8_t> state = source.state();
    state.insert(state.end() - 32, extra, 0);
    const uint64_t total = state.size();
    memcpy(state.data() + 8, &total, 8);
    seal(&state);
    CHECK(import(&target, state) == EDGECL_E_STATE_CORRUPT && target.digest() == before);
  }
}

TEST(states_of_other_bundles_and_shapes_do_not_match) {
  const Model model(mlp());
  BundleSource other_source = mlp();
  other_source.params[0].values[0] += 1;
  const Model other(other_source);
  Session session(model, config_of(model));
  Stream stream(model.info, 3);
  learn(&session, &stream, 3);
  const std::vector<uint8_t> state = session.state();
  {
    Session target(other, config_of(other));
    CHECK(import(&target, state) == EDGECL_E_STATE_MISMATCH);
  }
  struct Case {
    const char* field;
    void (*change)(edgecl_session_config*);
  };
  const Case cases[] = {
      {"max_classes 3", [](edgecl_session_config* c) { c->max_classes = 3; }},
      {"replay_capacity", [](edgecl_session_config* c) { c->replay_capacity = 9; }},
      {"flags", [](edgecl_session_config* c) { c->momentum = 0; }},
      {"momentum (in millionths) 800000", [](edgecl_session_config* c) { c->momentum = 0.8f; }},
      {"logits", [](edgecl_session_config* c) { c->method = EDGECL_METHOD_ER; }},
      {"replay_batch", [](edgecl_session_config* c) { c->replay_batch = 2; }},
      {"class_mask 1", [](edgecl_session_config* c) { c->class_mask = 1; }},
      {"alpha", [](edgecl_session_config* c) { c->alpha = 0.5f; }},
      {"beta", [](edgecl_session_config* c) { c->beta = 0.25f; }},
      {"weight_decay", [](edgecl_session_config* c) { c->weight_decay = 0.25f; }},
      {"cosine_scale", [](edgecl_session_config* c) { c->cosine_scale = 7; }},
      {"importance_current", [](edgecl_session_config* c) { c->importance_current = 7; }},
      {"boundary",
       [](edgecl_session_config* c) {
         c->boundary = EDGECL_BOUNDARY_DRIFT;
         c->drift_threshold = 7;
       }},
  };
  for (const Case& c : cases) {
    edgecl_session_config config = config_of(model);
    c.change(&config);
    Session target(model, config);
    const std::string before = target.digest();
    CHECK_MESSAGE(import(&target, state) == EDGECL_E_STATE_MISMATCH, "%s", c.field);
    CHECK(target.digest() == before);
    const char* sentence = edgecl_session_error(target.session);
    CHECK_MESSAGE(strstr(sentence, c.field) != nullptr && strstr(sentence, "found") != nullptr, "%s: %s", c.field,
                  sentence);
  }
  edgecl_session_config config = config_of(model);  // seed and rate come with the state; max_batch decides nothing
  config.max_batch = 32;
  config.learning_rate = 1;
  config.seed = 99;
  Session target(model, config);
  CHECK(import(&target, state) == EDGECL_OK && target.digest() == session.digest());
}

// A signature changes neither the name of a bundle nor the states that belong to it.
TEST(a_state_moves_between_a_bundle_and_its_signed_copy) {
  const std::vector<uint8_t> bare = encode(image_net());
  uint8_t signature[64] = {1, 2, 3};
  std::string error;
  const Model model(bare), signed_model(edgecl::attach_signature(bare, signature, nullptr, &error));
  CHECK(memcmp(model.info.digest, signed_model.info.digest, 32) == 0);
  CHECK(model.info.is_signed == 0 && signed_model.info.is_signed == 1);
  Session session(model, config_of(model)), copy(signed_model, config_of(signed_model));
  Stream stream(model.info, 3);
  learn(&session, &stream, 3);
  CHECK(import(&copy, session.state()) == EDGECL_OK && copy.digest() == session.digest());
  CHECK(import(&session, copy.state()) == EDGECL_OK);
}

TEST(a_newer_format_is_named) {
  const Model model(mlp());
  Session session(model, config_of(model));
  std::vector<uint8_t> state = session.state();
  state[4] = 3;
  seal(&state);
  CHECK(import(&session, state) == EDGECL_E_STATE_MISMATCH && strstr(edgecl_session_error(session.session), "version"));
}

TEST(predict_only_sessions_take_learned_states) {
  const Model model(image_net());
  Session learner(model, config_of(model));
  Stream stream(model.info, 3);
  learn(&learner, &stream, 6);
  edgecl_session_config config = config_of(model);
  config.predict_only = 1;
  Session reader(model, config), second(model, config);
  CHECK_MESSAGE(import(&reader, learner.state()) == EDGECL_OK, "%s", edgecl_session_error(reader.session));
  CHECK_MESSAGE(import(&second, reader.state()) == EDGECL_OK && second.digest() == reader.digest(), "%s",
                edgecl_session_error(second.session));
  stream.next(9);
  std::vector<float> a(9 * 3), b(9 * 3);
  const edgecl_batch batch = learner.batch(stream.data(), 9);
  CHECK(edgecl_logits(learner.session, &batch, a.data(), a.size()) == EDGECL_OK);
  CHECK(edgecl_logits(reader.session, &batch, b.data(), b.size()) == EDGECL_OK);
  CHECK(memcmp(a.data(), b.data(), a.size() * 4) == 0);
  CHECK(import(&learner, reader.state()) == EDGECL_E_STATE_MISMATCH);
  stream.next(4);
  CHECK(reader.learn(stream.data(), stream.labels) == EDGECL_E_UNSUPPORTED);
}

// It has no buffer to take rows out of, and its state stays good.
TEST(predict_only_sessions_forget_classes) {
  const Model model(mlp());
  Session learner(model, config_of(model));
  Stream stream(model.info, 3);
  learn(&learner, &stream, 6);
  edgecl_session_config config = config_of(model);
  config.predict_only = 1;
  Session reader(model, config), second(model, config);
  CHECK(import(&reader, learner.state()) == EDGECL_OK);
  CHECK(edgecl_class_forget(reader.session, 0) == EDGECL_OK);
  CHECK(reader.stats().samples_seen == 0);
  CHECK_MESSAGE(import(&second, reader.state()) == EDGECL_OK && second.digest() == reader.digest(), "%s",
                edgecl_session_error(second.session));
}

// Forgetting such a class would take more rows out of the counters than they hold.
TEST(a_class_has_no_more_exemplars_than_rows) {
  const Model model(mlp());
  Session source(model, config_of(model, EDGECL_METHOD_ER, 0)), target(model, config_of(model, EDGECL_METHOD_ER, 0));
  Stream stream(model.info, 3);
  stream.next(4, 0, 1);
  stream.labels = {0, 0, 0, 1};
  CHECK(source.learn(stream.data(), stream.labels) == EDGECL_OK);
  std::vector<uint8_t> state = source.state();
  const size_t slots = section_at(&state, 6) + 32, slot_bytes = 4 + 4 * kFeatures;
  for (size_t slot = 0; slot < 4; slot++) word<int32_t>(&state, slots + slot * slot_bytes) = slot < 2;  // 2 of each
  seal(&state);
  const std::string before = target.digest();
  CHECK(import(&target, state) == EDGECL_E_STATE_CORRUPT && target.digest() == before);
  CHECK(strstr(edgecl_session_error(target.session), "more exemplars of a class") != nullptr);
}

// A section that this library does not know.
TEST(unknown_sections_are_skipped_when_optional) {
  const Model model(mlp());
  Session source(model, config_of(model)), target(model, config_of(model));
  Stream stream(model.info, 3);
  learn(&source, &stream, 3);
  const std::vector<uint8_t> state = source.state();
  const std::string before = target.digest();
  CHECK(import(&target, with_section(state, 77, 5, 0)) == EDGECL_E_STATE_MISMATCH && target.digest() == before);
  const char* sentence = edgecl_session_error(target.session);
  CHECK_MESSAGE(strstr(sentence, "section 77") != nullptr && strstr(sentence, "version 5") != nullptr, "%s", sentence);
  CHECK(import(&target, with_section(state, 77, 5, 2)) == EDGECL_E_STATE_CORRUPT && target.digest() == before);
  std::vector<uint8_t> damaged = with_section(state, 77, 5, 1);
  damaged[damaged.size() - 33] ^= 1;  // its digest is checked all the same
  CHECK(import(&target, damaged) == EDGECL_E_STATE_CORRUPT && target.digest() == before);
  CHECK_MESSAGE(import(&target, with_section(state, 77, 5, 1)) == EDGECL_OK, "%s",
                edgecl_session_error(target.session));
  CHECK(target.digest() == source.digest());
}

TEST(known_sections_of_other_versions_and_missing_ones_are_refused) {
  const Model model(mlp());
  Session session(model, config_of(model));
  const std::string before = session.digest();
  for (uint32_t i = 0; i < 7; i++) {
    std::vector<uint8_t> state = session.state();
    word<uint32_t>(&state, 68 + 64ull * i) = 2;
    seal(&state);
    CHECK(import(&session, state) == EDGECL_E_STATE_MISMATCH);
    CHECK(strstr(edgecl_session_error(session.session), ("section " + std::to_string(i + 1)).c_str()) != nullptr);
    for (const uint32_t id : {0u, 8u}) {  // gone, or out of order
      state = session.state();
      word<uint32_t>(&state, 64 + 64ull * i) = id + 70;
      word<uint32_t>(&state, 72 + 64ull * i) = id == 0 ? 1 : 0;
      seal(&state);
      CHECK(import(&session, state) != EDGECL_OK);
    }
  }
  CHECK(session.digest() == before);
}

// What every later learn step would refuse, for ever, does not come in.
TEST(numbers_that_no_step_accepts_are_refused) {
  for (const bool sparse : {false, true}) {
    const Model model(mlp(sparse ? 0.5f : 1.0f));
    Session source(model, config_of(model)), target(model, config_of(model));
    Stream stream(model.info, 3);
    learn(&source, &stream, 4);
    std::vector<uint8_t> state = source.state();
    const std::string before = target.digest();
    uint64_t n = 0;
    const size_t params = section_at(&state, 3);
    memcpy(&n, state.data() + params + 16, sizeof n);
    const size_t weights = params + 24 + (sparse ? 4 * n : 0), velocities = weights + 4 * n;
    const size_t sample = section_at(&state, 6) + 36, logits = sample + 4 * kFeatures;
    auto with = [&](size_t at, float value) {
      std::vector<uint8_t> forged = state;
      memcpy(forged.data() + at, &value, sizeof value);
      seal(&forged);
      return import(&target, forged);
    };
    for (const size_t at : {weights, velocities}) {
      for (const float bad : {1e10f, -1e10f, 1.0001e9f, __builtin_inff(), __builtin_nanf("")}) {
        CHECK_MESSAGE(with(at, bad) == EDGECL_E_STATE_CORRUPT, "%zu", at);
        CHECK(strstr(edgecl_session_error(target.session), "PARAMS") != nullptr && target.digest() == before);
      }
    }
    for (const size_t at : {sample, logits}) {
      for (const float bad : {1e13f, -1e38f, __builtin_inff(), __builtin_nanf("")}) {
        CHECK_MESSAGE(with(at, bad) == EDGECL_E_STATE_CORRUPT, "%zu", at);
        CHECK(strstr(edgecl_session_error(target.session), "REPLAY") != nullptr && target.digest() == before);
      }
    }
    CHECK(with(weights, 1e9f) == EDGECL_OK && with(sample, -1e12f) == EDGECL_OK && with(logits, 1e12f) == EDGECL_OK);
  }
}

// The limit of samples is that of learn steps: of the normalised number.
TEST(exemplars_are_judged_as_learn_steps_judge_samples) {
  BundleSource net = mlp();
  net.input_inv_std.assign(kFeatures, 1e6f);
  const Model model(net);
  Session source(model, config_of(model, EDGECL_METHOD_ER, 0)), target(model, config_of(model, EDGECL_METHOD_ER, 0));
  std::vector<float> sample(kFeatures, 0.0f);
  CHECK(source.learn(sample.data(), {0}) == EDGECL_OK);
  std::vector<uint8_t> state = source.state();
  const size_t at = section_at(&state, 6) + 36;
  for (const bool beyond : {false, true}) {
    const float value = beyond ? 1.1e6f : 0.9e6f;
    memcpy(state.data() + at + 8, &value, sizeof value);
    seal(&state);
    CHECK(import(&target, state) == (beyond ? EDGECL_E_STATE_CORRUPT : EDGECL_OK));
    sample[2] = value;
    const edgecl_status taken = source.learn(sample.data(), {0});
    CHECK(!beyond || taken == EDGECL_E_NUMERIC);
  }
}

// What a step puts into the buffer, an import takes: also the part of a sample that a crop hides from the step.
TEST(crops_hide_no_absurd_numbers) {
  BundleSource net = image_net();
  net.input_dtype = format::kInputF32;
  net.input_scale = 1;
  const Model model(net);
  edgecl_session_config config = config_of(model);
  for (uint32_t seed = 0; seed < 20; seed++) {
    config.seed = seed;
    Session session(model, config);
    Stream stream(model.info, 3);
    stream.next(4);
    for (const size_t at : {size_t{0}, size_t{5}}) {  // corners
      std::vector<float> samples = stream.floats;
      samples[at] = 1e13f;
      CHECK_MESSAGE(session.learn(samples.data(), stream.labels) == EDGECL_E_NUMERIC, "seed %u", seed);
    }
    CHECK(session.stats().steps == 0 && session.learn(stream.data(), stream.labels) == EDGECL_OK);
  }
}

TEST(logits_for_the_buffer_are_judged_as_an_import_judges_them) {
  for (const bool large : {false, true}) {
    BundleSource net = mlp();
    for (edgecl::SourceParam& param : net.params) {
      for (float& value : param.values) value *= large ? 1e8f : 1e3f;
    }
    net.learning_rate = 1e-12f;
    const Model model(net);
    Session source(model, config_of(model, EDGECL_METHOD_DERPP, 0)), target(model, source.config());
    Stream stream(model.info, 3);
    stream.next(4);
    CHECK(source.learn(stream.data(), stream.labels) == (large ? EDGECL_E_NUMERIC : EDGECL_OK));
    CHECK_MESSAGE(import(&target, source.state()) == EDGECL_OK, "%s", edgecl_session_error(target.session));
  }
}

TEST(reset_gives_the_first_state_again) {
  const Model model(image_net());
  Session session(model, config_of(model));
  const std::string fresh = session.digest();
  Stream a(model.info, 3), b(model.info, 3);
  learn(&session, &a, 5);
  const std::string learned = session.digest();
  CHECK(edgecl_session_reset(session.session) == EDGECL_OK && session.digest() == fresh);
  learn(&session, &b, 5);
  CHECK(session.digest() == learned);
}

RUN_TESTS()
