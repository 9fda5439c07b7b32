// The devices whose contributions a session holds: over the sums of its head, or over those of all its domains.
// Never here: sums (heads/parts.h), messages (merge.h).
//
// A device contributes to everything at once: part k of each head and of each routing model is that of ids[k] in the
// table, and one version counts for all of it.
#ifndef EDGECL_RUNTIME_LEARN_DEVICES_H_
#define EDGECL_RUNTIME_LEARN_DEVICES_H_

#include "runtime/learn/session.h"

namespace edgecl {

// Null for a head that learns by gradients.
inline DeviceTable* devices_of(const Session& session) {
  const Statistics* const s = sums_of(session.head_memory);
  return s == nullptr ? nullptr : s->parts.devices;
}
// The heads of a session: one, or one a domain.
inline uint32_t n_heads(const Session& session) {
  return session.domains.any() ? session.domains.capacity : 1;
}
inline const HeadMemory& head_at(const Session& session, uint32_t i) {
  return session.domains.any() ? session.domains.list[i].head : session.head_memory;
}

// E_UNSUPPORTED: predict_only, or a head that learns by gradients.
Status check_merges(const Session& session);
// E_CAPACITY: room for n other devices.
Status check_room_for_devices(const DeviceTable& devices, uint32_t n);

// Rows of a class, of all heads: of all devices; of this one; of the others. 0 for a head that learns by gradients.
int64_t class_rows(const Session& session, uint32_t label);
int64_t own_class_rows(const Session& session, uint32_t label);
int64_t others_class_rows(const Session& session, uint32_t label);
int64_t all_rows(const Session& session);
// Whether a part, or with kNoPart this device, has anything in a domain.
bool has_part_of(const Domain& domain, uint32_t part);

// Adds all sums of a part to the totals, or takes them out.
void add_parts(Session* session, uint32_t part, bool subtract);
// An empty part for a device; precondition: fill < capacity.
uint32_t new_part(Session* session, uint64_t device);
void empty_parts(Session* session, uint32_t part);
// Takes a part out of the table, so that its sums are own ones; the last part takes its place there.
void release_part(Session* session, uint32_t part);
// No others. With `own` the session forgets which device it is; the sums are the caller's.
void forget_devices(Session* session, bool own);

// Which classes and domains go with the last row of other devices, now that own rows are another device's.
void sort_merged(Session* session);
// Classes, and domains, that only other devices' rows made, and that have none any more.
uint32_t drop_classes_without_rows(Session* session);
uint32_t drop_domains_without_rows(Session* session);
// What was made of the sums is made anew.
void sums_changed(Session* session);

// From now on what the session learns is the contribution of `device`, with versions of `least_version` and above. What
// it learned without a device becomes that device's too. What it learned as another device becomes a part, and the bank
// is empty then; a part of `device` becomes its own. E_ARGUMENT (0), E_CAPACITY (no room for the part), E_UNSUPPORTED (a
// head that learns by gradients, or predict_only).
Status set_device(Session* session, uint64_t device, uint64_t least_version);
// A device's part goes, as if it had never been merged. E_NOT_FOUND.
Status unmerge(Session* session, uint64_t device);

struct DeviceSummary {
  uint64_t device, version, rows;
  uint32_t n_classes;
};
uint32_t n_devices(const Session& session);  // this one and those that were merged; 0 for a head without parts
// Index 0: this device. The others follow in no particular order.
DeviceSummary device_summary(const Session& session, uint32_t index);
// Whether there is something for section DEVICES to say.
bool knows_devices(const Session& session);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_DEVICES_H_
