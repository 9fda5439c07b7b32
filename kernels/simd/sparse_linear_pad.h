// The batch of a sparse linear layer as whole vectors: [channel][vector], where it does not lie so.
// Never here: arithmetic, patterns.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_LINEAR_PAD_H_
#define EDGECL_KERNELS_SIMD_SPARSE_LINEAR_PAD_H_

#include "kernels/kernels.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// Vectors of one group of a channel; the last is padded with +0.
EDGECL_INLINE int64_t lane_vectors(const Tensor& t) {
  return (t.lanes + kVec - 1) / kVec;
}
// Vectors of one channel of the batch.
EDGECL_INLINE int64_t batch_vectors(const Tensor& t) {
  return t.groups * lane_vectors(t);
}
// Whether the tensor as it lies is [channel][batch_vectors][kVec].
EDGECL_INLINE bool lies_padded(const Tensor& t) {
  return t.groups == 1 && t.lanes % kVec == 0;
}
// Writes vectors [first, first + n) of channels [begin, end) as [channel][n][kVec].
static inline void pad_channels(const Tensor& t, int64_t begin, int64_t end, int64_t first, int64_t n, float* out) {
  const int64_t lanes = t.lanes, per_group = lane_vectors(t);
  for (int64_t v = first; v < first + n; v++, out += kVec) {
    const int64_t l = v % per_group * kVec;
    const float* from = t.data + v / per_group * t.channels * lanes + l;
    float* to = out;
    if (lanes - l >= kVec)
      for (int64_t c = begin; c < end; c++, to += n * kVec) vstore(to, vload(from + c * lanes));
    else
      for (int64_t c = begin; c < end; c++, to += n * kVec)
        vstore(to, vload_n(from + c * lanes, static_cast<int>(lanes - l)));
  }
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_LINEAR_PAD_H_
