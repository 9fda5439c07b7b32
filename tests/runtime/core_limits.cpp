// What a bundle may ask for: weights that steps accept, work of a row; and what the writer says of broken names.
// Never here: structure and fields of a bundle (core_reader.cpp).
#include "runtime/bundle/bundle_writer.h"
#include "runtime/core/text.h"
#include "tests/runtime/check.h"
#include "tests/runtime/core_nets.h"

using namespace edgecl_test;

// conv - linear; the convolution trains or not.
static BundleSource tail_like(bool trainable) {
  NetBuilder net;
  NetBuilder::ConvOptions o;
  o.trainable = trainable;
  const uint32_t x = net.conv(net.input(2, 4, 4), 3, o);
  net.finish(net.linear(net.global_pool(x), 2));
  return net.source;
}

// A weight that trains and from which no step can lead: every learn step would be refused, and the session's own exports.
TEST(weights_that_no_step_accepts_are_refused) {
  for (const bool trainable : {true, false}) {
    for (const float value : {1e9f, -1e9f, 1.001e9f, -1e10f}) {
      BundleSource source = tail_like(trainable);
      source.params[0].values[1] = value;
      std::string error;
      const bool accepted = !write_bundle(source, &error).empty();
      CHECK(accepted == (!trainable || (value <= 1e9f && value >= -1e9f)));
      CHECK(accepted || error.find("at most 1e9") != std::string::npos);
    }
  }
}

// Small files whose one row would take minutes or hours.
TEST(work_of_a_row_is_limited) {
  for (const uint32_t n_pools : {7u, 9u}) {  // windows of 1024 on a million positions: no multiply-add is counted
    NetBuilder net;
    uint32_t x = net.input(1, 1024, 1024);
    for (uint32_t i = 0; i < n_pools; i++) x = net.pool(x, format::kOpMaxPool, 32, 1, 15);
    net.finish(net.linear(net.global_pool(x), 2));
    std::string error;
    CHECK(write_bundle(net.source, &error).empty() == (n_pools == 9));
    CHECK_MESSAGE((error.find("2^33 elements") != std::string::npos) == (n_pools == 9), "%s", error.c_str());
  }
  for (const uint32_t n_layers : {63u, 65u}) {  // 2^38 multiply-adds each, if dense; one of them is stored
    NetBuilder net;
    const uint32_t channels = 1u << 14;
    uint32_t x = net.input(channels, 32, 32);
    for (uint32_t i = 0; i < n_layers; i++) {
      edgecl::SourceParam weight;
      weight.sparse = true;
      weight.dims = {channels, channels, 1, 1};
      weight.positions = {i};
      weight.values = {1};
      net.source.params.push_back(weight);
      const uint32_t y = net.tensor("conv", channels, 32, 32);
      net.op(format::kOpConv, {x}, y, {static_cast<uint32_t>(net.source.params.size() - 1), format::kNone});
      x = y;
    }
    net.finish(net.linear(net.global_pool(x), 2));
    std::string error;
    CHECK(write_bundle(net.source, &error).empty() == (n_layers == 65));
    CHECK_MESSAGE((error.find("2^44 multiply-adds") != std::string::npos) == (n_layers == 65), "%s", error.c_str());
  }
}

// A sentence is text, also where the name in it is none.
TEST(sentences_quote_no_broken_names) {
  const std::string names[] = {std::string("a\0b", 3), "\xff\xfe", std::string(300, 'n')};
  for (const std::string& name : names) {
    BundleSource of_param = residual_net(), of_op = residual_net(), of_class = residual_net();
    of_param.params[0].name = name;
    of_param.params[0].values.pop_back();
    of_op.ops[0].name = name;
    of_op.ops[0].inputs.clear();
    of_class.classes = {{0, name}, {1, name}};
    for (const BundleSource* source : {&of_param, &of_op, &of_class}) {
      std::string error;
      CHECK(write_bundle(*source, &error).empty());
      CHECK(error.size() < 200 && error.find("found") != std::string::npos);
      CHECK(edgecl::valid_utf8(reinterpret_cast<const uint8_t*>(error.data()), error.size()));
    }
  }
}

RUN_TESTS()
