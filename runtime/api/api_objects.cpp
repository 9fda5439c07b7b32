// Ends of calls, allocators, wiping.
// Never here: entry points.
#include "runtime/api/api_objects.h"

namespace edgecl::api {
SessionCall::SessionCall(const edgecl_session* session) : session_(session) {
  entered_ = session && session->busy.exchange(1, std::memory_order_acquire) == 0;
}

SessionCall::~SessionCall() {
  if (entered_) session_->busy.store(0, std::memory_order_release);
}

edgecl_status SessionCall::done(const Status& status) const {
  if (status.ok()) return EDGECL_OK;
  write_message(status, session_->error, sizeof session_->error);
  const Environment& env = session_->session.env;
  if (env.log) env.log(env.hook_user, kWarning, session_->error);
  return status.code;
}

Status choose_allocator(const edgecl_allocator* allocator, edgecl_allocator* chosen) {
  if (allocator == nullptr) {
    *chosen = system_allocator();
    if (chosen->allocate) return Status();
    return failure(
        EDGECL_E_ARGUMENT,
        "expected an allocator: this build has none of its own; found NULL; hand one in, or use the functions "
        "that take memory");
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
