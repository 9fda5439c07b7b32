// Options of the commands that have a line of their own in main.c (serve, selftest, verify, call).
// Never here: what they mean.
#ifndef EDGECL_RUNTIME_RUNNER_ARGUMENTS_H_
#define EDGECL_RUNTIME_RUNNER_ARGUMENTS_H_

#include <stddef.h>
#include <stdint.h>

typedef enum ArgumentKind { kText, kNumber, kFlag } ArgumentKind;

typedef struct Argument {
  const char* name;
  ArgumentKind kind;
  void* value;        // const char*, int64_t or int
  int64_t low, high;  // of a number
} Argument;

// Reads argv[at..]. 1 = all were known; 0 = a message was printed.
int parse_arguments(int argc, char** argv, int at, const Argument* known, size_t n_known);

#endif
