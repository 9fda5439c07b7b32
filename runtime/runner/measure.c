// Linux's answers to the questions of measure.h.
// Never here: printing.
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t monotonic_ns(void) {
  return clock_ns(CLOCK_MONOTONIC);
}

// Of this program alone: ru_maxrss also counts what the process was before it became this program, such as the copy of a
// large launcher.
static uint64_t high_water_kib(void) {
  char line[256];
  unsigned long long kib = 0;
  FILE* file = fopen("/proc/self/status", "r");
  if (file == NULL) return 0;
  while (kib == 0 && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, "VmHWM:", 6) == 0) kib = strtoull(line + 6, NULL, 10);
  }
  fclose(file);
  return kib;
}

uint64_t peak_rss_bytes(void) {
  const uint64_t kib = high_water_kib();
  if (kib != 0) return kib * 1024;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (uint64_t)usage.ru_maxrss * 1024;
}

int64_t since_process_start_ns(void) {
  char text[1024];
  FILE* file = fopen("/proc/self/stat", "r");
  if (file == NULL) return -1;
  const size_t n = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[n] = '\0';
  // The name in brackets may hold spaces; field 22 is the start, counted in ticks since boot.
  const char* at = strrchr(text, ')');
  for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
  const long ticks = sysconf(_SC_CLK_TCK);
  if (at == NULL || ticks <= 0) return -1;
  const long long start = strtoll(at, NULL, 10);
  return clock_ns(CLOCK_BOOTTIME) - start * (1000000000 / ticks);
}

static int compare(const void* a, const void* b) {
  const int64_t x = *(const int64_t*)a, y = *(const int64_t*)b;
  return (x > y) - (x < y);
}

int64_t percentile(int64_t* values, size_t n, int p) {
  if (n == 0) return 0;
  qsort(values, n, sizeof *values, compare);
  const size_t rank = (n * (size_t)p + 99) / 100;
  return values[rank ? rank - 1 : 0];
}
