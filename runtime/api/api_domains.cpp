// Domains of a session: adding, choosing, adapting, and which of them a sample fits.
// Never here: routing (runtime/adapt/), passes (runtime/learn/inference.cpp).
#include "runtime/api/api_batch.h"
#include "runtime/api/api_objects.h"
#include "runtime/learn/inference.h"
#include "runtime/learn/session_domains.h"

namespace edgecl::api {
namespace {

void store_route(void* context, uint64_t row, const Route& route) {
  const edgecl_route_result record = {route.domain, route.fit, route.unknown ? EDGECL_NOVEL : EDGECL_ACCEPT, 0};
  static_cast<const Elements*>(context)->write(static_cast<size_t>(row), record);
}

Status route(edgecl_session* session, const edgecl_batch* from, edgecl_route_result* out, size_t out_stride) {
  Batch batch;
  EDGECL_RETURN_IF_FAILED(read_batch(from, &batch));
  EDGECL_RETURN_IF_FAILED(check_pointer(out, "out"));
  EDGECL_RETURN_IF_FAILED(check_stride(out_stride, "out_stride", "edgecl_route_result"));
  Elements array = {reinterpret_cast<uint8_t*>(out), out_stride};
  return routed_rows(&session->session, batch, &array, store_route);
}

Status add(edgecl_session* session, const char* name, int32_t* domain) {
  EDGECL_RETURN_IF_FAILED(check_pointer(name, "name"));
  EDGECL_RETURN_IF_FAILED(check_pointer(domain, "domain"));
  return new_domain(&session->session, name, domain);
}

Status adapt(edgecl_session* session, int32_t domain, const edgecl_session* trainer, uint32_t* rows) {
  EDGECL_RETURN_IF_FAILED(check_pointer(rows, "rows"));
  return adapt_domain_from(&session->session, domain, trainer->session, rows);
}

Status describe(const edgecl_session* session, int32_t which, edgecl_domain_info* out) {
  EDGECL_RETURN_IF_FAILED(check_struct(out, "edgecl_domain_info"));
  const Session& from = session->session;
  EDGECL_RETURN_IF_FAILED(check_has_domains(from));
  EDGECL_RETURN_IF_FAILED(check_domain(from.domains, which));
  const Domain& domain = from.domains.list[which];
  edgecl_domain_info found;
  memset(&found, 0, sizeof found);
  found.adapted = domain.adapted;
  found.rows = domain.rows;
  found.rows_merged = domain_rows_merged(domain);
  found.bytes = domain_bytes(*from.plan, from.config);
  found.held = routing_n_held(domain.routing);
  found.features = from.domains.dim;
  found.selected = from.domains.selected == static_cast<uint32_t>(which) ? 1 : 0;
  found.by_fit = from.domains.routes ? 1 : 0;
  memcpy(found.name, domain.name, sizeof found.name);
  write_struct(found, out);
  return Status();
}

}  // namespace
}  // namespace edgecl::api

using namespace edgecl;

extern "C" {

edgecl_status edgecl_route(edgecl_session* session, const edgecl_batch* batch, edgecl_route_result* out,
                           size_t out_stride) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::route(session, batch, out, out_stride)) : call.refusal();
}

edgecl_status edgecl_domain_add(edgecl_session* session, const char* name, int32_t* domain) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::add(session, name, domain)) : call.refusal();
}

edgecl_status edgecl_domain_select(edgecl_session* session, int32_t domain) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(select_domain(&session->session, domain)) : call.refusal();
}

edgecl_status edgecl_domain_adapt(edgecl_session* session, int32_t domain, const edgecl_session* trainer,
                                  uint32_t* rows) {
  const api::SessionCall call(session);
  if (!call.entered()) return call.refusal();
  const api::SessionCall of_trainer(trainer);  // the same session is busy already
  return of_trainer.entered() ? call.done(api::adapt(session, domain, trainer, rows)) : of_trainer.refusal();
}

edgecl_status edgecl_domain_remove(edgecl_session* session, int32_t domain) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(remove_domain(&session->session, domain)) : call.refusal();
}

edgecl_status edgecl_domain_calibrate(edgecl_session* session, double accepted, double kept) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(calibrate_domains(&session->session, accepted, kept)) : call.refusal();
}

edgecl_status edgecl_domain_describe(const edgecl_session* session, int32_t domain, edgecl_domain_info* info) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::describe(session, domain, info)) : call.refusal();
}

}  // extern "C"
