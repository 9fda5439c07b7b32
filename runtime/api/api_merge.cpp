// Which device a session is, messages of what it learned, and merging them.
// Never here: how (runtime/learn/merge.cpp).
#include "runtime/api/api_objects.h"
#include "runtime/learn/merge.h"

namespace edgecl::api {
namespace {

Status check_delta_of(const edgecl_session* session, uint32_t which) {
  if (which > EDGECL_DELTA_ALL) {
    return failure(EDGECL_E_ARGUMENT, "expected EDGECL_DELTA_OWN or EDGECL_DELTA_ALL; found %u; give one of them",
                   which);
  }
  return check_delta(session->session, which == EDGECL_DELTA_ALL);
}

Status size_of_delta(const edgecl_session* session, uint32_t which, size_t* bytes) {
  EDGECL_RETURN_IF_FAILED(check_pointer(bytes, "bytes"));
  EDGECL_RETURN_IF_FAILED(check_delta_of(session, which));
  *bytes = static_cast<size_t>(delta_bytes(session->session, which == EDGECL_DELTA_ALL));
  return Status();
}

Status export_delta_into(const edgecl_session* session, uint32_t which, void* buffer, size_t capacity,
                         size_t* written) {
  EDGECL_RETURN_IF_FAILED(check_pointer(buffer, "buffer"));
  EDGECL_RETURN_IF_FAILED(check_pointer(written, "written"));
  EDGECL_RETURN_IF_FAILED(check_delta_of(session, which));
  const bool all = which == EDGECL_DELTA_ALL;
  const uint64_t bytes = delta_bytes(session->session, all);
  if (bytes > capacity) {
    return failure(EDGECL_E_SHAPE, "expected room for %llu bytes; found %zu; ask edgecl_delta_size",
                   static_cast<unsigned long long>(bytes), capacity);
  }
  export_delta(session->session, all, static_cast<uint8_t*>(buffer));
  *written = static_cast<size_t>(bytes);
  return Status();
}

Status merge_message(edgecl_session* session, const void* bytes, size_t n_bytes, edgecl_merge_report* report) {
  EDGECL_RETURN_IF_FAILED(check_pointer(bytes, "bytes"));
  if (report) EDGECL_RETURN_IF_FAILED(check_struct(report, "edgecl_merge_report"));
  MergeReport told;
  EDGECL_RETURN_IF_FAILED(merge(&session->session, static_cast<const uint8_t*>(bytes), n_bytes, &told));
  if (report == nullptr) return Status();
  edgecl_merge_report out;
  memset(&out, 0, sizeof out);
  out.n_devices = told.n_parts;
  out.n_new = told.n_new;
  out.n_newer = told.n_newer;
  out.n_known = told.n_known;
  out.n_classes_added = told.n_classes_added;
  out.n_classes_gone = told.n_classes_gone;
  out.n_domains_added = told.n_domains_added;
  out.n_domains_gone = told.n_domains_gone;
  out.rows_before = told.rows_before;
  out.rows = told.rows;
  write_struct(out, report);
  return Status();
}

Status describe_device(const edgecl_session* session, uint32_t index, edgecl_device_info* info) {
  EDGECL_RETURN_IF_FAILED(check_struct(info, "edgecl_device_info"));
  const uint32_t n = n_devices(session->session);
  if (n == 0) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a session with a head that keeps statistics; found one that learns by gradients");
  }
  if (index >= n) {
    return failure(EDGECL_E_NOT_FOUND, "expected the index of a device in 0..%u; found %u; ask for one of these", n - 1,
                   index);
  }
  const DeviceSummary found = device_summary(session->session, index);
  edgecl_device_info out;
  memset(&out, 0, sizeof out);
  out.n_classes = found.n_classes;
  out.device = found.device;
  out.version = found.version;
  out.rows = found.rows;
  write_struct(out, info);
  return Status();
}

}  // namespace
}  // namespace edgecl::api

using namespace edgecl;

extern "C" {

edgecl_status edgecl_device_set(edgecl_session* session, uint64_t device, uint64_t version) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(set_device(&session->session, device, version)) : call.refusal();
}

edgecl_status edgecl_device_describe(const edgecl_session* session, uint32_t index, edgecl_device_info* info) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::describe_device(session, index, info)) : call.refusal();
}

edgecl_status edgecl_delta_size(const edgecl_session* session, uint32_t which, size_t* bytes) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::size_of_delta(session, which, bytes)) : call.refusal();
}

edgecl_status edgecl_delta_export(const edgecl_session* session, uint32_t which, void* buffer, size_t capacity,
                                  size_t* written) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::export_delta_into(session, which, buffer, capacity, written)) : call.refusal();
}

edgecl_status edgecl_merge(edgecl_session* session, const void* bytes, size_t n_bytes, edgecl_merge_report* report) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::merge_message(session, bytes, n_bytes, report)) : call.refusal();
}

edgecl_status edgecl_unmerge(edgecl_session* session, uint64_t device) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(unmerge(&session->session, device)) : call.refusal();
}

}  // extern "C"
