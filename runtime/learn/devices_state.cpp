// Sections DEVICES and DOMAIN_DEVICES: which device the session is, and the parts of the others.
// Never here: own sums or totals (heads/statistics_state.cpp, adapt/domains_state.cpp), messages.
#include "runtime/heads/hd_head.h"
#include "runtime/heads/statistics_head.h"
#include "runtime/learn/merge.h"
#include "runtime/learn/part_record.h"

namespace edgecl {
namespace {

constexpr uint64_t kFixedBytes = 4 * sizeof(uint64_t) + 8, kPartBytes = 2 * sizeof(uint64_t) + 8;
constexpr uint64_t kDomainPartBytes = 8 + sizeof(uint64_t) + 8;

void write_own(SectionWriter* out, const DeviceTable& devices) {
  out->u64(devices.own->device);
  out->u64(devices.own->version);
  out->u64(devices.own->least);
}

// Classes and moments of a part, into part `part`; kNoPart: nowhere. `rows_left`: what is left of the total's rows of
// each class when these are taken from it, [columns], or null.
Status read_part_sums(SectionReader* in, uint32_t part, uint32_t* rows_left, Statistics* s) {
  const uint32_t n_classes = in->list();
  if (in->failed()) return in->corrupt("a truncated device");
  uint32_t next = 0;
  for (uint32_t k = 0; k < n_classes; k++) {
    const uint32_t label = in->u32();
    ClassCounts counts;
    EDGECL_RETURN_IF_FAILED(read_part_counts(in, *s, &counts));
    const uint8_t* const sums = in->bytes(class_sums_bytes(*s));
    if (sums == nullptr) return in->corrupt("a truncated class");
    if (label < next || label >= s->size.columns) return in->corrupt("classes out of order or range");
    next = label + 1;
    if (rows_left != nullptr) {
      if (counts.n > rows_left[label]) return in->corrupt("more rows of a class than all devices learned");
      rows_left[label] -= static_cast<uint32_t>(counts.n);
    }
    if (s->size.moments == Moments::kOfClasses) EDGECL_RETURN_IF_FAILED(read_part_moments(in, part, label, s));
    if (part == kNoPart) continue;
    set_part_class(part, label, counts, s);
    for (uint32_t i = 0; i < s->size.dim; i++) set_part_sum(part, label, i, sum_at(*s, sums, i), s);
  }
  return s->size.moments == Moments::kShared ? read_part_moments(in, part, 0, s) : Status();
}

Status read_own(SectionReader* in, DeviceVersion* own) {
  *own = {in->u64(), in->u64(), in->u64()};
  return in->failed() || (own->device == 0 && (own->version | own->least) != 0) ? in->corrupt("no device") : Status();
}

Status check_room(const DeviceTable& devices, uint32_t n) {
  if (n <= devices.capacity) return Status();
  return failure(EDGECL_E_STATE_MISMATCH,
                 "state: expected at most head_merges = %u merged devices, as in this session; found %u; make the "
                 "session with a larger head_merges",
                 devices.capacity, n);
}

}  // namespace

void write_devices(SectionWriter* out, const Session& session) {
  const Statistics& s = *sums_of(session.head_memory);
  const DeviceTable& devices = *s.parts.devices;
  write_own(out, devices);
  out->list(devices.fill);
  uint64_t previous = 0;
  for (uint32_t part; next_device(devices, false, previous, &part); previous = devices.ids[part].device) {
    write_part_head(out, devices, part);
    write_part_sums(out, session, s, part, ClassKey::kLabel);
  }
}

void write_domain_devices(SectionWriter* out, const Session& session) {
  const DeviceTable& devices = *devices_of(session);
  const Domains& domains = session.domains;
  write_own(out, devices);
  uint64_t merged = 0;
  for (uint32_t d = 0; d < domains.capacity; d++) merged |= static_cast<uint64_t>(domains.list[d].merged) << d;
  out->u64(merged);
  out->list(devices.fill);
  uint64_t previous = 0;
  for (uint32_t part; next_device(devices, false, previous, &part); previous = devices.ids[part].device) {
    write_part_head(out, devices, part);
    uint32_t n = 0;
    for (uint32_t d = 0; d < domains.capacity; d++) n += has_part_of(domains.list[d], part);
    out->list(n);
    for (uint32_t d = 0; d < domains.capacity; d++) {
      const Domain& domain = domains.list[d];
      if (!has_part_of(domain, part)) continue;
      out->list(d);
      write_domain_part_head(out, domain, part);
      write_part_sums(out, session, *sums_of(domain.head), part, ClassKey::kLabel);
      write_part_sums(out, session, domain.routing.statistics, part, ClassKey::kLabel);
    }
  }
}

uint64_t devices_bytes_max(const Plan& plan, const SessionConfig& config) {
  StatisticsSize size;
  if (config.head == kHeadHd) {
    size.dim = config.hd_bits == 0 ? kDefaultHdBits : config.hd_bits;
    size.columns = plan.model->class_capacity;
    size.counters = true;
  } else {
    size = statistics_head::size_of(plan, config);
  }
  uint64_t of_part = part_sums_bytes_max(size);
  if (config.max_domains > 0) {
    StatisticsSize routing;
    routing.dim = routing_features(plan);
    routing.columns = size.columns;
    routing.moments = Moments::kShared;
    of_part += part_sums_bytes_max(routing) + kDomainPartBytes +
               static_cast<uint64_t>(kHeldRows) * routing.dim * sizeof(int16_t);
    of_part *= config.max_domains;
  }
  const bool none = config.predict_only && config.max_domains == 0;
  return kFixedBytes + (none ? 0 : config.head_merges) * (kPartBytes + of_part);
}

// A session that only predicts has no use for the parts: the total is what it reads.
Status read_devices(SectionReader* in, StateImport* import) {
  Session* const session = import->session;
  Statistics* const s = sums_of(session->head_memory);
  DeviceTable* const devices = s->parts.devices;
  const bool store = import->stores_learning();
  DeviceVersion own;
  EDGECL_RETURN_IF_FAILED(read_own(in, &own));
  const uint32_t n = in->list();
  if (in->failed()) return in->corrupt("a truncated list of devices");
  uint32_t* rows_left = nullptr;
  if (!session->config.predict_only) {
    EDGECL_RETURN_IF_FAILED(check_room(*devices, n));
    rows_left = import->exemplars_left;  // there are no exemplars under such a head
    for (uint32_t i = 0; i < import->file->header().n_sections; i++) {
      const StateEntry entry = import->file->entry(i);
      if (entry.id == kStateHead) session->head->section_rows(import->file->reader(entry), s->size, rows_left);
    }
  }
  uint64_t previous = 0;
  for (uint32_t k = 0; k < n; k++) {
    PartHead head;
    EDGECL_RETURN_IF_FAILED(read_part_head(in, previous, &head));
    if (head.device == own.device) return in->corrupt("a part of this device");
    previous = head.device;
    const uint32_t part = store ? new_part(session, head.device) : kNoPart;
    if (store) devices->ids[part].version = head.version;
    EDGECL_RETURN_IF_FAILED(read_part_sums(in, part, rows_left, s));
  }
  if (store) *devices->own = own;
  return Status();
}

// HEAD and DOMAINS hold what the device itself contributed, so the parts are added here. Whoever only predicts needs them
// too, since others' held-out rows are routed by.
Status read_domain_devices(SectionReader* in, StateImport* import) {
  Session* const session = import->session;
  Domains* const domains = &session->domains;
  DeviceTable* const devices = devices_of(*session);
  DeviceVersion own;
  EDGECL_RETURN_IF_FAILED(read_own(in, &own));
  const uint64_t merged = in->u64();
  const uint32_t n = in->list();
  if (in->failed() || (merged & 1) != 0) return in->corrupt("a truncated list of devices, or domain 0 of others alone");
  EDGECL_RETURN_IF_FAILED(check_room(*devices, n));
  uint64_t previous = 0;
  for (uint32_t k = 0; k < n; k++) {
    PartHead head;
    EDGECL_RETURN_IF_FAILED(read_part_head(in, previous, &head));
    if (head.device == own.device) return in->corrupt("a part of this device");
    previous = head.device;
    const uint32_t part = import->apply ? new_part(session, head.device) : kNoPart;
    if (import->apply) devices->ids[part].version = head.version;
    const uint32_t n_domains = in->list();
    for (uint32_t i = 0, next = 0; i < n_domains; i++) {
      const uint32_t d = in->list();
      if (in->failed() || d < next || d >= domains->capacity || (import->domains >> d & 1) == 0)
        return in->corrupt("domains out of order or range, or that do not exist");
      next = d + 1;
      Domain* const domain = &domains->list[d];
      DomainPartHead of;
      EDGECL_RETURN_IF_FAILED(read_domain_part_head(in, *domain, &of));
      if (import->apply) set_domain_part_head(of, part, domain);
      EDGECL_RETURN_IF_FAILED(read_part_sums(in, part, nullptr, sums_of(domain->head)));
      EDGECL_RETURN_IF_FAILED(read_part_sums(in, part, nullptr, &domain->routing.statistics));
    }
    if (in->failed()) return in->corrupt("a truncated list of domains");
    if (import->apply) add_parts(session, part, false);
  }
  for (uint32_t d = 0; d < format::kMaxDomains; d++) {
    if ((merged >> d & 1) == 0) continue;
    if ((import->domains >> d & 1) == 0) return in->corrupt("a domain of others that does not exist");
    if (import->apply) domains->list[d].merged = 1;
  }
  if (import->apply) *devices->own = own;
  return Status();
}

}  // namespace edgecl
