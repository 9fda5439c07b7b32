// Write beside, flush, rename.
// Never here: messages beyond the reason.
#include "replace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

static int write_flush_close(int file, const void* bytes, size_t n_bytes) {
  int good = file >= 0 && write_all(file, bytes, n_bytes) && fsync(file) == 0;
  if (file < 0) return good;
  const int reason = errno;
  if (close(file) != 0 && good) return 0;
  errno = reason;
  return good;
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

// Cut to length last: a shorter text over a longer one is whole before the rest goes.
static int overwrite(const char* path, const void* bytes, size_t n_bytes) {
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return 0;
  if (!write_all(file, bytes, n_bytes) || ftruncate(file, (off_t)n_bytes) != 0) {
    const int reason = errno;
    close(file);
    errno = reason;
    return 0;
  }
  return write_flush_close(file, NULL, 0);
}

// `mode` < 0: what the process' umask asks for.
static int replace(const char* path, int mode, const void* bytes, size_t n_bytes) {
  const size_t room = strlen(path) + sizeof ".new";
  char* beside = malloc(room);
  if (beside == NULL) return 0;
  snprintf(beside, room, "%s.new", path);
  unlink(beside);  // of a run that was killed
  const int file = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  int good = file >= 0 && (mode < 0 || fchmod(file, (mode_t)mode) == 0);
  if (good) {
    good = write_flush_close(file, bytes, n_bytes);
  } else if (file >= 0) {
    const int reason = errno;
    close(file);
    errno = reason;
  }
  good = good && rename(beside, path) == 0;
  if (good) {
    flush_folder(beside);
  } else if (file >= 0) {
    const int reason = errno;
    unlink(beside);
    errno = reason;
    if (reason == EBUSY || reason == EXDEV) good = overwrite(path, bytes, n_bytes);
  }
  free(beside);
  return good;
}

static const char* refusal(const struct stat* about) {
  if (S_ISDIR(about->st_mode)) return "a folder";
  if (S_ISFIFO(about->st_mode)) return "a pipe";
  if (S_ISSOCK(about->st_mode)) return "a socket";
  if (!S_ISREG(about->st_mode)) return "a device";
  return (about->st_mode & 0222) == 0 ? "a read-only file" : NULL;
}

// The file that a chain of links names, which need not exist yet; `path` takes the answer. 0 when there is no end to it.
static int follow_links(char path[PATH_MAX]) {
  char named[PATH_MAX];
  for (int n = 0; n < 40; ++n) {
    struct stat about;
    if (lstat(path, &about) != 0) return errno == ENOENT;
    if (!S_ISLNK(about.st_mode)) return 1;
    const ssize_t length = readlink(path, named, sizeof named - 1);
    if (length < 0) return 0;
    named[length] = '\0';
    const char* slash = strrchr(path, '/');
    const size_t folder = named[0] == '/' || slash == NULL ? 0 : (size_t)(slash - path) + 1;
    if (folder + (size_t)length >= PATH_MAX) break;
    memcpy(path + folder, named, (size_t)length + 1);
  }
  errno = ELOOP;
  return 0;
}

// The file that `path` comes to and the mode that its successor has; NULL, or why it cannot be replaced.
static const char* find_target(const char* path, char target[PATH_MAX], int* mode) {
  if (strlen(path) >= PATH_MAX) return strerror(ENAMETOOLONG);
  memcpy(target, path, strlen(path) + 1);
  if (!follow_links(target)) return strerror(errno);
  struct stat about;
  *mode = -1;
  if (stat(target, &about) != 0) return NULL;
  const char* reason = refusal(&about);
  if (reason != NULL) return reason;
  if (access(target, W_OK) != 0) return strerror(errno);
  *mode = (int)(about.st_mode & 0777);
  return NULL;
}

const char* check_replaceable(const char* path) {
  char target[PATH_MAX];
  int mode;
  const char* reason = find_target(path, target, &mode);
  if (reason != NULL) return reason;
  char* slash = strrchr(target, '/');
  if (slash) slash[slash == target] = '\0';
  return access(slash ? target : ".", W_OK | X_OK) == 0 ? NULL : strerror(errno);
}

const char* replace_file(const char* path, const void* bytes, size_t n_bytes) {
  char target[PATH_MAX];
  int mode;
  const char* reason = find_target(path, target, &mode);
  if (reason != NULL) return reason;
  return replace(target, mode, bytes, n_bytes) ? NULL : strerror(errno);
}
