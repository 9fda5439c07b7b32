// The pool: workers wait for a generation number to move, then take pieces from a shared counter.
// Never here: Python.
#include "runtime/python/thread_pool.h"

#include <unistd.h>

#include <cfenv>

namespace edgecl::python {
namespace {

// A learn step issues dozens of short jobs in a row; looking at the generation for some microseconds before sleeping
// saves a wake-up each. Longer would take the processor from others between calls.
constexpr int kSpins = 2000;

inline void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(uint32_t n_threads) : owner_(getpid()) {
  try {
    for (uint32_t i = 1; i < n_threads; ++i) workers_.emplace_back([this] { work(); });
  } catch (...) {  // the threads that did start must end before the pool's memory goes
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  if (getpid() != owner_) {  // a forked child owns handles of threads that do not exist there
    for (std::thread& worker : workers_) worker.detach();
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::parallel_for(void* user, uint32_t n, void (*body)(void* context, uint32_t i), void* context) {
  static_cast<ThreadPool*>(user)->run(n, body, context);
}

void ThreadPool::take_pieces(const Job& job) {
  for (uint32_t i = next_.fetch_add(1, std::memory_order_relaxed); i < job.n;
       i = next_.fetch_add(1, std::memory_order_relaxed)) {
    job.body(job.context, i);
  }
}

void ThreadPool::run(uint32_t n, void (*body)(void* context, uint32_t i), void* context) {
  if (n <= 1 || workers_.empty() || getpid() != owner_) {
    for (uint32_t i = 0; i < n; ++i) body(context, i);
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    job_ = Job{n, body, context};
    open_ = true;
    next_.store(0, std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  take_pieces(job_);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_ = false;  // a worker that wakes only now is not waited for
  }
  for (int spin = 0; spin < kSpins && active_.load(std::memory_order_acquire) != 0; ++spin) pause_briefly();
  if (active_.load(std::memory_order_acquire) != 0) {
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return active_.load(std::memory_order_acquire) == 0; });
  }
}

void ThreadPool::work() {
  // A thread inherits the floating-point control word of the one that starts it, which may flush denormals; pieces must
  // not depend on that.
  std::fesetenv(FE_DFL_ENV);
  uint64_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && generation_.load(std::memory_order_acquire) == seen; ++spin) pause_briefly();
    Job job;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [&] { return stop_ || generation_.load(std::memory_order_relaxed) != seen; });
      if (stop_) return;
      seen = generation_.load(std::memory_order_relaxed);
      if (!open_) continue;
      active_.fetch_add(1, std::memory_order_relaxed);
      job = job_;
    }
    take_pieces(job);
    if (active_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      const std::lock_guard<std::mutex> lock(mutex_);  // orders the notification after the caller's check of active_
      done_.notify_one();
    }
  }
}

}  // namespace edgecl::python
