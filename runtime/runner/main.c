// edgecl-run: the device program. Finds the command and prints what it did.
// Never here: what a command does (one file each).
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "failures.h"
#include "measure.h"
#include "options.h"
#include "runner.h"

// What was printed has arrived, or a line says that it has not (a full disk shows only here).
static int finish_output(void) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return kDone;
  fprintf(stderr, "edgecl-run: expected to write the output; found: %s; free space, or write it to another place\n",
          strerror(errno));
  return kInput;
}

typedef struct CommandLine {
  const char* name;
  int place;  // in argv
  int (*run)(int argc, char** argv);
} CommandLine;

static const CommandLine kCommands[] = {{"call", 1, command_call},
                                        {"place", 1, command_place},
                                        {"verify", 2, command_verify},
                                        {"selftest", 2, command_selftest},
                                        {"serve", 2, command_serve}};

static int on_arrays(int argc, char** argv) {
  Runner r;
  memset(&r, 0, sizeof r);
  r.main_ns = monotonic_ns();
  if (!parse_options(argc, argv, &r.options)) return kUsage;
  int code = r.options.command == kCommandMethods ? command_methods() : open_bundle(&r);
  if (code == kDone && r.options.command == kCommandInfo) code = command_info(&r);
  if (code == kDone && r.options.command == kCommandPredict) code = command_predict(&r);
  if (code == kDone && r.options.command == kCommandRoute) code = command_route(&r);
  if (code == kDone && r.options.command == kCommandRun) code = command_run(&r);
  release(&r);
  return code;
}

int main(int argc, char** argv) {
  int (*run)(int, char**) = on_arrays;
  for (size_t i = 0; i < sizeof kCommands / sizeof *kCommands; i++) {
    if (argc > kCommands[i].place && strcmp(argv[kCommands[i].place], kCommands[i].name) == 0) run = kCommands[i].run;
  }
  const int code = run(argc, argv);
  const int output = finish_output();
  return code == kDone ? output : code;
}
