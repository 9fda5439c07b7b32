/* What a Cortex-M board under qemu offers the test: text out, and how much of the stack was ever used.
 * Never here: anything of edgecl. */
#ifndef EDGECL_TESTS_FIRMWARE_BOARD_H_
#define EDGECL_TESTS_FIRMWARE_BOARD_H_

#include <stdint.h>

void board_write(const char* text);
uint32_t board_stack_bytes(void);
uint32_t board_stack_unused(void); /* bytes at the stack's far end that still hold their first pattern */

#endif /* EDGECL_TESTS_FIRMWARE_BOARD_H_ */
