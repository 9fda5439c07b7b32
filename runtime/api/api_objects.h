// The two opaque objects of the C API, and what each entry point does first and last.
// Never here: learning, the meaning of parameters.
#ifndef EDGECL_RUNTIME_API_API_OBJECTS_H_
#define EDGECL_RUNTIME_API_API_OBJECTS_H_

#include <stddef.h>
#include <stdint.h>

#include <atomic>

#include "runtime/api/api_structs.h"
#include "runtime/core/fp_control.h"
#include "runtime/learn/session.h"

struct edgecl_model {
  edgecl::Plan plan;
  const edgecl::KernelTable* kernels;
  std::atomic<uint32_t> n_sessions;
  // How to give back what opening took; both null when the caller owns everything.
  edgecl_allocator allocator;  // allocate == NULL: the object's memory is the caller's
  size_t object_bytes;
  void (*unmap)(void* bytes, size_t n);  // null: the bundle's bytes are the caller's
};

struct edgecl_session {
  edgecl::Session session;
  edgecl_model* model;
  edgecl_allocator allocator;  // allocate == NULL: the arena is the caller's
  size_t arena_bytes;
  // One call at a time: a second one is refused, not made to wait, so that a mistake in the caller's threading shows.
  mutable std::atomic<uint32_t> busy;
  mutable char error[sizeof(edgecl_error::message)];
  edgecl_profile_event* events;  // null: no profile is being taken
  size_t events_capacity, n_events, n_dropped;
};

namespace edgecl {
EDGECL_TARGET_ROOM(edgecl_session, 1792, 2048);
}

namespace edgecl::api {

// At the top of every entry that uses a session: takes its busy flag and sets the floating-point control word, for the
// length of the call.
class SessionCall {
 public:
  explicit SessionCall(const edgecl_session* session) : session_(session) {
    entered_ = session && session->busy.exchange(1, std::memory_order_acquire) == 0;
  }
  ~SessionCall() {
    if (entered_) session_->busy.store(0, std::memory_order_release);
  }
  SessionCall(const SessionCall&) = delete;
  SessionCall& operator=(const SessionCall&) = delete;

  // False: return refusal() and touch nothing.
  bool entered() const { return entered_; }
  edgecl_status refusal() const { return session_ ? EDGECL_E_BUSY : EDGECL_E_ARGUMENT; }
  // Keeps the sentence of a failure for edgecl_session_error and hands it to the log hook; gives the code to return.
  edgecl_status done(const Status& status) const;

 private:
  const edgecl_session* session_;
  bool entered_;
  FpControl fp_;
};

// The C library's memory, and the level that EDGECL_SIMD names (null: none); runtime/api/api_system.cpp.
edgecl_allocator system_allocator();
const char* wanted_level();

// The caller's allocator, or the C library's when there is none (E_ARGUMENT for one with a missing function).
Status choose_allocator(const edgecl_allocator* allocator, edgecl_allocator* chosen);

// The kernel levels of this build that run on this CPU: "reference, x86-64-v1". Lives as long as the program.
const char* kernel_level_list();

// Overwrites memory in a way that no compiler leaves out.
void wipe(void* memory, size_t bytes);

// Opens verified bytes inside `memory`. `model` is written on success only.
Status open_model(const void* bytes, size_t n_bytes, void* memory, size_t memory_bytes, edgecl_model** model);
// The same with the object from an allocator.
Status open_model_allocated(const void* bytes, size_t n_bytes, const edgecl_allocator* allocator, edgecl_model** model);

}  // namespace edgecl::api

#endif  // EDGECL_RUNTIME_API_API_OBJECTS_H_
