/* A commit to flash is cut at each of its bytes, and each bit of a slot is flipped: the newest bytes are those of the
 * last commit that ended, or of the one before where that one is damaged; never others.
 * Never here: a board. */
#include "devices/firmware/flash_slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kSlotBytes = 256, kLongest = kSlotBytes - FLASH_HEADER_BYTES };

static uint8_t flash_bytes[2 * kSlotBytes];
static uint32_t bytes_until_cut;

static int erase(void* user, uint32_t offset, uint32_t n_bytes) {
  (void)user;
  if (bytes_until_cut == 0) return 1;
  memset(flash_bytes + offset, 0xff, n_bytes);
  return 0;
}

static int program(void* user, uint32_t offset, const void* bytes, uint32_t n_bytes) {
  (void)user;
  for (uint32_t i = 0; i < n_bytes; i++) {
    if (bytes_until_cut == 0) return 1;
    bytes_until_cut--;
    if ((flash_bytes[offset + i] & ((const uint8_t*)bytes)[i]) != ((const uint8_t*)bytes)[i]) abort();
    flash_bytes[offset + i] = ((const uint8_t*)bytes)[i];
  }
  return 0;
}

static const flash_driver flash = {flash_bytes, kSlotBytes, erase, program, NULL};

static int commit(uint8_t fill, uint32_t n, uint32_t until_cut) {
  uint8_t bytes[kLongest + 1];
  memset(bytes, fill, sizeof bytes);
  bytes_until_cut = until_cut;
  return flash_commit(&flash, bytes, n);
}

/* The fill of the newest bytes when they are n times the same; -1: none; -2: others. */
static int newest(uint32_t n) {
  uint32_t found = 0;
  const uint8_t* bytes = flash_newest(&flash, &found);
  if (bytes == NULL) return -1;
  if (found != n) return -2;
  for (uint32_t i = 1; i < n; i++) {
    if (bytes[i] != bytes[0]) return -2;
  }
  return bytes[0];
}

#define EXPECT(condition)                                                              \
  do {                                                                                 \
    if (!(condition)) return printf("%s:%d: %s\n", __FILE__, __LINE__, #condition), 1; \
  } while (0)

int main(void) {
  const uint32_t n = 100, never = UINT32_MAX;
  memset(flash_bytes, 0xff, sizeof flash_bytes);
  EXPECT(newest(n) == -1);
  EXPECT(commit(1, kLongest + 1, never) == 1);
  EXPECT(newest(n) == -1);
  EXPECT(commit(1, n, never) == 0 && newest(n) == 1);
  EXPECT(commit(2, n, never) == 0 && newest(n) == 2);
  for (uint32_t cut = 0; cut < n + FLASH_HEADER_BYTES; cut++) {
    uint8_t before[sizeof flash_bytes];
    memcpy(before, flash_bytes, sizeof before);
    EXPECT(commit(3, n, cut) == 2 && newest(n) == 2);
    EXPECT(commit(4, n, never) == 0 && newest(n) == 4); /* the next one takes the slot of the one that was cut */
    memcpy(flash_bytes, before, sizeof before);
  }
  EXPECT(commit(5, kLongest, never) == 0 && newest(kLongest) == 5);
  for (uint32_t bit = 0; bit < 8 * sizeof flash_bytes; bit++) { /* the older slot holds 2, of another length */
    flash_bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    EXPECT(newest(kLongest) == 5 || newest(n) == 2);
    flash_bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  EXPECT(newest(kLongest) == 5);
  return 0;
}
