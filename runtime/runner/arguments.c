// A linear look at the list.
// Never here: defaults.
#include "arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Argument* find(const char* name, const Argument* known, size_t n_known) {
  for (size_t i = 0; i < n_known; i++) {
    if (strcmp(name, known[i].name) == 0) return &known[i];
  }
  fputs("edgecl-run: expected ", stderr);
  for (size_t i = 0; i < n_known; i++) fprintf(stderr, "%s%s", i ? ", " : "", known[i].name);
  fprintf(stderr, "; found \"%s\"; correct it\n", name);
  return NULL;
}

static int read_number(const Argument* argument, const char* text) {
  char* end = NULL;
  errno = 0;
  const long long value = strtoll(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0 || value < argument->low || value > argument->high) {
    fprintf(stderr, "edgecl-run: expected %s with a number in %" PRId64 "..%" PRId64 "; found \"%s\"; correct it\n",
            argument->name, argument->low, argument->high, text);
    return 0;
  }
  *(int64_t*)argument->value = value;
  return 1;
}

int parse_arguments(int argc, char** argv, int at, const Argument* known, size_t n_known) {
  while (at < argc) {
    const Argument* argument = find(argv[at], known, n_known);
    if (argument == NULL) return 0;
    if (argument->kind == kFlag) {
      *(int*)argument->value = 1;
      at++;
      continue;
    }
    if (at + 1 >= argc) {
      fprintf(stderr, "edgecl-run: expected a value after %s; found none; add it\n", argument->name);
      return 0;
    }
    if (argument->kind == kText) {
      *(const char**)argument->value = argv[at + 1];
    } else if (!read_number(argument, argv[at + 1])) {
      return 0;
    }
    at += 2;
  }
  return 1;
}
