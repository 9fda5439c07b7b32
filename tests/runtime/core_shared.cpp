// Parameters of several operators: what the section SHARED must say, and what may not be shared.
// Never here: gradients (core_executor.cpp).
#include "runtime/bundle/bundle_format.h"
#include "runtime/bundle/bundle_reader.h"
#include "tests/runtime/bundle_forging.h"
#include "tests/runtime/check.h"
#include "tests/runtime/core_nets.h"
#include "tests/runtime/sentence.h"

using namespace edgecl;
using namespace edgecl_test;

static Status read_again(std::vector<uint8_t> bytes) {
  header_of(bytes.data())->file_bytes = bytes.size();
  digest_again(bytes.data());
  AlignedBytes aligned(bytes);
  Plan plan;
  return read_plan(&aligned, &plan);
}

static bool says(const Status& status, const char* words) {
  return !status.ok() && sentence(status).find(words) != std::string::npos;
}

// Two convolutions of one weight and bias, then a linear layer.
static BundleSource shared_source() {
  NetBuilder net(5);
  NetBuilder::ConvOptions options;
  options.bias = true;
  uint32_t x = net.conv(net.conv(net.input(3, 4, 4), 3, options), 3, options);
  net.source.ops[1].params = net.source.ops[0].params;
  net.source.params.resize(2);
  x = net.global_pool(x);
  net.finish(net.linear(x, 3), x);
  return net.source;
}

TEST(uses_that_add_are_listed_exactly) {
  const std::vector<uint8_t> good = written(shared_source());
  AlignedBytes aligned(good);
  Plan plan;
  CHECK(read_plan(&aligned, &plan).ok() && plan.shared.n == 1 && plan.shared[0].op == 0 && plan.shared[0].params == 3);
  CHECK(plan.writes_gradient(1, 0) && !plan.writes_gradient(0, 1) && plan.added_gradients(1) == 0);
  const format::SharedRecord wrong[] = {{0, 1}, {0, 7}, {0, 0}, {1, 3}, {99, 3}};
  for (const format::SharedRecord& record : wrong) {
    std::vector<uint8_t> bytes = good;
    const uint32_t last = header_of(bytes.data())->n_sections - 1;
    memcpy(bytes.data() + table_of(bytes.data())[last].offset, &record, sizeof record);
    const Status status = read_again(bytes);
    CHECK_MESSAGE(says(status, "SHARED"), "{%u, %u}: %s", record.op, record.params, sentence(status).c_str());
  }
}

// A library that knows no SHARED must refuse the file: it would lose gradients. This one refuses the file without it.
TEST(the_section_is_required_where_parameters_are_shared) {
  std::vector<uint8_t> bytes = written(shared_source());
  const uint32_t last = header_of(bytes.data())->n_sections - 1;
  CHECK(table_of(bytes.data())[last].type == format::kSectionShared && table_of(bytes.data())[last].flags == 0);
  const format::SectionRecord before = table_of(bytes.data())[last - 1];
  bytes.resize(before.offset + before.bytes);
  bytes.erase(bytes.begin() + static_cast<long>(sizeof(format::Header) + last * sizeof before),
              bytes.begin() + static_cast<long>(sizeof(format::Header) + (last + 1) * sizeof before));
  header_of(bytes.data())->n_sections = last;
  for (uint32_t i = 0; i < last; i++) table_of(bytes.data())[i].offset -= sizeof before;
  CHECK(says(read_again(bytes), "expected bits 3 for operator 0"));

  BundleSource apart = shared_source();
  for (uint32_t use : {0u, 1u}) {
    apart.params.push_back(apart.params[use]);
    apart.ops[0].params[use] = static_cast<uint32_t>(apart.params.size() - 1);
  }
  bytes = written(apart);
  CHECK(table_of(bytes.data())[header_of(bytes.data())->n_sections - 1].type != format::kSectionShared);
}

TEST(what_cannot_be_shared_is_refused) {
  auto refused = [](const BundleSource& source, const char* words) {
    std::string error;
    CHECK_MESSAGE(write_bundle(source, &error).empty() && error.find(words) != std::string::npos,
                  "wanted '%s', got: %s", words, error.c_str());
  };
  NetBuilder head(6);
  uint32_t x = head.linear(head.input(3, 1, 1), 3);
  x = head.linear(x, 3);
  head.source.params.resize(2);
  head.source.ops[1].params = head.source.ops[0].params;
  head.finish(x);
  refused(head.source, "expected the layer of the logits to share no parameter");

  NetBuilder kinds(7);
  x = kinds.group_norm(kinds.layer_norm(kinds.input(4, 1, 1), true, true, true), 2);
  kinds.source.ops[1].params = kinds.source.ops[0].params;
  kinds.source.params.resize(2);
  kinds.finish(kinds.linear(x, 3), x);
  refused(kinds.source, "expected operators of one kind");
}

RUN_TESTS()
