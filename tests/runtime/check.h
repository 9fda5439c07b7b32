// A tiny assert harness: CHECK counts and prints failures, TEST names a case, RUN_TESTS is main's body.
// Never here: fixtures of one test file.
#ifndef EDGECL_TESTS_RUNTIME_CHECK_H_
#define EDGECL_TESTS_RUNTIME_CHECK_H_

#include <stdio.h>
#include <string.h>

#include <vector>

namespace edgecl_test {

// Sweeps over all bytes of a file, weights of a network or histories look at every so-many-th. More than 1 where the same
// code ran whole elsewhere and runs slowly here (tests/CMakeLists.txt).
#ifndef EDGECL_SWEEP_STEP
#define EDGECL_SWEEP_STEP 1
#endif
constexpr unsigned kSweepStep = EDGECL_SWEEP_STEP;

struct Case {
  const char* name;
  void (*body)();
};
inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
inline int& failures() {
  static int count = 0;
  return count;
}
struct Register {
  Register(const char* name, void (*body)()) { cases().push_back({name, body}); }
};

// Runs all cases, or those whose name contains argv[1]. Returns main's exit code.
inline int run(int argc, char** argv) {
  for (const Case& test : cases()) {
    if (argc > 1 && strstr(test.name, argv[1]) == nullptr) continue;
    const int before = failures();
    test.body();
    printf("%s %s\n", failures() == before ? "ok  " : "FAIL", test.name);
    fflush(stdout);
  }
  if (failures() > 0) printf("%d checks failed\n", failures());
  return failures() > 0 ? 1 : 0;
}

}  // namespace edgecl_test

#define TEST(name)                                                        \
  static void test_##name();                                              \
  static const edgecl_test::Register register_##name(#name, test_##name); \
  static void test_##name()

#define CHECK(condition)                                                     \
  do {                                                                       \
    if (!(condition)) {                                                      \
      edgecl_test::failures()++;                                             \
      fprintf(stderr, "%s:%d: CHECK(%s)\n", __FILE__, __LINE__, #condition); \
    }                                                                        \
  } while (0)

#define CHECK_MESSAGE(condition, ...)                                        \
  do {                                                                       \
    if (!(condition)) {                                                      \
      edgecl_test::failures()++;                                             \
      fprintf(stderr, "%s:%d: CHECK(%s): ", __FILE__, __LINE__, #condition); \
      fprintf(stderr, __VA_ARGS__);                                          \
      fputc('\n', stderr);                                                   \
    }                                                                        \
  } while (0)

#define RUN_TESTS()                      \
  int main(int argc, char** argv) {      \
    return edgecl_test::run(argc, argv); \
  }

#endif  // EDGECL_TESTS_RUNTIME_CHECK_H_
