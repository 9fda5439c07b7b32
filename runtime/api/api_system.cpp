// What the library asks of a system when the caller hands in nothing: memory, and the variable EDGECL_SIMD.
// Never here: anything that a firmware without an operating system needs. It and api_model_file.cpp are the only files
// that use more of the C library than memcpy, memmove, memset and memcmp (tools/dev/check_libc.py).
#include <stdlib.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "runtime/api/api_objects.h"

namespace edgecl::api {
namespace {

#if __STDC_HOSTED__
// Asks for large pages where the system gives them on request: else the first touch of an arena, 4 KiB at a time, is a
// third of the time from a process's start to its first learn step. Only whole large pages inside the memory: it never
// grows.
void prefer_large_pages(void* memory, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr size_t kLargePage = size_t{2} << 20;
  const size_t before = (kLargePage - reinterpret_cast<uintptr_t>(memory) % kLargePage) % kLargePage;
  if (memory == nullptr || bytes < before + kLargePage) return;
  madvise(static_cast<uint8_t*>(memory) + before, (bytes - before) / kLargePage * kLargePage, MADV_HUGEPAGE);
#else
  (void)memory;
  (void)bytes;
#endif
}

void* libc_allocate(void*, size_t bytes, size_t alignment) {
  void* memory = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  prefer_large_pages(memory, bytes);
  return memory;
}
void libc_release(void*, void* memory, size_t) {
  free(memory);
}
#endif

}  // namespace

edgecl_allocator system_allocator() {
#if __STDC_HOSTED__
  return {sizeof(edgecl_allocator), libc_allocate, libc_release, nullptr};
#else
  return {sizeof(edgecl_allocator), nullptr, nullptr, nullptr};
#endif
}

const char* wanted_level() {
#if __STDC_HOSTED__
  const char* wanted = getenv("EDGECL_SIMD");
  return wanted && wanted[0] ? wanted : nullptr;
#else
  return nullptr;
#endif
}

}  // namespace edgecl::api
