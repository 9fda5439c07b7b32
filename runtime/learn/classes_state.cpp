// Section CLASSES: every label that was ever issued.
// Never here: the head's columns (weights_state.cpp).
#include <string.h>

#include "runtime/core/text.h"
#include "runtime/learn/session_state.h"

namespace edgecl {
namespace {

enum ClassFlags : uint32_t { kPresent = 1, kFull = 2, kWeighted = 4, kOfOthers = 8 };

}  // namespace

void write_classes(SectionWriter* out, const Session& session) {
  const ClassTable& classes = session.classes;
  uint32_t n_issued = 0;
  for (uint32_t label = 0; label < classes.capacity; label++) n_issued += classes.entries[label].issued;
  out->u32(n_issued);
  out->u32(classes.label_kind);
  for (uint32_t label = 0; label < classes.capacity; label++) {
    const ClassEntry& entry = classes.entries[label];
    if (!entry.issued) continue;
    const uint32_t name_bytes = static_cast<uint32_t>(text_length(entry.name));
    const bool weighted = classes.present[label] && entry.weight != 1;
    out->u32(label);
    out->u32(classes.present[label] * 1u | (entry.full ? kFull : 0u) | (weighted ? kWeighted : 0u) |
             (entry.merged ? kOfOthers : 0u));
    out->u64(entry.samples_seen);
    out->u32(name_bytes);
    out->bytes(entry.name, name_bytes);
    if (weighted) out->floats(&entry.weight, 1);
  }
}

uint64_t classes_bytes_max(const Plan&, const SessionConfig& config) {
  return 8 + config.max_classes * (24ull + format::kMaxClassNameBytes);
}

Status read_classes(SectionReader* in, StateImport* import) {
  Session* session = import->session;
  ClassTable* table = &session->classes;
  const uint32_t n = in->u32(), label_kind = in->u32();
  if (label_kind >= format::kLabelKinds) return in->corrupt("a kind of labels that does not exist");
  if (n > table->capacity) return in->corrupt("more classes than max_classes");
  if (import->apply) {
    memset(static_cast<void*>(table->entries), 0, table->capacity * sizeof(ClassEntry));
    memset(table->present, 0, table->n_columns);
    table->n_present = 0;
    table->label_kind = label_kind;
  }
  uint32_t* exemplars_left = import->exemplars_left;
  if (exemplars_left) memset(exemplars_left, 0, table->n_columns * sizeof *exemplars_left);
  uint32_t next_label = 0;
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t label = in->u32(), flags = in->u32();
    const uint64_t samples_seen = in->u64();
    const uint32_t name_bytes = in->u32();
    const uint8_t* name = in->bytes(name_bytes);
    const bool present = (flags & kPresent) != 0, weighted = (flags & kWeighted) != 0;
    float weight = 1;
    if (weighted && !(in->floats(1, kLargestClassWeight, &weight) && weight >= 0 && weight != 1))
      return in->corrupt("a bad weight");
    if (in->failed()) return in->corrupt("a truncated entry");
    if (label < next_label || label >= table->capacity) return in->corrupt("labels out of order or range");
    const bool sound = flags <= (kPresent | kFull | kWeighted | kOfOthers) &&
                       (present ? valid_class_name(name, name_bytes) && samples_seen < kMaxStateCount
                                : flags == 0 && name_bytes == 0 && samples_seen == 0);
    import->class_rows += samples_seen;
    if (!sound || import->class_rows >= kMaxStateCount) return in->corrupt("a bad name, count or presence");
    next_label = label + 1;
    if (exemplars_left)
      exemplars_left[label] = samples_seen < UINT32_MAX ? static_cast<uint32_t>(samples_seen) : UINT32_MAX;
    if (!import->apply) continue;
    ClassEntry* entry = &table->entries[label];
    entry->issued = 1;
    entry->weight = weight;
    if (!present) continue;
    entry->full = (flags & kFull) != 0;
    entry->merged = (flags & kOfOthers) != 0 ? kMergedClass : kOwnClass;
    memcpy(entry->name, name, name_bytes);
    entry->samples_seen = samples_seen;
    table->present[label] = 1;
    table->n_present++;
  }
  return Status();
}

}  // namespace edgecl
