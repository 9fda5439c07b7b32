// Replacing of a file in a way that a full disk or a power cut does not lose the old one.
// Never here: what is in the file.
#ifndef EDGECL_RUNTIME_RUNNER_REPLACE_FILE_H_
#define EDGECL_RUNTIME_RUNNER_REPLACE_FILE_H_

#include <stddef.h>

// Writes `path`.new, flushes it to the disk, renames it over `path`, flushes the folder. A symbolic link stays, and the
// file that it names is replaced. A file that is mounted by itself cannot be replaced and is overwritten in place: this
// one case is not atomic. Folders, devices, pipes and files that are read-only are refused.
//
// NULL when done; else why not, in words: then the file is as it was (unless it was being overwritten in place), and
// `path`.new is gone.
const char* replace_file(const char* path, const void* bytes, size_t n_bytes);

// The same refusals before there are bytes to write, and folders that are absent or cannot be written. Changes nothing.
const char* check_replaceable(const char* path);

#endif  // EDGECL_RUNTIME_RUNNER_REPLACE_FILE_H_
