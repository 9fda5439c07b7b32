// Text as JSON.
// Never here: numbers.
#ifndef EDGECL_RUNTIME_RUNNER_QUOTED_H_
#define EDGECL_RUNTIME_RUNNER_QUOTED_H_

// Prints a string of a bundle, which may hold anything, in quotes.
void print_quoted(const char* text);

#endif
