// Random crop and flip parameters of the rows of a step.
// Never here: pixels (the input kernel moves them), other augmentations.
#ifndef EDGECL_RUNTIME_LEARN_REPLAY_AUGMENT_H_
#define EDGECL_RUNTIME_LEARN_REPLAY_AUGMENT_H_

#include <stdint.h>

#include "runtime/core/rng.h"

namespace edgecl {

struct Augment {
  uint32_t crop = 0;  // pixels of zero border that a random window may reach into
  bool flip = false;
  bool on() const { return crop > 0 || flip; }
};

// For each of `rows` rows, current and replayed alike, in row order: vertical offset, horizontal offset (both uniform
// in -crop..crop), flip (probability 1/2). An image one pixel high is not moved vertically: nothing of it would be
// left.
void draw_augmentation(const Augment& augment, uint32_t height, uint32_t rows, RandomStream* random, int8_t* crop_y,
                       int8_t* crop_x, uint8_t* flip);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_REPLAY_AUGMENT_H_
