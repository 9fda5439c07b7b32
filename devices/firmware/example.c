/* The firmware example: each bundle learns, commits its state to flash, loses power, recovers, and learns on; the
 * digests and predictions are those of a host that was never switched off.
 *
 * A boot: recover the newest state of each bundle, learn EXAMPLE_STEPS steps, commit. Then one bundle learns on and the
 * power goes in the middle of its commit: what it had committed before must be there at the next boot. Here the board
 * resets itself and its flash is a piece of RAM that keeps its bytes (board.h); a product hands in a flash_driver of
 * its own. Never here: start-up code (board.c), the calls of the library (learner.c). */
#include "example.h"

#include <string.h>

#include "board.h"
#include "flash_slots.h"

/* All memory that learning may use: a product's budget, not what is free. */
static uint8_t memory[156 * 1024] __attribute__((aligned(64)));
static uint8_t state[40 * 1024];

enum { kSlotBytes = 40 * 1024, kBootMagic = 0x424f4f54, kNeverCut = 0x7fffffff };

/* At the start of the memory that a reset keeps; the flash lies behind it. */
typedef struct BootRecord {
  uint32_t magic, boots;
} BootRecord;

static BootRecord* boot_record(void) {
  return (BootRecord*)board_kept();
}

static uint8_t* flash_bytes(void) {
  return board_kept() + 64;
}

static uint32_t bytes_until_cut = kNeverCut;

static int erase(void* user, uint32_t offset, uint32_t n_bytes) {
  memset((uint8_t*)user + offset, 0xff, n_bytes);
  return 0;
}

/* Flash: a program clears bits. */
static int program(void* user, uint32_t offset, const void* bytes, uint32_t n_bytes) {
  for (uint32_t i = 0; i < n_bytes; i++) {
    if (bytes_until_cut-- == 0) board_reset();
    ((uint8_t*)user)[offset + i] &= ((const uint8_t*)bytes)[i];
  }
  return 0;
}

static flash_driver flash_of(uint32_t input) {
  uint8_t* const base = flash_bytes() + input * 2 * kSlotBytes;
  const flash_driver flash = {base, kSlotBytes, erase, program, base};
  return flash;
}

static int say(const char* name, const char* what) {
  board_write(name);
  board_write(": ");
  board_write(what);
  board_write("\n");
  return 0;
}

static int failed(const char* name, edgecl_status status, const edgecl_error* error) {
  board_write(name);
  board_write(": FAILED: ");
  board_write(edgecl_status_name(status));
  board_write(" ");
  board_write(error != NULL ? error->message : "");
  board_write("\n");
  return 1;
}

static int has_digest(const learner* l, const uint8_t expected[32]) {
  uint8_t digest[32];
  return edgecl_state_digest(l->session, digest) == EDGECL_OK && memcmp(digest, expected, sizeof digest) == 0;
}

static int commit(const learner* l, uint32_t input) {
  const flash_driver flash = flash_of(input);
  size_t n = 0;
  if (edgecl_state_export(l->session, state, sizeof state, &n) != EDGECL_OK) return 1;
  return flash_commit(&flash, state, (uint32_t)n);
}

static edgecl_status recover(learner* l, uint32_t input) {
  const flash_driver flash = flash_of(input);
  uint32_t n = 0;
  const void* const bytes = flash_newest(&flash, &n);
  return bytes == NULL ? EDGECL_E_NOT_FOUND : edgecl_state_import(l->session, bytes, n);
}

static int same_predictions(learner* l, const example_input* input) {
  edgecl_prediction predictions[LEARNER_PREDICTIONS];
  return learner_predict(l, predictions) == EDGECL_OK &&
         memcmp(predictions, input->predictions, sizeof predictions) == 0;
}

/* Ticks of a prediction of one batch and of a learn step, after the last boot. */
static int measure(learner* l, const example_input* input) {
  edgecl_prediction predictions[LEARNER_PREDICTIONS];
  const uint32_t begin = board_ticks();
  edgecl_status status = learner_predict(l, predictions);
  const uint32_t predicted = board_ticks();
  if (status == EDGECL_OK) status = learner_steps(l, 600, 1);
  const uint32_t learned = board_ticks();
  if (status != EDGECL_OK) return failed(input->name, status, NULL);
  board_write(input->name);
  board_write(": ticks: predict 4 rows ");
  board_write_number((predicted - begin) & 0xffffff);
  board_write(", learn step ");
  board_write_number((learned - predicted) & 0xffffff);
  board_write("\n");
  return 0;
}

/* `boot` counts from 0. `cut`: the power goes in a second commit. */
static int live(const example_input* input, uint32_t number, uint32_t boot, int cut) {
  static learner l;
  edgecl_status status = learner_open(&l, input->bundle, input->n_bytes, memory, sizeof memory);
  if (status != EDGECL_OK) return failed(input->name, status, &l.error);
  if (l.session_bytes != input->session_bytes) return say(input->name, "FAILED: another size than the host says"), 1;
  if (boot > 0) {
    status = recover(&l, number);
    if (status != EDGECL_OK) return failed(input->name, status, NULL);
    if (!has_digest(&l, input->digests[boot - 1])) return say(input->name, "FAILED: not the state committed last"), 1;
  }
  status = learner_steps(&l, boot * EXAMPLE_STEPS, EXAMPLE_STEPS);
  if (status != EDGECL_OK) return failed(input->name, status, NULL);
  if (!has_digest(&l, input->digests[boot])) return say(input->name, "FAILED: another state than the host's"), 1;
  if (boot + 1 == EXAMPLE_BOOTS && !same_predictions(&l, input))
    return say(input->name, "FAILED: other predictions than the host's"), 1;
  if (commit(&l, number) != 0) return say(input->name, "FAILED: commit"), 1;
  board_write(input->name);
  board_write(": model ");
  board_write_number(l.model_bytes);
  board_write(", session ");
  board_write_number(l.session_bytes);
  say(boot > 0 ? " bytes, recovered" : " bytes", "learned, as the host; committed");
  if (cut) {
    status = learner_steps(&l, 500, 1);
    if (status != EDGECL_OK) return failed(input->name, status, NULL);
    say(input->name, "the power goes in the middle of a commit");
    bytes_until_cut = 1000 * (boot + 1);
    return commit(&l, number), say(input->name, "FAILED: still there"), 1;
  }
  const int bad = boot + 1 == EXAMPLE_BOOTS && measure(&l, input) != 0;
  learner_close(&l);
  return bad;
}

int main(void) {
  BootRecord* const record = boot_record();
  if (board_kept_bytes() < 64 + n_example_inputs * 2 * kSlotBytes) return say("flash", "FAILED: too small"), 1;
  if (record->magic != kBootMagic) {
    memset(flash_bytes(), 0xff, n_example_inputs * 2 * kSlotBytes);
    record->magic = kBootMagic;
    record->boots = 0;
  }
  const uint32_t boot = record->boots++;
  if (boot == 0) say("edgecl", edgecl_build_info());
  board_write("boot ");
  board_write_number(boot + 1);
  board_write("\n");
  if (boot >= EXAMPLE_BOOTS) return say("boot", "FAILED: one too many"), 1;
  for (uint32_t i = 0; i < n_example_inputs; i++) {
    const int last = i + 1 == n_example_inputs;
    if (live(&example_inputs[i], i, boot, last && boot + 1 < EXAMPLE_BOOTS) != 0) return 1;
  }
  board_write("ticks: a million instructions ");
  board_write_number(board_million_ticks());
  board_write("\n");
  board_write("stack: at most ");
  board_write_number(board_stack_bytes() - board_stack_unused());
  board_write(" bytes used\n");
  return 0;
}
