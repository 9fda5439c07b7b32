/* The firmware: learns from each embedded bundle and compares the state's digest and the session's size with the
 * host's; exit status 0 when all are equal and a damaged bundle was refused. Never here: the board (board.c), the calls
 * (learn.c). */
#include <string.h>

#include "devices/firmware/board.h"
#include "learn.h"

/* All memory that learning may use: a product's budget, not what is free. */
static uint8_t memory[64 * 1024] __attribute__((aligned(64)));
static uint8_t damaged[8 * 1024] __attribute__((aligned(64)));

static void write_hex(const uint8_t digest[32]) {
  static const char kDigits[] = "0123456789abcdef";
  char text[65];
  for (int i = 0; i < 32; i++) {
    text[2 * i] = kDigits[digest[i] >> 4];
    text[2 * i + 1] = kDigits[digest[i] & 15];
  }
  text[64] = '\0';
  board_write(text);
}

static int same_as_host(const firmware_input* input) {
  static firmware_result result;
  const edgecl_status status = firmware_learn(input->bytes, input->n_bytes, memory, sizeof memory, &result);
  const int same = status == EDGECL_OK && memcmp(result.digest, input->expected, 32) == 0;
  const int fits = status != EDGECL_OK || result.arena_bytes == input->arena_bytes;
  board_write(input->name);
  board_write(": model ");
  board_write_number(result.model_bytes);
  board_write(", arena ");
  board_write_number(result.arena_bytes);
  board_write(" bytes, state ");
  write_hex(result.digest);
  if (status != EDGECL_OK) {
    board_write(" FAILED: ");
    board_write(edgecl_status_name(status));
    board_write(" ");
    board_write(result.message);
  } else if (!same) {
    board_write(" DIFFERS from the host's ");
    write_hex(input->expected);
  }
  if (!fits) {
    board_write(" EXPECTED BY THE HOST: arena ");
    board_write_number(input->arena_bytes);
  }
  board_write("\n");
  return same && fits;
}

/* One bit in the middle of the file. */
static int refuses_damage(const firmware_input* input) {
  static firmware_result result;
  if (input->n_bytes > sizeof damaged) return 0;
  memcpy(damaged, input->bytes, input->n_bytes);
  damaged[input->n_bytes / 2] ^= 1;
  return firmware_learn(damaged, input->n_bytes, memory, sizeof memory, &result) == EDGECL_E_BUNDLE_CORRUPT;
}

/* There is no C library whose allocator could stand in for the caller's. */
static int wants_an_allocator(const firmware_input* input) {
  edgecl_model* model;
  return edgecl_model_open_memory(input->bytes, input->n_bytes, NULL, &model, NULL) == EDGECL_E_ARGUMENT;
}

int main(void) {
  int failed = 0;
  uint32_t unused;
  board_write(edgecl_build_info());
  board_write("\n");
  for (uint32_t i = 0; i < n_firmware_inputs; i++) failed += !same_as_host(&firmware_inputs[i]);
  if (!refuses_damage(&firmware_inputs[0])) {
    board_write("expected EDGECL_E_BUNDLE_CORRUPT for a damaged bundle\n");
    failed++;
  }
  if (!wants_an_allocator(&firmware_inputs[0])) {
    board_write("expected EDGECL_E_ARGUMENT without an allocator\n");
    failed++;
  }
  unused = board_stack_unused();
  board_write("stack: at most ");
  board_write_number(board_stack_bytes() - unused);
  board_write(" bytes used\n");
  return failed != 0;
}
