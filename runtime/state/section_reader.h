// Reads the contents of one section of a state, which may be hostile.
// Never here: what a section holds, the file around it (state_file.h).
#ifndef EDGECL_RUNTIME_STATE_SECTION_READER_H_
#define EDGECL_RUNTIME_STATE_SECTION_READER_H_

#include <stdint.h>

#include "runtime/core/status.h"

namespace edgecl {

// Bytes from front to back. Reading past the end gives zeros, and `failed` from then on.
class SectionReader {
 public:
  // `name` lives as long as the reader and what it returns.
  SectionReader(const char* name, const uint8_t* bytes, uint64_t n) : name_(name), at_(bytes), left_(n) {}

  bool failed() const { return failed_; }
  uint64_t left() const { return left_; }

  // Null when fewer than n are left.
  const uint8_t* bytes(uint64_t n);
  uint32_t u32();
  uint64_t u64();
  // n floats into `to`, or nowhere when it is null. False when one is not a number of magnitude <= limit, or the bytes
  // end.
  bool floats(uint64_t n, float limit, float* to);
  // The count that begins a list; `failed` unless the word behind it is zero.
  uint32_t list();

  // E_STATE_CORRUPT: "state section NAME: ... found <what>". A literal.
  Status corrupt(const char* what) const;

 private:
  const char* name_;
  const uint8_t* at_;
  uint64_t left_;
  bool failed_ = false;
};

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_STATE_SECTION_READER_H_
