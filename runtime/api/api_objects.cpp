// Ends of calls, allocators, wiping.
// Never here: entry points.
#include "runtime/api/api_objects.h"

#include <stdlib.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace edgecl::api {
namespace {

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

}  // namespace

edgecl_status SessionCall::done(const Status& status) const {
  if (status.ok()) return EDGECL_OK;
  write_message(status, session_->error, sizeof session_->error);
  const Environment& env = session_->session.env;
  constexpr int32_t kWarning = 2;
  if (env.log) env.log(env.hook_user, kWarning, session_->error);
  return status.code;
}

Status choose_allocator(const edgecl_allocator* allocator, edgecl_allocator* chosen) {
  if (allocator == nullptr) {
    *chosen = {sizeof(edgecl_allocator), libc_allocate, libc_release, nullptr};
    return Status();
  }
  EDGECL_RETURN_IF_FAILED(check_struct(allocator, "edgecl_allocator"));
  *chosen = read_struct(allocator);
  if (chosen->allocate && chosen->release) return Status();
  return failure(EDGECL_E_ARGUMENT, "expected an allocator with both functions; found NULL; set allocate and release");
}

void wipe(void* memory, size_t bytes) {
  memset(memory, 0, bytes);
  __asm__ volatile("" : : "r"(memory) : "memory");
}

}  // namespace edgecl::api
