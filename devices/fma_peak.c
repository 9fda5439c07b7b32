/* Prints one core's peak rate of fused multiply-adds, operations a second: 16 independent chains of vectors in
 * registers. Never here: anything that touches memory. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#if defined(__AVX__) && !defined(__AVX512F__)
#define CHAINS 12 /* sixteen registers, two of them for the factors */
#else
#define CHAINS 16
#endif
typedef float vec __attribute__((vector_size(VECTOR_BYTES)));

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

int main(int argc, char** argv) {
  const double limit = argc > 1 ? atof(argv[1]) : 0.3;
  const int rounds = 20000;
  vec a, b, acc[CHAINS];
  double best = 0;
  for (unsigned i = 0; i < VECTOR_BYTES / 4; i++) {
    a[i] = 0.999f;
    b[i] = 0.001f;
  }
  for (int c = 0; c < CHAINS; c++) acc[c] = b;
  __asm__ volatile("" : "+m"(a), "+m"(b));
  for (double end = seconds() + limit; seconds() < end;) {
    const double begin = seconds();
    for (int r = 0; r < rounds; r++) {
#pragma GCC unroll 16
      for (int c = 0; c < CHAINS; c++) acc[c] = acc[c] * a + b;
    }
    const double rate = 2.0 * (VECTOR_BYTES / 4) * CHAINS * rounds / (seconds() - begin);
    if (rate > best) best = rate;
  }
  float sum = 0;
  for (int c = 0; c < CHAINS; c++) sum += acc[c][0];
  __asm__ volatile("" : : "g"(sum));
  printf("%.6g\n", best);
  return 0;
}
