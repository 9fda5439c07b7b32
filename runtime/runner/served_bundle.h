// A bundle that is being served: model, session, canary, and the file of its state.
// Never here: sockets, threads.
#ifndef EDGECL_RUNTIME_RUNNER_SERVED_BUNDLE_H_
#define EDGECL_RUNTIME_RUNNER_SERVED_BUNDLE_H_

#include <limits.h>
#include <stdint.h>

#include "canary.h"
#include "checked_bundle.h"
#include "learned_state.h"

typedef struct ServeOptions {
  const char* bundle;  // a path whose folder may be a link
  const char* state;   // a file, or a folder that ends in "/": one file a release. NULL: nothing is kept
  const char* canary;  // NULL: canary.ecc beside the bundle, where there is one
  const uint8_t* key;  // NULL: any signature
  SessionChoice choice;
} ServeOptions;

typedef struct ServedBundle {
  CheckedBundle bundle;
  Canary canary;
  edgecl_session* session;
  edgecl_session_config config;
  char path[PATH_MAX];        // of the bundle, without links
  char name[256];             // of the folder that it lies in: the release
  char state_path[PATH_MAX];  // "" where nothing is kept
  uint32_t most_rows;         // of one request
  const char* state_came;     // "none", "kept", "migrated"
  uint32_t canary_next;       // row that a look at the health goes on with
  int64_t canary_so_far;      // correct ones of this round
  int64_t canary_correct;     // of the last whole round; before the first one all rows; -1: a row failed
} ServedBundle;

// Opens and checks the bundle, and compares the canary with a session of its own. May run beside a serving thread.
// Exit codes (failures.h) with the reason; after a failure there is nothing to close.
int served_open(const ServeOptions* options, ServedBundle* served, Reason* reason);
// Makes the session that will answer. `from`: the bundle that was served, whose state comes along; NULL: the state file.
// fresh: no state. Writes the state file where the state came along.
int served_start(const ServeOptions* options, ServedBundle* served, const ServedBundle* from, int fresh,
                 Reason* reason);
// Goes on with the canary for some milliseconds, one row at least: other requests wait for it.
void served_look_at_canary(ServedBundle* served);
int served_commit(const ServedBundle* served, Reason* reason);
uint64_t served_samples_learned(const ServedBundle* served);
int served_has_learned(const ServedBundle* served);  // from samples, or from other devices
void served_close(ServedBundle* served);

#endif
