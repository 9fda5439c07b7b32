// Section DOMAINS of a state.
// Never here: passes, what a domain is for.
#include <string.h>

#include "runtime/adapt/domains.h"
#include "runtime/core/text.h"
#include "runtime/state/section_reader.h"
#include "runtime/state/section_writer.h"

namespace edgecl {
namespace {

constexpr float kLargestValue = 1e9f;  // as learn steps keep weights
constexpr uint64_t kMaxDomainRows = 1ull << 56;
constexpr uint64_t kHeaderBytes = 4 * sizeof(uint32_t), kDomainBytes = 2 * sizeof(uint32_t) + 2 * sizeof(uint64_t);

template <class Each>
void each_value_array(const Plan& plan, const Domain& domain, const Each& each) {
  uint64_t at = 0;
  for (uint32_t p = 0; p < plan.params.n; p++) {
    if (!adapts(plan, p)) continue;
    each(domain.values + at, param_size(plan.params[p]));
    at += value_room(plan.params[p]);
  }
}

uint64_t n_values(const Plan& plan, const Domain& domain) {
  uint64_t n = 0;
  each_value_array(plan, domain, [&](const float*, uint64_t size) { n += size; });
  return n;
}

Status read_name(SectionReader* in, Domain* domain, bool apply) {
  const uint8_t* const name = in->bytes(sizeof domain->name);
  if (name == nullptr) return in->corrupt("a truncated name");
  size_t n = 0;
  while (n < sizeof domain->name && name[n] != 0) n++;
  bool sound = n >= 1 && n < sizeof domain->name && valid_utf8(name, n);
  for (size_t i = n; i < sizeof domain->name; i++) sound = sound && name[i] == 0;
  if (!sound) return in->corrupt("a bad name");
  if (apply) memcpy(domain->name, name, sizeof domain->name);
  return Status();
}

Status read_domain(SectionReader* in, const Plan& plan, const HeadKind& head, bool with_head, Domain* domain,
                   bool apply) {
  const uint32_t adapted = in->u32();
  const uint64_t rows = in->u64();
  if (in->failed() || adapted > 1 || rows > kMaxDomainRows) return in->corrupt("a bad count");
  EDGECL_RETURN_IF_FAILED(read_name(in, domain, apply));
  if (in->u64() != n_values(plan, *domain)) return in->corrupt("an adaptor of another size");
  bool sound = true;
  each_value_array(plan, *domain, [&](float* values, uint64_t n) {
    sound = in->floats(n, kLargestValue, apply ? values : nullptr) && sound;
  });
  if (!sound) return in->corrupt("a bad value of an adaptor");
  EDGECL_RETURN_IF_FAILED(read_routing(in, &domain->routing, apply));
  if (with_head) EDGECL_RETURN_IF_FAILED(head.read_state(in, domain->head, apply));
  if (!apply) return Status();
  domain->used = 1;
  domain->merged = 0;  // section DOMAIN_DEVICES says more
  domain->adapted = adapted;
  domain->rows = rows;
  return Status();
}

}  // namespace

uint64_t domains_bytes_max(const Plan& plan, const format::RecipeRecord& recipe) {
  if (!kHasDomains || recipe.max_domains == 0) return 0;
  uint64_t of_one =
      kDomainBytes + sizeof(Domain::name) + routing_bytes_max(routing_features(plan), plan.model->class_capacity);
  for (uint32_t p = 0; p < plan.params.n; p++) {
    if (adapts(plan, p)) of_one += param_size(plan.params[p]) * sizeof(float);
  }
  return kHeaderBytes + recipe.max_domains * (of_one + head_kind(recipe.head)->section_bytes_max(plan, recipe));
}

void write_domains(SectionWriter* out, const Plan& plan, const HeadKind& head, const Domains& domains) {
  out->u32(domains.n_used());
  out->u32(domains.selected);
  out->u32(domains.routes ? 1 : 0);
  out->u32(0);
  for (uint32_t d = 0; d < domains.capacity; d++) {
    const Domain& domain = domains.list[d];
    if (!domain.used) continue;
    out->u32(d);
    out->u32(domain.adapted);
    out->u64(domain.rows);
    out->bytes(domain.name, sizeof domain.name);
    out->u64(n_values(plan, domain));
    each_value_array(plan, domain, [&](const float* values, uint64_t n) { out->floats(values, n); });
    write_routing(out, domain.routing);
    if (d > 0) head.write_state(out, domain.head, Whose::kOwn);
  }
}

Status read_domains(SectionReader* in, const Plan& plan, const HeadKind& head, Domains* domains, bool apply,
                    uint64_t* found) {
  *found = 0;
  const uint32_t n = in->u32(), selected = in->u32(), routes = in->u32(), zero = in->u32();
  if (in->failed() || n < 1 || n > domains->capacity || selected >= domains->capacity || routes > 1 || zero != 0)
    return in->corrupt("more domains than fit, or a bad number of one");
  if (apply) {
    for (uint32_t d = 1; d < domains->capacity; d++) clear_domain(plan, head, &domains->list[d]);
  }
  bool has_selected = false;
  for (uint32_t i = 0, next = 0; i < n; i++) {
    const uint32_t which = in->u32();
    // Domain 0 is in every state, and the list ascends.
    if (in->failed() || which < next || which >= domains->capacity || (i == 0 && which != 0))
      return in->corrupt("domains out of order or range");
    EDGECL_RETURN_IF_FAILED(read_domain(in, plan, head, which > 0, &domains->list[which], apply));
    *found |= 1ull << which;
    has_selected = has_selected || which == selected;
    next = which + 1;
  }
  if (!has_selected) return in->corrupt("a domain selected that does not exist");
  if (!apply) return Status();
  domains->selected = selected;
  domains->routes = routes != 0;
  return Status();
}

}  // namespace edgecl
