// Profile events of the parts of a step that are not operators of the bundle.
// Never here: where events go (the profiler of the session's environment says).
#ifndef EDGECL_RUNTIME_LEARN_PROFILE_H_
#define EDGECL_RUNTIME_LEARN_PROFILE_H_

#include <stdint.h>

#include "runtime/core/memory.h"

namespace edgecl {

// Codes in place of an op index.
constexpr uint32_t kProfileInput = 0xffffffffu;
constexpr uint32_t kProfileLoss = 0xfffffffeu;
constexpr uint32_t kProfileUpdate = 0xfffffffdu;
constexpr uint32_t kProfileReplay = 0xfffffffcu;

// Reports the time between its construction and its end; does nothing without a clock.
class ProfileScope {
 public:
  ProfileScope(const Environment& env, uint32_t code, uint32_t pass)
      : env_(env), code_(code), pass_(pass), begin_us_(env.profiles() ? env.time_us() : 0) {}
  ~ProfileScope() {
    if (env_.profiles()) env_.profiler.event(env_.profiler.user, code_, pass_, begin_us_, env_.time_us(), 0);
  }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  const Environment& env_;
  uint32_t code_, pass_;
  uint64_t begin_us_;
};

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_PROFILE_H_
