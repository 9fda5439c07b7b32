// Synthetic samples: a fixed pattern for each label plus noise; the same bytes on every platform.
// Never here: files, anything random that a seed does not fix.
#ifndef EDGECL_RUNTIME_RUNNER_SYNTHETIC_H_
#define EDGECL_RUNTIME_RUNNER_SYNTHETIC_H_

#include <stdint.h>

typedef struct Synthetic {
  uint64_t state;     // of a 64-bit linear congruential generator (Knuth's MMIX constants)
  uint64_t elements;  // of one sample
  int is_u8;
} Synthetic;

// Fills `rows` samples and their labels, which are drawn from labels[0..n_labels). float32: pattern and noise each in
// [-0.5, 0.5); uint8: each in 0..127.
void synthetic_rows(Synthetic* source, const int32_t* labels, uint32_t n_labels, uint32_t rows, void* samples,
                    int32_t* out_labels);

#endif
