// SHA-256's compression function with the x86 SHA extensions (SHA256RNDS2, SHA256MSG1, SHA256MSG2).
// Never here: anything that runs on a CPU without asking for them first.
#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

namespace edgecl {

extern const uint32_t kSha256Round[64];
bool sha256_compress_x86(uint32_t state[8], const uint8_t* blocks, size_t n_blocks);

namespace {

bool cpu_has_sha() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
  const bool has_sse41_ssse3 = (c & bit_SSE4_1) != 0 && (c & bit_SSSE3) != 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  return has_sse41_ssse3 && (b & bit_SHA) != 0;
}

// The instructions keep the state as (A, B, E, F) and (C, D, G, H), high word first. Each step of four rounds uses four
// schedule words W[t..t+3] in one register; the next four follow from the last sixteen by MSG1 (sigma0 part), an
// unaligned W[t-7] and MSG2 (sigma1 part).
__attribute__((target("sha,sse4.1,ssse3"))) void compress(uint32_t state[8], const uint8_t* blocks, size_t n_blocks) {
  const __m128i byte_order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  const __m128i dcba = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(state)), 0xb1);
  const __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(state + 4)), 0x1b);
  __m128i abef = _mm_alignr_epi8(dcba, efgh, 8);
  __m128i cdgh = _mm_blend_epi16(efgh, dcba, 0xf0);

  for (; n_blocks > 0; n_blocks--, blocks += 64) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];
    for (int i = 0; i < 4; i++) {
      w[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(blocks + 16 * i)), byte_order);
    }
#pragma GCC unroll 16
    for (int step = 0; step < 16; step++) {
      if (step >= 4) {
        const __m128i w7 = _mm_alignr_epi8(w[(step + 3) & 3], w[(step + 2) & 3], 4);
        const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[step & 3], w[(step + 1) & 3]), w7);
        w[step & 3] = _mm_sha256msg2_epu32(sum, w[(step + 3) & 3]);
      }
      const __m128i constants = _mm_load_si128(reinterpret_cast<const __m128i*>(kSha256Round + 4 * step));
      const __m128i wk = _mm_add_epi32(w[step & 3], constants);
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0e));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }

  const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state), _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

}  // namespace

bool sha256_compress_x86(uint32_t state[8], const uint8_t* blocks, size_t n_blocks) {
  static int support =
      0;  // 0 unknown, 1 no, 2 yes; CPUID traps in virtual machines, so it is asked once. Racing threads agree.
  int known = __atomic_load_n(&support, __ATOMIC_RELAXED);
  if (known == 0) {
    known = cpu_has_sha() ? 2 : 1;
    __atomic_store_n(&support, known, __ATOMIC_RELAXED);
  }
  if (known == 1) return false;
  compress(state, blocks, n_blocks);
  return true;
}

}  // namespace edgecl

#endif  // __x86_64__
