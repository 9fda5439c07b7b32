// Parsing of the command line.
// Never here: defaults that depend on a bundle.
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgecl/edgecl.h"

static const char kUsage[] =
    "usage: edgecl-run methods\n"
    "       edgecl-run BUNDLE info\n"
    "       edgecl-run BUNDLE predict FILE.npy [--state-in FILE] [--threads T]\n"
    "       edgecl-run BUNDLE route FILE.npy --state-in FILE [--threads T]\n"
    "       edgecl-run BUNDLE run [--learn N] [--predict N] [--batch B] [--threads T] [--seed S] [--method "
    "NAME]\n"
    "                  [--capacity N] [--data X.npy --labels Y.npy] [--state-in FILE] [--state-out FILE] [--sha] "
    "[--spawned-ns NS]\n"
    "                  [--device ID] [--merges N] [--merge FILE] [--message-out FILE]\n"
    "       edgecl-run BUNDLE verify [--key HEX|FILE]\n"
    "       edgecl-run BUNDLE selftest [--canary FILE | --score FILE] [--state FILE [--from OLD_BUNDLE] [--state-out "
    "FILE]] [--key "
    "HEX|FILE] [--predict N]\n"
    "       edgecl-run BUNDLE serve --socket PATH [--state FILE|FOLDER/] [--canary FILE] [--commit-every N|Ns] "
    "[--threads "
    "T] [--seed S]\n"
    "                  [--key HEX|FILE] [--timeout S] [--device ID] [--merges N]\n"
    "       edgecl-run call --socket PATH [--timeout S] [--state carry|disk|fresh] "
    "commit|health|stats|reload|stop|merge "
    "FILE\n"
    "       edgecl-run place link TARGET PATH | move FROM TO | sync PATH...\n"
    "methods: the methods by name, one JSON line each. NAME is one of these; without it the bundle's recipe holds.\n"
    "route: the domain that fits each row best, of a state with domains.\n"
    "run: N learn steps, then N predicts, on the given or on synthetic samples; prints one JSON line of "
    "measurements.\n"
    "     With a head that keeps statistics: what device ID learned goes to --message-out, and that of another device "
    "comes "
    "from --merge.\n"
    "serve: answers over a Unix socket (SERVE.md); SIGTERM commits and ends, SIGHUP reloads. call: one request to it.\n"
    "Exit codes: 0 done, 1 a signature does not fit, 2 wrong usage, 3 a file or its contents cannot be used, 4 "
    "busy, 5 no answer (call), 70 internal.\n";

typedef struct NumberOption {
  const char* name;
  size_t offset;  // in Options
  int64_t low, high;
} NumberOption;

static const NumberOption kNumbers[] = {
    {"--learn", offsetof(Options, learn_steps), 0, 1000000000},
    {"--predict", offsetof(Options, predict_steps), 0, 1000000000},
    {"--batch", offsetof(Options, batch), 1, 1000000000},
    {"--threads", offsetof(Options, threads), 1, EDGECL_MAX_THREADS},
    {"--capacity", offsetof(Options, capacity), 0, 1 << 24},
    {"--seed", offsetof(Options, seed), 0, INT64_MAX},
    {"--device", offsetof(Options, device), 1, INT64_MAX},
    {"--merges", offsetof(Options, merges), 0, 65536},
    {"--spawned-ns", offsetof(Options, spawned_ns), 0, INT64_MAX},
};

typedef struct TextOption {
  const char* name;
  size_t offset;
} TextOption;

static const TextOption kTexts[] = {
    {"--data", offsetof(Options, data)},
    {"--labels", offsetof(Options, labels)},
    {"--state-in", offsetof(Options, state_in)},
    {"--state-out", offsetof(Options, state_out)},
    {"--method", offsetof(Options, method)},
    {"--merge", offsetof(Options, merge)},
    {"--message-out", offsetof(Options, message_out)},
};

static int parse_number(const NumberOption* option, const char* text, Options* options) {
  char* end = NULL;
  errno = 0;
  const long long value = strtoll(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0 || value < option->low || value > option->high) {
    fprintf(stderr, "edgecl-run: expected %s with a number in %" PRId64 "..%" PRId64 "; found \"%s\"; correct it\n",
            option->name, option->low, option->high, text);
    return 0;
  }
  *(int64_t*)((char*)options + option->offset) = value;
  return 1;
}

// Takes one option with its value, NULL when there is none; 0 = a message was printed.
static int parse_option(const char* name, const char* value, Options* options) {
  const NumberOption* number = NULL;
  const TextOption* text = NULL;
  for (size_t i = 0; i < sizeof kNumbers / sizeof kNumbers[0]; i++) {
    if (strcmp(name, kNumbers[i].name) == 0) number = &kNumbers[i];
  }
  for (size_t i = 0; i < sizeof kTexts / sizeof kTexts[0]; i++) {
    if (strcmp(name, kTexts[i].name) == 0) text = &kTexts[i];
  }
  if (number == NULL && text == NULL) {
    fprintf(stderr, "edgecl-run: expected an option that is listed below; found \"%s\"\n%s", name, kUsage);
    return 0;
  }
  if (value == NULL) {
    fprintf(stderr, "edgecl-run: expected a value after %s; found the end of the line; add it\n", name);
    return 0;
  }
  if (number != NULL) return parse_number(number, value, options);
  *(const char**)((char*)options + text->offset) = value;
  return 1;
}

int parse_options(int argc, char** argv, Options* o) {
  memset(o, 0, sizeof *o);
  o->threads = 1;
  o->batch = o->capacity = o->merges = -1;
  o->spawned_ns = -1;
  int at = 3;
  if (argc == 2 && strcmp(argv[1], "methods") == 0) return o->command = kCommandMethods, 1;
  if (argc < 3) {
    return fprintf(stderr, "edgecl-run: expected a command that is listed below; found none; add it\n%s", kUsage), 0;
  }
  o->bundle = argv[1];
  if (strcmp(argv[2], "info") == 0) {
    o->command = kCommandInfo;
  } else if (strcmp(argv[2], "run") == 0) {
    o->command = kCommandRun;
  } else if (strcmp(argv[2], "predict") == 0 || strcmp(argv[2], "route") == 0) {
    o->command = argv[2][0] == 'p' ? kCommandPredict : kCommandRoute;
    if (argc == at) {
      fprintf(stderr, "edgecl-run: expected %s FILE.npy; found \"%s\"; correct it\n%s", argv[2], argv[2], kUsage);
      return 0;
    }
    o->data = argv[at++];
  } else {
    fprintf(stderr, "edgecl-run: expected a command that is listed below; found \"%s\"; correct it\n%s", argv[2],
            kUsage);
    return 0;
  }
  while (at < argc) {
    if (strcmp(argv[at], "--sha") == 0) {
      o->print_sha = 1;
      at++;
    } else {
      if (!parse_option(argv[at], at + 1 < argc ? argv[at + 1] : NULL, o)) return 0;
      at += 2;
    }
  }
  if (o->command == kCommandRun && (o->data == NULL) != (o->labels == NULL)) {
    return fputs("edgecl-run: expected --data and --labels together; found one of them; add the other\n", stderr), 0;
  }
  return 1;
}
