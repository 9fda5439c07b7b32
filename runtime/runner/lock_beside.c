// flock on a file of its own; the file is removed by whoever holds it.
// Never here: waiting for a lock.
#include "lock_beside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

// Whoever held it before may have removed the file between our open and our lock: that lock would protect nothing.
static int is_still_there(int file, const char* path) {
  struct stat ours, there;
  return fstat(file, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
         ours.st_dev == there.st_dev;
}

static int name_lock(const char* path, char lock[PATH_MAX]) {
  char real[PATH_MAX];
  const size_t n = strlen(path);
  const int is_folder = n > 0 && path[n - 1] == '/';
  const char* named = realpath(path, real) != NULL ? real : path;
  return snprintf(lock, PATH_MAX, "%s%s.lock", named, is_folder && named == real ? "/" : "") < PATH_MAX;
}

const char* lock_take(const char* path, LockBeside* lock) {
  lock->file = -1;
  if (!name_lock(path, lock->path)) return "a path too long";
  for (;;) {
    const int file = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return strerror(errno);
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
      close(file);
      return "another server there";
    }
    if (is_still_there(file, lock->path)) {
      lock->file = file;
      return NULL;
    }
    close(file);
  }
}

void lock_release(LockBeside* lock) {
  struct stat about;
  if (lock->file < 0) return;
  // A file with contents is somebody's.
  if (fstat(lock->file, &about) == 0 && about.st_size == 0) unlink(lock->path);
  close(lock->file);
  lock->file = -1;
}
