// A fixed set of worker threads that runs the pieces of one parallel_for at a time.
// Never here: Python objects (workers never hold the GIL), scheduling of anything but index ranges.
#ifndef EDGECL_RUNTIME_PYTHON_THREAD_POOL_H_
#define EDGECL_RUNTIME_PYTHON_THREAD_POOL_H_

#include <stdint.h>
#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace edgecl::python {

// Owned by one session, called by one thread at a time. The caller works too, so n_threads = 1 needs no pool.
class ThreadPool {
 public:
  // Starts n_threads - 1 workers. Throws std::system_error when the system gives none.
  explicit ThreadPool(uint32_t n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Runs body(context, i) once for each i in 0..n-1; returns when all are done. In a forked child, which has no
  // workers, a plain loop.
  void run(uint32_t n, void (*body)(void* context, uint32_t i), void* context);

  // edgecl_hooks.parallel_for; `user` is the pool.
  static void parallel_for(void* user, uint32_t n, void (*body)(void* context, uint32_t i), void* context);

 private:
  struct Job {
    uint32_t n = 0;
    void (*body)(void* context, uint32_t i) = nullptr;
    void* context = nullptr;
  };

  void work();
  void take_pieces(const Job& job);

  std::vector<std::thread> workers_;
  pid_t owner_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::atomic<uint64_t> generation_{0};  // one more for each job; written under mutex_
  std::atomic<uint32_t> next_{0};        // next piece to take
  std::atomic<uint32_t> active_{0};      // workers inside the present job; raised under mutex_
  Job job_;
  bool open_ = false;  // workers may still join the present job; the caller waits only for those that did
  bool stop_ = false;
};

}  // namespace edgecl::python

#endif  // EDGECL_RUNTIME_PYTHON_THREAD_POOL_H_
