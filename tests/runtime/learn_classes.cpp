// Classes: issue, names, removal from head, buffer and counts.
// Never here: the replay buffer by itself.
#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;

edgecl_class_info describe(const Session& session, int32_t label) {
  edgecl_class_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_class_describe(session.session, label, &info) == EDGECL_OK);
  return info;
}

edgecl_status add(Session* session, const char* name, int32_t* label) {
  return edgecl_class_add(session->session, name, label);
}

}  // namespace

TEST(labels_are_issued_in_order_and_those_of_forgotten_classes_last) {
  const Model model(mlp());
  Session session(model, model.config());
  int32_t label = -1;
  CHECK(add(&session, "cup", &label) == EDGECL_OK && label == 0);
  CHECK(add(&session, nullptr, &label) == EDGECL_OK && label == 1);
  CHECK(strcmp(describe(session, 0).name, "cup") == 0 && strcmp(describe(session, 1).name, "1") == 0);
  CHECK(edgecl_class_forget(session.session, 0) == EDGECL_OK);
  CHECK(describe(session, 0).present == 0);
  CHECK(edgecl_class_forget(session.session, 0) == EDGECL_E_NOT_FOUND);
  CHECK(add(&session, "cup", &label) == EDGECL_OK && label == 2);  // the name is free again, the label is not
  CHECK(add(&session, "fork", &label) == EDGECL_OK && label == 3);
  Stream stream(model.info, 1);
  stream.next(1, 0, 1);
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_E_NOT_FOUND);  // learning alone brings none back
  CHECK(add(&session, "plate", &label) == EDGECL_OK && label == 0);  // all were issued: the forgotten one serves again
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  const std::string before = session.digest();
  CHECK(add(&session, "pan", &label) == EDGECL_E_CAPACITY && label == 0);
  CHECK(session.digest() == before);
}

TEST(names_are_checked) {
  const Model model(mlp());
  Session session(model, model.config());
  int32_t label = -1;
  CHECK(add(&session, "", &label) == EDGECL_E_ARGUMENT);
  CHECK(add(&session, std::string(64, 'x').c_str(), &label) == EDGECL_E_ARGUMENT);
  for (const char* bad : {"\x80", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "a\xff"})
    CHECK(add(&session, bad, &label) == EDGECL_E_ARGUMENT);
  CHECK(add(&session, std::string(63, 'x').c_str(), &label) == EDGECL_OK);
  CHECK(add(&session, "Tasse \xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80", &label) == EDGECL_OK && label == 1);
  CHECK(add(&session, std::string(63, 'x').c_str(), &label) == EDGECL_E_ARGUMENT);
  CHECK(add(&session, "3", &label) == EDGECL_OK && label == 2);
  int32_t found = -1;
  CHECK(edgecl_class_find(session.session, "3", &found) == EDGECL_OK && found == 2);
  CHECK(edgecl_class_find(session.session, "nothing", &found) == EDGECL_E_NOT_FOUND && found == 2);
  edgecl_class_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_class_describe(session.session, kColumns, &info) == EDGECL_E_NOT_FOUND);
  CHECK(edgecl_class_describe(session.session, -1, &info) == EDGECL_E_NOT_FOUND);
}

// A name that looks like a label stands in nobody's way: the class of that label gets another one.
TEST(a_decimal_name_of_another_class_blocks_no_label) {
  const Model model(mlp());
  Session session(model, model.config());
  int32_t label = -1;
  CHECK(add(&session, "1", &label) == EDGECL_OK && label == 0);
  Stream stream(model.info, 1);
  stream.next(4, 1, 2);
  CHECK_MESSAGE(session.learn(stream.data(), stream.labels) == EDGECL_OK, "%s", edgecl_session_error(session.session));
  CHECK(strcmp(describe(session, 1).name, "1_2") == 0 && strcmp(describe(session, 2).name, "2") == 0);
  CHECK(edgecl_class_find(session.session, "1", &label) == EDGECL_OK && label == 0);
  CHECK(add(&session, nullptr, &label) == EDGECL_OK && label == 3);
}

// However many of its other names are taken, a class gets the first free one.
TEST(a_default_name_is_the_first_free_one) {
  NetBuilder net(3);
  net.finish(net.linear(net.input(kFeatures, 1, 1), 1600));
  net.source.input_dims = {kFeatures};
  net.source.classes.clear();
  const Model model(net.source);
  Session session(model, model.config());
  int32_t label = -1;
  const uint32_t own = 1300;
  CHECK(add(&session, std::to_string(own).c_str(), &label) == EDGECL_OK && label == 0);
  // Taken: all from _2 on but _1200; and names that only look alike.
  for (const char* other : {"1300_", "1300_0", "1300_01200", "1300_1200 ", "1300_99999999999999999999", "130_1200"})
    CHECK(add(&session, other, &label) == EDGECL_OK);
  for (uint32_t k = 2; label + 1 < static_cast<int32_t>(own); k++) {
    if (k != 1200) CHECK(add(&session, ("1300_" + std::to_string(k)).c_str(), &label) == EDGECL_OK);
  }
  CHECK(add(&session, nullptr, &label) == EDGECL_OK && label == static_cast<int32_t>(own));
  CHECK_MESSAGE(strcmp(describe(session, label).name, "1300_1200") == 0, "%s", describe(session, label).name);
}

TEST(unseen_labels_follow_the_configuration) {
  const Model model(mlp());
  edgecl_session_config config = model.config();
  config.add_unseen_labels = 0;
  Session strict(model, config);
  Stream stream(model.info, 1);
  stream.next(4, 1, 2);
  const std::string before = strict.digest();
  CHECK(strict.learn(stream.data(), stream.labels) == EDGECL_E_NOT_FOUND && strict.digest() == before);
  int32_t label = -1;
  for (int i = 0; i < 3; i++) CHECK(add(&strict, nullptr, &label) == EDGECL_OK);
  CHECK(strict.learn(stream.data(), stream.labels) == EDGECL_OK);

  Session open(model, model.config());
  CHECK(open.learn(stream.data(), stream.labels) == EDGECL_OK && open.stats().n_classes == 2);
  CHECK(describe(open, 1).present == 1 && describe(open, 0).present == 0);
  CHECK(describe(open, 1).samples_seen + describe(open, 2).samples_seen == 4);
}

TEST(removal_forgets_head_buffer_and_counts) {
  for (const float momentum : {0.0f, 0.9f}) {
    const Model model(mlp());
    edgecl_session_config config = model.config();
    config.method = EDGECL_METHOD_ER;
    config.momentum = momentum;
    Session session(model, config);
    Stream stream(model.info, 1);
    for (int i = 0; i < 10; i++) {
      stream.next(4, 0, 3);
      CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
    }
    const uint64_t seen = session.stats().samples_seen, of_class = describe(session, 1).samples_seen;
    const uint32_t fill = session.stats().replay_fill, exemplars = describe(session, 1).replay_samples;
    CHECK(exemplars > 0 && of_class > 0);
    const DecodedState before = decode(session);
    CHECK(edgecl_class_forget(session.session, 1) == EDGECL_OK);
    const DecodedState after = decode(session);
    CHECK(session.stats().samples_seen == seen - of_class && session.stats().replay_fill == fill - exemplars &&
          session.stats().n_classes == 2);
    CHECK(after.replay.size() == fill - exemplars);
    for (const DecodedState::Exemplar& e : after.replay) CHECK(e.label != 1);
    for (uint32_t i = 0; i < kHidden; i++) {
      for (uint32_t c = 0; c < kColumns; c++) {
        const size_t at = i * kColumns + c;
        CHECK(after.params[2].values[at] == (c == 1 ? 0.0f : before.params[2].values[at]));
        if (momentum > 0) CHECK(after.params[2].velocity[at] == (c == 1 ? 0.0f : before.params[2].velocity[at]));
      }
    }
    for (uint32_t c = 0; c < kColumns; c++)
      CHECK(after.params[3].values[c] == (c == 1 ? 0.0f : before.params[3].values[c]));
    CHECK(after.params[0].values == before.params[0].values);
    for (int i = 0; i < 10; i++) {  // learning goes on, and never names the class again
      stream.next(4, 2, 2);
      CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
    }
    std::vector<edgecl_prediction> out(4);
    const edgecl_batch batch = session.batch(stream.data(), 4);
    CHECK(edgecl_predict(session.session, &batch, out.data(), sizeof out[0]) == EDGECL_OK);
    for (const edgecl_prediction& p : out) CHECK(p.label != 1 && p.label >= 0);
  }
}

// A sparse head keeps its pattern: the entries of the class become zero.
TEST(removal_from_a_sparse_head) {
  NetBuilder net(5);
  uint32_t x = net.input(40, 1, 1);
  net.finish(net.linear(x, 3, 0.6f), x);
  net.source.momentum = 0.9f;
  net.source.batch_size = 4;
  net.source.classes = {{0, "a"}, {1, "b"}, {2, "c"}};
  const Model model(net.source);
  Session session(model, model.config());
  Stream stream(model.info, 1);
  stream.next(4, 0, 3);
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  const DecodedState before = decode(session);
  CHECK(edgecl_class_forget(session.session, 2) == EDGECL_OK);
  const DecodedState after = decode(session);
  CHECK(after.params[0].storage == 1 && after.params[0].positions == before.params[0].positions);
  size_t zeroed = 0;
  for (size_t k = 0; k < after.params[0].positions.size(); k++) {
    const bool removed = after.params[0].positions[k] / 40 == 2;
    zeroed += removed;
    CHECK(after.params[0].values[k] == (removed ? 0.0f : before.params[0].values[k]));
    CHECK(after.params[0].velocity[k] == (removed ? 0.0f : before.params[0].velocity[k]));
  }
  CHECK(zeroed > 5);
}

TEST(bundles_ship_classes) {
  BundleSource source = mlp();
  source.classes = {{0, "zero"}, {2, "two"}};
  const Model model(source);
  edgecl_session_config config = model.config();
  config.max_classes = 2;
  edgecl_session* none = nullptr;
  edgecl_error err = {};
  err.struct_size = sizeof err;
  CHECK(edgecl_session_create(model.model, &config, nullptr, &none, &err) == EDGECL_E_CAPACITY && none == nullptr);
  Session session(model, model.config());
  int32_t label = -1;
  CHECK(session.stats().n_classes == 2);
  CHECK(add(&session, nullptr, &label) == EDGECL_OK && label == 1);
  CHECK(edgecl_class_find(session.session, "two", &label) == EDGECL_OK && label == 2);
}

RUN_TESTS()
