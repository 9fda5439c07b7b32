// Arena: hands out pieces of one block in order, or only counts what they would take.
// Never here: release of single pieces, growth, allocation.
#ifndef EDGECL_RUNTIME_CORE_ARENA_H_
#define EDGECL_RUNTIME_CORE_ARENA_H_

#include <stddef.h>
#include <stdint.h>

#include <type_traits>

namespace edgecl {

constexpr size_t kArenaAlignment = 64;

// Bytes of a struct that lies in an arena, on chips with pointers of 4 and of 8 bytes: a host sizes both. Specialised
// beside each such struct, by EDGECL_TARGET_BYTES or EDGECL_SAME_BYTES; a build checks the number of its own width.
template <class T>
struct TargetBytes;
#define EDGECL_TARGET_BYTES(T, bytes32, bytes64)            \
  template <>                                               \
  struct TargetBytes<T> {                                   \
    static constexpr size_t on32 = bytes32, on64 = bytes64; \
  };                                                        \
  static_assert(sizeof(T) == (sizeof(void*) == 4 ? bytes32 : bytes64), "sizeof(" #T ") changed: write it here")
// The same with room to grow, for one large struct that often changes.
#define EDGECL_TARGET_ROOM(T, bytes32, bytes64)                                 \
  template <>                                                                   \
  struct TargetBytes<T> {                                                       \
    static constexpr size_t on32 = bytes32, on64 = bytes64;                     \
  };                                                                            \
  static_assert(sizeof(T) <= (sizeof(void*) == 4 ? bytes32 : bytes64) &&        \
                    sizeof(T) + 512 > (sizeof(void*) == 4 ? bytes32 : bytes64), \
                "sizeof(" #T ") left its room: write another one here, at most 512 bytes larger than it")
#define EDGECL_SAME_BYTES(T) /* no pointers and no size_t in it */ \
  template <>                                                      \
  struct TargetBytes<T> {                                          \
    static constexpr size_t on32 = sizeof(T), on64 = sizeof(T);    \
  }

// A bump allocator with two modes that run the same layout code: measuring (`Arena()`; every piece is null, sizes add
// up, for this machine or for pointers of another width) and handing out (`Arena(memory, bytes)`). Pieces are 64-byte
// aligned and NOT cleared. Sizes saturate at the target's address space, so that an overflow ends as `exhausted`.
class Arena {
 public:
  static constexpr int kMaxRegions = 16;

  explicit Arena(uint32_t pointer_bytes = sizeof(void*))  // measuring; 4 or 8
      : capacity_(pointer_bytes == 4 ? UINT32_MAX : SIZE_MAX), pointer_bytes_(pointer_bytes) {}
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
    return reinterpret_cast<T*>(take_bytes(n, element_bytes<T>()));
  }

 private:
  template <class T>
  size_t element_bytes() const {
    if constexpr (std::is_pointer_v<T>) {
      return pointer_bytes_;
    } else if constexpr (std::is_class_v<T>) {
      return pointer_bytes_ == 4 ? TargetBytes<T>::on32 : TargetBytes<T>::on64;
    } else {
      return sizeof(T);
    }
  }
  uint8_t* take_bytes(uint64_t n, uint64_t element_bytes);
  void claim(size_t bytes);

  struct Region {
    const char* name;
    size_t bytes;
  };
  uint8_t* base_ = nullptr;
  size_t capacity_;
  uint32_t pointer_bytes_ = sizeof(void*);
  size_t used_ = 0;
  bool exhausted_ = false;
  Region regions_[kMaxRegions] = {};
  int n_regions_ = 0;
  int current_ = -1;
};

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_ARENA_H_
