// Bounded reads of a section.
// Never here: what the bytes mean.
#include "runtime/state/section_reader.h"

#include <string.h>

namespace edgecl {

const uint8_t* SectionReader::bytes(uint64_t n) {
  if (n > left_) {
    failed_ = true;
    left_ = 0;
    return nullptr;
  }
  const uint8_t* p = at_;
  at_ += n;
  left_ -= n;
  return p;
}

uint32_t SectionReader::u32() {
  uint32_t x = 0;
  const uint8_t* p = bytes(sizeof x);
  if (p != nullptr) memcpy(&x, p, sizeof x);
  return x;
}

uint64_t SectionReader::u64() {
  const uint64_t low = u32();
  return low | static_cast<uint64_t>(u32()) << 32;
}

uint32_t SectionReader::list() {
  const uint32_t n = u32();
  if (u32() != 0) failed_ = true;
  return n;
}

bool SectionReader::floats(uint64_t n, float limit, float* to) {
  const uint8_t* p = n > left_ / sizeof(float) ? bytes(left_ + 1) : bytes(n * sizeof(float));
  if (p == nullptr) return false;
  // Without the sign, the order of the bits is that of the numbers, with infinity and NaN on top.
  uint32_t top, largest = 0;
  memcpy(&top, &limit, sizeof top);
  for (uint64_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, p + i * sizeof bits, sizeof bits);
    bits &= 0x7fffffffu;
    largest = bits > largest ? bits : largest;
  }
  if (largest > top) return false;
  if (to != nullptr && n > 0) memcpy(to, p, static_cast<size_t>(n * sizeof(float)));
  return true;
}

Status SectionReader::corrupt(const char* what) const {
  return failure(EDGECL_E_STATE_CORRUPT,
                 "state section %s: expected a sound section; found %s; restore the file from a copy", name_, what);
}

}  // namespace edgecl
