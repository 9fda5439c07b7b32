// Clocks, peak memory, percentiles.
// Never here: what is being measured.
#ifndef EDGECL_RUNTIME_RUNNER_MEASURE_H_
#define EDGECL_RUNTIME_RUNNER_MEASURE_H_

#include <stddef.h>
#include <stdint.h>

int64_t monotonic_ns(void);

// Largest resident set of this process so far.
uint64_t peak_rss_bytes(void);

// Nanoseconds since this process was started, by the kernel's record; its resolution is one clock tick (usually 10 ms).
// -1 = not known.
int64_t since_process_start_ns(void);

// The p-th percentile (0..100, nearest rank) of n values, which are sorted in place. 0 when there are none.
int64_t percentile(int64_t* values, size_t n, int p);

#endif
