// Domains of a session: which one learns, which one predicts, and adaptors that another session trained.
// Never here: routing scores, memory of domains (runtime/adapt/).
#ifndef EDGECL_RUNTIME_LEARN_SESSION_DOMAINS_H_
#define EDGECL_RUNTIME_LEARN_SESSION_DOMAINS_H_

#include "runtime/learn/batch.h"
#include "runtime/learn/session.h"

namespace edgecl {

// Passes see the selected domain again. Between two calls it is always in place.
inline void place_selected(Session* session) {
  place_domain(*session->plan, session->domains.selected, session->weights, &session->domains, &session->head_memory);
}

// E_UNSUPPORTED: max_domains is 0.
Status check_has_domains(const Session& session);
// Learn steps go to domain `which` from now on, and predictions too; kRouteByFit: predictions go where they fit, learn
// steps where they went. E_UNSUPPORTED, E_NOT_FOUND.
Status select_domain(Session* session, int32_t which);
// A domain with the bundle's adaptor and an empty head; it is not selected. Errors: add_domain.
Status new_domain(Session* session, const char* name, int32_t* which);
// All that it learned goes. E_ARGUMENT: domain 0, which stays. E_UNSUPPORTED: other devices have rows in it.
Status remove_domain(Session* session, int32_t which);

// The adaptor of domain `which` becomes the one that `trainer` has, a session of the same bundle that learns by
// gradients; then the domain learns the trainer's exemplars. Errors: E_ARGUMENT (another bundle), E_SEQUENCE (the domain
// has learned rows, whose statistics would not fit), E_UNSUPPORTED (exemplars that are activations), E_NOT_FOUND, and
// those of a learn step; the domain then is as it was.
Status adapt_domain_from(Session* session, int32_t which, const Session& trainer, uint32_t* rows);

// Thresholds of the score kNoveltyFit from the held-out rows of all domains: make_threshold. E_SEQUENCE: there are none.
Status calibrate_domains(Session* session, double accepted, double kept);

// Whether what routing is to learn of a pass are numbers.
inline bool features_finite(const Session& session, uint32_t rows) {
  const Domains& domains = session.domains;
  return !domains.any() || all_finite(domains.features, static_cast<int64_t>(rows) * domains.dim);
}

// Row r of domains.features, which the selected domain's head has just learned.
inline void domain_learned(Session* session, uint32_t r, int32_t label) {
  Domains* const domains = &session->domains;
  if (!domains->any()) return;
  Domain* const domain = &domains->list[domains->selected];
  routing_add(session->learning(), domains->features + r * domains->dim, label, &domain->routing);
  domain->rows++;
  domain->merged = 0;
}

// E_UNSUPPORTED: a class cannot leave the routing statistics as a whole, once they have rows of it, nor the heads of other
// domains than the selected one.
Status check_domains_forget(const Domains& domains, uint32_t label);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_SESSION_DOMAINS_H_
