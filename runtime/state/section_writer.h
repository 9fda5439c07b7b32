// Writes the contents of one section of a state: into memory, into a digest alone, or merely counting bytes.
// Never here: what a section holds, the file around it (state_file.h).
#ifndef EDGECL_RUNTIME_STATE_SECTION_WRITER_H_
#define EDGECL_RUNTIME_STATE_SECTION_WRITER_H_

#include <stdint.h>

#include "runtime/core/sha256.h"

namespace edgecl {

// One owner's `write` runs with any of the three, so that size, digest and bytes never disagree.
class SectionWriter {
 public:
  // Counts only.
  SectionWriter() {}
  // Into the digest and, unless it is null, into `to`, which has room.
  SectionWriter(Sha256* sha, uint8_t* to) : sha_(sha), to_(to) {}

  uint64_t n_bytes() const { return n_bytes_; }
  // While counting, an owner may take a short way: skip(n) in place of writing n bytes piece by piece.
  bool counting() const { return sha_ == nullptr; }
  void skip(uint64_t n) { n_bytes_ += n; }

  void bytes(const void* data, uint64_t n);
  void u32(uint32_t x) { bytes(&x, sizeof x); }
  void u64(uint64_t x) { bytes(&x, sizeof x); }
  void floats(const float* x, uint64_t n) { bytes(x, n * sizeof(float)); }
  // A count and a zero word, which begin a list.
  void list(uint32_t n) { u64(n); }

 private:
  Sha256* sha_ = nullptr;
  uint8_t* to_ = nullptr;
  uint64_t n_bytes_ = 0;
};

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_STATE_SECTION_WRITER_H_
