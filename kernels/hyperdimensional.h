// Hyperdimensional codes: argument structs, preconditions and the definition of the five kernels that encode features
// as sign bits, bundle, count and compare them. All integers: results are exact and no order of a sum matters.
// Never here: allocation, I/O, status codes; scaling and centring of features, thresholds, routing.
#ifndef EDGECL_KERNELS_HYPERDIMENSIONAL_H_
#define EDGECL_KERNELS_HYPERDIMENSIONAL_H_

#include <stdint.h>

#include "kernels/moments.h"

// ---------------------------------------------------------------------------------------------------------------
// A code has `bits` = D bits in D / 64 words of 64, bit k in word k / 64 at place k % 64. D is a multiple of 64 from 64
// to kHdMaxBits. Set means +1, clear means -1. An array of codes is [rows][D / 64], dense.
//
// Hash bits come from a counter, not from a state: bit k of stream (seed, purpose, layer) is bit k % 64 of
// hd_word(hd_stream(seed, purpose, layer), k / 64). So any part of a code can be made alone, and the first D' bits of a
// code are the code of D' bits.
// ---------------------------------------------------------------------------------------------------------------
namespace edgecl {

constexpr int kHdMaxBits = 65536;
constexpr int kHdMaxFeatures = 65536;
constexpr int kHdMaxFeature = kQuantizedLimit;  // largest |feature|: rows of quantize_rows fit
constexpr int kHdMinBlock = 256;  // of hd_block: shorter transforms are too far from Gaussian for one-hot features
constexpr int kHdMaxLayers = 8;   // of one bundle

enum class HdPurpose : uint32_t { kFirstSigns = 0, kBlockSigns = 1, kLayerKey = 2, kBundleTies = 3, kCounterTies = 4 };

// SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators"): word i of a stream is its
// i-th output.
__attribute__((always_inline)) inline uint64_t hd_word(uint64_t stream, uint64_t i) {
  uint64_t z = stream + (i + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
__attribute__((always_inline)) inline uint64_t hd_stream(uint64_t seed, HdPurpose purpose, uint32_t layer) {
  return hd_word(hd_word(seed, static_cast<uint64_t>(purpose)), layer);
}

// Length B of the transforms: the power of two that holds all features, at least kHdMinBlock.
__attribute__((always_inline)) inline int32_t hd_block(int32_t features) {
  int32_t block = kHdMinBlock;
  while (block < features) block *= 2;
  return block;
}
// Places by which the first transform is shifted to the right, so that the second one stays inside int32: its partial
// sums are at most sum |y| <= B^1.5 * kHdMaxFeature (Cauchy-Schwarz; a transform scales the length by sqrt(B)), plus
// B / 2 by rounding. 0 up to 2,048 features.
__attribute__((always_inline)) inline int hd_shift(int32_t block) {
  int log = 0;
  while ((int32_t{1} << log) < block) log++;
  const int shift = (3 * log + 1) / 2 - 17;
  return shift > 0 ? shift : 0;
}

// Signs of a random projection whose matrix is never stored: with H the Hadamard matrix of size B (natural order,
// H[k][m] = (-1)^popcount(k & m)) and x a row of features, continued with zeros to B,
//   y[m]         = (sum_j H[m][j] s[j] x[j] + r) >> shift,   s = bits of kFirstSigns, shift = hd_shift(B),
//                                                            r = 0 if shift = 0, else 2^(shift - 1)
//   z[b * B + k] = sum_m H[k][m] t[b * B + m] y[m],          t = bits of kBlockSigns
//   bit i        = z[i] > 0, or where z[i] = 0 the i-th bit of kBlockSigns
// where a set bit of s or t means -1. The blocks b share y. Changing all of t's signs changes all of z's, so a z of 0
// has either bit with the same probability. cos(pi * hamming / D) estimates the cosine of two rows; the error of the
// angle is about 0.8 of a dense Gaussian projection's, as large as that for one-hot features and for a handful of
// features. Work of a row: (1 + D / B) B log2(B) additions, D / B rounded up.
// Ailon & Chazelle 2006, "Approximate nearest neighbors and the fast Johnson-Lindenstrauss transform"; Yu et al. 2016,
// "Orthogonal random features"; Charikar 2002, "Similarity estimation techniques from rounding algorithms".
struct HdEncodeArgs {
  const int16_t* features;  // [rows][width], |value| <= kHdMaxFeature, centred; only the direction of a row matters
  int32_t rows, width;      // width 1 to kHdMaxFeatures
  uint64_t seed;
  uint32_t layer;
  int32_t bits;
  uint64_t* codes;  // [rows][bits / 64], overwritten
};

// Bitwise majority of one code of each layer, row by row; with `bind` each code is first XORed with the key of its layer
// (bits of kLayerKey), which makes codes of one projection distinct. With an even n_layers the bit of stream (seed,
// kBundleTies, 0) is one more vote: it decides where as many bits are set as clear.
struct HdBundleArgs {
  const uint64_t* codes[kHdMaxLayers];  // n_layers pointers to [rows][bits / 64]
  uint32_t layer[kHdMaxLayers];         // numbers of these layers; read if bind
  int32_t n_layers;                     // 1 to kHdMaxLayers
  int32_t rows, bits;
  uint64_t seed;
  bool bind;
  uint64_t* bundle;  // [rows][bits / 64], overwritten; may be one of codes
};

// counters[i] += sum over the codes of (2 * bit i - 1), or -= with `subtract`, which removes codes exactly. Wraps around
// beyond int32: 2^31 - 1 codes are safe.
struct HdAccumulateArgs {
  const uint64_t* codes;  // [rows][bits / 64]
  int32_t rows, bits;     // rows may be 0
  int32_t* counters;      // [bits]
  bool subtract;
};

// bit i = counters[i] > 0, or where it is 0 the bit of stream (seed, kCounterTies, 0), the same for all rows: a tie then
// moves a query as near to every exemplar.
struct HdSignsArgs {
  const int32_t* counters;  // [rows][bits]
  int32_t rows, bits;
  uint64_t seed;
  uint64_t* codes;  // [rows][bits / 64], overwritten
};

// distance[r][c] = number of bits in which code r and exemplar c differ.
struct HdHammingArgs {
  const uint64_t* codes;      // [rows][bits / 64]
  const uint64_t* exemplars;  // [n_exemplars][bits / 64]
  int32_t rows, n_exemplars, bits;
  int32_t* distance;  // [rows][n_exemplars], overwritten
};

}  // namespace edgecl

#endif  // EDGECL_KERNELS_HYPERDIMENSIONAL_H_
