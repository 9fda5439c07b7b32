// Which device a session is, and the parts of the others as a whole.
// Never here: sums of one head (heads/parts.cpp), messages (merge.cpp).
#include "runtime/learn/devices.h"

#include <string.h>

#include "runtime/heads/statistics_head.h"
#include "runtime/learn/session_domains.h"

namespace edgecl {
namespace {

Statistics* sums_at(const Session& session, uint32_t i) {
  return sums_of(head_at(session, i));
}
RoutingModel* routing_at(const Session& session, uint32_t i) {
  return session.domains.any() ? &session.domains.list[i].routing : nullptr;
}

bool is_shipped(const Plan& plan, uint32_t label) {
  for (const format::ClassRecord& record : plan.classes) {
    if (record.label == label) return true;
  }
  return false;
}

bool anything_learned(const Session& session) {
  for (uint32_t c = 0; c < session.head_memory.columns; c++) {
    if (own_class_rows(session, c) > 0) return true;
  }
  return false;
}

// What a device learned so far becomes part `part`, and what that was its own.
void swap_all(Session* session, uint32_t part) {
  for (uint32_t i = 0; i < n_heads(*session); i++) {
    Statistics* const s = sums_at(*session, i);
    swap_own(part, s);
    if (s->bank.capacity > 0) clear_bank(s);
    RoutingModel* const routing = routing_at(*session, i);
    if (routing == nullptr) continue;
    swap_own(part, &routing->statistics);
    swap_own_held(part, &session->domains.list[i].rows, routing);
  }
}

}  // namespace

Status check_merges(const Session& session) {
  if (devices_of(session) != nullptr && !session.config.predict_only) return Status();
  return failure(
      EDGECL_E_UNSUPPORTED,
      "expected a session that learns with a head that keeps statistics (ncm, ncm_distance, lda, ridge, hd, fecam); "
      "found %s; weights that gradients trained cannot be merged exactly, and are not averaged",
      session.config.predict_only ? "predict_only = 1" : "a head that learns by gradients");
}

Status check_room_for_devices(const DeviceTable& devices, uint32_t n) {
  if (n <= devices.capacity) return Status();
  return failure(EDGECL_E_CAPACITY,
                 "expected at most head_merges = %u other devices; found one more; make the session with a larger "
                 "head_merges, or take a device out by edgecl_unmerge",
                 devices.capacity);
}

int64_t class_rows(const Session& session, uint32_t label) {
  if (devices_of(session) == nullptr) return 0;
  int64_t n = 0;
  for (uint32_t i = 0; i < n_heads(session); i++) n += sums_at(session, i)->classes[label].n;
  return n;
}

int64_t own_class_rows(const Session& session, uint32_t label) {
  return class_rows(session, label) - others_class_rows(session, label);
}

int64_t others_class_rows(const Session& session, uint32_t label) {
  if (devices_of(session) == nullptr) return 0;
  int64_t n = 0;
  for (uint32_t i = 0; i < n_heads(session); i++) n += others_rows(*sums_at(session, i), label);
  return n;
}

int64_t all_rows(const Session& session) {
  int64_t n = 0;
  for (uint32_t i = 0; i < n_heads(session); i++) n += sums_at(session, i)->n_rows();
  return n;
}

bool has_part_of(const Domain& domain, uint32_t part) {
  if (part_rows(*sums_of(domain.head), part) != 0 || part_rows(domain.routing.statistics, part) != 0) return true;
  if (part == kNoPart) return domain.rows != 0 || domain.routing.held_fill != 0;
  return domain.routing.others[part].rows != 0 || domain.routing.others[part].held_fill != 0;
}

void add_parts(Session* session, uint32_t part, bool subtract) {
  for (uint32_t i = 0; i < n_heads(*session); i++) {
    add_part(part, subtract, sums_at(*session, i));
    RoutingModel* const routing = routing_at(*session, i);
    if (routing != nullptr) add_part(part, subtract, &routing->statistics);
  }
}

void empty_parts(Session* session, uint32_t part) {
  for (uint32_t i = 0; i < n_heads(*session); i++) {
    empty_part(part, sums_at(*session, i));
    RoutingModel* const routing = routing_at(*session, i);
    if (routing != nullptr) empty_routing_part(part, routing);
  }
}

uint32_t new_part(Session* session, uint64_t device) {
  DeviceTable* const devices = devices_of(*session);
  const uint32_t part = devices->fill++;
  devices->ids[part] = {device, 0, 0};
  empty_parts(session, part);
  return part;
}

void release_part(Session* session, uint32_t part) {
  DeviceTable* const devices = devices_of(*session);
  const uint32_t last = --devices->fill;
  devices->ids[part] = devices->ids[last];
  devices->ids[last] = {};
  for (uint32_t i = 0; i < n_heads(*session); i++) {
    move_part(last, part, sums_at(*session, i));
    RoutingModel* const routing = routing_at(*session, i);
    if (routing != nullptr) move_routing_part(last, part, routing);
  }
}

void forget_devices(Session* session, bool own) {
  DeviceTable* const devices = devices_of(*session);
  if (devices == nullptr) return;
  devices->fill = 0;
  memset(static_cast<void*>(devices->ids), 0, devices->capacity * sizeof *devices->ids);
  if (own) *devices->own = {};
}

void sort_merged(Session* session) {
  for (uint32_t label = 0; label < session->classes.capacity; label++) {
    if (!session->classes.present[label] || class_rows(*session, label) == 0 || is_shipped(*session->plan, label))
      continue;
    session->classes.entries[label].merged = own_class_rows(*session, label) > 0 ? kOwnClass : kMergedClass;
  }
  for (uint32_t d = 1; d < session->domains.capacity; d++) {
    Domain* const domain = &session->domains.list[d];
    const bool own = has_part_of(*domain, kNoPart);
    if (domain->used && (own || domain_rows_merged(*domain) > 0)) domain->merged = own ? 0 : 1;
  }
}

uint32_t drop_classes_without_rows(Session* session) {
  uint32_t n = 0;
  for (uint32_t label = 0; label < session->classes.capacity; label++) {
    if (!session->classes.present[label] || session->classes.entries[label].merged == kOwnClass) continue;
    bool any = class_rows(*session, label) > 0;  // of routing alone in forged messages
    for (uint32_t d = 0; d < session->domains.capacity && !any; d++)
      any = session->domains.list[d].routing.statistics.classes[label].n != 0;
    if (any) continue;
    class_drop(&session->classes, label);
    n++;
  }
  return n;
}

uint32_t drop_domains_without_rows(Session* session) {
  Domains* const domains = &session->domains;
  uint32_t n = 0;
  for (uint32_t d = 1; d < domains->capacity; d++) {
    Domain* const domain = &domains->list[d];
    if (!domain->used || !domain->merged) continue;
    bool any = has_part_of(*domain, kNoPart);
    for (uint32_t part = 0; part < devices_of(*session)->fill && !any; part++) any = has_part_of(*domain, part);
    if (any) continue;
    clear_domain(*session->plan, *session->head, domain);
    if (domains->selected == d) domains->selected = 0;
    n++;
  }
  place_selected(session);
  return n;
}

void sums_changed(Session* session) {
  session->step.stage = Stage::kIdle;
  for (uint32_t i = 0; i < n_heads(*session); i++) {
    session->head->merged(head_at(*session, i));
    if (session->domains.any()) session->domains.list[i].routing.ready = false;
  }
  novelty_stale(session->novelty);
}

Status set_device(Session* session, uint64_t device, uint64_t least_version) {
  EDGECL_RETURN_IF_FAILED(check_merges(*session));
  if (device == 0) {
    return failure(EDGECL_E_ARGUMENT, "expected the number of a device, at least 1; found 0; give each device its own");
  }
  DeviceTable* const devices = devices_of(*session);
  DeviceVersion* const own = devices->own;
  if (own->device != device) {
    uint32_t part = find_part(*devices, device);
    const uint64_t version = part != kNoPart ? devices->ids[part].version : 0;
    if (own->version > 0) {  // what was learned so far is another device's from now on
      if (part == kNoPart) {
        EDGECL_RETURN_IF_FAILED(check_room_for_devices(*devices, devices->fill + 1));
        part = new_part(session, own->device);
      }
      swap_all(session, part);
      devices->ids[part] = {own->device, own->version, 0};
      *own = {device, version, 0};
    } else {  // what has no device, and what was known of this one
      const bool learned = anything_learned(*session);
      for (uint32_t d = 0; part != kNoPart && d < session->domains.capacity; d++)
        take_over_held(part, &session->domains.list[d].rows, &session->domains.list[d].routing);
      if (part != kNoPart) release_part(session, part);
      *own = {device, version, least_version};
      if (learned) next_version(devices);
    }
    sort_merged(session);
    for (uint32_t d = 0; d < session->domains.capacity; d++) session->domains.list[d].routing.ready = false;
    novelty_stale(session->novelty);
  }
  if (own->least < least_version) own->least = least_version;
  return Status();
}

Status unmerge(Session* session, uint64_t device) {
  EDGECL_RETURN_IF_FAILED(check_merges(*session));
  const uint32_t part = find_part(*devices_of(*session), device);
  if (part == kNoPart) {
    return failure(EDGECL_E_NOT_FOUND,
                   "expected a device that was merged; found %llu, which was not; ask edgecl_device_describe",
                   static_cast<unsigned long long>(device));
  }
  add_parts(session, part, true);
  release_part(session, part);
  drop_classes_without_rows(session);
  if (session->domains.any()) drop_domains_without_rows(session);
  sums_changed(session);
  return Status();
}

uint32_t n_devices(const Session& session) {
  const DeviceTable* const devices = devices_of(session);
  return devices == nullptr ? 0 : 1 + devices->fill;
}

DeviceSummary device_summary(const Session& session, uint32_t index) {
  const DeviceTable& devices = *devices_of(session);
  const uint32_t part = index == 0 ? kNoPart : index - 1;
  const DeviceVersion& id = index == 0 ? *devices.own : devices.ids[part];
  DeviceSummary found = {id.device, id.version, 0, 0};
  for (uint32_t c = 0; c < session.head_memory.columns; c++) {
    int64_t n = 0;
    for (uint32_t i = 0; i < n_heads(session); i++) n += part_counts(*sums_at(session, i), part, c).n;
    found.rows += static_cast<uint64_t>(n);
    found.n_classes += n > 0;
  }
  return found;
}

bool knows_devices(const Session& session) {
  const DeviceTable* const devices = devices_of(session);
  return devices != nullptr && (devices->own->device != 0 || devices->fill > 0);
}

}  // namespace edgecl
