// Wrong records of recurrent layers: each refused with a sentence that names it; work and memory that are counted.
// Never here: what the layers compute (core_executor.cpp).
#include "runtime/core/ops/op_rule.h"
#include "tests/runtime/check.h"
#include "tests/runtime/core_nets.h"

using namespace edgecl;
using namespace edgecl_test;

namespace {

// One layer of two features in, three out, over four steps.
BundleSource one_layer(RecurrentCell cell = RecurrentCell::kGruLinear) {
  NetBuilder net;
  uint32_t x = net.recurrent(net.input(2, 1, 4), 3, cell, false);
  x = net.flatten(x);
  net.finish(net.linear(x, 2), x);
  return net.source;
}

template <class Change>
void refused(const char* words, Change change) {
  BundleSource net = one_layer();
  change(&net);
  std::string error;
  CHECK(write_bundle(net, &error).empty());
  CHECK_MESSAGE(error.find(words) != std::string::npos, "wanted '%s', got: %s", words, error.c_str());
}

}  // namespace

TEST(cells_and_directions_that_there_are_not) {
  refused("i[0] (cell)", [](BundleSource* net) { net->ops[0].i[0] = 5; });
  refused("i[0] (cell)", [](BundleSource* net) { net->ops[0].i[0] = -1; });
  refused("i[1] (reverse)", [](BundleSource* net) { net->ops[0].i[1] = 2; });
  refused("activation", [](BundleSource* net) { net->ops[0].activation = 1; });
}

TEST(weights_of_another_cell) {
  refused("dense weight of 2 x 12 in place 0", [](BundleSource* net) { net->ops[0].i[0] = 4; });
  refused("dense weight of 2 x 3 in place 0", [](BundleSource* net) { net->ops[0].i[0] = 0; });
  refused("dense weight of 3 x 9 in place 1", [](BundleSource* net) {
    std::swap(net->ops[0].params[1], net->ops[0].params[0]);
    net->ops[0].params[0] = net->ops[0].params[1];
  });
  refused("in place 1", [](BundleSource* net) { net->ops[0].params.resize(1); });
  refused("dense vector of 9 in place 3", [](BundleSource* net) { net->ops[0].params.pop_back(); });
  refused("dense vector of 9 in place 2", [](BundleSource* net) { net->ops[0].params[2] = format::kNone; });
}

TEST(maps_are_no_sequences) {
  BundleSource net = one_layer();
  net.input_dims = {2, 2, 2};
  net.tensors[0].height = net.tensors[0].width = 2;
  std::string error;
  CHECK(write_bundle(net, &error).empty());
  CHECK_MESSAGE(error.find("height 1") != std::string::npos, "got: %s", error.c_str());
}

TEST(work_and_memory_of_a_layer) {
  std::string error;
  AlignedBytes bytes(write_bundle(one_layer(), &error));
  Plan plan;
  CHECK(read_plan(&bytes, &plan).ok());
  CHECK(op_macs_forward(plan, 0, false) == 4 * (2 + 3) * 9);
  CHECK(op_rule(format::kOpRecurrent)->kept_floats(plan, plan.ops[0]) == 4 * 5 * 3);
}

RUN_TESTS()
