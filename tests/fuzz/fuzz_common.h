// What all fuzz targets share: bytes as decisions, memory whose ends are guarded, seeds, words worth trying.
// Never here: the C API (fuzz_session.h), the formats (fuzz_formats.h).
#ifndef EDGECL_TESTS_FUZZ_FUZZ_COMMON_H_
#define EDGECL_TESTS_FUZZ_FUZZ_COMMON_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>
#include <vector>

#include "runtime/core/rng.h"
#include "tests/runtime/learn_fixture.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EDGECL_FUZZ_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define EDGECL_FUZZ_ASAN 1
#endif
#ifdef EDGECL_FUZZ_ASAN
#include <sanitizer/asan_interface.h>
// GCC has the function but not its header.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, size_t),
                                                         void (*on_free)(const volatile void*));
#endif

// The fuzzer's own mutation of a piece of text (libFuzzer's; fuzz_replay.cpp has a small one for builds without it).
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// Ends the run where something that must hold does not.
#define REQUIRE(condition, ...)                                               \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: REQUIRE(%s):", __FILE__, __LINE__, #condition); \
      fprintf(stderr, " " __VA_ARGS__);                                       \
      fputc('\n', stderr);                                                    \
      abort();                                                                \
    }                                                                         \
  } while (0)

namespace edgecl_fuzz {

using edgecl::BundleSource;
using edgecl::RandomStream;

// The bytes of an input as decisions, front to back; zeros behind the end.
class Input {
 public:
  Input(const uint8_t* bytes, size_t n) : at_(bytes), left_(n) {}

  size_t left() const { return left_; }
  uint8_t u8() {
    if (left_ == 0) return 0;
    left_--;
    return *at_++;
  }
  uint32_t u16() {
    const uint32_t low = u8();
    return low | static_cast<uint32_t>(u8()) << 8;
  }
  uint32_t u32() {
    const uint32_t low = u16();
    return low | u16() << 16;
  }
  uint64_t u64() {
    const uint64_t low = u32();
    return low | static_cast<uint64_t>(u32()) << 32;
  }
  uint32_t below(uint32_t n) { return n <= 256 ? u8() % n : u32() % n; }
  // Mostly small; now and then a border of some range, or anything.
  uint32_t number() {
    static const uint32_t kBorders[] = {63,    64,      127,     128,        255,        256,        1024,      65535,
                                        65536, 1 << 20, 1 << 24, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe};
    const uint8_t kind = u8();
    if (kind < 200) return kind % 20;
    if (kind < 240) return kBorders[u8() % (sizeof kBorders / sizeof kBorders[0])];
    return u32();
  }
  // Mostly tame; now and then zero, huge, tiny, not a number, or any bits.
  float real() {
    const uint8_t kind = u8();
    if (kind < 200) return static_cast<float>(kind) / 100 - 0.5f;
    static const uint32_t kBits[] = {0,          0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f7fffff, 0x00000001,
                                     0x00800000, 0x3f800000, 0x4e6e6b28, 0x53e8d4a5, 0xff7fffff, 0x3f7fffff};
    const uint32_t bits = kind < 245 ? kBits[u8() % (sizeof kBits / sizeof kBits[0])] : u32();
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
  }

 private:
  const uint8_t* at_;
  size_t left_;
};

// Memory that is taken once and used again by every execution. What lies behind the bytes in use is poisoned, so that
// AddressSanitizer finds whoever goes there.
class Block {
 public:
  explicit Block(size_t capacity)
      : capacity_(capacity), memory_(static_cast<uint8_t*>(aligned_alloc(64, (capacity + 127) / 64 * 64))) {
    REQUIRE(memory_ != nullptr);
  }
  ~Block() {
    use(capacity_);
    free(memory_);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  size_t capacity() const { return capacity_; }
  // n bytes with what they held.
  uint8_t* use(size_t n) {
    REQUIRE(n <= capacity_, "%zu bytes of %zu", n, capacity_);
#ifdef EDGECL_FUZZ_ASAN
    ASAN_UNPOISON_MEMORY_REGION(memory_, n);
    ASAN_POISON_MEMORY_REGION(memory_ + n, capacity_ + 64 - n);
#endif
    return memory_;
  }
  uint8_t* copy(const void* bytes, size_t n) {
    use(n);
    if (n > 0) memcpy(memory_, bytes, n);
    return memory_;
  }

 private:
  size_t capacity_;
  uint8_t* memory_;
};

// A word near `before`, or one of the borders of the formats.
inline uint64_t mutated_word(RandomStream* random, uint64_t before) {
  static const uint64_t kValues[] = {0,          1,          2,          3,          4,          7,          8,
                                     16,         64,         255,        1024,       65535,      65536,      1u << 20,
                                     1u << 24,   0x7fffffff, 0x80000000, 0xffffffff, 0x7f800000, 1ull << 63, ~0ull,
                                     0x3f800000, 0x7fc00000, 0x4e6e6b28, 0x53e8d4a5, 0xff800000};
  switch (random->bounded(6)) {
    case 0:
      return before + 1;
    case 1:
      return before - 1;
    case 2:
      return before ^ 1ull << random->bounded(64);
    case 3:
      return before ^ 1ull << random->bounded(8);
    case 4:
      return random->next_u64() >> random->bounded(64);
    default:
      return kValues[random->bounded(sizeof kValues / sizeof kValues[0])];
  }
}

// Changes one word in bytes[begin, end): to a near one, to a border, or to another word of the same place.
inline void mutate_word(RandomStream* random, uint8_t* bytes, size_t begin, size_t end) {
  if (end < begin + 8) return;
  const size_t width = random->bounded(4) == 0 ? 8 : 4;
  const uint32_t places = static_cast<uint32_t>((end - begin - width) / 4 + 1);
  uint8_t* at = bytes + begin + random->bounded(places) * 4;
  uint64_t word = 0;
  if (random->bounded(6) == 0) {
    memcpy(&word, bytes + begin + random->bounded(places) * 4, width);  // an index of the right kind
  } else {
    memcpy(&word, at, width);
    word = mutated_word(random, word);
  }
  memcpy(at, &word, width);
}

// Small networks of every kind, and some random ones.
inline BundleSource seed_source(uint32_t i) {
  BundleSource source;
  switch (i) {
    case 0:
      return edgecl_test::mlp();
    case 1:
      source = edgecl_test::mlp(0.5f);
      source.params[0].nnz_capacity = 40;
      return source;
    case 2:
      return edgecl_test::image_net();
    case 3:
      return edgecl_test::tail_net();
    case 4:
      source = edgecl_test::tail_net(false, true);
      source.params[6].nnz_capacity = source.params[6].sparse ? 100 : 0;
      return source;
    case 5:
      return edgecl_test::residual_net();
    case 6:
      return edgecl_test::all_kinds_net();
    case 20:
      return edgecl_test::with_exemplars(edgecl_test::mlp(), edgecl::format::kElementF32);
    case 21:
      return edgecl_test::with_exemplars(edgecl_test::tail_net(), edgecl::format::kElementU8);
    case 22:
      return edgecl_test::with_exemplars(edgecl_test::mlp(0.5f), edgecl::format::kElementI8);
    case 23:
      return edgecl_test::domain_net();
    case 24:
      return edgecl_test::domain_net(false);
    case 25:
      return edgecl_test::with_encoder(edgecl_test::mlp());
    default:
      return edgecl_test::random_net(i - 7);
  }
}
constexpr uint32_t kSeeds = 26;

// The seeds as bundles; made once.
inline const std::vector<uint8_t>& seed_bundle(uint32_t i) {
  static std::vector<std::vector<uint8_t>> all;
  if (all.empty()) {
    for (uint32_t k = 0; k < kSeeds; k++) {
      std::string error;
      all.push_back(edgecl::write_bundle(seed_source(k), &error));
      REQUIRE(error.empty(), "seed %u: %s", k, error.c_str());
    }
  }
  return all[i % kSeeds];
}

// A failure's sentence says what was expected and what was found.
inline void require_sentence(const char* text) {
  REQUIRE(strstr(text, "expected") != nullptr && strstr(text, "found") != nullptr, "'%s'", text);
}

}  // namespace edgecl_fuzz

#endif  // EDGECL_TESTS_FUZZ_FUZZ_COMMON_H_
