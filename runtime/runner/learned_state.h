// The state of a session as a file, and its way to the session of another bundle.
// Never here: when to write.
#ifndef EDGECL_RUNTIME_RUNNER_LEARNED_STATE_H_
#define EDGECL_RUNTIME_RUNNER_LEARNED_STATE_H_

#include <stddef.h>
#include <stdint.h>

#include "checked_bundle.h"
#include "edgecl/edgecl.h"

typedef struct LearnedState {
  void* bytes;  // NULL: none
  size_t n_bytes;
  int migrated;  // 1: it was made of a state of another bundle
} LearnedState;

// Exit codes (failures.h) with the reason.
int state_of_session(const edgecl_session* session, LearnedState* state, Reason* reason);
int state_read(const char* path, LearnedState* state, Reason* reason);  // no file: no state, kDone
int state_write(const char* path, const LearnedState* state, Reason* reason);
// A state of `from` becomes one of `to`; nothing happens where both are the same content.
int state_carry(const CheckedBundle* from, const CheckedBundle* to, LearnedState* state, Reason* reason);
void state_release(LearnedState* state);

typedef struct SessionChoice {
  const edgecl_session_options* options;  // NULL: no threads
  uint32_t n_threads;
  uint64_t seed;
  uint32_t merges;  // other devices that there is room for; 0: as the state or the recipe says
  uint64_t device;  // number of this device; 0: as the state says
} SessionChoice;

// A session that goes on where the state ended; without a state one as the bundle ships it.
int session_from_state(const CheckedBundle* bundle, const LearnedState* state, const SessionChoice* choice,
                       edgecl_session** session, edgecl_session_config* config, Reason* reason);

#endif
