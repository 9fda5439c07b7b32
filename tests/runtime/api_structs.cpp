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
  CHECK(edgecl_predict(s, &batch, out, sizeof out[0] - 1) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_predict(s, nullptr, out, sizeof out[0]) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_logits(s, &batch, nullptr, 64) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_logits(s, &batch, floats, 2 * kColumns - 1) == EDGECL_E_SHAPE);
  CHECK(edgecl_embed(s, &batch, floats, 2 * kHidden - 1) == EDGECL_E_SHAPE);
  CHECK(edgecl_embed(s, &batch, floats, 2 * kHidden) == EDGECL_OK);
  CHECK(edgecl_class_add(s, "a", nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_class_find(s, nullptr, &label) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_class_describe(s, 0, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_consolidate(s, 0, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_state_size(s, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_state_export(s, nullptr, 10, &n) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_state_export(s, floats, sizeof floats, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_state_import(s, nullptr, 10) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_state_digest(s, nullptr) == EDGECL_E_ARGUMENT &&
        edgecl_state_digest(nullptr, digest) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_session_stats(s, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_session_learning_rate(s, 0) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_session_learning_rate(s, __builtin_nanf("")) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_session_learning_rate(s, __builtin_inff()) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_session_reset(nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_model_describe(nullptr, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_model_close(nullptr) == EDGECL_OK);
  edgecl_session_destroy(nullptr);
  CHECK(strcmp(edgecl_session_error(nullptr), "") == 0);
  CHECK(session.digest() == before);
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
