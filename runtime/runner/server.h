// The server's own part of `serve`: what it answers with, when it commits, how a new bundle takes over.
// Never here: sockets (serve_clients.h).
#ifndef EDGECL_RUNTIME_RUNNER_SERVER_H_
#define EDGECL_RUNTIME_RUNNER_SERVER_H_

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "serve_protocol.h"
#include "served_bundle.h"

enum { kServerTimes = 256 };

typedef struct Server {
  ServeOptions options;
  int64_t commit_steps, commit_ns;  // 0: not by steps, not by time
  ServedBundle* now;
  // A reload in progress: a thread opens `next`; a byte in the pipe says that it is done.
  ServedBundle* next;
  pthread_t loader;
  int loading, load_code, pipe[2];
  enum ReloadState reload_state;
  Reason load_reason;
  uint64_t steps_not_committed, rows_committed;
  int64_t began_ns, committed_ns;
  int commit_failed;  // the last commit; the next one tries again with a file of its own
  uint64_t n_requests, n_refused, n_commits, n_reloads;
  int64_t predict_ns[kServerTimes];  // of the last requests
  uint64_t n_predict_ns;
  int stopping;
} Server;

// What a request is answered with: a message with its header, for free(); NULL bytes where memory was refused.
typedef struct Reply {
  uint8_t* bytes;
  size_t n_bytes;
  int later;  // 1: a reload was begun, server_reloaded has the answer
} Reply;

int server_begin(Server* server, Reason* reason);  // opens and starts the first bundle; exit codes
void server_end(Server* server);                   // commits and closes

// `body` may be changed.
Reply server_answer(Server* server, MessageHeader header, uint8_t* body);
Reply server_sentence(uint8_t operation, uint8_t status, const char* text);

int server_commit(Server* server, Reason* reason);
void server_commit_when_due(Server* server);

// 0: one is in progress.
int server_reload(Server* server, enum ReloadState state);
// After the byte has come: the new bundle takes over, or the old one goes on. The answer for whoever asked.
Reply server_reloaded(Server* server);

// The most bytes that the body of a request may have.
size_t server_body_bytes(const Server* server, uint8_t operation);

#endif
