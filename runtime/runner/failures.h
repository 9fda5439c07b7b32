// Sentences and exit codes of failures that several commands have.
// Never here: failures of one command.
#ifndef EDGECL_RUNTIME_RUNNER_FAILURES_H_
#define EDGECL_RUNTIME_RUNNER_FAILURES_H_

#include "edgecl/edgecl.h"

// Every command gives one of these, the numbers that the command line `edgecl` has too.
enum ExitCode { kDone = 0, kNo = 1, kUsage = 2, kInput = 3, kInternal = 70 };

int code_of(edgecl_status status);

// Each prints a line on stderr and returns the exit code.
int no_memory(const char* what);
int library_failed(const char* what, edgecl_status status, const char* sentence);
int not_written(const char* path, const char* reason);

#endif
