// SHA-256: padding, and the portable compression function of FIPS 180-4, section 6.2.
// Never here: instructions of one CPU (sha256_x86.cpp).
#include "runtime/core/sha256.h"

#include <string.h>

namespace edgecl {

#if defined(__x86_64__)
// sha256_x86.cpp: false when this CPU lacks the instructions (nothing was done then).
bool sha256_compress_x86(uint32_t state[8], const uint8_t* blocks, size_t n_blocks);
#endif

namespace {

// First 32 bits of the fractional parts of the square roots of the first 8 primes.
constexpr uint32_t kInitial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

}  // namespace

// First 32 bits of the fractional parts of the cube roots of the first 64 primes.
alignas(64) extern const uint32_t kSha256Round[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

namespace {

inline uint32_t rotate_right(uint32_t x, int n) {
  return x >> n | x << (32 - n);
}

inline uint32_t load_big_endian(const uint8_t* p) {
  return static_cast<uint32_t>(p[0]) << 24 | static_cast<uint32_t>(p[1]) << 16 | static_cast<uint32_t>(p[2]) << 8 |
         p[3];
}

inline void store_big_endian(uint8_t* p, uint32_t x) {
  p[0] = static_cast<uint8_t>(x >> 24);
  p[1] = static_cast<uint8_t>(x >> 16);
  p[2] = static_cast<uint8_t>(x >> 8);
  p[3] = static_cast<uint8_t>(x);
}

// Message schedule word t, kept in a ring of 16.
inline uint32_t schedule(uint32_t w[16], int t) {
  const uint32_t w2 = w[(t + 14) & 15], w15 = w[(t + 1) & 15];
  const uint32_t s1 = rotate_right(w2, 17) ^ rotate_right(w2, 19) ^ (w2 >> 10);
  const uint32_t s0 = rotate_right(w15, 7) ^ rotate_right(w15, 18) ^ (w15 >> 3);
  return w[t & 15] += s1 + w[(t + 9) & 15] + s0;
}

// One round without moving the eight variables: the caller rotates their names.
inline void round(uint32_t a, uint32_t b, uint32_t c, uint32_t& d, uint32_t e, uint32_t f, uint32_t g, uint32_t& h,
                  uint32_t kw) {
  const uint32_t t1 = h + (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25)) + ((e & f) ^ (~e & g)) + kw;
  const uint32_t t2 = (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
  d += t1;
  h = t1 + t2;
}

}  // namespace

void sha256_compress_portable(uint32_t state[8], const uint8_t* blocks, size_t n_blocks) {
  const uint32_t* k = kSha256Round;
  uint32_t w[16];
  for (; n_blocks > 0; n_blocks--, blocks += 64) {
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6],
             h = state[7];
    for (int t = 0; t < 16; t++) w[t] = load_big_endian(blocks + 4 * t);
    for (int t = 0; t < 64; t += 8) {
      uint32_t kw[8];
      for (int i = 0; i < 8; i++) kw[i] = k[t + i] + (t < 16 ? w[t + i] : schedule(w, t + i));
      round(a, b, c, d, e, f, g, h, kw[0]);
      round(h, a, b, c, d, e, f, g, kw[1]);
      round(g, h, a, b, c, d, e, f, kw[2]);
      round(f, g, h, a, b, c, d, e, kw[3]);
      round(e, f, g, h, a, b, c, d, kw[4]);
      round(d, e, f, g, h, a, b, c, kw[5]);
      round(c, d, e, f, g, h, a, b, kw[6]);
      round(b, c, d, e, f, g, h, a, kw[7]);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
  }
}

void sha256_compress(uint32_t state[8], const uint8_t* blocks, size_t n_blocks) {
#if defined(__x86_64__)
  if (sha256_compress_x86(state, blocks, n_blocks)) return;
#endif
  sha256_compress_portable(state, blocks, n_blocks);
}

void Sha256::reset() {
  memcpy(state_, kInitial, sizeof state_);
  total_bytes_ = 0;
  n_pending_ = 0;
}

// Not inlined into each other: the call costs nothing beside a block, and each copy a kilobyte.
__attribute__((noinline)) void Sha256::update(const void* bytes, size_t n) {
  const uint8_t* p = static_cast<const uint8_t*>(bytes);
  total_bytes_ += n;
  if (n_pending_ > 0) {
    const size_t room = sizeof pending_ - n_pending_;
    const size_t part = n < room ? n : room;
    if (part > 0) memcpy(pending_ + n_pending_, p, part);
    n_pending_ += static_cast<uint32_t>(part);
    p += part;
    n -= part;
    if (n_pending_ < sizeof pending_) return;
    sha256_compress(state_, pending_, 1);
    n_pending_ = 0;
  }
  const size_t n_blocks = n / sizeof pending_;
  if (n_blocks > 0) sha256_compress(state_, p, n_blocks);
  const size_t rest = n % sizeof pending_;
  if (rest > 0) memcpy(pending_, p + n_blocks * sizeof pending_, rest);
  n_pending_ = static_cast<uint32_t>(rest);
}

__attribute__((noinline)) void Sha256::finish(uint8_t digest[kSha256Bytes]) {
  const uint64_t bits = total_bytes_ * 8;
  pending_[n_pending_++] = 0x80;
  if (n_pending_ > 56) {
    memset(pending_ + n_pending_, 0, sizeof pending_ - n_pending_);
    sha256_compress(state_, pending_, 1);
    n_pending_ = 0;
  }
  memset(pending_ + n_pending_, 0, 56 - n_pending_);
  store_big_endian(pending_ + 56, static_cast<uint32_t>(bits >> 32));
  store_big_endian(pending_ + 60, static_cast<uint32_t>(bits));
  sha256_compress(state_, pending_, 1);
  for (int i = 0; i < 8; i++) store_big_endian(digest + 4 * i, state_[i]);
  reset();
}

void sha256(const void* bytes, size_t n, uint8_t digest[kSha256Bytes]) {
  Sha256 hash;
  hash.update(bytes, n);
  hash.finish(digest);
}

}  // namespace edgecl
