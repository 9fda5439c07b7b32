// What goes over the socket of `edgecl-run serve`; SERVE.md is the prose.
// Never here: sockets.
#ifndef EDGECL_RUNTIME_RUNNER_SERVE_PROTOCOL_H_
#define EDGECL_RUNTIME_RUNNER_SERVE_PROTOCOL_H_

#include <stdint.h>
#include <string.h>

// A message is 8 bytes of header and a body: u32 bytes of the body, u8 operation, u8 status, u16 rows; little-endian.
enum { kMessageHeaderBytes = 8, kMostRequestBytes = 16 << 20 };  // of a body: or one row where that is more

enum ServeOperation {
  kServePredict = 1,
  kServeLearn = 2,
  kServeCommit = 3,
  kServeHealth = 4,
  kServeStats = 5,
  kServeState = 6,
  kServeReload = 7,
  kServeStop = 8,
  kServeRoute = 9,
  kServeMerge = 10
};

// Statuses are the exit codes (failures.h) and this one: try again later.
enum { kServeBusy = 4 };

// Which state the bundle that is reloaded begins with: body of kServeReload, one byte; without a body the first.
enum ReloadState { kReloadCarry = 0, kReloadDisk = 1, kReloadFresh = 2 };

typedef struct MessageHeader {
  uint32_t bytes;
  uint8_t operation, status;
  uint16_t rows;
} MessageHeader;

static inline void put_u32(uint8_t* at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> 8 * i);
}

static inline uint32_t get_u32(const uint8_t* at) {
  return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline void put_f32(uint8_t* at, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  put_u32(at, bits);
}

static inline void put_header(uint8_t at[kMessageHeaderBytes], MessageHeader h) {
  put_u32(at, h.bytes);
  at[4] = h.operation;
  at[5] = h.status;
  at[6] = (uint8_t)h.rows;
  at[7] = (uint8_t)(h.rows >> 8);
}

static inline MessageHeader get_header(const uint8_t at[kMessageHeaderBytes]) {
  const MessageHeader h = {get_u32(at), at[4], at[5], (uint16_t)(at[6] | at[7] << 8)};
  return h;
}

#endif
