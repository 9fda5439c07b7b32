// A lock that one process has: on the empty file PATH.lock. It goes with the process, however that ends.
// Never here: what it protects.
#ifndef EDGECL_RUNTIME_RUNNER_LOCK_BESIDE_H_
#define EDGECL_RUNTIME_RUNNER_LOCK_BESIDE_H_

#include <limits.h>

typedef struct LockBeside {
  int file;  // -1: none is held
  char path[PATH_MAX];
} LockBeside;

// NULL, or why there is no lock. A path that ends in "/" is a folder: the lock lies in it. Links of `path` are followed,
// so that two names of one file have one lock.
const char* lock_take(const char* path, LockBeside* lock);
// Removes the file, too. Nothing where none is held.
void lock_release(LockBeside* lock);

#endif
