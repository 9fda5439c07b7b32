// A head of hyperdimensional codes: each embedding becomes a code of bits, each class a counter a bit, and the signs of
// the counters are what codes are compared with (Kanerva 2009, "Hyperdimensional computing"; the codes are signs of a
// random projection: kernels/hyperdimensional.h).
// Never here: the kernels, centring of embeddings (the exporter puts it before the head).
//
// Codes are integers made of integers, and a counter is a sum of them: rows commute, can be taken back without a trace,
// and counters of two devices can be added. The seed is the same everywhere, so that they agree on what a bit is.
#ifndef EDGECL_RUNTIME_HEADS_HD_HEAD_H_
#define EDGECL_RUNTIME_HEADS_HD_HEAD_H_

#include "kernels/kernels.h"
#include "runtime/heads/head.h"

namespace edgecl {

constexpr uint32_t kDefaultHdBits = 4096;  // of a recipe that says 0
constexpr uint64_t kHdSeed = 0;

// Of one class.
struct HdClass {
  int64_t n;          // rows
  int64_t saturated;  // features beyond the range
};
EDGECL_SAME_BYTES(HdClass);

struct HdHead {
  uint32_t bits = 0, words = 0;   // of a code
  float scale = 0;                // a feature is round(z * scale)
  float score_scale = 0;          // of similarities
  HdClass* classes = nullptr;     // [columns]
  int32_t* counters = nullptr;    // [columns][bits]
  uint64_t* exemplars = nullptr;  // [columns][words]: signs of the counters, unless `changed`
  uint8_t* changed = nullptr;     // [columns]
  float* row = nullptr;           // [dim] one embedding under way, and what is made of it
  int16_t* features = nullptr;    // [dim]
  uint64_t* code = nullptr;       // [words]
  int32_t* distance = nullptr;    // [columns]
};
EDGECL_TARGET_BYTES(HdHead, 48, 80);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_HEADS_HD_HEAD_H_
