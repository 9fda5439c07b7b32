// Features to sign bits of a structured random projection: fast Walsh-Hadamard transforms in the scratch memory.
// A pass over it does two or three steps of a transform, the last one the six steps inside of 64 numbers.
// Built for size (-Os): microseconds.
// Never here: the definition of the projection (kernels/hyperdimensional.h).
#include "kernels/kernel_declarations.h"
#include "kernels/simd/bits.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr int kWordVectors = 64 / kVec;  // native vectors of 64 numbers

EDGECL_INLINE void add_and_subtract(ivec* a, ivec* b) {
  const ivec x = *a;
  *a = x + *b;
  *b = x - *b;
}

// Steps of a transform over the index of a vector: kStop = 1 all of them, 2 all but the last.
template <int kCount, int kStop>
EDGECL_INLINE void transform_vectors(ivec* v) {
  EDGECL_UNROLL
  for (int distance = kCount / 2; distance >= kStop; distance /= 2) {
    EDGECL_UNROLL
    for (int i = 0; i < kCount; i++)
      if ((i & distance) == 0) add_and_subtract(&v[i], &v[i + distance]);
  }
}

// All steps over the lanes of a pair of vectors and over the pair. Each combines even lanes with odd ones and stores the
// sums before the differences, which moves the lowest bit of the index to the top: after the last one every bit is back.
EDGECL_INLINE void transform_pair(ivec* a, ivec* b) {
#if EDGECL_VECTOR_BYTES == 64
#define EDGECL_EACH(k) \
  k, k + 2, k + 4, k + 6, k + 8, k + 10, k + 12, k + 14, k + 16, k + 18, k + 20, k + 22, k + 24, k + 26, k + 28, k + 30
#elif EDGECL_VECTOR_BYTES == 32
#define EDGECL_EACH(k) k, k + 2, k + 4, k + 6, k + 8, k + 10, k + 12, k + 14
#else
#define EDGECL_EACH(k) k, k + 2, k + 4, k + 6
#endif
  EDGECL_UNROLL
  for (int done = 1; done < 2 * kVec; done *= 2) {
    const ivec even = __builtin_shufflevector(*a, *b, EDGECL_EACH(0)),
               odd = __builtin_shufflevector(*a, *b, EDGECL_EACH(1));
    *a = even + odd;
    *b = even - odd;
  }
#undef EDGECL_EACH
}

// log2(kRadix) steps of a transform, on spans of the n numbers.
template <int kRadix>
EDGECL_INLINE void middle_pass(int32_t* x, int32_t n, int32_t span) {
  const int32_t distance = span / kRadix;
  for (int32_t begin = 0; begin < n; begin += span)
    for (int32_t p = begin; p < begin + distance; p += kVec) {
      ivec v[kRadix];
      EDGECL_UNROLL
      for (int i = 0; i < kRadix; i++) v[i] = iload(x + p + i * distance);
      transform_vectors<kRadix, 1>(v);
      EDGECL_UNROLL
      for (int i = 0; i < kRadix; i++) istore(x + p + i * distance, v[i]);
    }
}

// to = H (s from) of n numbers, where s are the signs of `stream` from word `signs` on; the first `wanted` of them.
__attribute__((noinline)) void transform(const int32_t* from, int32_t* to, int32_t n, uint64_t stream, uint64_t signs,
                                         int32_t wanted) {
  const int32_t distance = n / 4;
  for (int32_t p = 0; p < distance; p += 64) {
    uint64_t words[4];
    for (int i = 0; i < 4; i++) words[i] = hd_word(stream, signs + static_cast<uint64_t>((p + i * distance) / 64));
    for (int k = 0; k < 64; k += kVec) {
      ivec v[4];
      EDGECL_UNROLL
      for (int i = 0; i < 4; i++)
        v[i] = negate_where(iload(from + p + k + i * distance), static_cast<uint32_t>(words[i] >> k));
      transform_vectors<4, 1>(v);
      EDGECL_UNROLL
      for (int i = 0; i < 4; i++) istore(to + p + k + i * distance, v[i]);
    }
  }
  int32_t span = distance;
  for (; span >= 8 * 64; span /= 8) middle_pass<8>(to, n, span);
  if (span == 4 * 64) middle_pass<4>(to, n, span);
  if (span == 2 * 64) middle_pass<2>(to, n, span);
  for (int32_t p = 0; p < wanted; p += 64) {  // the last six steps
    ivec v[kWordVectors];
    EDGECL_UNROLL
    for (int i = 0; i < kWordVectors; i++) v[i] = iload(to + p + i * kVec);
    transform_vectors<kWordVectors, 2>(v);
    EDGECL_UNROLL
    for (int i = 0; i < kWordVectors; i += 2) transform_pair(&v[i], &v[i + 1]);
    EDGECL_UNROLL
    for (int i = 0; i < kWordVectors; i++) istore(to + p + i * kVec, v[i]);
  }
}

// y of one row (hyperdimensional.h); z is overwritten.
void mix_features(const HdEncodeArgs& a, int64_t row, int32_t block, int32_t* y, int32_t* z) {
  const int16_t* x = a.features + row * a.width;
  for (int32_t i = 0; i < a.width; i++) z[i] = x[i];
  for (int32_t i = a.width; i < block; i++) z[i] = 0;
  transform(z, y, block, hd_stream(a.seed, HdPurpose::kFirstSigns, a.layer), 0, block);
  const int shift = hd_shift(block);
  if (shift == 0) return;
  for (int32_t i = 0; i < block; i++) y[i] = (y[i] + (1 << (shift - 1))) >> shift;
}

// Bits [begin, begin + block) of a code, as far as it has them.
void encode_block(const HdEncodeArgs& a, int32_t begin, int32_t block, const int32_t* y, int32_t* z, uint64_t* code) {
  const uint64_t stream = hd_stream(a.seed, HdPurpose::kBlockSigns, a.layer);
  const int32_t end = a.bits - begin < block ? a.bits - begin : block;
  transform(y, z, block, stream, static_cast<uint64_t>(begin / 64), end);
  for (int32_t p = 0; p < end; p += 64) {
    const int32_t word = (begin + p) / 64;
    code[word] = positive_lanes(z + p, [&] { return hd_word(stream, static_cast<uint64_t>(word)); });
  }
}

}  // namespace

void hd_encode(const HdEncodeArgs& a, int part, int n_parts, void* scratch) {
  const int32_t block = hd_block(a.width);
  const int64_t blocks = (a.bits + block - 1) / block;
  int32_t *y = static_cast<int32_t*>(scratch), *z = y + block;
  int64_t begin, end, mixed = -1;
  share(a.rows * blocks, part, n_parts, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const int64_t row = i / blocks;
    if (row != mixed) mix_features(a, row, block, y, z);
    mixed = row;
    encode_block(a, static_cast<int32_t>(i % blocks) * block, block, y, z, a.codes + row * (a.bits / 64));
  }
}

}  // namespace edgecl::EDGECL_LEVEL
