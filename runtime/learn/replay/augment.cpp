// Draws crop and flip for each row.
// Never here: memory, pixels.
#include "runtime/learn/replay/augment.h"

namespace edgecl {

void draw_augmentation(const Augment& augment, uint32_t height, uint32_t rows, RandomStream* random, int8_t* crop_y,
                       int8_t* crop_x, uint8_t* flip) {
  const uint32_t positions = 2 * augment.crop + 1;
  const auto offset = [&] {
    return static_cast<int8_t>(static_cast<int32_t>(random->bounded(positions)) - static_cast<int32_t>(augment.crop));
  };
  for (uint32_t r = 0; r < rows; r++) {
    crop_y[r] = augment.crop && height > 1 ? offset() : static_cast<int8_t>(0);
    crop_x[r] = augment.crop ? offset() : static_cast<int8_t>(0);
    flip[r] = augment.flip ? static_cast<uint8_t>(random->next_u32() >> 31) : static_cast<uint8_t>(0);
  }
}

}  // namespace edgecl
