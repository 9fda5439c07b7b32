// A head of hyperdimensional codes: each embedding becomes a code of bits, each class a counter a bit, and the signs of
// the counters are what codes are compared with (Kanerva 2009, "Hyperdimensional computing"; the codes are signs of a
// random projection: kernels/hyperdimensional.h).
// Never here: the kernels, centring of embeddings (the exporter puts it before the head).
//
// Codes are integers made of integers, and a counter is a sum of them: rows commute, can be taken back without a trace,
// and counters of devices are added (parts.h). Nothing saturates: kMaxStatisticRows rows of all devices together stay far
// below 2^31. The seed is the same everywhere, so that they agree on what a bit is.
#ifndef EDGECL_RUNTIME_HEADS_HD_HEAD_H_
#define EDGECL_RUNTIME_HEADS_HD_HEAD_H_

#include "kernels/kernels.h"
#include "runtime/heads/head.h"
#include "runtime/heads/statistics.h"

namespace edgecl {

constexpr uint32_t kDefaultHdBits = 4096;  // of a recipe that says 0
constexpr uint64_t kHdSeed = 0;

struct HdHead {
  Statistics sums;                // of codes: dim is the number of bits; counters, and neither moments nor a bank
  uint32_t words = 0;             // of a code
  float score_scale = 0;          // of similarities
  uint64_t* exemplars = nullptr;  // [columns][words]: signs of the counters, unless `changed`
  uint8_t* changed = nullptr;     // [columns]
  int16_t* features = nullptr;    // [embedding_dim] of the embedding under way, sums.row
  uint64_t* code = nullptr;       // [words]
  int32_t* distance = nullptr;    // [columns]
};
EDGECL_TARGET_BYTES(HdHead, 128, 208);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_HEADS_HD_HEAD_H_
