// Cases of the hyperdimensional kernels, and what their definition promises of every level: the range of int32, codes
// that begin alike.
// Never here: how well codes keep angles (test_hyperdimensional.py measures it).
#include <stdlib.h>

#include <algorithm>

#include "tests/kernels/shapes.h"

namespace edgecl::test {
namespace {

std::string name_of(int rows, int bits) {
  return text("%d rows of %d bits", rows, bits);
}

template <class T>
void output_of(Case& c, T** slot, int64_t n) {
  std::vector<T> before(static_cast<size_t>(n));
  for (T& v : before) v = static_cast<T>(c.rng().next());
  c.output_values(slot, before);
}

int random_bits(Rng& rng) {
  return 64 * (rng.chance(0.8) ? rng.range(1, 24) : rng.pick({64, 157, 200}));
}

uint64_t* random_codes(Case& c, int rows, int bits) {
  std::vector<uint64_t> words(static_cast<size_t>(rows) * static_cast<size_t>(bits / 64));
  for (uint64_t& w : words) w = c.rng().next();
  return c.copy(words);  // as random_features
}

int16_t* random_features(Case& c, int rows, int width) {
  std::vector<int16_t> x(static_cast<size_t>(rows) * static_cast<size_t>(width));
  const int largest = c.rng().pick({kHdMaxFeature, 100, 1});
  const double share = c.rng().pick({1.0, 0.2, 0.01});
  for (int16_t& v : x) v = static_cast<int16_t>(c.rng().chance(share) ? c.rng().range(-largest, largest) : 0);
  return c.copy(x);  // nothing behind it may be read: the sanitizers look
}

void encode(Tests& tests, Rng& rng) {
  const int width = rng.chance(0.1) ? rng.pick({2047, 2048, 2049, 5000}) : rng.range(1, 700), rows = rng.range(1, 4),
            bits = random_bits(rng);
  Case c(rng);
  HdEncodeArgs args = {random_features(c, rows, width),   rows, width,  rng.next(),
                       static_cast<uint32_t>(rng.next()), bits, nullptr};
  output_of(c, &args.codes, static_cast<int64_t>(rows) * bits / 64);
  CHECK_KERNEL(tests, c, hd_encode, args, name_of(rows, bits) + text(" of %d features", width));
}

std::vector<uint64_t> encode_at(const KernelTable& table, const std::vector<int16_t>& x, int bits) {
  std::vector<uint64_t> code(static_cast<size_t>(bits / 64));
  const HdEncodeArgs args = {x.data(), 1, static_cast<int32_t>(x.size()), 7, 3, bits, code.data()};
  std::vector<int32_t> scratch(table.hd_encode_scratch_bytes(args) / 4 + 16);
  void* aligned = scratch.data() + (64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64) % 64 / 4;
  table.hd_encode(args, 0, 1, aligned);
  return code;
}

// Sums of the first transform that reach the bound: features of its own signs, then the alternating ones. The second
// transform must not overflow (a sanitizer would say so of the reference, the others would differ from it).
void encode_at_the_edge(Tests& tests, const KernelTable& table) {
  const KernelTable& reference = *kernel_table("reference");
  for (int width : {1, 256, 1280, 2048, 4096, 8192, 16384, 32768, 65536}) {
    const uint64_t stream = hd_stream(7, HdPurpose::kFirstSigns, 3);
    std::vector<int16_t> x(static_cast<size_t>(width));
    for (int flip = 0; flip < 2; flip++) {
      for (size_t i = 0; i < x.size(); i++) {
        const bool minus = ((hd_word(stream, i / 64) >> (i % 64)) & 1) != (flip && i % 2);
        x[i] = static_cast<int16_t>(minus ? -kHdMaxFeature : kHdMaxFeature);
      }
      const int bits = std::min(width < 256 ? 64 : width, 4096);
      tests.expect(encode_at(table, x, bits) == encode_at(reference, x, bits),
                   text("largest features, %d of them, at %s", width, table.level));
    }
  }
}

void encode_keeps_its_word(Tests& tests, const KernelTable& table) {
  Rng rng(3);
  std::vector<int16_t> x(300);
  for (int16_t& v : x) v = static_cast<int16_t>(rng.range(-1000, 1000));
  const std::vector<uint64_t> longest = encode_at(table, x, 2048);
  for (int bits : {64, 512, 1024 + 64}) {
    const std::vector<uint64_t> code = encode_at(table, x, bits);
    tests.expect(std::equal(code.begin(), code.end(), longest.begin()),
                 text("a code of %d bits begins the longer one, %s", bits, table.level));
  }
  for (int16_t& v : x) v = static_cast<int16_t>(-v);
  const std::vector<uint64_t> opposite = encode_at(table, x, 2048);
  int same = 0;
  for (size_t i = 0; i < opposite.size(); i++)
    for (int k = 0; k < 64; k++) same += ((opposite[i] ^ longest[i]) >> k & 1) == 0;
  tests.expect(same <= 8, text("the opposite row has the opposite code but for ties (%d), %s", same, table.level));

  std::fill(x.begin(), x.end(), int16_t{0});
  const std::vector<uint64_t> ties = encode_at(table, x, 2048);
  const uint64_t stream = hd_stream(7, HdPurpose::kBlockSigns, 3);
  for (size_t i = 0; i < ties.size(); i++)
    tests.expect(ties[i] == hd_word(stream, i), text("a row of zeros is hash bits, %s", table.level));
}

void bundle(Tests& tests, Rng& rng) {
  const int rows = rng.range(1, 4), bits = random_bits(rng), layers = rng.range(1, kHdMaxLayers);
  Case c(rng);
  HdBundleArgs args = {};
  for (int l = 0; l < layers; l++) {
    args.codes[l] = l > 0 && rng.chance(0.2) ? args.codes[l - 1] : random_codes(c, rows, bits);
    args.layer[l] = static_cast<uint32_t>(rng.range(0, 9));
  }
  args.n_layers = layers, args.rows = rows, args.bits = bits;
  args.seed = rng.next();
  args.bind = rng.chance(0.5);
  output_of(c, &args.bundle, static_cast<int64_t>(rows) * bits / 64);
  CHECK_KERNEL(tests, c, hd_bundle_majority, args,
               name_of(rows, bits) + text(", %d layers, bind %d", layers, args.bind));
}

void count(Tests& tests, Rng& rng) {
  const int rows = rng.pick({0, 1, 2, 3, 17, 300}), bits = random_bits(rng), classes = rng.range(1, 5);
  {
    Case c(rng);
    HdAccumulateArgs args = {random_codes(c, rows, bits), rows, bits, nullptr, rng.chance(0.5)};
    output_of(c, &args.counters, bits);
    CHECK_KERNEL(tests, c, hd_accumulate, args, name_of(rows, bits) + text(", subtract %d", args.subtract));
  }
  Case c(rng);
  std::vector<int32_t> counters(static_cast<size_t>(classes) * static_cast<size_t>(bits));
  for (int32_t& v : counters) v = rng.chance(0.1) ? rng.pick({INT32_MIN, INT32_MAX}) : rng.range(-2, 2);
  HdSignsArgs args = {c.copy(counters), classes, bits, rng.next(), nullptr};
  output_of(c, &args.codes, static_cast<int64_t>(classes) * bits / 64);
  CHECK_KERNEL(tests, c, hd_signs, args, name_of(classes, bits));
}

void hamming(Tests& tests, Rng& rng) {
  const int rows = rng.range(1, 4), bits = random_bits(rng), classes = rng.range(1, 9);
  Case c(rng);
  HdHammingArgs args = {random_codes(c, rows, bits), random_codes(c, classes, bits), rows, classes, bits, nullptr};
  if (rng.chance(0.2)) {  // all bits differ: the largest counts
    std::vector<uint64_t> opposite(args.codes, args.codes + rows * bits / 64);
    for (uint64_t& w : opposite) w = ~w;
    args.exemplars = c.copy(opposite);
    args.n_exemplars = rows;
  }
  output_of(c, &args.distance, static_cast<int64_t>(rows) * args.n_exemplars);
  CHECK_KERNEL(tests, c, hd_hamming, args, name_of(rows, bits) + text(", %d exemplars", args.n_exemplars));
}

}  // namespace

void hyperdimensional_cases(Tests& tests) {
  Rng rng(0x4d);
  for (int i = 0; i < tests.repeats(200, 2000); i++) {
    bundle(tests, rng);
    count(tests, rng);
    hamming(tests, rng);
  }
  for (int i = 0; i < tests.repeats(200, 2000); i++) encode(tests, rng);
  const char* names[16];
  const int n = kernel_levels(names, 16);
  for (int i = 0; i < n; i++) {
    const KernelTable& table = *kernel_table(names[i]);
    encode_at_the_edge(tests, table);
    encode_keeps_its_word(tests, table);
  }
}

}  // namespace edgecl::test
