// Arena: hands out pieces of one block in order, or only counts what they would take.
// Never here: release of single pieces, growth, allocation.
#ifndef EDGECL_RUNTIME_CORE_ARENA_H_
#define EDGECL_RUNTIME_CORE_ARENA_H_

#include <stddef.h>
#include <stdint.h>

namespace edgecl {

constexpr size_t kArenaAlignment = 64;

// A bump allocator with two modes that run the same layout code: measuring (`Arena()`; every piece is null, sizes add
// up) and handing out
// (`Arena(memory, bytes)`). Pieces are 64-byte aligned and NOT cleared. Sizes saturate, so that an overflow ends as
// `exhausted`.
class Arena {
 public:
  static constexpr int kMaxRegions = 16;

  Arena() = default;  // measuring
  Arena(void* memory, size_t bytes) : base_(static_cast<uint8_t*>(memory)), capacity_(bytes) {}

  bool measuring() const { return base_ == nullptr; }
  // True when a piece did not fit, or sizes overflowed; pieces handed out from then on are null.
  bool exhausted() const { return exhausted_; }
  // Bytes taken so far, each piece rounded up to 64.
  size_t used() const { return used_; }

  // Pieces taken from now on count for the region `name` (a literal, compared as text; at most 16 names).
  void begin_region(const char* name);
  size_t region_bytes(const char* name) const;  // 0 when unknown

  // n elements of T, or null (measuring, exhausted). n = 0 takes nothing.
  template <class T>
  T* take(uint64_t n) {
    static_assert(alignof(T) <= kArenaAlignment, "arena pieces are 64-byte aligned");
    return reinterpret_cast<T*>(take_bytes(n, sizeof(T)));
  }

  // Position to come back to, for pieces that share memory (predict and learn activations).
  size_t mark() const { return used_; }
  void rewind(size_t mark) { used_ = mark < used_ ? mark : used_; }
  // Skips forward to `position` when it lies ahead (the larger of several uses that share memory); counted in the
  // present region.
  void advance_to(size_t position);

 private:
  uint8_t* take_bytes(uint64_t n, uint64_t element_bytes);
  void claim(size_t bytes);

  struct Region {
    const char* name;
    size_t bytes;
  };
  uint8_t* base_ = nullptr;
  size_t capacity_ = SIZE_MAX;
  size_t used_ = 0;
  bool exhausted_ = false;
  Region regions_[kMaxRegions] = {};
  int n_regions_ = 0;
  int current_ = -1;
};

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_ARENA_H_
