// Command line of edgecl-run.
// Never here: what the commands do.
#ifndef EDGECL_RUNTIME_RUNNER_OPTIONS_H_
#define EDGECL_RUNTIME_RUNNER_OPTIONS_H_

#include <stdint.h>

typedef enum Command { kCommandInfo, kCommandPredict, kCommandRoute, kCommandRun, kCommandMethods } Command;

typedef struct Options {
  const char* bundle;
  Command command;
  const char* data;         // .npy of samples; NULL = synthetic
  const char* labels;       // .npy of int32 labels; needs data
  const char* state_in;     // NULL = start from the bundle
  const char* state_out;    // NULL = do not write
  const char* method;       // a name; NULL = the recipe's
  const char* merge;        // message of another device, merged before the first step; NULL = none
  const char* message_out;  // message of this device; NULL = do not write
  // Numbers, each in the range that options.c lists; -1 where the user said nothing and the recipe holds.
  int64_t learn_steps, predict_steps;
  int64_t batch;
  int64_t threads;
  int64_t capacity;  // of the replay buffer
  int64_t seed;
  int64_t device;      // number of this device; 0 = as the state says
  int64_t merges;      // other devices that there is room for
  int64_t spawned_ns;  // CLOCK_MONOTONIC at the moment the launcher started this process; -1 = unknown
  int print_sha;
} Options;

// 1 = filled; 0 = a message was printed.
int parse_options(int argc, char** argv, Options* options);

#endif
