/* A short life of a model on a device: open, size, learn, predict, digest. The same text runs on host and board.
 * Never here: output, and memory that the caller did not hand in. */
#ifndef EDGECL_TESTS_FIRMWARE_LEARN_H_
#define EDGECL_TESTS_FIRMWARE_LEARN_H_

#include <edgecl/edgecl.h>

typedef struct firmware_input {
  const char* name;
  const unsigned char* bytes; /* a bundle, 64-byte aligned */
  size_t n_bytes;
  uint8_t expected[32]; /* the state's digest on the host */
  uint32_t arena_bytes; /* what the host says that a session needs on a 32-bit chip */
} firmware_input;

/* Written by write_input.cpp. */
extern const firmware_input firmware_inputs[];
extern const uint32_t n_firmware_inputs;

typedef struct firmware_result {
  uint32_t model_bytes, arena_bytes;
  uint8_t digest[32];
  char message[200]; /* why the run failed */
} firmware_result;

/* The configuration of every run. */
edgecl_status firmware_config(const edgecl_model* model, edgecl_session_config* config);

/* Learns FIRMWARE_STEPS steps in `memory` (64-byte aligned). */
#define FIRMWARE_STEPS 12
edgecl_status firmware_learn(const void* bundle, size_t n_bytes, void* memory, size_t memory_bytes,
                             firmware_result* result);

#endif /* EDGECL_TESTS_FIRMWARE_LEARN_H_ */
