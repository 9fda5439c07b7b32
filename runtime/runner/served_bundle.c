// From a path to a session that answers.
// Never here: when to commit.
#include "served_bundle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failures.h"
#include "measure.h"
#include "replace_file.h"
#include "serve_protocol.h"

// A request's samples may take so many bytes, if at least one row fits.
enum { kRowsAlways = 64, kMostRowsOfHeader = 65535, kCanaryNs = 10000000 };

// The release is the folder that the bundle really lies in: its name, and its state file, change with it.
static int resolve(const ServeOptions* options, ServedBundle* s, Reason* reason) {
  if (realpath(options->bundle, s->path) == NULL) {
    say(reason, "expected a bundle at \"%s\"; found: %s; check the path", options->bundle, strerror(errno));
    return kInput;
  }
  char folder[PATH_MAX];
  memcpy(folder, s->path, sizeof folder);
  char* slash = strrchr(folder, '/');
  if (slash != NULL) *slash = '\0';
  const char* last = strrchr(folder, '/');
  int fits = snprintf(s->name, sizeof s->name, "%s", last != NULL ? last + 1 : folder) < (int)sizeof s->name;
  if (options->state != NULL) {
    const size_t n = strlen(options->state);
    const int is_folder = n > 0 && options->state[n - 1] == '/';
    fits = fits && snprintf(s->state_path, sizeof s->state_path, is_folder ? "%s%s.ecs" : "%s", options->state,
                            s->name) < (int)sizeof s->state_path;
  }
  if (fits) return kDone;
  say(reason, "expected shorter paths than \"%s\"; give a folder nearer to the root", options->bundle);
  return kUsage;
}

static int read_canary(const ServeOptions* options, ServedBundle* s, Reason* reason) {
  if (options->canary != NULL) return canary_read(options->canary, &s->bundle, 1, &s->canary, reason);
  char beside[PATH_MAX + 16];
  snprintf(beside, sizeof beside, "%s", s->path);
  char* slash = strrchr(beside, '/');
  snprintf(slash == NULL ? beside : slash + 1, 12, "canary.ecc");
  return access(beside, R_OK) == 0 ? canary_read(beside, &s->bundle, 1, &s->canary, reason) : kDone;
}

// More rows where they are small; never so many that the clients' buffers would take much memory.
static uint32_t rows_of_a_request(const ServedBundle* s) {
  const size_t fit = kMostRequestBytes / (s->bundle.sample_bytes + 4);
  uint32_t rows = s->config.max_batch > kRowsAlways ? s->config.max_batch : kRowsAlways;
  if (rows > kMostRowsOfHeader) rows = kMostRowsOfHeader;
  return fit < 1 ? 1 : fit < rows ? (uint32_t)fit : rows;
}

int served_open(const ServeOptions* options, ServedBundle* s, Reason* reason) {
  memset(s, 0, sizeof *s);
  s->state_came = "none";
  int code = resolve(options, s, reason);
  if (code == kDone) code = checked_bundle_open(s->path, options->key, &s->bundle, reason);
  if (code == kDone) code = read_canary(options, s, reason);
  if (code == kDone && s->state_path[0] != '\0') {
    const char* why = check_replaceable(s->state_path);
    if (why != NULL) {
      say(reason, "expected a state file that can be written at \"%s\"; found: %s; correct --state", s->state_path,
          why);
      code = kInput;
    }
  }
  if (code == kDone && s->canary.file != NULL) {
    const SessionChoice alone = {NULL, 1, options->choice.seed, 0, 0};  // the pool serves one session at a time
    code = session_from_state(&s->bundle, NULL, &alone, &s->session, &s->config, reason);
    if (code == kDone) code = canary_compare(s->session, &s->canary, reason);
    edgecl_session_destroy(s->session);
    s->session = NULL;
  }
  if (code != kDone) served_close(s);
  return code;
}

static int state_to_begin_with(ServedBundle* s, const ServedBundle* from, LearnedState* state, Reason* reason) {
  if (from == NULL || !served_has_learned(from)) {
    return s->state_path[0] == '\0' ? kDone : state_read(s->state_path, state, reason);
  }
  const int code = state_of_session(from->session, state, reason);
  return code == kDone ? state_carry(&from->bundle, &s->bundle, state, reason) : code;
}

int served_start(const ServeOptions* options, ServedBundle* s, const ServedBundle* from, int fresh, Reason* reason) {
  LearnedState state;
  memset(&state, 0, sizeof state);
  int code = fresh ? kDone : state_to_begin_with(s, from, &state, reason);
  if (code == kDone) {
    code = session_from_state(&s->bundle, &state, &options->choice, &s->session, &s->config, reason);
  }
  // One row: requests wait.
  if (code == kDone && s->canary.rows > 0 && canary_is_correct(s->session, &s->canary, 0) < 0) {
    say(reason, "expected answers to the canary; found: %s; learn afresh", edgecl_session_error(s->session));
    code = kNo;
  }
  s->canary_correct = s->canary.rows;
  s->state_came = state.bytes == NULL ? "none" : state.migrated ? "migrated" : "kept";
  // Else the process that comes next would begin with less than this one knew.
  if (code == kDone && s->state_path[0] != '\0' && (fresh || from != NULL)) code = served_commit(s, reason);
  if (code == kDone) s->most_rows = rows_of_a_request(s);
  state_release(&state);
  return code;
}

void served_look_at_canary(ServedBundle* s) {
  const int64_t begin = monotonic_ns();
  while (s->canary.rows > 0) {
    const int is_correct = canary_is_correct(s->session, &s->canary, s->canary_next);
    if (is_correct < 0) {
      s->canary_correct = -1;
      return;
    }
    s->canary_so_far += is_correct;
    if (++s->canary_next == s->canary.rows) {
      s->canary_correct = s->canary.labels != NULL ? s->canary_so_far : s->canary.rows;
      s->canary_so_far = s->canary_next = 0;
      return;
    }
    if (monotonic_ns() - begin > kCanaryNs) return;
  }
}

int served_commit(const ServedBundle* s, Reason* reason) {
  LearnedState state;
  if (s->state_path[0] == '\0') return kDone;
  int code = state_of_session(s->session, &state, reason);
  if (code == kDone) code = state_write(s->state_path, &state, reason);
  state_release(&state);
  return code;
}

uint64_t served_samples_learned(const ServedBundle* s) {
  edgecl_stats stats = {.struct_size = sizeof stats};
  return edgecl_session_stats(s->session, &stats) == EDGECL_OK ? stats.samples_learned : 0;
}

int served_has_learned(const ServedBundle* s) {
  edgecl_head_info head = {.struct_size = sizeof head};  // a head of gradients has none
  const int merged = edgecl_head_describe(s->session, &head) == EDGECL_OK && head.devices > 0;
  return merged || served_samples_learned(s) > 0;
}

void served_close(ServedBundle* s) {
  edgecl_session_destroy(s->session);
  checked_bundle_close(&s->bundle);
  canary_release(&s->canary);
  s->session = NULL;
}
