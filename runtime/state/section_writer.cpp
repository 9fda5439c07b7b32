// The bytes of a section.
// Never here: what they mean.
#include "runtime/state/section_writer.h"

#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "states are little-endian: a big-endian CPU needs a converting writer and reader"
#endif

namespace edgecl {

void SectionWriter::bytes(const void* data, uint64_t n) {
  n_bytes_ += n;
  if (sha_ == nullptr || n == 0) return;
  sha_->update(data, static_cast<size_t>(n));
  if (to_ == nullptr) return;
  memcpy(to_, data, static_cast<size_t>(n));
  to_ += n;
}

}  // namespace edgecl
