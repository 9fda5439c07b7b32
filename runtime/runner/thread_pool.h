// A pool of POSIX threads behind the parallel_for hook.
// Never here: work of its own; more than one caller at a time.
#ifndef EDGECL_RUNTIME_RUNNER_THREAD_POOL_H_
#define EDGECL_RUNTIME_RUNNER_THREAD_POOL_H_

#include <stdint.h>

typedef struct ThreadPool ThreadPool;

// n_threads - 1 workers; the caller of thread_pool_run is the last thread. NULL when memory or threads are refused.
ThreadPool* thread_pool_create(uint32_t n_threads);
void thread_pool_destroy(ThreadPool* pool);

// Fits edgecl_hooks.parallel_for with `user` = the pool.
void thread_pool_run(void* user, uint32_t n, void (*body)(void* context, uint32_t i), void* context);

#endif
