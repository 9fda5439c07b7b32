/* The order of writes that makes a commit survive a power cut.
 * Never here: waiting, retries. */
#include "flash_slots.h"

#include <stddef.h>
#include <string.h>

enum { kMagic = 0x31534c45 }; /* "ELS1" */

typedef struct SlotHeader {
  uint32_t magic, generation, n_bytes, payload_crc;
  uint32_t reserved[3]; /* 0 */
  uint32_t header_crc;  /* of the words before it */
} SlotHeader;

/* CRC-32 of IEEE 802.3, bit by bit: a table would be larger than all other code here. */
static uint32_t crc32(const void* bytes, uint32_t n_bytes) {
  const uint8_t* at = bytes;
  uint32_t crc = 0xffffffffu;
  while (n_bytes-- > 0) {
    crc ^= *at++;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

/* 0: the slot does not hold a whole commit; generations begin with 1. */
static uint32_t generation_of(const flash_driver* flash, uint32_t slot, uint32_t* n_bytes) {
  const uint8_t* const begin = flash->base + slot * flash->slot_bytes;
  SlotHeader header;
  memcpy(&header, begin, sizeof header);
  if (header.magic != kMagic || header.header_crc != crc32(&header, offsetof(SlotHeader, header_crc))) return 0;
  if (header.n_bytes > flash->slot_bytes - FLASH_HEADER_BYTES) return 0;
  if (crc32(begin + FLASH_HEADER_BYTES, header.n_bytes) != header.payload_crc) return 0;
  *n_bytes = header.n_bytes;
  return header.generation;
}

int flash_commit(const flash_driver* flash, const void* bytes, uint32_t n_bytes) {
  uint32_t n = 0;
  const uint32_t first = generation_of(flash, 0, &n), second = generation_of(flash, 1, &n);
  const uint32_t slot = first > second ? 1 : 0, offset = slot * flash->slot_bytes;
  SlotHeader header;
  if (n_bytes > flash->slot_bytes - FLASH_HEADER_BYTES) return 1;
  memset(&header, 0, sizeof header);
  header.magic = kMagic;
  header.generation = (first > second ? first : second) + 1;
  header.n_bytes = n_bytes;
  header.payload_crc = crc32(bytes, n_bytes);
  header.header_crc = crc32(&header, offsetof(SlotHeader, header_crc));
  if (flash->erase(flash->user, offset, flash->slot_bytes) != 0) return 2;
  if (flash->program(flash->user, offset + FLASH_HEADER_BYTES, bytes, n_bytes) != 0) return 2;
  if (crc32(flash->base + offset + FLASH_HEADER_BYTES, n_bytes) != header.payload_crc) return 2;
  if (flash->program(flash->user, offset, &header, sizeof header) != 0) return 2;
  return generation_of(flash, slot, &n) == header.generation ? 0 : 2;
}

const void* flash_newest(const flash_driver* flash, uint32_t* n_bytes) {
  uint32_t n[2] = {0, 0};
  const uint32_t first = generation_of(flash, 0, &n[0]), second = generation_of(flash, 1, &n[1]);
  const uint32_t slot = first > second ? 0 : 1;
  if (first == 0 && second == 0) return NULL;
  *n_bytes = n[slot];
  return flash->base + slot * flash->slot_bytes + FLASH_HEADER_BYTES;
}
