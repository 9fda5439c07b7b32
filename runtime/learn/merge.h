// What several devices learned becomes one: messages of contributions, and merging them.
// Never here: sums (heads/parts.h), the devices of a session (devices.h), the frame of a message
// (runtime/state/state_file.h), transport.
//
// A message holds one part or several: a device, the version of its contribution, and of each class its name and sums;
// in a session with domains, that of each domain. Own parts are exported as the total less the parts of others. Merging
// keeps the newest part of each device, so the order of messages does not matter, and neither do repeated ones.
#ifndef EDGECL_RUNTIME_LEARN_MERGE_H_
#define EDGECL_RUNTIME_LEARN_MERGE_H_

#include "runtime/learn/devices.h"
#include "runtime/learn/session_state.h"

namespace edgecl {

// Whether the session may export what it learned: E_UNSUPPORTED (check_merges), E_SEQUENCE (no device was set). One that
// learned nothing itself needs none to hand on the parts of others.
Status check_delta(const Session& session, bool all);
// Bytes of the message of a session; `all`: with the parts of the other devices, so that it can be handed on.
uint64_t delta_bytes(const Session& session, bool all);
void export_delta(const Session& session, bool all, uint8_t* buffer);

struct MergeReport {
  uint32_t n_parts;                          // in the message
  uint32_t n_new, n_newer, n_known;          // of these: of new devices; in place of an older version; older or equal
  uint32_t n_classes_added, n_classes_gone;  // names that the session did not know; that have no row any more
  uint32_t n_domains_added, n_domains_gone;  // the same of domains
  uint64_t rows_before, rows;                // of all devices
};

// Takes over every part of a message that is newer than the one known, all of them or nothing. Errors: E_STATE_CORRUPT,
// E_STATE_MISMATCH (another bundle, head, feature_range, feature_root, hd_bits or kind of labels; domains here or there
// alone; another adaptor of a domain that has rows of a device whose part stays; two devices of one number; newer than
// this device itself), E_CAPACITY (devices, classes, domains or rows), E_UNSUPPORTED.
// O(bytes, and of each newer part columns * dim, and dim^2 a triangle), twice; and O(classes of the message * max_classes). Of domains,
// that for each that the session has room for.
Status merge(Session* session, const uint8_t* bytes, size_t n, MergeReport* report);

// --- section DEVICES, and DOMAIN_DEVICES with domains (devices_state.cpp) ---
void write_devices(SectionWriter* out, const Session& session);
void write_domain_devices(SectionWriter* out, const Session& session);
uint64_t devices_bytes_max(const Plan& plan, const SessionConfig& config);
Status read_devices(SectionReader* in, StateImport* import);
Status read_domain_devices(SectionReader* in, StateImport* import);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_MERGE_H_
