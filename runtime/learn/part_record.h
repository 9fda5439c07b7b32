// Parts as bytes, in messages and states.
// Never here: what is done with them.
#ifndef EDGECL_RUNTIME_LEARN_PART_RECORD_H_
#define EDGECL_RUNTIME_LEARN_PART_RECORD_H_

#include "runtime/learn/devices.h"
#include "runtime/state/section_reader.h"
#include "runtime/state/section_writer.h"

namespace edgecl {

// What stands for a class: a label in states, a name in messages.
enum class ClassKey { kLabel, kName };

// Number and version of a device; kNoPart: this one.
void write_part_head(SectionWriter* out, const DeviceTable& devices, uint32_t part);
struct PartHead {
  uint64_t device, version;
};
// E_STATE_CORRUPT; `previous`: the device before it in the list.
Status read_part_head(SectionReader* in, uint64_t previous, PartHead* head);

// Counts, class sums and moments of one part of some sums; kNoPart: own ones.
void write_part_sums(SectionWriter* out, const Session& session, const Statistics& s, uint32_t part, ClassKey key);
Status read_part_counts(SectionReader* in, const Statistics& s, ClassCounts* counts);
// Bytes of the sums of a class, and number i of them.
uint64_t class_sums_bytes(const Statistics& s);
int64_t sum_at(const Statistics& s, const uint8_t* sums, uint32_t i);
// The triangle of a class, or of all rows, into part `part`; kNoPart: nowhere.
Status read_part_moments(SectionReader* in, uint32_t part, uint32_t label, Statistics* statistics);
// i64 number i of a section's bytes.
int64_t number_at(const uint8_t* bytes, uint64_t i);

// The most bytes that write_part_sums takes with labels.
uint64_t part_sums_bytes_max(const StatisticsSize& size);

// What a part has in a domain beside sums: rows, and held-out rows, which are `rows` of int16 x dim.
struct DomainPartHead {
  uint64_t rows;
  uint32_t n_held;
  const uint8_t* held;
};
void write_domain_part_head(SectionWriter* out, const Domain& domain, uint32_t part);
Status read_domain_part_head(SectionReader* in, const Domain& domain, DomainPartHead* head);
void set_domain_part_head(const DomainPartHead& head, uint32_t part, Domain* domain);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_PART_RECORD_H_
