// SHA-256 (FIPS 180-4), incremental.
// Never here: other digests, keys, signatures.
#ifndef EDGECL_RUNTIME_CORE_SHA256_H_
#define EDGECL_RUNTIME_CORE_SHA256_H_

#include <stddef.h>
#include <stdint.h>

namespace edgecl {

constexpr size_t kSha256Bytes = 32;

// Usage: Sha256 h; h.update(a, n); h.update(b, m); h.finish(digest). After finish the object is as new.
class Sha256 {
 public:
  Sha256() { reset(); }
  void reset();
  void update(const void* bytes, size_t n);
  void finish(uint8_t digest[kSha256Bytes]);

 private:
  uint32_t state_[8];
  uint64_t total_bytes_;
  uint8_t pending_[64];
  uint32_t n_pending_;
};

// Digest of one piece of memory.
void sha256(const void* bytes, size_t n, uint8_t digest[kSha256Bytes]);

// The compression function over n_blocks blocks of 64 bytes. `sha256_compress` picks the CPU's own instructions where
// they exist; both forms give the same bits and are public for the test that compares them.
void sha256_compress(uint32_t state[8], const uint8_t* blocks, size_t n_blocks);
void sha256_compress_portable(uint32_t state[8], const uint8_t* blocks, size_t n_blocks);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_SHA256_H_
