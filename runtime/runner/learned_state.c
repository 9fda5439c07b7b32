// Whole blocks: a state is written and taken over in one piece.
// Never here: sessions' steps.
#include "learned_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failures.h"
#include "npy.h"
#include "replace_file.h"

static int failed(const char* what, edgecl_status status, const char* sentence, Reason* reason) {
  say(reason, "%s: %s: %s", what, edgecl_status_name(status), sentence);
  return code_of(status);
}

int state_of_session(const edgecl_session* session, LearnedState* state, Reason* reason) {
  memset(state, 0, sizeof *state);
  edgecl_status status = edgecl_state_size(session, &state->n_bytes);
  if (status == EDGECL_OK) {
    state->bytes = malloc(state->n_bytes);
    if (state->bytes == NULL) return say(reason, "expected memory for the state; found none"), kInternal;
    status = edgecl_state_export(session, state->bytes, state->n_bytes, &state->n_bytes);
  }
  if (status == EDGECL_OK) return kDone;
  state_release(state);
  return failed("state", status, edgecl_session_error(session), reason);
}

int state_read(const char* path, LearnedState* state, Reason* reason) {
  memset(state, 0, sizeof *state);
  if (access(path, F_OK) != 0 && errno == ENOENT) return kDone;
  state->bytes = read_file(path, &state->n_bytes);
  if (state->bytes != NULL) return kDone;
  say(reason, "expected to read the state \"%s\"; found: %s; look after the file", path, strerror(errno));
  return kInput;
}

int state_write(const char* path, const LearnedState* state, Reason* reason) {
  const char* why = replace_file(path, state->bytes, state->n_bytes);
  if (why == NULL) return kDone;
  say(reason, "expected to write the state \"%s\"; found: %s; the file is as it was", path, why);
  return kInput;
}

int state_carry(const CheckedBundle* from, const CheckedBundle* to, LearnedState* state, Reason* reason) {
  if (state->bytes == NULL || strcmp(from->digest, to->digest) == 0) return kDone;
  void* moved = malloc(state->n_bytes);
  if (moved == NULL) return say(reason, "expected memory for the state; found none"), kInternal;
  edgecl_error err = {.struct_size = sizeof err};
  const edgecl_status status =
      edgecl_state_migrate(from->model, to->model, state->bytes, state->n_bytes, moved, state->n_bytes, NULL, &err);
  if (status != EDGECL_OK) return free(moved), failed("migrate", status, err.message, reason);
  free(state->bytes);
  state->bytes = moved;
  state->migrated = 1;
  return kDone;
}

void state_release(LearnedState* state) {
  free(state->bytes);
  memset(state, 0, sizeof *state);
}

int session_from_state(const CheckedBundle* bundle, const LearnedState* state, const SessionChoice* choice,
                       edgecl_session** session, edgecl_session_config* config, Reason* reason) {
  edgecl_error err = {.struct_size = sizeof err};
  memset(config, 0, sizeof *config);
  config->struct_size = sizeof *config;
  *session = NULL;
  const int has_state = state != NULL && state->bytes != NULL;
  edgecl_status status =
      has_state ? edgecl_session_config_from_state(bundle->model, state->bytes, state->n_bytes, config, &err)
                : edgecl_session_config_init(bundle->model, config);
  if (status != EDGECL_OK) return failed(has_state ? "state" : "recipe", status, err.message, reason);
  config->add_unseen_labels = 1;
  config->n_threads = choice->n_threads;
  if (!has_state) config->seed = choice->seed;
  if (choice->merges > 0) config->head_merges = choice->merges;
  status = edgecl_session_create(bundle->model, config, choice->options, session, &err);
  if (status != EDGECL_OK) return failed("session", status, err.message, reason);
  const char* what = "state";
  if (has_state) status = edgecl_state_import(*session, state->bytes, state->n_bytes);
  if (status == EDGECL_OK && choice->device > 0) {
    what = "device";
    status = edgecl_device_set(*session, choice->device, 0);
  }
  if (status == EDGECL_OK) return kDone;
  const int code = failed(what, status, edgecl_session_error(*session), reason);
  edgecl_session_destroy(*session);
  *session = NULL;
  return code;
}
