// Digest, random generator, arena, status, floating-point control.
// Never here: bundles.
#include <math.h>

#include <string>

#include "runtime/core/arena.h"
#include "runtime/core/fp_control.h"
#include "runtime/core/rng.h"
#include "runtime/core/sha256.h"
#include "runtime/core/status.h"
#include "tests/runtime/check.h"
#include "tests/runtime/sentence.h"

using namespace edgecl;
using edgecl_test::sentence;

static std::string hex(const uint8_t* bytes, size_t n) {
  std::string text;
  for (size_t i = 0; i < n; i++) {
    char pair[3];
    snprintf(pair, sizeof pair, "%02x", bytes[i]);
    text += pair;
  }
  return text;
}

static std::string digest_of(const std::string& message) {
  uint8_t digest[kSha256Bytes];
  sha256(message.data(), message.size(), digest);
  return hex(digest, sizeof digest);
}

// FIPS 180-2, appendix B, and the NIST example of the empty message.
TEST(sha256_published_vectors) {
  CHECK(digest_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(digest_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(digest_of(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(sha256_in_pieces_and_on_both_paths) {
  std::string message;
  for (int i = 0; i < 1000; i++) message.push_back(static_cast<char>(i * 31 + 7));
  const std::string whole = digest_of(message);
  for (size_t piece : {1u, 3u, 63u, 64u, 65u, 200u}) {
    Sha256 hash;
    for (size_t at = 0; at < message.size(); at += piece)
      hash.update(message.data() + at, std::min(piece, message.size() - at));
    uint8_t digest[kSha256Bytes];
    hash.finish(digest);
    CHECK(hex(digest, sizeof digest) == whole);
  }
  uint32_t fast[8] = {1, 2, 3, 4, 5, 6, 7, 8}, portable[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  sha256_compress(fast, reinterpret_cast<const uint8_t*>(message.data()), 15);
  sha256_compress_portable(portable, reinterpret_cast<const uint8_t*>(message.data()), 15);
  CHECK(memcmp(fast, portable, sizeof fast) == 0);
}

// Known answers that the authors of Philox publish with their library (philox4x32, 10 rounds).
TEST(philox_known_answers) {
  struct Answer {
    uint32_t counter[4], key[2], out[4];
  };
  const Answer answers[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Answer& answer : answers) {
    uint32_t out[4];
    philox4x32_10(answer.counter, answer.key, out);
    CHECK(memcmp(out, answer.out, sizeof out) == 0);
  }
}

TEST(random_stream) {
  RandomStream a = {7, 1, 0}, b = {7, 1, 0}, other = {7, 2, 0};
  bool differs = false;
  for (int i = 0; i < 100; i++) {
    const uint32_t x = a.next_u32();
    CHECK(x == b.next_u32());
    differs = differs || x != other.next_u32();
  }
  CHECK(differs && a.position == 100);
  // The word at a position does not depend on how the stream got there.
  RandomStream jumped = {7, 1, 99};
  b.position = 99;
  CHECK(jumped.next_u32() == b.next_u32());

  int count[6] = {};
  for (int i = 0; i < 60000; i++) {
    const uint32_t x = a.bounded(6);
    CHECK(x < 6);
    count[x]++;
  }
  for (int n : count) CHECK(n > 9600 && n < 10400);  // standard deviation 91
  CHECK(a.bounded(1) == 0);
  for (int i = 0; i < 1000; i++) {
    CHECK(a.bounded(0x80000001u) <= 0x80000000u);
    CHECK(a.bounded64(0x300000000ull) < 0x300000000ull);
    const float x = a.next_float();
    CHECK(x >= 0.0f && x < 1.0f);
  }
}

template <class Take>
static void lay_out(Arena* arena, Take take) {
  arena->begin_region("a");
  take(arena->take<float>(3));
  arena->begin_region("b");
  take(arena->take<uint8_t>(65));
  arena->begin_region("a");
  take(arena->take<uint64_t>(8));
}

TEST(arena_measures_what_it_hands_out) {
  Arena measuring;
  lay_out(&measuring, [](void* p) { CHECK(p == nullptr); });
  CHECK(measuring.used() == 64 + 128 + 64 && !measuring.exhausted());
  CHECK(measuring.region_bytes("a") == 128 && measuring.region_bytes("b") == 128 && measuring.region_bytes("c") == 0);

  alignas(64) uint8_t memory[256];
  Arena real(memory, sizeof memory);
  lay_out(&real, [&](void* p) { CHECK(p != nullptr && reinterpret_cast<uintptr_t>(p) % 64 == 0); });
  CHECK(real.used() == measuring.used() && !real.exhausted());
  CHECK(real.take<uint8_t>(1) == nullptr && real.exhausted());

  Arena short_one(memory, 255);
  lay_out(&short_one, [](void*) {});
  CHECK(short_one.exhausted());
}

TEST(arena_sizes_saturate) {
  Arena arena;
  arena.take<uint64_t>(~0ull);
  CHECK(arena.exhausted());
  Arena sum;
  sum.take<uint8_t>(SIZE_MAX - 100);
  CHECK(!sum.exhausted());
  sum.take<uint8_t>(100);
  CHECK(sum.exhausted());
}

struct Linked {  // as many bytes as its two widths
  const void* next;
  uint32_t number;
};
namespace edgecl {
EDGECL_TARGET_BYTES(Linked, 8, 16);
}

TEST(arena_sizes_for_another_pointer_width) {
  const auto bytes = [](uint32_t pointer_bytes) {
    Arena arena(pointer_bytes);
    arena.take<const void*>(32);
    arena.take<Linked>(64);
    arena.take<float>(16);
    return arena.used();
  };
  CHECK(bytes(4) == 32 * 4 + 64 * 8 + 64);
  CHECK(bytes(8) == 32 * 8 + 64 * 16 + 64);
  Arena here;
  here.take<Linked>(64);
  CHECK(here.used() == 64 * sizeof(Linked));
  Arena small(4);  // an address space of 4 GiB
  small.take<float>(1u << 30);
  CHECK(small.exhausted());
}

TEST(status_messages) {
  const Status ok;
  CHECK(ok.ok() && sentence(ok).empty());
  const Status bad = failure(EDGECL_E_SHAPE, "expected %u, found %s", 3u, "4");
  CHECK(!bad.ok() && bad.code == EDGECL_E_SHAPE && sentence(bad) == "expected 3, found 4");
  edgecl_error err = {};
  err.struct_size = sizeof err;
  CHECK(report(bad, &err) == EDGECL_E_SHAPE && err.status == EDGECL_E_SHAPE && sentence(bad) == err.message);
  edgecl_error small = {};
  small.struct_size = 16;
  memset(small.message, 'z', sizeof small.message);
  CHECK(report(bad, &small) == EDGECL_E_SHAPE && strcmp(small.message, "expecte") == 0 && small.message[8] == 'z');
  CHECK(report(bad, nullptr) == EDGECL_E_SHAPE);
}

TEST(status_conversions) {
  const Status whole =
      failure(EDGECL_E_IO, "%d %u %lld %llu %zu %x", INT32_MIN, UINT32_MAX, static_cast<long long>(INT64_MIN),
              static_cast<unsigned long long>(UINT64_MAX), static_cast<size_t>(0), 0xbeefu);
  CHECK_MESSAGE(sentence(whole) == "-2147483648 4294967295 -9223372036854775808 18446744073709551615 0 beef", "%s",
                sentence(whole).c_str());
  CHECK(sentence(failure(EDGECL_E_IO, "%c|%.3s|%.3s|", 'c', "ab", "abcd")) == "c|ab|abc|");
  // A limit never splits a character either, and needs no zero behind it.
  const char unterminated[] = {'a', '\xc3', '\xa9', 'b'};
  CHECK(sentence(failure(EDGECL_E_IO, "%.2s|", unterminated)) == "a|");
  CHECK(sentence(failure(EDGECL_E_IO, "%.3s|", unterminated)) == "a\xc3\xa9|");
  CHECK(sentence(corrupt("OPS", 3, "kind", "expected %u, found %u", 1u, 2u)) ==
        "bundle section OPS, record 3, field kind: expected 1, found 2; export the model again");
  CHECK(sentence(corrupt("MODEL", Status::kNoRecord, "name", "expected text")) ==
        "bundle section MODEL, field name: expected text; export the model again");
}

TEST(a_cut_sentence_ends_with_a_whole_character) {
  const std::string letters[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\xa2"};
  for (const std::string& letter : letters) {
    for (size_t shift = 0; shift < 4; shift++) {
      std::string text(shift, 'x');
      while (text.size() < 700) text += letter;
      const std::string cut = sentence(failure(EDGECL_E_IO, "%s", text.c_str()));
      const size_t room = sizeof(edgecl_error::message) - 1;
      CHECK(cut.size() <= room && cut.size() + letter.size() > room);
      CHECK((cut.size() - shift) % letter.size() == 0 && text.compare(0, cut.size(), cut) == 0);
    }
  }
  // What follows a piece that did not fit is left out too.
  char small[4];
  write_message(failure(EDGECL_E_IO, "a%sb", "\xf0\x9f\x90\xa2"), small, sizeof small);
  CHECK(strcmp(small, "a") == 0);
}

#if defined(__x86_64__)
TEST(floating_point_control_is_set_and_restored) {
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040 | 0x6000);  // flush to zero, denormals are zero, round towards zero
  const unsigned callers = _mm_getcsr();
  volatile float tiny = 1e-38f, half = 0.5f;
  CHECK(tiny * half * half == 0.0f);
  {
    FpControl fp;
    CHECK(tiny * half * half != 0.0f);
  }
  CHECK(_mm_getcsr() == callers);
  _mm_setcsr(before);
}
#endif

RUN_TESTS()
