// libFuzzer target: any bytes as a bundle. What the reader accepts is run too: its proof must be enough for kernels.
// Never here: checks of results.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vector>

#include "runtime/bundle/bundle_reader.h"
#include "runtime/core/executor.h"
#include "runtime/core/sha256.h"
#include "runtime/core/weights.h"
#include "tests/runtime/core_nets.h"
#include "tests/runtime/sentence.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

using namespace edgecl;
namespace format = edgecl::format;

constexpr uint64_t kSmallArena = 16u << 20;  // bytes: larger plans are only read
constexpr uint64_t kSmallMacs = 4u << 20;

// Digests made good again, as far as the table lets us find the sections.
void digest_again(uint8_t* bytes, size_t n) {
  if (n < sizeof(format::Header)) return;
  format::Header* header = reinterpret_cast<format::Header*>(bytes);
  const uint64_t n_sections = header->n_sections;
  if (n_sections > (n - sizeof(format::Header)) / sizeof(format::SectionRecord)) return;
  format::SectionRecord* table = reinterpret_cast<format::SectionRecord*>(bytes + sizeof(format::Header));
  for (uint64_t i = 0; i < n_sections; i++) {
    if (table[i].offset <= n && table[i].bytes <= n - table[i].offset)
      sha256(bytes + table[i].offset, table[i].bytes, table[i].sha256);
  }
  sha256(table, n_sections * sizeof(format::SectionRecord), header->table_sha256);
}

void run_small(const Plan& plan) {
  if (plan.model->macs_forward > kSmallMacs) return;
  const uint32_t rows = plan.n_bytes % 2 != 0 ? 3 : 16;
  if (!rows_fit(plan, rows)) return;
  Weights weights;
  Workspace work;
  Environment env;
  env.kernels = kernel_table(nullptr);
  env.parallel.n_threads = 2;
  env.serial_work = 0;
  auto lay_out = [&](Arena* arena) {
    lay_out_weights(arena, plan, {true, true, false, rows}, &weights, &work);
    const uint64_t learn = activation_floats(plan, Mode::kLearn, rows),
                   predict = activation_floats(plan, Mode::kPredict, rows);
    work.activations = arena->take<float>(learn > predict ? learn : predict);
    work.scratch_stride = scratch_bytes_per_thread(plan, *env.kernels, rows, true, false);
    work.scratch = arena->take<uint8_t>(work.scratch_stride * 2);
    arena->take<float>(kReadSlack);
  };
  Arena measuring;
  lay_out(&measuring);
  if (measuring.exhausted() || measuring.used() > kSmallArena) return;
  edgecl_test::AlignedBytes memory(measuring.used());
  Arena arena(memory.data(), memory.size());
  lay_out(&arena);
  if (arena.exhausted()) abort();
  initialise_weights(plan, weights, work);
  const Net net = {plan, weights, work, env};
  for (Mode mode : {Mode::kPredict, Mode::kLearn}) {
    const Tensor x = plan_tensor(net, 0, rows, mode);
    for (int64_t i = 0; i < x.size(); i++) x.data[i] = 0.01f * static_cast<float>(i % 100);
    forward(net, rows, mode);
  }
  if (plan.backward.n > 0) {
    const Tensor dy = plan_tensor(net, plan.logits_gradient(), rows, Mode::kLearn);
    for (int64_t i = 0; i < dy.size(); i++) dy.data[i] = 1.0f;
    backward(net, rows);
  }
  gradients_finite(net);
  commit_statistics(net);
  sgd(net, 0.01f, 0.9f, 0.0f);
}

const std::vector<uint8_t>& seed_bundle(unsigned seed) {
  static std::vector<std::vector<uint8_t>> seeds;
  if (seeds.empty()) {
    std::string error;
    seeds.push_back(write_bundle(edgecl_test::residual_net(), &error));
    seeds.push_back(write_bundle(edgecl_test::all_kinds_net(), &error));
    for (uint64_t i = 0; i < 14; i++) seeds.push_back(write_bundle(edgecl_test::random_net(i), &error));
    if (!error.empty()) abort();
  }
  return seeds[seed % seeds.size()];
}

uint64_t interesting(RandomStream* random, uint64_t before) {
  static const uint64_t kValues[] = {0,   1,    2,     3,        4,          7,          8,          16,         64,
                                     255, 1024, 65535, 1u << 24, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 63, ~0ull};
  switch (random->bounded(5)) {
    case 0:
      return before + 1;
    case 1:
      return before - 1;
    case 2:
      return before ^ 1ull << random->bounded(64);
    case 3:
      return random->next_u64() >> random->bounded(64);
    default:
      return kValues[random->bounded(sizeof kValues / sizeof kValues[0])];
  }
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  RandomStream random = {seed, 0, 0};
  const format::Header* header = reinterpret_cast<const format::Header*>(data);
  auto has_table = [&] {
    return size >= sizeof(format::Header) && header->magic == format::kMagic && header->n_sections >= 1 &&
           header->n_sections <= (size - sizeof(format::Header)) / sizeof(format::SectionRecord);
  };
  if (!has_table() || random.bounded(64) == 0) {
    const std::vector<uint8_t>& bundle = seed_bundle(random.next_u32());
    if (bundle.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
    memcpy(data, bundle.data(), bundle.size());
    return bundle.size();
  }
  if (random.bounded(50) == 0) return LLVMFuzzerMutate(data, size, max_size);  // digests stay wrong

  const uint32_t n_changes = 1 + random.bounded(3);
  for (uint32_t change = 0; change < n_changes; change++) {
    size_t begin = 0, end = size;
    if (has_table() && random.bounded(16) != 0) {  // a word of one section, DATA as rarely as the others
      const format::SectionRecord* table =
          reinterpret_cast<const format::SectionRecord*>(data + sizeof(format::Header));
      const format::SectionRecord& section = table[random.bounded(header->n_sections)];
      if (section.offset > size || section.bytes > size - section.offset || section.bytes < 8) continue;
      begin = section.offset;
      end = section.offset + section.bytes;
    }
    if (end - begin < 8) continue;
    const size_t width = random.bounded(4) == 0 ? 8 : 4;
    const size_t at = begin + random.bounded(static_cast<uint32_t>((end - begin - width) / 4 + 1)) * 4;
    uint64_t word = 0;
    if (random.bounded(6) == 0) {  // a word from elsewhere in the section: indices of the right kind
      memcpy(&word, data + begin + random.bounded(static_cast<uint32_t>((end - begin - width) / 4 + 1)) * 4, width);
    } else {
      memcpy(&word, data + at, width);
      word = interesting(&random, word);
    }
    memcpy(data + at, &word, width);
  }
  digest_again(data, size);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  edgecl_test::AlignedBytes bytes(std::vector<uint8_t>(data, data + size));
  Plan plan;
  const Status status = read_plan(&bytes, &plan);
  if (status.ok()) {
    run_small(plan);
  } else if (strstr(edgecl_test::sentence(status).c_str(), "expected") == nullptr ||
             strstr(edgecl_test::sentence(status).c_str(), "found") == nullptr) {
    abort();
  }
  return 0;
}
