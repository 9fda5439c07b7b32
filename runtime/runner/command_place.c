// The command `place`: file operations of a deployment that a shell cannot do so that they last.
//   place link TARGET PATH   a symbolic link PATH to TARGET, made beside and renamed over an older one
//   place move FROM TO       a rename; TO is replaced
//   place sync PATH...       files and folders are flushed to the disk
// The folder is flushed too. Never here: copying.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "failures.h"

static int failed(const char* path) {
  fprintf(stderr, "edgecl-run: expected to place \"%s\"; found: %s; free space, or correct the path\n", path,
          strerror(errno));
  return kInput;
}

static int flush(const char* path) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  const int result = fsync(file);
  const int reason = errno;
  close(file);
  errno = reason;
  return result;
}

static int flush_folder_of(const char* path) {
  char folder[PATH_MAX];
  if (strlen(path) >= sizeof folder) return errno = ENAMETOOLONG, -1;
  memcpy(folder, path, strlen(path) + 1);
  char* slash = strrchr(folder, '/');
  if (slash != NULL) slash[slash == folder] = '\0';
  return flush(slash != NULL ? folder : ".");
}

static int place_link(const char* target, const char* path) {
  char beside[PATH_MAX];
  if (strlen(path) + sizeof ".new" > sizeof beside) return errno = ENAMETOOLONG, failed(path);
  snprintf(beside, sizeof beside, "%s.new", path);
  unlink(beside);  // of a run that was cut
  if (symlink(target, beside) != 0 || rename(beside, path) != 0 || flush_folder_of(path) != 0) return failed(path);
  return kDone;
}

int command_place(int argc, char** argv) {
  if (argc == 5 && strcmp(argv[2], "link") == 0) return place_link(argv[3], argv[4]);
  if (argc == 5 && strcmp(argv[2], "move") == 0) {
    return rename(argv[3], argv[4]) == 0 && flush_folder_of(argv[4]) == 0 ? kDone : failed(argv[4]);
  }
  if (argc >= 4 && strcmp(argv[2], "sync") == 0) {
    for (int i = 3; i < argc; i++) {
      if (flush(argv[i]) != 0) return failed(argv[i]);
    }
    return kDone;
  }
  fputs("edgecl-run: expected place link TARGET PATH, place move FROM TO or place sync PATH...; correct it\n", stderr);
  return kUsage;
}
