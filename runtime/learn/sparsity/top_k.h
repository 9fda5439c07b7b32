// The k largest of an array of scores, exactly and without memory.
// Never here: what the scores mean.
#ifndef EDGECL_RUNTIME_LEARN_SPARSITY_TOP_K_H_
#define EDGECL_RUNTIME_LEARN_SPARSITY_TOP_K_H_

#include <stdint.h>

namespace edgecl {

// mark[i] = 1 for the k largest magnitudes (ties: the lower index first), else 0; k above n marks all. Scores finite.
// Radix selection on the bits of the floats: four passes over the array.
void mark_largest(const float* scores, uint32_t n, uint32_t k, uint8_t* mark);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_SPARSITY_TOP_K_H_
