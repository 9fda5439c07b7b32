/* Two slots of flash that take turns, so that the power may go at any moment: what was committed last is there.
 * Never here: a certain flash (flash_driver), what the bytes mean.
 *
 * A slot is a header of 32 bytes and the payload. A commit erases the older slot, programs the payload, and its header
 * last; so a slot whose header and payload fit their checksums was written to its end. */
#ifndef EDGECL_FIRMWARE_FLASH_SLOTS_H_
#define EDGECL_FIRMWARE_FLASH_SLOTS_H_

#include <stdint.h>

enum { FLASH_HEADER_BYTES = 32 };

/* What a product gives of its flash: two slots, one behind the other, readable as memory; erased bytes are 0xff.
 * `offset` counts from `base`. Both functions return 0 when they are done. Programs come in ascending offsets, each
 * byte once after an erase; offsets are multiples of 32. */
typedef struct flash_driver {
  const uint8_t* base;
  uint32_t slot_bytes; /* of one slot: whole erase blocks */
  int (*erase)(void* user, uint32_t offset, uint32_t n_bytes);
  int (*program)(void* user, uint32_t offset, const void* bytes, uint32_t n_bytes);
  void* user;
} flash_driver;

/* Puts bytes into the older slot; they are the newest once this returns 0. 1: they do not fit; 2: the flash failed, or
 * does not hold what was programmed. Whatever was newest before stays readable until the new ones are. */
int flash_commit(const flash_driver* flash, const void* bytes, uint32_t n_bytes);

/* The newest bytes that are whole, in place; NULL when there are none. O(bytes): both checksums are made. */
const void* flash_newest(const flash_driver* flash, uint32_t* n_bytes);

#endif /* EDGECL_FIRMWARE_FLASH_SLOTS_H_ */
