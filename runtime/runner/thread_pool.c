// Workers wait for a round, take indices until none are left, and report back.
// Never here: priorities, pinning.
#include "thread_pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "edgecl/edgecl.h"

struct ThreadPool {
  pthread_mutex_t lock;
  pthread_cond_t begin, end;
  void (*body)(void* context, uint32_t i);
  void* context;
  uint32_t n, next;  // indices of the present round
  uint32_t n_busy;   // workers that have not finished it
  uint64_t round;
  int stopping;
  uint32_t n_workers;
  pthread_t workers[EDGECL_MAX_THREADS];
};

static void take_indices(ThreadPool* pool) {
  for (;;) {
    const uint32_t i = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED);
    if (i >= pool->n) return;
    pool->body(pool->context, i);
  }
}

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

// A step has hundreds of short rounds: looking a few microseconds before sleeping saves most of the wake-ups.
enum { kLooks = 2000 };

static void look_for_begin(ThreadPool* pool, uint64_t seen) {
  for (int i = 0; i < kLooks && __atomic_load_n(&pool->round, __ATOMIC_ACQUIRE) == seen; i++) pause_briefly();
}

static void look_for_end(ThreadPool* pool) {
  for (int i = 0; i < kLooks && __atomic_load_n(&pool->n_busy, __ATOMIC_ACQUIRE) > 0; i++) pause_briefly();
}

static void* work(void* argument) {
  ThreadPool* pool = argument;
  uint64_t seen = 0;
  for (;;) {
    look_for_begin(pool, seen);
    pthread_mutex_lock(&pool->lock);
    while (pool->round == seen) pthread_cond_wait(&pool->begin, &pool->lock);
    seen = pool->round;
    const int stopping = pool->stopping;
    pthread_mutex_unlock(&pool->lock);
    if (stopping) return NULL;
    take_indices(pool);
    pthread_mutex_lock(&pool->lock);
    if (__atomic_sub_fetch(&pool->n_busy, 1, __ATOMIC_RELEASE) == 0) pthread_cond_signal(&pool->end);
    pthread_mutex_unlock(&pool->lock);
  }
}

ThreadPool* thread_pool_create(uint32_t n_threads) {
  ThreadPool* pool = calloc(1, sizeof *pool);
  if (pool == NULL || n_threads < 1 || n_threads > EDGECL_MAX_THREADS) return free(pool), NULL;
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->begin, NULL);
  pthread_cond_init(&pool->end, NULL);
  for (uint32_t i = 1; i < n_threads; i++) {
    if (pthread_create(&pool->workers[pool->n_workers], NULL, work, pool) != 0) {
      thread_pool_destroy(pool);
      return NULL;
    }
    pool->n_workers++;
  }
  return pool;
}

static void begin_round(ThreadPool* pool, uint32_t n, void (*body)(void*, uint32_t), void* context, int stopping) {
  pthread_mutex_lock(&pool->lock);
  pool->body = body;
  pool->context = context;
  pool->n = n;
  __atomic_store_n(&pool->next, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&pool->n_busy, pool->n_workers, __ATOMIC_RELAXED);
  pool->stopping = stopping;
  __atomic_store_n(&pool->round, pool->round + 1, __ATOMIC_RELEASE);
  pthread_cond_broadcast(&pool->begin);
  pthread_mutex_unlock(&pool->lock);
}

void thread_pool_run(void* user, uint32_t n, void (*body)(void* context, uint32_t i), void* context) {
  ThreadPool* pool = user;
  if (pool->n_workers == 0 || n <= 1) {
    for (uint32_t i = 0; i < n; i++) body(context, i);
    return;
  }
  begin_round(pool, n, body, context, 0);
  take_indices(pool);
  look_for_end(pool);
  pthread_mutex_lock(&pool->lock);
  while (pool->n_busy > 0) pthread_cond_wait(&pool->end, &pool->lock);
  pthread_mutex_unlock(&pool->lock);
}

void thread_pool_destroy(ThreadPool* pool) {
  if (pool == NULL) return;
  begin_round(pool, 0, NULL, NULL, 1);
  for (uint32_t i = 0; i < pool->n_workers; i++) pthread_join(pool->workers[i], NULL);
  pthread_mutex_destroy(&pool->lock);
  pthread_cond_destroy(&pool->begin);
  pthread_cond_destroy(&pool->end);
  free(pool);
}
