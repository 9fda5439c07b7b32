// Wrong records of views, boxes, reductions and elementwise functions: each refused with a sentence that names it.
// Never here: what the operators compute (core_executor.cpp), other operators (core_reader.cpp).
#include "tests/runtime/check.h"
#include "tests/runtime/core_nets.h"

using namespace edgecl;
using namespace edgecl_test;

namespace {

SourceOp* of_kind(BundleSource* net, uint32_t kind) {
  for (SourceOp& op : net->ops) {
    if (op.kind == kind) return &op;
  }
  return nullptr;
}

template <class Change>
void refused(const char* words, Change change) {
  BundleSource net = all_kinds_net();
  change(&net);
  std::string error;
  CHECK(write_bundle(net, &error).empty());
  CHECK_MESSAGE(error.find(words) != std::string::npos, "wanted '%s', got: %s", words, error.c_str());
}

// Another number in the parameter of the first operator of a kind.
void refused_number(uint32_t kind, const char* words, size_t place, int32_t value) {
  refused(words, [&](BundleSource* net) {
    memcpy(net->params[of_kind(net, kind)->params[0]].integers.data() + 4 * place, &value, 4);
  });
}

}  // namespace

TEST(views_that_leave_their_tensor) {
  refused_number(format::kOpStrided, "size of the view", 2, 0);
  refused_number(format::kOpStrided, "elements of the view", 2, 5);
  refused_number(format::kOpStrided, "elements of the view", 0, 2);
  refused_number(format::kOpStrided, "stride of the view", 8, 1 << 30);
  refused_number(format::kOpStrided, "first element of the view", 8, -1);
  refused_number(format::kOpStrided, "last element of the view", 8, 26);
  refused("first element", [](BundleSource* net) { of_kind(net, format::kOpStrided)->i[0] = -1; });
  refused("expected int32 of 2 x 6", [](BundleSource* net) {
    of_kind(net, format::kOpStrided)->params[0] = of_kind(net, format::kOpPlace)->params[0];
  });
}

TEST(boxes_that_leave_their_grid_or_overlap) {
  refused_number(format::kOpPlace, "size of the grid", 3, 0);
  refused_number(format::kOpPlace, "elements of the grid", 3, 11);
  refused_number(format::kOpPlace, "begin of a box", 6, 1);
  refused_number(format::kOpPlace, "size of a box", 12, 2);
  refused_number(format::kOpPlace, "elements of a box", 17, 4);
  refused_number(format::kOpPlace, "do not overlap", 22, 0);
  refused("finite bounds", [](BundleSource* net) { of_kind(net, format::kOpPlace)->activation_lo = __builtin_inff(); });
}

TEST(kinds_that_there_are_not) {
  refused("i[0]", [](BundleSource* net) { of_kind(net, format::kOpReduce)->i[0] = 3; });
  refused("i[0]", [](BundleSource* net) { of_kind(net, format::kOpSoftmax)->i[0] = 2; });
  refused("n_inputs", [](BundleSource* net) { of_kind(net, format::kOpMaximum)->inputs.pop_back(); });
  refused("dense vector", [](BundleSource* net) { of_kind(net, format::kOpPrelu)->params.clear(); });
  refused("activation", [](BundleSource* net) { of_kind(net, format::kOpActivation)->activation = 26; });
  refused("celu", [](BundleSource* net) {
    of_kind(net, format::kOpActivation)->activation = static_cast<uint32_t>(Activation::kCelu);
    of_kind(net, format::kOpActivation)->activation_lo = 0;
  });
}

TEST(layer_norms_that_there_are_not) {
  refused("i[0]", [](BundleSource* net) { of_kind(net, format::kOpLayerNorm)->i[0] = 2; });
  refused("epsilon", [](BundleSource* net) { of_kind(net, format::kOpLayerNorm)->epsilon = 0; });
  refused("dense vector", [](BundleSource* net) {
    of_kind(net, format::kOpLayerNorm)->params[0] = of_kind(net, format::kOpStrided)->params[0];
  });
  refused("expected none in place 2", [](BundleSource* net) {
    of_kind(net, format::kOpLayerNorm)->params.resize(4, format::kNone);
    of_kind(net, format::kOpLayerNorm)->params[2] = of_kind(net, format::kOpStrided)->params[0];
  });
  refused("output", [](BundleSource* net) { net->tensors[of_kind(net, format::kOpLayerNorm)->output].height++; });
}

TEST(products_that_leave_their_tensors) {
  refused_number(format::kOpMatmul, "size of the product", 2, 0);
  refused_number(format::kOpMatmul, "size of the product", 5, 181);
  refused_number(format::kOpMatmul, "elements of the product", 3, 4);
  refused_number(format::kOpMatmul, "elements of the product", 4, 6);
  refused_number(format::kOpMatmul, "an axis that the operand has not", 6 + 4, 1);
  refused_number(format::kOpMatmul, "an axis that the operand has not", 12 + 3, 1);
  refused_number(format::kOpMatmul, "an axis that the operand has not", 18 + 5, 1);
  refused_number(format::kOpMatmul, "stride of the product", 6 + 2, -1);
  refused_number(format::kOpMatmul, "last element of the product", 6 + 2, 6);
  refused_number(format::kOpMatmul, "elements that differ", 6 + 2, 4);
  refused_number(format::kOpMatmul, "elements that differ", 12 + 5, 14);
  refused_number(format::kOpMatmul, "stride of the product's output", 18 + 3, 0);
  refused_number(format::kOpMatmul, "elements that differ", 18 + 3, 1);
  refused("first element", [](BundleSource* net) { of_kind(net, format::kOpMatmul)->i[0] = -1; });
  refused("last element", [](BundleSource* net) { of_kind(net, format::kOpMatmul)->i[1] = 1; });
  refused("factor", [](BundleSource* net) { of_kind(net, format::kOpMatmul)->activation_lo = 0; });
  refused("finite bounds",
          [](BundleSource* net) { of_kind(net, format::kOpMatmul)->activation_lo = __builtin_inff(); });
  refused("expected int32 of 4 x 6", [](BundleSource* net) {
    of_kind(net, format::kOpMatmul)->params[0] = of_kind(net, format::kOpStrided)->params[0];
  });
  refused("n_inputs", [](BundleSource* net) { of_kind(net, format::kOpMatmul)->inputs.pop_back(); });
}

RUN_TESTS()
