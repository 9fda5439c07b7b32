// Calls that change the domains of a session.
// Never here: passes over rows, routing.
#include "runtime/learn/session_domains.h"

#include "runtime/learn/devices.h"
#include "runtime/learn/inference.h"
#include "runtime/learn/learn_step.h"

namespace edgecl {

Status check_has_domains(const Session& session) {
  if (session.domains.any()) return Status();
  return failure(EDGECL_E_UNSUPPORTED,
                 "expected a session with domains; found max_domains = 0; make one with max_domains of 2 or more");
}

Status select_domain(Session* session, int32_t which) {
  EDGECL_RETURN_IF_FAILED(check_has_domains(*session));
  Domains* const domains = &session->domains;
  if (which == kRouteByFit) {
    domains->routes = true;
    return Status();
  }
  EDGECL_RETURN_IF_FAILED(check_domain(*domains, which));
  domains->selected = static_cast<uint32_t>(which);
  domains->routes = false;
  place_selected(session);
  return Status();
}

Status new_domain(Session* session, const char* name, int32_t* which) {
  EDGECL_RETURN_IF_FAILED(check_has_domains(*session));
  uint32_t found = 0;
  EDGECL_RETURN_IF_FAILED(add_domain(name, &session->domains, &found));
  *which = static_cast<int32_t>(found);
  return Status();
}

Status remove_domain(Session* session, int32_t which) {
  EDGECL_RETURN_IF_FAILED(check_has_domains(*session));
  Domains* const domains = &session->domains;
  EDGECL_RETURN_IF_FAILED(check_domain(*domains, which));
  if (which == 0)
    return failure(EDGECL_E_ARGUMENT,
                   "expected a domain behind the first; found domain 0, which stays; reset the session");
  Domain* const domain = &domains->list[which];
  if (domain_rows_merged(*domain) > 0) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a domain without rows of other devices; found %llu in \"%s\"; take these devices out by "
                   "edgecl_unmerge, or remove it there and merge their newer messages",
                   static_cast<unsigned long long>(domain_rows_merged(*domain)), domain->name);
  }
  const bool contributed = domain->rows > 0;
  clear_domain(*session->plan, *session->head, domain);
  if (contributed) next_version(devices_of(*session));
  if (domains->selected == static_cast<uint32_t>(which)) domains->selected = 0;
  place_selected(session);
  return Status();
}

namespace {

Status check_adapt(const Session& session, int32_t which, const Session& trainer) {
  EDGECL_RETURN_IF_FAILED(check_has_domains(session));
  EDGECL_RETURN_IF_FAILED(check_domain(session.domains, which));
  if (session.plan != trainer.plan || !learns_by_gradient(trainer.config)) {
    return failure(EDGECL_E_ARGUMENT,
                   "expected a trainer of the same model that learns by gradients; found another session; make it with "
                   "head = gradient");
  }
  if (trainer.border.op != 0) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a trainer whose buffer holds samples; found latent_replay; make it without");
  }
  if (session.config.predict_only)
    return failure(EDGECL_E_UNSUPPORTED, "expected a session that learns; found predict_only = 1; make one without");
  const Domain& domain = session.domains.list[which];
  const uint64_t rows = domain.rows + domain_rows_merged(domain);
  if (rows == 0) return Status();
  return failure(
      EDGECL_E_SEQUENCE,
      "expected a domain that has learned nothing yet, since its statistics are of the old adaptor; found %llu "
      "rows; remove the domain and add it again",
      static_cast<unsigned long long>(rows));
}

Status learn_exemplars(Session* session, const Session& trainer, uint32_t* rows) {
  const Replay& replay = trainer.replay;
  const uint32_t most = session->config.max_batch;
  for (uint32_t begin = 0; begin < replay.fill; begin += most) {
    Batch batch = {};
    batch.dtype = session->plan->input->dtype;
    batch.n = replay.fill - begin < most ? replay.fill - begin : most;
    batch.data = replay.sample(begin);
    batch.elements = session->sample_elements;
    StepReport report;
    EDGECL_RETURN_IF_FAILED(learn_step(session, batch, replay.labels + begin, 0, &report));
    *rows += batch.n;
  }
  return Status();
}

}  // namespace

Status adapt_domain_from(Session* session, int32_t which, const Session& trainer, uint32_t* rows) {
  *rows = 0;
  EDGECL_RETURN_IF_FAILED(check_adapt(*session, which, trainer));
  Domains* const domains = &session->domains;
  const uint32_t selected = domains->selected;
  Domain* const domain = &domains->list[which];
  adapt_domain(*session->plan, trainer.weights, domain);
  domains->selected = static_cast<uint32_t>(which);
  place_selected(session);
  const Status status = learn_exemplars(session, trainer, rows);
  domains->selected = selected;
  if (!status.ok()) {
    empty_domain(*session->plan, *session->head, domain);
  }
  place_selected(session);
  return status;
}

Status calibrate_domains(Session* session, double accepted, double kept) {
  EDGECL_RETURN_IF_FAILED(check_has_domains(*session));
  uint32_t n = 0;
  EDGECL_RETURN_IF_FAILED(fit_held_rows(session->predicting(), &session->domains, &n));
  Threshold threshold;
  EDGECL_RETURN_IF_FAILED(make_threshold(session->domains.held_fits, n, accepted, kept, &threshold));
  set_threshold(session, kNoveltyFit, threshold);
  return Status();
}

Status check_domains_forget(const Domains& domains, uint32_t label) {
  for (uint32_t d = 0; d < domains.capacity; d++) {
    const Domain& domain = domains.list[d];
    if (domain.used && d != domains.selected && sums_of(domain.head)->classes[label].n > 0) {
      return failure(
          EDGECL_E_UNSUPPORTED,
          "expected no rows of class %u in other domains than the selected one; found some in \"%s\"; hand its "
          "samples to edgecl_unlearn there",
          label, domain.name);
    }
    if (!domain.used || domain.routing.statistics.classes[label].n == 0) continue;
    return failure(
        EDGECL_E_UNSUPPORTED,
        "expected no rows of class %u in the routing statistics, which cannot forget a class as a whole; found "
        "some in domain \"%s\"; hand its samples to edgecl_unlearn",
        label, domain.name);
  }
  return Status();
}

}  // namespace edgecl
