// The commands that read their own options. Each returns an exit code; argv is that of main.
// Never here: the commands on arrays (runner.h).
#ifndef EDGECL_RUNTIME_RUNNER_COMMANDS_H_
#define EDGECL_RUNTIME_RUNNER_COMMANDS_H_

int command_verify(int argc, char** argv);    // BUNDLE verify
int command_selftest(int argc, char** argv);  // BUNDLE selftest
int command_serve(int argc, char** argv);     // BUNDLE serve
int command_call(int argc, char** argv);      // call
int command_place(int argc, char** argv);     // place

#endif
