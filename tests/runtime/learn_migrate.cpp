// States that move to a bundle that was exported again.
// Never here: imports into the bundle that a state belongs to (learn_state.cpp).
#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;

struct Moved {
  edgecl_status status;
  std::vector<uint8_t> state;
  edgecl_migration told;
  std::string sentence;
};

Moved migrate(const Model& from, const Model& to, const std::vector<uint8_t>& state) {
  Moved moved = {};
  moved.state.resize(state.size());
  moved.told.struct_size = sizeof moved.told;
  edgecl_error err = {};
  err.struct_size = sizeof err;
  moved.status = edgecl_state_migrate(from.model, to.model, state.data(), state.size(), moved.state.data(),
                                      moved.state.size(), &moved.told, &err);
  moved.sentence = err.message;
  return moved;
}

std::vector<uint8_t> learned(const Model& model) {
  Session session(model, model.config());
  Stream stream(model.info, 3);
  for (int i = 0; i < 6; i++) {
    stream.next(4, 0, 3);
    CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  }
  return session.state();
}

// The same network after another export: an operator of its own in front, other numbers and names, other frozen values.
BundleSource exported_again() {
  BundleSource source = tail_net(false, true);
  source.notes = "again";
  for (SourceParam& param : source.params) {
    param.name = "module." + param.name;
    if (!param.trainable && !param.values.empty()) param.values[0] += 0.25f;
  }
  SourceParam constant;  // a frozen parameter more, before all others: their numbers move
  constant.name = "offset";
  constant.dims = {1, 1, 1};
  constant.values = {0.0f};
  source.params.insert(source.params.begin(), constant);
  for (SourceOp& op : source.ops) {
    for (uint32_t& param : op.params) {
      if (param != format::kNone) param++;
    }
  }
  source.head_weight++;
  if (source.head_bias != format::kNone) source.head_bias++;
  edgecl::SourceTensor shifted = source.tensors[0];
  shifted.name = "shifted";
  source.tensors.push_back(shifted);
  const uint32_t tensor = static_cast<uint32_t>(source.tensors.size() - 1);
  SourceOp add;
  add.name = "shift";
  add.kind = format::kOpAdd;
  add.inputs = {0};
  add.output = tensor;
  add.params = {0};
  for (SourceOp& op : source.ops) {
    for (uint32_t& input : op.inputs) {
      if (input == 0) input = tensor;
    }
  }
  source.ops.insert(source.ops.begin(), add);
  for (edgecl::SourceBackward& record : source.backward) record.op++;
  return source;
}

}  // namespace

TEST(a_state_moves_to_the_same_network_exported_again) {
  const Model from(tail_net(false, true)), to(exported_again());
  const std::vector<uint8_t> state = learned(from);
  const Moved moved = migrate(from, to, state);
  CHECK_MESSAGE(moved.status == EDGECL_OK, "%s", moved.sentence.c_str());
  CHECK(moved.told.n_params == from.info.n_trainable_params && moved.told.n_renamed == moved.told.n_params);
  CHECK(moved.told.n_frozen_changed > 0 && moved.told.n_classes_left == 0);
  Session target(to, to.config());
  const edgecl_status taken = edgecl_state_import(target.session, moved.state.data(), moved.state.size());
  CHECK_MESSAGE(taken == EDGECL_OK, "%s", edgecl_session_error(target.session));
  CHECK(target.state() == moved.state);
  const DecodedState before = StateDecoder(state).decode(), after = StateDecoder(moved.state).decode();
  CHECK(before.params.size() == after.params.size() && before.replay.size() == after.replay.size());
  for (size_t i = 0; i < before.params.size(); i++) CHECK(before.params[i].values == after.params[i].values);
  Stream stream(to.info, 5);
  stream.next(4, 0, 3);
  CHECK(target.learn(stream.data(), stream.labels) == EDGECL_OK);
}

TEST(to_the_same_bundle_nothing_changes) {
  const Model model(image_net());
  const std::vector<uint8_t> state = learned(model);
  const Moved moved = migrate(model, model, state);
  CHECK(moved.status == EDGECL_OK && moved.state == state);
  CHECK(moved.told.n_renamed == 0 && moved.told.n_frozen_changed == 0);
}

TEST(classes_of_the_new_bundle_that_the_state_lacks_are_told) {
  const Model from(mlp());
  BundleSource more = mlp();
  more.classes = {{0, "ant"}, {1, "bee"}, {3, "dog"}};
  const Model to(more);
  const Moved moved = migrate(from, to, learned(from));
  CHECK(moved.status == EDGECL_OK && moved.told.n_classes_left == 1);  // columns 0..2 were learned
}

TEST(other_networks_are_refused) {
  const Model from(mlp()), sparse(mlp(0.5f)), other(tail_net());
  const std::vector<uint8_t> state = learned(from);
  for (const Model* to : {&sparse, &other}) {
    const Moved moved = migrate(from, *to, state);
    CHECK(moved.status == EDGECL_E_STATE_MISMATCH &&
          moved.sentence.find("trains the same shapes") != std::string::npos);
  }
  CHECK(migrate(sparse, from, state).status == EDGECL_E_STATE_MISMATCH);  // not a state of that bundle
  std::vector<uint8_t> broken = state;
  broken[broken.size() / 2] ^= 1;
  CHECK(migrate(from, from, broken).status == EDGECL_E_STATE_CORRUPT);
  size_t n = state.size();
  std::vector<uint8_t> out(n);
  CHECK(edgecl_state_migrate(from.model, from.model, state.data(), n, out.data(), n - 1, nullptr, nullptr) ==
        EDGECL_E_SHAPE);
  CHECK(edgecl_state_migrate(from.model, nullptr, state.data(), n, out.data(), n, nullptr, nullptr) ==
        EDGECL_E_ARGUMENT);
}

RUN_TESTS()
