// Opening of a bundle file by mapping it into memory.
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

// The bytes that are verified are the bytes that are used: the mapping stays as it is until the model is closed. A file
// that is changed in place under it changes the model, so replace bundles by renaming a new file over the old one.
struct Mapping {
  void* bytes;
  size_t n;
};

void unmap(void* bytes, size_t n) {
  munmap(bytes, n);
}

Status io_failure(const char* what, const char* path) {
  return failure(EDGECL_E_IO, "expected to %s \"%.300s\"; found: %s; check path and permissions", what, path,
                 strerror(errno));
}

Status map_open_file(int file, const char* path, Mapping* mapping) {
  struct stat facts;
  if (fstat(file, &facts) != 0) return io_failure("measure", path);
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
  mapping->n = static_cast<size_t>(facts.st_size);
  mapping->bytes = mmap(nullptr, mapping->n, PROT_READ, MAP_PRIVATE, file, 0);
  return mapping->bytes == MAP_FAILED ? io_failure("map", path) : Status();
}

Status map_file(const char* path, Mapping* mapping) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return io_failure("open", path);
  Status status = map_open_file(file, path, mapping);
  close(file);
  return status;
}

Status map_checked(const char* path, edgecl_model** model, Mapping* mapping) {
  EDGECL_RETURN_IF_FAILED(check_pointer(path, "path"));
  EDGECL_RETURN_IF_FAILED(check_pointer(model, "model"));
  return map_file(path, mapping);
}

edgecl_status open_model_file(const char* path, const edgecl_allocator* allocator, edgecl_model** model,
                              edgecl_error* err) {
  Mapping mapping = {nullptr, 0};
  const Status mapped = map_checked(path, model, &mapping);
  if (!mapped.ok()) return report(mapped, err);
  const Status status = open_model_allocated(mapping.bytes, mapping.n, allocator, model);
  if (status.ok()) {
    (*model)->unmap = unmap;
    return EDGECL_OK;
  }
  report(status, err);  // first: names in the sentence lie in the file
  unmap(mapping.bytes, mapping.n);
  return status.code;
}

}  // namespace
}  // namespace edgecl::api

extern "C" edgecl_status edgecl_model_open_file(const char* path, const edgecl_allocator* allocator,
                                                edgecl_model** model, edgecl_error* err) {
  if (!edgecl::api::check_error_struct(err).ok()) return EDGECL_E_ARGUMENT;
  const edgecl::FpControl fp;
  return edgecl::api::open_model_file(path, allocator, model, err);
}

#endif
