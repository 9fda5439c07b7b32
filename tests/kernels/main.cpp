// Command line of the kernel tests: kernel_tests [--quick | --full] [--level NAME] [GROUP].
// Never here: tests.
#include <stdio.h>
#include <string.h>

#include "tests/kernels/harness.h"

int main(int argc, char** argv) {
  using namespace edgecl::test;
  struct Group {
    const char* name;
    void (*run)(Tests&);
  };
  const Group groups[] = {{"math", math_cases},
                          {"dispatch", dispatch_cases},
                          {"plan", plan_cases},
                          {"dense", dense_cases},
                          {"sparse", sparse_cases},
                          {"normalisation", normalisation_cases},
                          {"pointwise", pointwise_cases},
                          {"view", view_cases},
                          {"axis", axis_cases},
                          {"matmul", matmul_cases},
                          {"recurrent", recurrent_cases},
                          {"pool", pool_cases},
                          {"input_and_loss", input_and_loss_cases},
                          {"moments", moments_cases},
                          {"hyperdimensional", hyperdimensional_cases},
                          {"int8", int8_cases},
                          {"dsp", dsp_cases}};
  Options options;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--quick") == 0) {
      options.quick = true;
    } else if (strcmp(argv[i], "--full") == 0) {
      options.quick = false;
    } else if (strcmp(argv[i], "--level") == 0 && i + 1 < argc) {
      options.level = argv[++i];
    } else if (argv[i][0] == '-') {
      printf("expected kernel_tests [--quick | --full] [--level NAME] [GROUP], found '%s'; groups:", argv[i]);
      for (const Group& g : groups) printf(" %s", g.name);
      printf("\n");
      return 2;
    } else {
      options.filter = argv[i];
    }
  }
  Tests tests(options);
  int ran = 0;
  for (const Group& g : groups) {
    if (options.filter.empty() || options.filter == g.name) {
      g.run(tests);
      ran++;
    }
  }
  if (ran == 0) {
    printf("no group named '%s'\n", options.filter.c_str());
    return 2;
  }
  return tests.finish(options.filter.empty());
}
