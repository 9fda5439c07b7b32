// Size, export, import and digest of a session's state.
// Never here: the format (runtime/state).
#include "runtime/api/api_objects.h"
#include "runtime/learn/migrate_state.h"
#include "runtime/learn/session_state.h"

namespace edgecl::api {
namespace {

Status export_into(const edgecl_session* session, void* buffer, size_t capacity, size_t* written) {
  EDGECL_RETURN_IF_FAILED(check_pointer(buffer, "buffer"));
  EDGECL_RETURN_IF_FAILED(check_pointer(written, "written"));
  const uint64_t bytes = state_bytes(session->session);
  if (bytes > capacity) {
    return failure(EDGECL_E_SHAPE, "expected room for %llu bytes; found %zu; ask edgecl_state_size",
                   static_cast<unsigned long long>(bytes), capacity);
  }
  export_state(session->session, static_cast<uint8_t*>(buffer));
  *written = static_cast<size_t>(bytes);
  return Status();
}

Status config_from_state(const edgecl_model* model, const void* bytes, size_t n_bytes, edgecl_session_config* config) {
  EDGECL_RETURN_IF_FAILED(check_pointer(model, "model"));
  EDGECL_RETURN_IF_FAILED(check_pointer(bytes, "bytes"));
  EDGECL_RETURN_IF_FAILED(check_struct(config, "edgecl_session_config"));
  SessionConfig found;
  EDGECL_RETURN_IF_FAILED(state_config(model->plan, static_cast<const uint8_t*>(bytes), n_bytes, &found));
  write_struct(write_config(found), config);
  return Status();
}

Status migrate(const edgecl_model* from, const edgecl_model* to, const void* bytes, size_t n_bytes, void* out,
               size_t capacity, edgecl_migration* migration) {
  EDGECL_RETURN_IF_FAILED(check_pointer(from, "from"));
  EDGECL_RETURN_IF_FAILED(check_pointer(to, "to"));
  EDGECL_RETURN_IF_FAILED(check_pointer(bytes, "bytes"));
  EDGECL_RETURN_IF_FAILED(check_pointer(out, "out"));
  if (migration) EDGECL_RETURN_IF_FAILED(check_struct(migration, "edgecl_migration"));
  if (capacity < n_bytes)
    return failure(EDGECL_E_SHAPE, "expected room for %zu bytes; found %zu; enlarge the array", n_bytes, capacity);
  Migration found;
  EDGECL_RETURN_IF_FAILED(migrate_state(from->plan, to->plan, static_cast<const uint8_t*>(bytes), n_bytes,
                                        static_cast<uint8_t*>(out), &found));
  if (migration == nullptr) return Status();
  const edgecl_migration told = {sizeof told, found.n_params, found.n_renamed, found.n_frozen_changed,
                                 found.n_classes_left};
  write_struct(told, migration);
  return Status();
}

}  // namespace
}  // namespace edgecl::api

using namespace edgecl;

extern "C" {

edgecl_status edgecl_state_size(const edgecl_session* session, size_t* bytes) {
  const api::SessionCall call(session);
  if (!call.entered()) return call.refusal();
  if (bytes == nullptr) return call.done(api::check_pointer(bytes, "bytes"));
  *bytes = static_cast<size_t>(state_bytes(session->session));
  return EDGECL_OK;
}

edgecl_status edgecl_state_export(const edgecl_session* session, void* buffer, size_t capacity, size_t* written) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::export_into(session, buffer, capacity, written)) : call.refusal();
}

edgecl_status edgecl_state_import(edgecl_session* session, const void* bytes, size_t n_bytes) {
  const api::SessionCall call(session);
  if (!call.entered()) return call.refusal();
  if (bytes == nullptr) return call.done(api::check_pointer(bytes, "bytes"));
  return call.done(import_state(&session->session, static_cast<const uint8_t*>(bytes), n_bytes));
}

edgecl_status edgecl_session_config_from_state(const edgecl_model* model, const void* bytes, size_t n_bytes,
                                               edgecl_session_config* config, edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  return report(api::config_from_state(model, bytes, n_bytes, config), err);
}

edgecl_status edgecl_state_migrate(const edgecl_model* from, const edgecl_model* to, const void* bytes, size_t n_bytes,
                                   void* out, size_t capacity, edgecl_migration* migration, edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  return report(api::migrate(from, to, bytes, n_bytes, out, capacity, migration), err);
}

edgecl_status edgecl_state_digest(const edgecl_session* session, uint8_t digest[32]) {
  const api::SessionCall call(session);
  if (!call.entered()) return call.refusal();
  if (digest == nullptr) return call.done(api::check_pointer(digest, "digest"));
  state_digest(session->session, digest);
  return EDGECL_OK;
}

}  // extern "C"
