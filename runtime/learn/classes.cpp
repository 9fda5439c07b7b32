// Issue, removal and search of classes.
// Never here: weights, exemplars.
#include "runtime/learn/classes.h"

#include <stdio.h>
#include <string.h>

namespace edgecl {
namespace {

// Length of the UTF-8 sequence at p (RFC 3629), 0 when it is malformed, overlong, a surrogate or beyond U+10FFFF.
size_t utf8_sequence(const uint8_t* p, size_t left) {
  const uint8_t lead = p[0];
  if (lead < 0x80) return 1;
  const size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || n > left) return 0;
  for (size_t i = 1; i < n; i++) {
    if ((p[i] & 0xc0) != 0x80) return 0;
  }
  if (lead == 0xe0 && p[1] < 0xa0) return 0;
  if (lead == 0xed && p[1] > 0x9f) return 0;
  if (lead == 0xf0 && p[1] < 0x90) return 0;
  if (lead == 0xf4 && p[1] > 0x8f) return 0;
  return n;
}

void default_name(uint32_t label, char name[kMaxClassNameBytes + 1]) {
  snprintf(name, kMaxClassNameBytes + 1, "%u", label);
}

}  // namespace

void lay_out_classes(Arena* arena, const Plan& plan, uint32_t capacity, ClassTable* table) {
  arena->begin_region("classes");
  ClassEntry* entries = arena->take<ClassEntry>(capacity);
  uint8_t* present = arena->take<uint8_t>(plan.model->class_capacity);
  if (arena->measuring() || arena->exhausted()) return;
  table->capacity = capacity;
  table->n_columns = plan.model->class_capacity;
  table->entries = entries;
  table->present = present;
}

void classes_reset(const Plan& plan, ClassTable* table) {
  memset(static_cast<void*>(table->entries), 0, table->capacity * sizeof(ClassEntry));
  memset(table->present, 0, table->n_columns);
  table->n_present = 0;
  for (const format::ClassRecord& record : plan.classes) class_add(table, record.label, plan.string(record.name));
}

bool valid_class_name(const uint8_t* bytes, size_t n) {
  if (n == 0 || n > kMaxClassNameBytes) return false;
  for (size_t i = 0; i < n;) {
    const size_t sequence = bytes[i] == 0 ? 0 : utf8_sequence(bytes + i, n - i);
    if (sequence == 0) return false;
    i += sequence;
  }
  return true;
}

Status check_class_name(const char* name) {
  size_t n = 0;
  while (n <= kMaxClassNameBytes && name[n]) n++;
  if (n == 0 || n > kMaxClassNameBytes) {
    return failure(EDGECL_E_ARGUMENT,
                   "expected a class name of 1 to %zu bytes; found %s; give a shorter or non-empty name",
                   kMaxClassNameBytes, n == 0 ? "an empty one" : "a longer one");
  }
  if (!valid_class_name(reinterpret_cast<const uint8_t*>(name), n)) {
    return failure(EDGECL_E_ARGUMENT, "expected a class name in UTF-8; found bytes that are not; encode the name");
  }
  return Status();
}

Status check_class_add(const ClassTable& table, uint32_t label, const char* name) {
  if (table.entries[label].issued) {
    return failure(EDGECL_E_NOT_FOUND,
                   "expected a label that was never issued; found %u, which was removed; use a new label", label);
  }
  char decimal[kMaxClassNameBytes + 1];
  if (name == nullptr) {
    default_name(label, decimal);
    name = decimal;
  } else {
    EDGECL_RETURN_IF_FAILED(check_class_name(name));
  }
  const int32_t other = class_find(table, name);
  if (other >= 0) {
    return failure(EDGECL_E_ARGUMENT,
                   "expected a class name that is not in use; found \"%s\", the name of class %d; give another name",
                   name, static_cast<int>(other));
  }
  return Status();
}

void class_add(ClassTable* table, uint32_t label, const char* name) {
  ClassEntry* entry = &table->entries[label];
  memset(entry->name, 0, sizeof entry->name);
  if (name) {
    size_t n = 0;
    while (n < kMaxClassNameBytes && name[n]) n++;
    memcpy(entry->name, name, n);
  } else {
    default_name(label, entry->name);
  }
  entry->samples_seen = 0;
  entry->issued = 1;
  table->present[label] = 1;
  table->n_present++;
}

uint32_t class_next_label(const ClassTable& table) {
  uint32_t label = 0;
  while (label < table.capacity && table.entries[label].issued) label++;
  return label;
}

void class_drop(ClassTable* table, uint32_t label) {
  memset(table->entries[label].name, 0, sizeof table->entries[label].name);
  table->entries[label].samples_seen = 0;
  table->present[label] = 0;
  table->n_present--;
}

int32_t class_find(const ClassTable& table, const char* name) {
  for (uint32_t label = 0; label < table.capacity; label++) {
    if (table.present[label] && strcmp(table.entries[label].name, name) == 0) return static_cast<int32_t>(label);
  }
  return -1;
}

}  // namespace edgecl
