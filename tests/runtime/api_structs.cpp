// The rules that hold for every entry: struct sizes, NULL, outputs on success only.
// Never here: learning.
#include <stddef.h>

#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;

// A struct of the next version: one field more.
template <class T>
struct Longer {
  T known;
  uint64_t future;
};

}  // namespace

TEST(longer_structs_need_a_zero_tail) {
  const Model model(mlp());
  Longer<edgecl_model_info> info = {};
  info.known.struct_size = sizeof info;
  CHECK(edgecl_model_describe(model.model, &info.known) == EDGECL_OK && info.known.class_capacity == kColumns);
  CHECK(info.known.struct_size == sizeof info && info.future == 0);
  info.future = 1;
  CHECK(edgecl_model_describe(model.model, &info.known) == EDGECL_E_ARGUMENT && info.future == 1);

  Longer<edgecl_session_config> config = {};
  config.known = model.config();
  config.known.struct_size = sizeof config;
  edgecl_session* session = nullptr;
  edgecl_error err = {};
  err.struct_size = sizeof err;
  config.future = 1;
  CHECK(edgecl_session_create(model.model, &config.known, nullptr, &session, &err) == EDGECL_E_ARGUMENT &&
        session == nullptr);
  CHECK(strstr(err.message, "edgecl_session_config") && err.status == EDGECL_E_ARGUMENT);
  config.future = 0;
  CHECK(edgecl_session_create(model.model, &config.known, nullptr, &session, &err) == EDGECL_OK);
  edgecl_session_destroy(session);
}

TEST(shorter_structs_get_their_prefix) {
  const Model model(mlp());
  edgecl_model_info info;
  memset(&info, 0xee, sizeof info);
  info.struct_size = offsetof(edgecl_model_info, digest);
  CHECK(edgecl_model_describe(model.model, &info) == EDGECL_OK);
  CHECK(info.bundle_bytes == model.info.bundle_bytes && info.digest[0] == 0xee && info.is_signed == 0xeeeeeeee);
  info.struct_size = 0;
  CHECK(edgecl_model_describe(model.model, &info) == EDGECL_E_ARGUMENT);
  info.struct_size = 3;
  CHECK(edgecl_model_describe(model.model, &info) == EDGECL_E_ARGUMENT);

  // A report that ends before the fields that say where slots go does not want them.
  Session session(model, model.config());
  Stream stream(model.info, 1);
  stream.next(4);
  edgecl_learn_report report;
  memset(&report, 0xee, sizeof report);
  report.struct_size = offsetof(edgecl_learn_report, replay_slots);
  CHECK(session.learn(stream.data(), stream.labels, &report) == EDGECL_OK && report.step == 1);
  CHECK(report.replay_slots_capacity == 0xeeeeeeee);
}

// A configuration of an older header: what it does not have is as the bundle's recipe says, not zero.
TEST(shorter_configurations_keep_the_recipe) {
  const Model model(mlp());
  const edgecl_session_config recipe = model.config();
  edgecl_session_config config;
  memset(&config, 0xee, sizeof config);
  config = recipe;
  config.replay_batch = 2;
  memset(reinterpret_cast<uint8_t*>(&config) + offsetof(edgecl_session_config, alpha), 0xee,
         sizeof config - offsetof(edgecl_session_config, alpha));
  config.struct_size = offsetof(edgecl_session_config, alpha);
  Session session(model, config);
  edgecl_session_config found = {};
  found.struct_size = sizeof found;
  CHECK(edgecl_session_config_get(session.session, &found) == EDGECL_OK);
  CHECK(found.replay_batch == 2 && found.alpha == recipe.alpha && found.beta == recipe.beta && found.seed == 0 &&
        found.add_unseen_labels == 1);
  CHECK(recipe.alpha > 0 && recipe.beta > 0);
}

// Hooks of tomorrow's header behind options of tomorrow's: only what both know is read, wherever the struct ends.
TEST(hooks_and_options_follow_the_rule) {
  const Model model(mlp());
  const edgecl_session_config config = model.config();
  edgecl_error err = {};
  err.struct_size = sizeof err;
  edgecl_session* session = nullptr;
  Longer<edgecl_hooks> hooks = {};
  hooks.known.struct_size = sizeof hooks;
  Longer<edgecl_session_options> options = {};
  options.known.struct_size = sizeof options;
  options.known.hooks = &hooks.known;
  CHECK(edgecl_session_create(model.model, &config, &options.known, &session, &err) == EDGECL_OK);
  edgecl_session_destroy(session);
  session = nullptr;
  hooks.future = 1;
  CHECK(edgecl_session_create(model.model, &config, &options.known, &session, &err) == EDGECL_E_ARGUMENT);
  CHECK(strstr(err.message, "edgecl_hooks") != nullptr);
  hooks.future = 0;
  options.future = 1;
  CHECK(edgecl_session_create(model.model, &config, &options.known, &session, &err) == EDGECL_E_ARGUMENT);
  options.future = 0;
  hooks.known.struct_size = offsetof(edgecl_hooks, log);  // yesterday's hooks: what lies behind is not read
  hooks.known.log = [](void*, int32_t, const char*) { exit(1); };
  CHECK(edgecl_session_create(model.model, &config, &options.known, &session, &err) == EDGECL_OK);
  CHECK(edgecl_learning_rate_set(session, 0) == EDGECL_E_ARGUMENT);
  edgecl_session_destroy(session);
}

TEST(elements_of_arrays_have_the_size_of_the_caller) {
  const Model model(mlp());
  Session session(model, model.config());
  Stream stream(model.info, 1);
  stream.next(2);
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  const edgecl_batch batch = session.batch(stream.data(), 2);
  struct Shorter {
    int32_t label;
    float probability;
  } some[3];
  memset(some, 0xee, sizeof some);
  edgecl_prediction all[2];
  CHECK(edgecl_predict(session.session, &batch, all, sizeof all[0]) == EDGECL_OK);
  edgecl_prediction* out = reinterpret_cast<edgecl_prediction*>(some);
  CHECK(edgecl_predict(session.session, &batch, out, sizeof some[0]) == EDGECL_OK);
  for (int i = 0; i < 2; i++) CHECK(some[i].label == all[i].label && some[i].probability == all[i].probability);
  uint32_t behind;
  memcpy(&behind, &some[2], sizeof behind);
  CHECK(behind == 0xeeeeeeee);
}

TEST(error_records_follow_the_same_rule) {
  Longer<edgecl_error> err = {};
  err.known.struct_size = sizeof err;
  edgecl_model* model = nullptr;
  alignas(64) static const uint8_t zeros[128] = {};
  CHECK(edgecl_model_open_memory(zeros, sizeof zeros, nullptr, &model, &err.known) == EDGECL_E_BUNDLE_CORRUPT);
  CHECK(err.known.status == EDGECL_E_BUNDLE_CORRUPT && strstr(err.known.message, "expected") &&
        strstr(err.known.message, "found"));
  err.future = 5;
  CHECK(edgecl_model_open_memory(zeros, sizeof zeros, nullptr, &model, &err.known) == EDGECL_E_ARGUMENT);
  edgecl_error brief;
  memset(&brief, 0x55, sizeof brief);
  brief.struct_size = offsetof(edgecl_error, message) + 10;
  CHECK(edgecl_model_open_memory(zeros, sizeof zeros, nullptr, &model, &brief) == EDGECL_E_BUNDLE_CORRUPT);
  CHECK(strlen(brief.message) == 9 && brief.message[10] == 0x55);
  CHECK(edgecl_model_open_memory(zeros, sizeof zeros, nullptr, &model, nullptr) == EDGECL_E_BUNDLE_CORRUPT &&
        model == nullptr);
}

TEST(null_is_refused_where_it_is_not_optional) {
  const Model model(mlp());
  Session session(model, model.config());
  edgecl_session* s = session.session;
  Stream stream(model.info, 1);
  stream.next(2);
  const edgecl_batch batch = session.batch(stream.data(), 2);
  edgecl_prediction out[2];
  float floats[64];
  size_t n = 0;
  int32_t label = 0;
  uint8_t digest[32];
  const std::string before = session.digest();
  CHECK(edgecl_learn(nullptr, &batch, stream.labels.data(), nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_learn(s, nullptr, stream.labels.data(), nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_predict(s, &batch, nullptr, sizeof out[0]) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_predict(s, &batch, out, 3) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_probabilities(s, &batch, nullptr, 64) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_weights_read(s, 0, nullptr, 64) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_session_config_get(s, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_predict(s, nullptr, out, sizeof out[0]) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_logits(s, &batch, nullptr, 64) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_logits(s, &batch, floats, 2 * kColumns - 1) == EDGECL_E_SHAPE);
  CHECK(edgecl_embed(s, &batch, floats, 2 * kHidden - 1) == EDGECL_E_SHAPE);
  CHECK(edgecl_embed(s, &batch, floats, 2 * kHidden) == EDGECL_OK);
  CHECK(edgecl_class_add(s, "a", nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_class_find(s, nullptr, &label) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_class_describe(s, 0, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_task_begin(nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_state_size(s, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_state_export(s, nullptr, 10, &n) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_state_export(s, floats, sizeof floats, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_state_import(s, nullptr, 10) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_state_digest(s, nullptr) == EDGECL_E_ARGUMENT &&
        edgecl_state_digest(nullptr, digest) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_session_stats(s, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_learning_rate_set(s, 0) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_learning_rate_set(s, __builtin_nanf("")) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_learning_rate_set(s, __builtin_inff()) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_session_reset(nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_model_describe(nullptr, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_model_close(nullptr) == EDGECL_OK);
  edgecl_session_destroy(nullptr);
  CHECK(strcmp(edgecl_session_error(nullptr), "") == 0);
  CHECK(session.digest() == before);
}

TEST(presets_and_schedules_of_bad_calls) {
  edgecl_session_config config = Model(mlp()).config();
  edgecl_error err = {};
  err.struct_size = sizeof err;
  float rate = -1;
  uint32_t n = 77;
  CHECK(edgecl_preset_describe(0, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_session_config_preset(nullptr, "er", &err) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_session_config_preset(&config, nullptr, &err) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_schedule_rate(&config, 0.5, nullptr, &err) == EDGECL_E_ARGUMENT && strstr(err.message, "found NULL"));
  CHECK(edgecl_schedule_rate(nullptr, 0.5, &rate, nullptr) == EDGECL_E_ARGUMENT && rate == -1);
  // No interval: a rehearsal that is never due would be a division by zero.
  config.rehearse_steps = 5;
  config.rehearse_interval = 0;
  CHECK(edgecl_schedule_rehearsal(&config, 10, &n, &err) == EDGECL_E_ARGUMENT && n == 77);
  CHECK(strstr(err.message, "rehearse_interval"));
  config.rehearse_interval = 4;
  CHECK(edgecl_schedule_rehearsal(&config, 8, &n, &err) == EDGECL_OK && n == 5);

  // A program whose struct ends before a field that the method sets learns of it.
  edgecl_session_config before = config;
  config.struct_size = before.struct_size = offsetof(edgecl_session_config, removal_share);
  CHECK(edgecl_session_config_preset(&config, "sparcl-er", &err) == EDGECL_E_ARGUMENT);
  CHECK(strstr(err.message, "sparcl-er") && memcmp(&config, &before, sizeof config) == 0);
  CHECK(edgecl_session_config_preset(&config, "rigl-er", &err) == EDGECL_OK);
  CHECK(config.structure == EDGECL_STRUCTURE_RIGL && config.removal_share == before.removal_share);
}

TEST(every_status_has_its_name) {
  CHECK(strcmp(edgecl_status_name(EDGECL_OK), "EDGECL_OK") == 0);
  CHECK(strcmp(edgecl_status_name(EDGECL_E_NUMERIC), "EDGECL_E_NUMERIC") == 0);
  CHECK(edgecl_status_name(12345) != nullptr);
  CHECK(edgecl_version_number() == EDGECL_VERSION_NUMBER && strcmp(edgecl_version_string(), "0.1.0") == 0);
  CHECK(strstr(edgecl_build_info(), "reference") && strstr(edgecl_build_info(), edgecl_version_string()));
  CHECK(edgecl_bundle_format_version() == 2 && edgecl_state_format_version() == 2);
}

RUN_TESTS()
