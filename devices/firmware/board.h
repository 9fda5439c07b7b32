/* What a Cortex-M board under qemu offers: text out, memory that a reset keeps, how much of the stack was ever used.
 * Never here: anything of edgecl. */
#ifndef EDGECL_FIRMWARE_BOARD_H_
#define EDGECL_FIRMWARE_BOARD_H_

#include <stdint.h>

void board_write(const char* text);
void board_write_number(uint32_t value);
__attribute__((noreturn)) void board_reset(void); /* as when the power comes back */
uint8_t* board_kept(void);                        /* memory that a reset keeps, 64-byte aligned */
uint32_t board_kept_bytes(void);
/* Ticks of the processor's clock since board_start; goes on from 0 after 2^24 of them. On qemu with -icount shift=0 they
 * are instructions, in steps of some 40: board_million_ticks() says how many ticks a million of them takes. */
uint32_t board_ticks(void);
uint32_t board_million_ticks(void);
uint32_t board_stack_bytes(void);
uint32_t board_stack_unused(void); /* bytes at the stack's far end that still hold their first pattern */

#endif /* EDGECL_FIRMWARE_BOARD_H_ */
