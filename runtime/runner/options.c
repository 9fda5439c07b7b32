// Parsing of the command line.
// Never here: defaults that depend on a bundle.
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char kUsage[] =
    "usage: edgecl_run methods\n"
    "       edgecl_run BUNDLE info\n"
    "       edgecl_run BUNDLE predict FILE.npy [--state-in FILE] [--threads T]\n"
    "       edgecl_run BUNDLE run [--learn N] [--predict N] [--batch B] [--threads T] [--seed S] [--method "
    "NAME]\n"
    "                  [--capacity N] [--data X.npy --labels Y.npy] [--state-in FILE] [--state-out FILE] [--sha] "
    "[--spawned-ns NS]\n"
    "methods: the methods by name, one JSON line each. NAME is one of these; without it the bundle's recipe holds.\n"
    "run: N learn steps, then N predicts, on the given or on synthetic samples; prints one JSON line of "
    "measurements.\n";

static int parse_number(const char* text, int64_t low, int64_t high, int64_t* out) {
  char* end = NULL;
  const long long value = strtoll(text, &end, 10);
  if (end == text || *end != '\0' || value < low || value > high) return 0;
  *out = value;
  return 1;
}

// Takes one option with its value; 0 when it is unknown or the value is bad.
static int parse_option(const char* name, const char* value, Options* o) {
  int64_t number = 0;
  if (strcmp(name, "--data") == 0) return o->data = value, 1;
  if (strcmp(name, "--labels") == 0) return o->labels = value, 1;
  if (strcmp(name, "--state-in") == 0) return o->state_in = value, 1;
  if (strcmp(name, "--state-out") == 0) return o->state_out = value, 1;
  if (strcmp(name, "--method") == 0) return o->method = value, 1;
  if (strcmp(name, "--spawned-ns") == 0) return parse_number(value, 0, INT64_MAX, &o->spawned_ns);
  if (strcmp(name, "--seed") == 0) {
    const int good = parse_number(value, 0, INT64_MAX, &number);
    o->seed = (uint64_t)number;
    return good;
  }
  if (strcmp(name, "--capacity") == 0) return parse_number(value, 0, 1 << 30, &o->capacity);
  if (!parse_number(value, 0, 1000000000, &number)) return 0;
  if (strcmp(name, "--learn") == 0) return o->learn_steps = (uint32_t)number, 1;
  if (strcmp(name, "--predict") == 0) return o->predict_steps = (uint32_t)number, 1;
  if (strcmp(name, "--batch") == 0) return o->batch = (uint32_t)number, 1;
  if (strcmp(name, "--threads") == 0) return o->threads = (uint32_t)number, number >= 1 && number <= 64;
  return 0;
}

int parse_options(int argc, char** argv, Options* o) {
  memset(o, 0, sizeof *o);
  o->threads = 1;
  o->capacity = -1;
  o->spawned_ns = -1;
  int at = 3;
  if (argc == 2 && strcmp(argv[1], "methods") == 0) return o->command = kCommandMethods, 1;
  if (argc < 3) return fputs(kUsage, stderr), 0;
  o->bundle = argv[1];
  if (strcmp(argv[2], "info") == 0) {
    o->command = kCommandInfo;
  } else if (strcmp(argv[2], "run") == 0) {
    o->command = kCommandRun;
  } else if (strcmp(argv[2], "predict") == 0 && argc > 3) {
    o->command = kCommandPredict;
    o->data = argv[at++];
  } else {
    return fputs(kUsage, stderr), 0;
  }
  while (at < argc) {
    if (strcmp(argv[at], "--sha") == 0) {
      o->print_sha = 1;
      at++;
    } else if (at + 1 < argc && parse_option(argv[at], argv[at + 1], o)) {
      at += 2;
    } else {
      fprintf(stderr, "edgecl_run: expected a known option with a value in its range; found \"%s\"\n%s", argv[at],
              kUsage);
      return 0;
    }
  }
  if (o->command == kCommandRun && (o->data == NULL) != (o->labels == NULL)) {
    return fputs("edgecl_run: expected --data and --labels together; found one of them\n", stderr), 0;
  }
  return 1;
}
