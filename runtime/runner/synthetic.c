// The generator and its samples. Floats are multiples of 2^-24, so sums are exact and no compiler can change them.
// Never here: the C library's rand.
#include "synthetic.h"

static uint32_t next_u32(uint64_t* state) {
  *state = *state * 6364136223846793005ull + 1442695040888963407ull;
  return (uint32_t)(*state >> 32);
}

static float unit(uint32_t word) {
  return (float)(int32_t)(word >> 8) * (1.0f / 16777216.0f) - 0.5f;
}

void synthetic_rows(Synthetic* source, const int32_t* labels, uint32_t n_labels, uint32_t rows, void* samples,
                    int32_t* out_labels) {
  float* floats = samples;
  uint8_t* bytes = samples;
  for (uint32_t r = 0; r < rows; r++) {
    const int32_t label = labels[next_u32(&source->state) % n_labels];
    uint64_t pattern = (uint64_t)(uint32_t)label * 0x9e3779b97f4a7c15ull + 1;
    out_labels[r] = label;
    for (uint64_t i = 0; i < source->elements; i++) {
      const uint32_t fixed = next_u32(&pattern), noise = next_u32(&source->state);
      if (source->is_u8) {
        *bytes++ = (uint8_t)((fixed >> 25) + (noise >> 25));
      } else {
        *floats++ = unit(fixed) + unit(noise);
      }
    }
  }
}
