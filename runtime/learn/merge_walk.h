// One walk over a message, and what it knows of the message's domains.
// Never here: what is done with a part (merge.cpp).
#ifndef EDGECL_RUNTIME_LEARN_MERGE_WALK_H_
#define EDGECL_RUNTIME_LEARN_MERGE_WALK_H_

#include "runtime/learn/merge.h"
#include "runtime/learn/part_record.h"

namespace edgecl {

constexpr uint32_t kNoDomain = 0xff;

// The domains that a message names: its list, and which of this session each is.
struct MessageDomains {
  uint32_t n = 0;
  const uint8_t* records = nullptr;  // one behind the other, of one size
  uint64_t record_bytes = 0;
  uint64_t taken = 0;    // bit i: a part that comes has rows of domain i of the message
  uint64_t created = 0;  // bit d: domain d of the session comes with this message
  uint8_t slot[format::kMaxDomains] = {};
};

// First to check everything, with classes that come on trial; then to store.
struct Walk {
  Session* session;
  bool apply;
  MergeReport report;
  uint32_t n_devices;   // of others, with the new ones
  uint32_t label_kind;  // that fits the names of both sides
  uint64_t n_classes;   // of all lists so far
  MessageDomains domains;
};

void write_message_domains(SectionWriter* out, const Session& session);
// Number of a domain in the list of a message; the domains that exist come one after another.
uint32_t message_domain(const Session& session, uint32_t domain);
Status read_message_domains(SectionReader* in, Walk* walk);
// Which domain of the session domain `i` of the message is, for a part that comes; a new one takes a free place.
// E_CAPACITY.
Status take_message_domain(Walk* walk, uint32_t i);
bool same_adaptor(const Walk& walk, uint32_t i);
// E_STATE_MISMATCH: a part that comes has rows of an adaptor that is not that of rows that stay.
Status check_adaptors(const Walk& walk);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_MERGE_WALK_H_
