// Parallel: work cut into pieces, run through the caller's parallel_for hook or a plain loop.
// Never here: threads, locks, decisions that change results.
#ifndef EDGECL_RUNTIME_CORE_PARALLEL_H_
#define EDGECL_RUNTIME_CORE_PARALLEL_H_

#include <stdint.h>

#include "runtime/core/fp_control.h"

namespace edgecl {

struct Parallel {
  uint32_t n_threads = 1;  // pieces that work is cut into, >= 1
  void* user = nullptr;
  void (*parallel_for)(void* user, uint32_t n, void (*body)(void* context, uint32_t i), void* context) = nullptr;

  // Calls body(i) for each i in 0..n-1, in any order, possibly at once; returns when all are done. Each call runs under
  // its own FpControl, because a worker thread has a control word of its own.
  template <class Body>
  void run(uint32_t n, Body& body) const {
    if (n <= 1 || parallel_for == nullptr) {
      for (uint32_t i = 0; i < n; i++) body(i);
      return;
    }
    parallel_for(
        user, n,
        [](void* context, uint32_t i) {
          FpControl fp;
          (*static_cast<Body*>(context))(i);
        },
        &body);
  }
};

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_PARALLEL_H_
