// Counts every allocation of the program, the library's included (the link step wraps the C library's functions).
// Never here: limits, pools.
#ifndef EDGECL_RUNTIME_RUNNER_ALLOCATION_COUNT_H_
#define EDGECL_RUNTIME_RUNNER_ALLOCATION_COUNT_H_

#include <stdint.h>

// Allocations since the start of the process, by any thread.
uint64_t allocation_count(void);

#endif
