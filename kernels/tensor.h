// A tensor as kernels see it; the memory layout is in kernels.h.
// Never here: arguments of kernels.
#ifndef EDGECL_KERNELS_TENSOR_H_
#define EDGECL_KERNELS_TENSOR_H_

#include <stdint.h>

namespace edgecl {

constexpr int kMaxInputs = 8;  // of one concat or place

// Inlined always: a copy compiled for one level must never be linked into another.
#define EDGECL_ALWAYS_INLINE __attribute__((always_inline))
struct Tensor {  // [groups][channels][height][width][lanes]
  float* data;
  int32_t groups, channels, height, width, lanes;
  EDGECL_ALWAYS_INLINE int64_t plane() const { return static_cast<int64_t>(height) * width * lanes; }
  EDGECL_ALWAYS_INLINE int64_t size() const { return static_cast<int64_t>(groups) * channels * plane(); }
  EDGECL_ALWAYS_INLINE int32_t rows() const { return groups * lanes; }
};

}  // namespace edgecl

#endif  // EDGECL_KERNELS_TENSOR_H_
