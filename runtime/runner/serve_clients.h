// The sockets of `serve`: a fixed number of clients, each with one request at a time. Whoever sends nonsense, half a
// message or nothing loses his own connection and nobody else's.
// Never here: what the requests mean.
#ifndef EDGECL_RUNTIME_RUNNER_SERVE_CLIENTS_H_
#define EDGECL_RUNTIME_RUNNER_SERVE_CLIENTS_H_

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "server.h"

enum { kMostClients = 32 };

typedef struct Client {
  int file;  // -1: free
  uint8_t header[kMessageHeaderBytes];
  uint32_t got;  // bytes of header and body
  uint8_t* body;
  Reply reply;
  size_t sent;
  int64_t since_ns;  // the last whole message, or the first byte of the present one
  int waits;         // for the end of a reload
  int last;          // closed once the reply has gone
} Client;

typedef struct Clients {
  int listener;
  int64_t timeout_ns;  // of a message, from its first byte to its last; of a reply likewise
  Client clients[kMostClients];
} Clients;

void clients_begin(Clients* clients, int listener, int64_t timeout_ns);
void clients_end(Clients* clients);

// One descriptor for the listener and one a client; returns how many.
nfds_t clients_poll(const Clients* clients, struct pollfd files[kMostClients + 1]);
// Takes what came, answers what is whole, sends what is due, closes who is late.
void clients_serve(Clients* clients, const struct pollfd files[kMostClients + 1], Server* server);
// Hands the outcome of a reload to whoever waits for it.
void clients_reloaded(Clients* clients, Reply reply);
// Sends what is left for at most so long, before the end.
void clients_flush(Clients* clients, int64_t wait_ns);

#endif
