// The domains of a message: names and adaptors, and which domains of the session they are.
// Never here: sums of them (merge.cpp).
//
// A domain is matched by its name. Statistics of two adaptors are those of different features, so they are never added:
// where rows that stay and rows that come have different ones, the message is refused.
#include <string.h>

#include "runtime/core/text.h"
#include "runtime/learn/merge_walk.h"

namespace edgecl {
namespace {

constexpr float kLargestValue = 1e9f;  // as learn steps keep weights
constexpr uint64_t kNameBytes = sizeof(Domain::name), kHeadBytes = kNameBytes + 2 * sizeof(uint32_t) + sizeof(uint64_t);

uint64_t n_values(const Plan& plan) {
  uint64_t n = 0;
  for (uint32_t p = 0; p < plan.params.n; p++) n += adapts(plan, p) ? param_size(plan.params[p]) : 0;
  return n;
}

const uint8_t* record_of(const Walk& walk, uint32_t i) {
  return walk.domains.records + i * walk.domains.record_bytes;
}
const char* name_of(const Walk& walk, uint32_t i) {
  return reinterpret_cast<const char*>(record_of(walk, i));
}

bool sound_name(const uint8_t* name) {
  size_t n = 0;
  while (n < kNameBytes && name[n] != 0) n++;
  bool sound = n >= 1 && n < kNameBytes && valid_utf8(name, n);
  for (size_t i = n; i < kNameBytes; i++) sound = sound && name[i] == 0;
  return sound;
}

template <class Each>
void each_value_array(const Walk& walk, uint32_t i, const Each& each) {
  const Plan& plan = *walk.session->plan;
  const Domain& domain = walk.session->domains.list[walk.domains.slot[i]];
  const uint8_t* from = record_of(walk, i) + kHeadBytes;
  uint64_t at = 0;
  for (uint32_t p = 0; p < plan.params.n; p++) {
    if (!adapts(plan, p)) continue;
    const uint64_t bytes = param_size(plan.params[p]) * sizeof(float);
    each(from, domain.values + at, bytes);
    from += bytes;
    at += value_room(plan.params[p]);
  }
}

void store_adaptor(Walk* walk, uint32_t i) {
  Domain* const domain = &walk->session->domains.list[walk->domains.slot[i]];
  each_value_array(*walk, i, [](const uint8_t* from, float* to, uint64_t bytes) { memcpy(to, from, bytes); });
  uint32_t adapted;
  memcpy(&adapted, record_of(*walk, i) + kNameBytes, sizeof adapted);
  domain->adapted = adapted;
}

void create(Walk* walk, uint32_t i) {
  Domain* const domain = &walk->session->domains.list[walk->domains.slot[i]];
  memcpy(domain->name, name_of(*walk, i), kNameBytes);
  domain->used = domain->merged = 1;
}

}  // namespace

uint32_t message_domain(const Session& session, uint32_t domain) {
  uint32_t i = 0;
  for (uint32_t d = 0; d < domain; d++) i += session.domains.list[d].used;
  return i;
}

void write_message_domains(SectionWriter* out, const Session& session) {
  const Plan& plan = *session.plan;
  out->list(session.domains.dim);
  out->list(session.domains.n_used());
  for (uint32_t d = 0; d < session.domains.capacity; d++) {
    const Domain& domain = session.domains.list[d];
    if (!domain.used) continue;
    out->bytes(domain.name, kNameBytes);
    out->u32(domain.adapted);
    out->u32(0);
    out->u64(n_values(plan));
    uint64_t at = 0;
    for (uint32_t p = 0; p < plan.params.n; p++) {
      if (!adapts(plan, p)) continue;
      out->floats(domain.values + at, param_size(plan.params[p]));
      at += value_room(plan.params[p]);
    }
  }
}

Status read_message_domains(SectionReader* in, Walk* walk) {
  const Domains& domains = walk->session->domains;
  MessageDomains* const found = &walk->domains;
  *found = MessageDomains();
  if (in->list() != domains.dim) return in->corrupt("routing features of another number");
  found->n = in->list();
  if (in->failed() || found->n < 1 || found->n > format::kMaxDomains) return in->corrupt("a bad number of domains");
  const uint64_t n = n_values(*walk->session->plan);
  found->record_bytes = kHeadBytes + n * sizeof(float);
  for (uint32_t i = 0; i < found->n; i++) {
    const uint8_t* const record = in->bytes(kNameBytes);
    if (record == nullptr || !sound_name(record)) return in->corrupt("a bad name of a domain");
    if (i == 0) found->records = record;
    const uint32_t adapted = in->u32(), zero = in->u32();
    if (in->u64() != n || in->failed() || adapted > 1 || zero != 0) return in->corrupt("an adaptor of another size");
    if (!in->floats(n, kLargestValue, nullptr)) return in->corrupt("a bad value of an adaptor");
    for (uint32_t k = 0; k < i; k++) {
      if (memcmp(name_of(*walk, k), record, kNameBytes) == 0) return in->corrupt("a domain twice");
    }
    found->slot[i] = kNoDomain;
    for (uint32_t d = 0; d < domains.capacity; d++) {
      if (domains.list[d].used && memcmp(domains.list[d].name, record, kNameBytes) == 0)
        found->slot[i] = static_cast<uint8_t>(d);
    }
  }
  return Status();
}

bool same_adaptor(const Walk& walk, uint32_t i) {
  bool same = true;
  each_value_array(walk, i, [&](const uint8_t* from, const float* to, uint64_t bytes) {
    same = same && memcmp(from, to, bytes) == 0;
  });
  return same;
}

Status take_message_domain(Walk* walk, uint32_t i) {
  const Domains& domains = walk->session->domains;
  MessageDomains* const found = &walk->domains;
  const bool first = (found->taken >> i & 1) == 0;
  found->taken |= 1ull << i;
  if (!first) return Status();
  if (found->slot[i] == kNoDomain) {
    uint32_t d = 0;
    while (d < domains.capacity && (domains.list[d].used || (found->created >> d & 1) != 0)) d++;
    if (d == domains.capacity) {
      return failure(
          EDGECL_E_CAPACITY,
          "expected room for the domains of the message; found all %u in use; make the session with a larger "
          "max_domains, or remove a domain",
          domains.capacity);
    }
    found->slot[i] = static_cast<uint8_t>(d);
    found->created |= 1ull << d;
    walk->report.n_domains_added++;
    if (walk->apply) create(walk, i);
  }
  if (walk->apply && !same_adaptor(*walk, i)) store_adaptor(walk, i);
  return Status();
}

Status check_adaptors(const Walk& walk) {
  const Session& session = *walk.session;
  const DeviceTable& devices = *devices_of(session);
  for (uint32_t i = 0; i < walk.domains.n; i++) {
    const uint32_t d = walk.domains.slot[i];
    if ((walk.domains.taken >> i & 1) == 0 || (walk.domains.created >> d & 1) != 0 || same_adaptor(walk, i)) continue;
    const Domain& domain = session.domains.list[d];
    bool stays = has_part_of(domain, kNoPart);
    for (uint32_t part = 0; part < devices.fill && !stays; part++)
      stays = devices.replaced[part] == 0 && has_part_of(domain, part);
    if (!stays) continue;
    return failure(
        EDGECL_E_STATE_MISMATCH,
        "expected the adaptor of domain \"%s\" as in this session, since statistics of two adaptors cannot be "
        "added; found another one; give each device's domain with an adaptor of its own another name",
        domain.name);
  }
  return Status();
}

}  // namespace edgecl
