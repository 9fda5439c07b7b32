// Sockets that never block. A client owns at most one body and one reply, so memory is bounded.
// Never here: threads.
#include "serve_clients.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "failures.h"
#include "measure.h"

void clients_begin(Clients* all, int listener, int64_t timeout_ns) {
  memset(all, 0, sizeof *all);
  all->listener = listener;
  all->timeout_ns = timeout_ns;
  for (int i = 0; i < kMostClients; i++) all->clients[i].file = -1;
}

static void drop(Client* c) {
  if (c->file >= 0) close(c->file);
  free(c->body);
  free(c->reply.bytes);
  memset(c, 0, sizeof *c);
  c->file = -1;
}

void clients_end(Clients* all) {
  for (int i = 0; i < kMostClients; i++) drop(&all->clients[i]);
}

nfds_t clients_poll(const Clients* all, struct pollfd files[kMostClients + 1]) {
  files[0].fd = all->listener;
  files[0].events = POLLIN;
  files[0].revents = 0;
  for (int i = 0; i < kMostClients; i++) {
    const Client* c = &all->clients[i];
    files[i + 1].fd = c->file;
    files[i + 1].events = c->reply.bytes != NULL ? POLLOUT : c->waits ? 0 : POLLIN;
    files[i + 1].revents = 0;
  }
  return kMostClients + 1;
}

// A place for a client: a free one, or that of whoever has been silent longest.
static Client* find_place(Clients* all) {
  Client* oldest = NULL;
  for (int i = 0; i < kMostClients; i++) {
    Client* c = &all->clients[i];
    if (c->file < 0) return c;
    if (!c->waits && (oldest == NULL || c->since_ns < oldest->since_ns)) oldest = c;
  }
  if (oldest != NULL) drop(oldest);
  return oldest;
}

// 0: nobody waits any more.
static int accept_one(Clients* all) {
  const int file = accept4(all->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (file < 0) {
    if (errno == EMFILE || errno == ENFILE) (void)find_place(all);  // its descriptor serves the next one
    return 0;
  }
  Client* c = find_place(all);
  if (c == NULL) {
    close(file);
    return 0;
  }
  c->file = file;
  c->since_ns = monotonic_ns();
  return 1;
}

static void send_reply(Client* c) {
  while (c->sent < c->reply.n_bytes) {
    const ssize_t put = send(c->file, c->reply.bytes + c->sent, c->reply.n_bytes - c->sent, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (put <= 0) {
      drop(c);
      return;
    }
    c->sent += (size_t)put;
  }
  if (c->last) {
    drop(c);
    return;
  }
  free(c->reply.bytes);
  c->reply.bytes = NULL;
  c->sent = 0;
  c->since_ns = monotonic_ns();
}

static void give_reply(Client* c, Reply reply) {
  if (reply.bytes == NULL) {  // no memory for it
    drop(c);
    return;
  }
  c->reply = reply;
  c->sent = 0;
  c->waits = 0;
  c->since_ns = monotonic_ns();
  send_reply(c);
}

// The next message of this connection would begin at an unknown place.
static void refuse_and_close(Client* c, uint8_t operation, const char* sentence) {
  c->last = 1;
  give_reply(c, server_sentence(operation, kUsage, sentence));
}

static void answer(Client* c, Server* server) {
  const Reply reply = server_answer(server, get_header(c->header), c->body);
  free(c->body);
  c->body = NULL;
  c->got = 0;
  if (reply.later) {
    c->waits = 1;
    return;
  }
  if (server->stopping) c->last = 1;
  give_reply(c, reply);
}

// 1: `n` more bytes are there or on their way; 0: wait, or the client is gone.
static int receive(Client* c, uint8_t* to, size_t n) {
  const ssize_t got = recv(c->file, to, n, 0);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return 0;
  if (got <= 0) {
    drop(c);
    return 0;
  }
  if (c->got == 0) c->since_ns = monotonic_ns();
  c->got += (uint32_t)got;
  return (size_t)got == n;
}

static void take(Client* c, Server* server) {
  if (c->got < kMessageHeaderBytes && !receive(c, c->header + c->got, kMessageHeaderBytes - c->got)) return;
  const MessageHeader header = get_header(c->header);
  if (c->body == NULL) {
    if (header.bytes > server_body_bytes(server, header.operation)) {
      refuse_and_close(c, header.operation,
                       "expected a body that the operation may have; found a longer one; see the stats");
      return;
    }
    c->body = malloc(header.bytes + 1);
    if (c->body == NULL) {
      drop(c);
      return;
    }
  }
  const size_t have = c->got - kMessageHeaderBytes;
  if (have < header.bytes && !receive(c, c->body + have, header.bytes - have)) return;
  answer(c, server);
}

void clients_serve(Clients* all, const struct pollfd files[kMostClients + 1], Server* server) {
  // A crowd that waits must not keep those out who come after it; nor may it keep the others from their answers.
  for (int i = 0; files[0].revents != 0 && i < kMostClients && accept_one(all); i++) continue;
  const int64_t now = monotonic_ns();
  for (int i = 0; i < kMostClients; i++) {
    Client* c = &all->clients[i];
    const short events = files[i + 1].fd == c->file ? files[i + 1].revents : 0;
    if (c->file < 0) continue;
    if (events & (POLLERR | POLLNVAL) || ((events & POLLHUP) && !(events & POLLIN))) {
      drop(c);
    } else if (events & POLLOUT) {
      send_reply(c);
    } else if (events & POLLIN) {
      take(c, server);
    } else if ((c->got > 0 || c->reply.bytes != NULL) && now - c->since_ns > all->timeout_ns) {
      drop(c);
    }
  }
}

void clients_reloaded(Clients* all, Reply reply) {
  for (int i = 0; i < kMostClients; i++) {
    Client* c = &all->clients[i];
    if (c->file >= 0 && c->waits) {
      give_reply(c, reply);
      return;
    }
  }
  free(reply.bytes);
}

void clients_flush(Clients* all, int64_t wait_ns) {
  const int64_t end = monotonic_ns() + wait_ns;
  for (int i = 0; i < kMostClients; i++) {
    Client* c = &all->clients[i];
    while (c->file >= 0 && c->reply.bytes != NULL && monotonic_ns() < end) {
      struct pollfd file = {c->file, POLLOUT, 0};
      if (poll(&file, 1, 10) > 0) send_reply(c);
    }
  }
}
