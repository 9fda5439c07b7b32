// What several devices learned becomes one: messages of contributions, and merging them.
// Never here: sums (heads/parts.h), the frame of a message (runtime/state/state_file.h), transport.
//
// A message holds one part or several: a device, the version of its contribution, and of each class its name and sums.
// Own parts are exported as the total less the parts of others. Merging keeps the newest part of each device, so the
// order of messages does not matter, and neither do repeated ones.
#ifndef EDGECL_RUNTIME_LEARN_MERGE_H_
#define EDGECL_RUNTIME_LEARN_MERGE_H_

#include "runtime/learn/session_state.h"

namespace edgecl {

// From now on what the session learns is the contribution of `device`, with versions of `least_version` and above. What
// it learned without a device becomes that device's too. What it learned as another device becomes a part, and the bank
// is empty then; a part of `device` becomes its own. E_ARGUMENT (0), E_CAPACITY (no room for the part), E_UNSUPPORTED (a
// head that learns by gradients, or predict_only).
Status set_device(Session* session, uint64_t device, uint64_t least_version);

// Whether the session may export what it learned: E_UNSUPPORTED (as above), E_SEQUENCE (no device was set). One that
// learned nothing itself needs none to hand on the parts of others.
Status check_delta(const Session& session, bool all);
// Bytes of the message of a session; `all`: with the parts of the other devices, so that it can be handed on.
uint64_t delta_bytes(const Session& session, bool all);
void export_delta(const Session& session, bool all, uint8_t* buffer);

struct MergeReport {
  uint32_t n_parts;                          // in the message
  uint32_t n_new, n_newer, n_known;          // of these: of new devices; in place of an older version; older or equal
  uint32_t n_classes_added, n_classes_gone;  // names that the session did not know; that have no row any more
  uint64_t rows_before, rows;                // of all devices
};

// Takes over every part of a message that is newer than the one known, all of them or nothing. Errors: E_STATE_CORRUPT,
// E_STATE_MISMATCH (another bundle, head, feature_range or kind of labels; two devices of one number; newer than this
// device itself), E_CAPACITY (devices, classes or rows), E_UNSUPPORTED.
// O(bytes, and of each newer part columns * dim + dim^2), twice; and O(classes of the message * max_classes).
Status merge(Session* session, const uint8_t* bytes, size_t n, MergeReport* report);
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

// --- parts in sections (part_record.cpp) ---

// Counts, class sums and moments of a part behind its classes' keys: labels in states, names in messages. kNoPart: own.
void write_part(SectionWriter* out, const Session& session, uint32_t part, bool names);
// One part, without its classes.
struct PartHead {
  uint64_t device, version;
  uint32_t n_classes;
};
// E_STATE_CORRUPT; `previous`: the device before it in the list.
Status read_part_head(SectionReader* in, uint64_t previous, PartHead* head);
Status read_part_counts(SectionReader* in, ClassCounts* counts);
// The triangle of a class, or of all rows, into part `part`; kNoPart: nowhere.
Status read_part_moments(SectionReader* in, uint32_t part, uint32_t label, Statistics* statistics);
// i64 number i of a section's bytes.
int64_t number_at(const uint8_t* bytes, uint64_t i);
// The device that follows in ascending order, its part or kNoPart; false after the last. `own`: with this device.
bool next_device(const Statistics& statistics, bool own, uint64_t previous, uint32_t* part);

// --- section DEVICES (devices_state.cpp) ---
void write_devices(SectionWriter* out, const Session& session);
uint64_t devices_bytes_max(const Plan& plan, const SessionConfig& config);
Status read_devices(SectionReader* in, StateImport* import);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_MERGE_H_
