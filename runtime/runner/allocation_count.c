// The wrappers that -Wl,--wrap puts in place of malloc and its kin.
// Never here: anything that allocates.
#include "allocation_count.h"

#include <stddef.h>

static uint64_t n_allocations;

uint64_t allocation_count(void) {
  return __atomic_load_n(&n_allocations, __ATOMIC_RELAXED);
}

static void count(void) {
  __atomic_fetch_add(&n_allocations, 1, __ATOMIC_RELAXED);
}

void* __real_malloc(size_t bytes);
void* __real_calloc(size_t n, size_t bytes);
void* __real_realloc(void* memory, size_t bytes);
void* __real_aligned_alloc(size_t alignment, size_t bytes);
int __real_posix_memalign(void** memory, size_t alignment, size_t bytes);
void* __wrap_malloc(size_t bytes);
void* __wrap_calloc(size_t n, size_t bytes);
void* __wrap_realloc(void* memory, size_t bytes);
void* __wrap_aligned_alloc(size_t alignment, size_t bytes);
int __wrap_posix_memalign(void** memory, size_t alignment, size_t bytes);

void* __wrap_malloc(size_t bytes) {
  count();
  return __real_malloc(bytes);
}
void* __wrap_calloc(size_t n, size_t bytes) {
  count();
  return __real_calloc(n, bytes);
}
void* __wrap_realloc(void* memory, size_t bytes) {
  count();
  return __real_realloc(memory, bytes);
}
void* __wrap_aligned_alloc(size_t alignment, size_t bytes) {
  count();
  return __real_aligned_alloc(alignment, bytes);
}
int __wrap_posix_memalign(void** memory, size_t alignment, size_t bytes) {
  count();
  return __real_posix_memalign(memory, alignment, bytes);
}
