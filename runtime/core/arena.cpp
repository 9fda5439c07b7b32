// Arithmetic of the arena.
// Never here: layouts of particular objects.
#include "runtime/core/arena.h"

#include "runtime/core/text.h"

namespace edgecl {

void Arena::begin_region(const char* name) {
  for (int i = 0; i < n_regions_; i++) {
    if (same_text(regions_[i].name, name)) {
      current_ = i;
      return;
    }
  }
  if (n_regions_ == kMaxRegions) {
    exhausted_ = true;
    return;
  }
  current_ = n_regions_++;
  regions_[current_] = {name, 0};
}

size_t Arena::region_bytes(const char* name) const {
  for (int i = 0; i < n_regions_; i++) {
    if (same_text(regions_[i].name, name)) return regions_[i].bytes;
  }
  return 0;
}

uint8_t* Arena::take_bytes(uint64_t n, uint64_t element_bytes) {
  if (n > (SIZE_MAX - (kArenaAlignment - 1)) / element_bytes) {
    exhausted_ = true;
    return nullptr;
  }
  const size_t bytes =
      (static_cast<size_t>(n * element_bytes) + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
  if (exhausted_ || bytes > capacity_ - used_) {
    exhausted_ = true;
    return nullptr;
  }
  uint8_t* piece = base_ ? base_ + used_ : nullptr;
  claim(bytes);
  return piece;
}

void Arena::claim(size_t bytes) {
  used_ += bytes;
  if (current_ >= 0) regions_[current_].bytes += bytes;
}

}  // namespace edgecl
