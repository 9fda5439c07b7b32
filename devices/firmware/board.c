/* Start-up of an Armv7-M or Armv8-M core without a C library, and output by semihosting (Arm, "Semihosting for AArch32
 * and AArch64"). Never here: anything of edgecl. */
#include "board.h"

extern uint32_t board_stack_low[], board_stack_top[];
extern uint8_t board_kept_begin[], board_kept_end[];
extern uint32_t board_data_load[], board_data_start[], board_data_end[], board_bss_start[], board_bss_end[];
int main(void);

enum { kWrite0 = 0x04, kExit = 0x18, kApplicationExit = 0x20026, kRunTimeError = 0x20023 };
static const uint32_t kPattern = 0x5ca1ab1eu;

static void semihost(uint32_t operation, const void* argument) {
  register uint32_t r0 __asm("r0") = operation;
  register const void* r1 __asm("r1") = argument;
  __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void board_write(const char* text) {
  semihost(kWrite0, text);
}

void board_write_number(uint32_t value) {
  char text[11];
  char* at = text + sizeof text - 1;
  *at = '\0';
  do {
    *--at = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  board_write(at);
}

uint8_t* board_kept(void) {
  return board_kept_begin;
}

uint32_t board_kept_bytes(void) {
  return (uint32_t)(board_kept_end - board_kept_begin);
}

enum { kTickMask = 0xffffff };

uint32_t board_ticks(void) {
  return kTickMask - *(volatile uint32_t*)0xe000e018u; /* SYST_CVR counts down */
}

uint32_t board_million_ticks(void) {
  const uint32_t begin = board_ticks();
  uint32_t n = 500000;
  __asm volatile("1: subs %0, #1\n bne 1b" : "+r"(n) : : "cc");
  return (board_ticks() - begin) & kTickMask;
}

void board_reset(void) {
  __asm volatile("dsb");
  *(volatile uint32_t*)0xe000ed0cu = 0x05fa0004u; /* AIRCR: key, SYSRESETREQ */
  for (;;) {
  }
}

uint32_t board_stack_bytes(void) {
  return (uint32_t)(board_stack_top - board_stack_low) * 4;
}

uint32_t board_stack_unused(void) {
  const uint32_t* word = board_stack_low;
  while (word < board_stack_top && *word == kPattern) word++;
  return (uint32_t)(word - board_stack_low) * 4;
}

static __attribute__((noreturn)) void leave(uint32_t reason) {
  semihost(kExit, (const void*)reason);
  for (;;) {
  }
}

__attribute__((noreturn, used)) void board_start(void) {
  uint32_t* const here = __builtin_frame_address(0);
  *(volatile uint32_t*)0xe000ed88u |= 0xfu << 20; /* CPACR: full access to the FPU */
  *(volatile uint32_t*)0xe000e014u = kTickMask;   /* SYST_RVR */
  *(volatile uint32_t*)0xe000e018u = 0;
  *(volatile uint32_t*)0xe000e010u = 5; /* SYST_CSR: the processor's clock, on, no interrupt */
  __asm volatile("dsb\n isb");
  for (uint32_t *from = board_data_load, *to = board_data_start; to < board_data_end;) *to++ = *from++;
  for (uint32_t* to = board_bss_start; to < board_bss_end;) *to++ = 0;
  for (uint32_t* to = board_stack_low; to < here - 64; to++) *(volatile uint32_t*)to = kPattern;
  leave(main() == 0 ? kApplicationExit : kRunTimeError);
}

static void fault(void) {
  board_write("fault\n");
  leave(kRunTimeError);
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {(void (*)(void))board_stack_top,
                                                                                     board_start,
                                                                                     fault,
                                                                                     fault,
                                                                                     fault,
                                                                                     fault,
                                                                                     fault,
                                                                                     fault,
                                                                                     0,
                                                                                     0,
                                                                                     0,
                                                                                     fault,
                                                                                     fault,
                                                                                     0,
                                                                                     fault,
                                                                                     fault};
