// Opening of a bundle file: read into memory of the model, or mapped.
// Never here: other uses of files. Builds without files leave this one out.
#if defined(__unix__) || defined(__APPLE__)
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/api/api_objects.h"
#include "runtime/bundle/bundle_format.h"

namespace edgecl::api {
namespace {

// The system's words live until it is asked for others, which happens after the sentence is written.
Status io_failure(const char* what, const char* path) {
  return failure(EDGECL_E_IO, "expected to %s \"%.300s\"; found: %s; check path and permissions", what, path,
                 strerror(errno));
}

void unmap(void* bytes, size_t n) {
  munmap(bytes, n);
}

// An open file, for the length of a call.
struct File {
  int descriptor = -1;
  ~File() {
    if (descriptor >= 0) close(descriptor);
  }
};

Status open_file(const char* path, File* file, size_t* n_bytes) {
  file->descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (file->descriptor < 0) return io_failure("open", path);
  struct stat facts;
  if (fstat(file->descriptor, &facts) != 0) return io_failure("measure", path);
  if (!S_ISREG(facts.st_mode)) {
    return failure(EDGECL_E_IO, "expected a regular file at \"%.300s\"; found another kind; give the path of a bundle",
                   path);
  }
  if (facts.st_size < static_cast<off_t>(sizeof(format::Header)) ||
      static_cast<uint64_t>(facts.st_size) > format::kMaxBundleBytes) {
    return failure(EDGECL_E_BUNDLE_CORRUPT,
                   "expected a bundle of %zu to %llu bytes at \"%.300s\"; found %lld; export the model again",
                   sizeof(format::Header), static_cast<unsigned long long>(format::kMaxBundleBytes), path,
                   static_cast<long long>(facts.st_size));
  }
  *n_bytes = static_cast<size_t>(facts.st_size);
  return Status();
}

Status read_all(int descriptor, const char* path, uint8_t* to, size_t n) {
  for (size_t done = 0; done < n;) {
    const ssize_t got = read(descriptor, to + done, n - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_failure("read", path);
    if (got == 0) {
      return failure(EDGECL_E_IO, "expected %zu bytes in \"%.300s\"; found %zu; do not cut a bundle while it is read",
                     n, path, done);
    }
    done += static_cast<size_t>(got);
  }
  return Status();
}

// What opening takes and, on a failure, gives back after the sentence is written.
struct Taken {
  OpenOptions options = {};
  void* memory = nullptr;
  size_t memory_bytes = 0;
  void* mapping = nullptr;
  size_t n_bytes = 0;
};

Status open_taken(const char* path, const edgecl_open_options* from, edgecl_model** model, Taken* taken) {
  EDGECL_RETURN_IF_FAILED(check_pointer(path, "path"));
  EDGECL_RETURN_IF_FAILED(check_pointer(model, "model"));
  EDGECL_RETURN_IF_FAILED(read_open_options(from, true, true, &taken->options));
  File file;
  EDGECL_RETURN_IF_FAILED(open_file(path, &file, &taken->n_bytes));
  const bool copy = taken->options.copy;
  taken->options.copy = false;  // what is read here lies where the copy belongs
  taken->memory_bytes = kModelBytes + (copy ? taken->n_bytes : 0);
  EDGECL_RETURN_IF_FAILED(take(taken->options.allocator, taken->memory_bytes, &taken->memory));
  const uint8_t* bytes = static_cast<uint8_t*>(taken->memory) + kModelBytes;
  if (copy) {
    EDGECL_RETURN_IF_FAILED(read_all(file.descriptor, path, const_cast<uint8_t*>(bytes), taken->n_bytes));
  } else {
    void* mapping = mmap(nullptr, taken->n_bytes, PROT_READ, MAP_PRIVATE, file.descriptor, 0);
    if (mapping == MAP_FAILED) return io_failure("map", path);
    bytes = static_cast<uint8_t*>(taken->mapping = mapping);
  }
  EDGECL_RETURN_IF_FAILED(
      open_with_scratch(bytes, taken->n_bytes, taken->options, taken->memory, taken->memory_bytes, model));
  if (!copy) (*model)->unmap = unmap;
  return Status();
}

edgecl_status open_model_file(const char* path, const edgecl_open_options* options, edgecl_model** model,
                              edgecl_error* err) {
  Taken taken;
  const Status status = open_taken(path, options, model, &taken);
  if (status.ok()) return EDGECL_OK;
  report(status, err);  // first: names in the sentence lie in the file
  if (taken.mapping) unmap(taken.mapping, taken.n_bytes);
  if (taken.memory) taken.options.allocator.release(taken.options.allocator.user, taken.memory, taken.memory_bytes);
  return status.code;
}

}  // namespace
}  // namespace edgecl::api

extern "C" edgecl_status edgecl_model_open_file(const char* path, const edgecl_open_options* options,
                                                edgecl_model** model, edgecl_error* err) {
  if (!edgecl::api::good_error(err)) return EDGECL_E_ARGUMENT;
  const edgecl::FpControl fp;
  return edgecl::api::open_model_file(path, options, model, err);
}

#endif
