// The command `serve`: options, socket, signals, and the loop.
// Never here: requests (serve_requests.c), connections (serve_clients.c), reloading (server.c).
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "arguments.h"
#include "commands.h"
#include "failures.h"
#include "lock_beside.h"
#include "measure.h"
#include "notify.h"
#include "serve_clients.h"
#include "server.h"
#include "signature.h"
#include "thread_pool.h"

static volatile sig_atomic_t asked_to_stop, asked_to_reload;

static void on_signal(int number) {
  if (number == SIGHUP) {
    asked_to_reload = 1;
  } else {
    asked_to_stop = 1;
  }
}

// Blocked but while the loop waits, so that none comes between a look at the flags and the wait.
static void catch_signals(sigset_t* while_waiting) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigset_t blocked;
  sigemptyset(&blocked);
  const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    sigaction(numbers[i], &action, NULL);
    sigaddset(&blocked, numbers[i]);
  }
  sigprocmask(SIG_BLOCK, &blocked, while_waiting);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigdelset(while_waiting, numbers[i]);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is told as a full disk is
}

static int socket_failed(const char* path, const char* why) {
  fprintf(stderr, "edgecl-run: expected to serve on \"%s\"; found: %s; correct --socket\n", path, why);
  return -1;
}

// What a server may take the place of: nothing, or the socket of one that was killed. NULL, or what is there.
static const char* found_instead_of_socket(const char* path) {
  struct stat about;
  if (lstat(path, &about) != 0 || S_ISSOCK(about.st_mode)) return NULL;
  return S_ISREG(about.st_mode) ? "a file" : S_ISDIR(about.st_mode) ? "a folder" : "what is no socket";
}

// Made beside and renamed: a path that exists is one that answers.
static int listen_at(const char* path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const int fits = snprintf(address.sun_path, sizeof address.sun_path, "%s.new", path) < (int)sizeof address.sun_path;
  if (!fits) return socket_failed(path, "a path of more than 103 bytes");
  const char* other = found_instead_of_socket(path);
  if (other == NULL && found_instead_of_socket(address.sun_path) != NULL) other = "a file of the same name with .new";
  if (other != NULL) return socket_failed(path, other);
  const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (file < 0) return socket_failed(path, strerror(errno));
  unlink(address.sun_path);
  const mode_t before = umask(0177);
  const int bound = bind(file, (const struct sockaddr*)&address, sizeof address);
  umask(before);
  if (bound == 0 && listen(file, 4 * kMostClients) == 0 && rename(address.sun_path, path) == 0) return file;
  const int reason = errno;
  close(file);
  unlink(address.sun_path);
  return socket_failed(path, strerror(reason));
}

typedef struct Serving {
  const char *socket_path, *key_text, *commit_every;
  int64_t threads, timeout_s;
  uint8_t key[SIGNATURE_KEY_BYTES];
  LockBeside socket_lock, state_lock;
  Server server;
  Clients clients;
  ThreadPool* pool;
  edgecl_hooks hooks;
  edgecl_session_options session_options;
} Serving;

// "20": every 20 steps. "20s": every 20 seconds in which something was learned.
static int read_interval(const char* text, Server* server) {
  char* end = NULL;
  errno = 0;
  const long long value = strtoll(text, &end, 10);
  if (end == text || errno != 0 || value < 1 || value > 1000000000) return 0;
  if (strcmp(end, "s") == 0) return server->commit_ns = value * 1000000000, 1;
  return *end == '\0' ? (server->commit_steps = value, 1) : 0;
}

static int read_options(Serving* s, int argc, char** argv) {
  ServeOptions* o = &s->server.options;
  int64_t seed = 0, device = 0, merges = 0;
  o->bundle = argv[1];
  s->threads = 1;
  s->timeout_s = 10;
  s->commit_every = "10s";
  const Argument known[] = {{"--socket", kText, &s->socket_path, 0, 0},
                            {"--state", kText, &o->state, 0, 0},
                            {"--canary", kText, &o->canary, 0, 0},
                            {"--key", kText, &s->key_text, 0, 0},
                            {"--commit-every", kText, &s->commit_every, 0, 0},
                            {"--threads", kNumber, &s->threads, 1, EDGECL_MAX_THREADS},
                            {"--seed", kNumber, &seed, 0, INT64_MAX},
                            {"--device", kNumber, &device, 1, INT64_MAX},
                            {"--merges", kNumber, &merges, 1, 65536},
                            {"--timeout", kNumber, &s->timeout_s, 1, 3600}};
  if (!parse_arguments(argc, argv, 3, known, sizeof known / sizeof *known)) return 0;
  if (s->socket_path == NULL) return fputs("edgecl-run: expected --socket PATH; found none; add it\n", stderr), 0;
  if (!read_interval(s->commit_every, &s->server)) {
    fprintf(stderr, "edgecl-run: expected --commit-every with steps (20) or seconds (20s); found \"%s\"; correct it\n",
            s->commit_every);
    return 0;
  }
  const char* why = s->key_text == NULL ? NULL : signature_read_key(s->key_text, s->key);
  if (why != NULL) {
    fprintf(stderr, "edgecl-run: expected an Ed25519 public key after --key; found %s; correct it\n", why);
    return 0;
  }
  o->key = s->key_text == NULL ? NULL : s->key;
  o->choice.seed = (uint64_t)seed;
  o->choice.n_threads = (uint32_t)s->threads;
  o->choice.device = (uint64_t)device;
  o->choice.merges = (uint32_t)merges;
  return 1;
}

static int prepare_threads(Serving* s) {
  if (s->threads == 1) return kDone;
  s->pool = thread_pool_create((uint32_t)s->threads);
  if (s->pool == NULL) return no_memory("threads");
  s->hooks.struct_size = sizeof s->hooks;
  s->hooks.parallel_for = thread_pool_run;
  s->hooks.user = s->pool;
  s->session_options.struct_size = sizeof s->session_options;
  s->session_options.hooks = &s->hooks;
  s->server.options.choice.options = &s->session_options;
  return kDone;
}

static void look_at_signals(Serving* s) {
  if (asked_to_stop) s->server.stopping = 1;
  if (asked_to_reload && server_reload(&s->server, kReloadCarry)) asked_to_reload = 0;
}

static void loop(Serving* s, const sigset_t* while_waiting) {
  const int64_t sign_ns = notify_interval_ns();
  int64_t signed_ns = monotonic_ns();
  notify_manager("READY=1");
  while (!s->server.stopping) {
    struct pollfd files[kMostClients + 2];
    const nfds_t n = clients_poll(&s->clients, files);
    files[n].fd = s->server.pipe[0];
    files[n].events = POLLIN;
    files[n].revents = 0;
    const struct timespec wait = {0, sign_ns > 0 && sign_ns < 250000000 ? (long)sign_ns : 250000000};
    if (ppoll(files, n + 1, &wait, while_waiting) < 0) {
      for (nfds_t i = 0; i <= n; i++) files[i].revents = 0;
    }
    look_at_signals(s);
    if (files[n].revents != 0) clients_reloaded(&s->clients, server_reloaded(&s->server));
    clients_serve(&s->clients, files, &s->server);
    server_commit_when_due(&s->server);
    if (sign_ns > 0 && monotonic_ns() - signed_ns >= sign_ns) {
      signed_ns = monotonic_ns();
      notify_manager("WATCHDOG=1");
    }
  }
  notify_manager("STOPPING=1");
}

// Before anything is read or written: two servers would write one state.
static int take_locks(Serving* s) {
  const char* state = s->server.options.state;
  s->socket_lock.file = s->state_lock.file = -1;
  const char* why = found_instead_of_socket(s->socket_path);
  if (why == NULL) why = lock_take(s->socket_path, &s->socket_lock);
  if (why != NULL) return socket_failed(s->socket_path, why), kInput;
  why = state == NULL ? NULL : lock_take(state, &s->state_lock);
  if (why == NULL) return kDone;
  fprintf(stderr, "edgecl-run: expected to keep the state in \"%s\"; found: %s; correct --state\n", state, why);
  lock_release(&s->socket_lock);
  return kInput;
}

static int serve_locked(Serving* s) {
  sigset_t while_waiting;
  Reason reason;
  catch_signals(&while_waiting);
  int code = pipe2(s->server.pipe, O_CLOEXEC) == 0 ? prepare_threads(s) : no_memory("pipe");
  if (code == kDone) {
    code = server_begin(&s->server, &reason);
    if (code != kDone) fprintf(stderr, "edgecl-run: %s\n", reason.text);
  }
  const int listener = code == kDone ? listen_at(s->socket_path) : -1;
  if (code == kDone && listener < 0) code = kInput;
  if (listener >= 0) {
    clients_begin(&s->clients, listener, s->timeout_s * 1000000000);
    loop(s, &while_waiting);
    clients_flush(&s->clients, 1000000000);
    clients_end(&s->clients);
    if (found_instead_of_socket(s->socket_path) == NULL) unlink(s->socket_path);
    close(listener);
  }
  server_end(&s->server);
  thread_pool_destroy(s->pool);
  return code;
}

static int serve(Serving* s) {
  const int code = take_locks(s);
  if (code != kDone) return code;
  const int served = serve_locked(s);
  lock_release(&s->state_lock);
  lock_release(&s->socket_lock);
  return served;
}

int command_serve(int argc, char** argv) {
  Serving* s = calloc(1, sizeof *s);
  if (s == NULL) return no_memory("serve");
  const int code = read_options(s, argc, argv) ? serve(s) : kUsage;
  free(s);
  return code;
}
