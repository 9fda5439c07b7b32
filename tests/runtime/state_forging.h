// States changed as an attacker would: words at any place, and digests that fit again.
// Never here: what a section holds.
#ifndef EDGECL_TESTS_RUNTIME_STATE_FORGING_H_
#define EDGECL_TESTS_RUNTIME_STATE_FORGING_H_

#include <stdint.h>
#include <string.h>

#include <vector>

#include "runtime/core/sha256.h"

namespace edgecl_test {

// A word of the header or the table; entry i of the table lies at 64 + 64 * i.
template <class T>
class Word {
 public:
  explicit Word(uint8_t* at) : at_(at) {}
  operator T() const {
    T value;
    memcpy(&value, at_, sizeof value);
    return value;
  }
  Word& operator=(T value) {
    memcpy(at_, &value, sizeof value);
    return *this;
  }
  Word& operator=(const Word& other) { return *this = static_cast<T>(other); }
  Word& operator+=(T value) { return *this = static_cast<T>(*this + value); }
  Word& operator-=(T value) { return *this = static_cast<T>(*this - value); }
  Word& operator^=(T value) { return *this = static_cast<T>(*this ^ value); }
  Word& operator|=(T value) { return *this = static_cast<T>(*this | value); }
  Word& operator++() { return *this += 1; }
  T operator++(int) {
    const T before = *this;
    *this += 1;
    return before;
  }
  T operator--(int) {
    const T before = *this;
    *this -= 1;
    return before;
  }

 private:
  uint8_t* at_;  // of any alignment
};
template <class T>
Word<T> word(std::vector<uint8_t>* bytes, size_t at) {
  return Word<T>(bytes->data() + at);
}

// Makes every SHA-256 fit again, as an attacker would.
inline void seal(std::vector<uint8_t>* bytes) {
  uint8_t* p = bytes->data();
  const uint64_t left = bytes->size() - 32, n = word<uint32_t>(bytes, 48);
  if (n > (left - 64) / 64) return;
  for (uint64_t i = 0; i < n; i++) {
    const uint64_t offset = word<uint64_t>(bytes, 80 + 64 * i), length = word<uint64_t>(bytes, 88 + 64 * i);
    if (offset <= left && length <= left - offset) edgecl::sha256(p + offset, length, p + 96 + 64 * i);
  }
  edgecl::sha256(p, 64 + 64 * n, p + left);
}

// Where section `id` begins.
inline size_t section_at(std::vector<uint8_t>* state, uint32_t id) {
  return static_cast<size_t>(word<uint64_t>(state, 80 + 64 * (id - 1)));
}

}  // namespace edgecl_test

#endif  // EDGECL_TESTS_RUNTIME_STATE_FORGING_H_
