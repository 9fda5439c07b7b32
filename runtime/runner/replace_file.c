// Write beside, flush, rename.
// Never here: messages.
#include "replace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int file, const char* bytes, size_t n_bytes) {
  while (n_bytes > 0) {
    const ssize_t put = write(file, bytes, n_bytes);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return 0;
    bytes += put;
    n_bytes -= (size_t)put;
  }
  return 1;
}

// The name of a file lies in its folder, so that a rename lasts once the folder is on the disk.
static void flush_folder(char* path) {
  char* slash = strrchr(path, '/');
  if (slash) slash[slash == path] = '\0';
  const int folder = open(slash ? path : ".", O_RDONLY | O_CLOEXEC);
  if (folder < 0) return;
  (void)!fsync(folder);
  close(folder);
}

static int write_stream(const char* path, const void* bytes, size_t n_bytes) {
  const int stream = open(path, O_WRONLY | O_CLOEXEC);
  int good = stream >= 0 && write_all(stream, bytes, n_bytes);
  if (stream >= 0 && close(stream) != 0) good = 0;
  return good;
}

static int replace(const char* path, const void* bytes, size_t n_bytes) {
  const size_t room = strlen(path) + sizeof ".new";
  char* beside = malloc(room);
  if (beside == NULL) return 0;
  snprintf(beside, room, "%s.new", path);
  const int file = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  int good = file >= 0 && write_all(file, bytes, n_bytes) && fsync(file) == 0;
  if (file >= 0 && close(file) != 0) good = 0;
  good = good && rename(beside, path) == 0;
  if (good) {
    flush_folder(beside);
  } else if (file >= 0) {
    const int reason = errno;
    unlink(beside);
    errno = reason;
  }
  free(beside);
  return good;
}

int replace_file(const char* path, const void* bytes, size_t n_bytes) {
  struct stat about;
  if (stat(path, &about) != 0) return replace(path, bytes, n_bytes);
  if (!S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode)) return write_stream(path, bytes, n_bytes);
  char* target = realpath(path, NULL);
  const int good = target != NULL && replace(target, bytes, n_bytes);
  free(target);
  return good;
}
