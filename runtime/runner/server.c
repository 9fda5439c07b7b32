// Commits and reloads.
// Never here: requests on samples (serve_requests.c).
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failures.h"
#include "measure.h"

int server_begin(Server* server, Reason* reason) {
  server->began_ns = server->committed_ns = monotonic_ns();
  server->now = malloc(sizeof *server->now);
  if (server->now == NULL) return say(reason, "expected memory; found none"), kInternal;
  int code = served_open(&server->options, server->now, reason);
  if (code == kDone) {
    code = served_start(&server->options, server->now, NULL, 0, reason);
    if (code != kDone) served_close(server->now);
    if (code == kDone) server->rows_committed = served_samples_learned(server->now);
  }
  if (code != kDone) {
    free(server->now);
    server->now = NULL;
  }
  return code;
}

void server_end(Server* server) {
  Reason reason;
  if (server->loading) pthread_join(server->loader, NULL);
  if (server->next != NULL) {
    if (server->load_code == kDone) served_close(server->next);
    free(server->next);
  }
  if (server->now == NULL) return;
  if (server->steps_not_committed > 0 && server_commit(server, &reason) != kDone) {
    fprintf(stderr, "edgecl-run: %s\n", reason.text);
  }
  served_close(server->now);
  free(server->now);
}

int server_commit(Server* server, Reason* reason) {
  server->committed_ns = monotonic_ns();
  const int code = served_commit(server->now, reason);
  server->commit_failed = code != kDone;
  if (code != kDone) return code;
  server->steps_not_committed = 0;
  server->rows_committed = served_samples_learned(server->now);
  server->n_commits++;
  return kDone;
}

void server_commit_when_due(Server* server) {
  if (server->steps_not_committed == 0 || server->now->state_path[0] == '\0') return;
  // After a failure by time alone: a full disk is not written to at each step.
  const int by_steps = server->commit_steps > 0 && !server->commit_failed &&
                       server->steps_not_committed >= (uint64_t)server->commit_steps;
  const int64_t wait = server->commit_ns > 0 ? server->commit_ns : (int64_t)10000000000;
  const int by_time = (server->commit_ns > 0 || server->commit_failed) && monotonic_ns() - server->committed_ns >= wait;
  if (!by_steps && !by_time) return;
  Reason reason;
  if (server_commit(server, &reason) != kDone) fprintf(stderr, "edgecl-run: %s\n", reason.text);
}

static void* load(void* argument) {
  Server* server = argument;
  server->load_code = served_open(&server->options, server->next, &server->load_reason);
  (void)!write(server->pipe[1], "", 1);
  return NULL;
}

int server_reload(Server* server, enum ReloadState state) {
  if (server->loading) return 0;
  server->reload_state = state;
  server->next = malloc(sizeof *server->next);
  if (server->next == NULL) return 0;
  if (pthread_create(&server->loader, NULL, load, server) != 0) {
    free(server->next);
    server->next = NULL;
    return 0;
  }
  server->loading = 1;
  return 1;
}

// The old bundle answers until the new one has: the swap is one pointer.
static int take_over(Server* server, Reason* reason) {
  if (server->load_code != kDone) return *reason = server->load_reason, server->load_code;
  const ServedBundle* from = server->reload_state == kReloadCarry ? server->now : NULL;
  const int fresh = server->reload_state == kReloadFresh;
  const int code = served_start(&server->options, server->next, from, fresh, reason);
  if (code != kDone) return served_close(server->next), code;
  served_close(server->now);
  free(server->now);
  server->now = server->next;
  server->next = NULL;
  server->steps_not_committed = 0;
  server->rows_committed = served_samples_learned(server->now);
  server->commit_failed = 0;
  server->committed_ns = monotonic_ns();
  server->n_predict_ns = 0;
  server->n_reloads++;
  return kDone;
}

Reply server_reloaded(Server* server) {
  char byte;
  Reason reason = {""};
  (void)!read(server->pipe[0], &byte, 1);
  pthread_join(server->loader, NULL);
  server->loading = 0;
  const int code = take_over(server, &reason);
  free(server->next);
  server->next = NULL;
  if (code == kDone) {
    say(&reason, "{\"release\": \"%s\", \"digest\": \"%s\", \"state\": \"%s\"}", server->now->name,
        server->now->bundle.digest, server->now->state_came);
  } else {
    fprintf(stderr, "edgecl-run: reload: %s\n", reason.text);
  }
  return server_sentence(kServeReload, (uint8_t)code, reason.text);
}
