// Replacing of a file in a way that a full disk or a power cut does not lose the old one.
// Never here: what is in the file.
#ifndef EDGECL_RUNTIME_RUNNER_REPLACE_FILE_H_
#define EDGECL_RUNTIME_RUNNER_REPLACE_FILE_H_

#include <stddef.h>

// Writes `path`.new, flushes it to the disk, renames it over `path`, flushes the folder. A symbolic link stays, and the
// file that it names is replaced; what is no file (a pipe, /dev/null) is written as it is. 0 when any of it fails, and
// errno says why: then the file is as it was, and `path`.new is gone.
int replace_file(const char* path, const void* bytes, size_t n_bytes);

#endif  // EDGECL_RUNTIME_RUNNER_REPLACE_FILE_H_
