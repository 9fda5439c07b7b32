// Issue, removal and search of classes.
// Never here: weights, exemplars.
#include "runtime/learn/classes.h"

#include <string.h>

#include "runtime/core/text.h"

namespace edgecl {
namespace {

// k of a name "LABEL_k" as default_name writes it, where the label has n digits; 0 for another name.
uint32_t suffix_of(const char* name, const char* label, size_t n) {
  if (memcmp(name, label, n) != 0 || name[n] != '_' || name[n + 1] == '0') return 0;
  uint32_t k = 0;
  for (const char* digit = name + n + 1; *digit != 0; digit++) {
    if (*digit < '0' || *digit > '9' || k >= 100000) return 0;  // beyond what so many classes can need
    k = 10 * k + static_cast<uint32_t>(*digit - '0');
  }
  return k;
}

// The decimal label; where a class already has that name, "1_2", "1_3", ..., the first that is free. Looks at every name
// once for each 512 numbers, so that no choice of names makes it long.
void default_name(const ClassTable& table, uint32_t label, char name[format::kMaxClassNameBytes + 1]) {
  TextWriter out(name, format::kMaxClassNameBytes + 1);
  out.number(label);
  if (class_find(table, name) < 0) return;
  const size_t digits = out.length();
  out.text("_");
  for (uint32_t first = 2;; first += 512) {
    uint8_t taken[512] = {};
    for (uint32_t other = 0; other < table.capacity; other++) {
      const uint32_t k = table.present[other] ? suffix_of(table.entries[other].name, name, digits) : 0;
      if (k >= first && k - first < sizeof taken) taken[k - first] = 1;
    }
    for (uint32_t i = 0; i < sizeof taken; i++) {
      if (taken[i] == 0) return out.number(first + i);
    }
  }
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
  table->label_kind = plan.model->label_kind;
  for (const format::ClassRecord& record : plan.classes) class_add(table, record.label, plan.string(record.name));
}

bool valid_class_name(const uint8_t* bytes, size_t n) {
  return n > 0 && n <= format::kMaxClassNameBytes && valid_utf8(bytes, n);
}

Status check_class_name(const char* name) {
  const size_t n = text_length(name, format::kMaxClassNameBytes + 1);
  if (n == 0 || n > format::kMaxClassNameBytes) {
    return failure(EDGECL_E_ARGUMENT,
                   "expected a class name of 1 to %u bytes; found %s; give a shorter or non-empty name",
                   format::kMaxClassNameBytes, n == 0 ? "an empty one" : "a longer one");
  }
  if (!valid_class_name(reinterpret_cast<const uint8_t*>(name), n)) {
    return failure(EDGECL_E_ARGUMENT, "expected a class name in UTF-8; found bytes that are not; encode the name");
  }
  return Status();
}

Status check_class_add(const ClassTable& table, const char* name) {
  if (name == nullptr) return Status();
  EDGECL_RETURN_IF_FAILED(check_class_name(name));
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
    memcpy(entry->name, name, text_length(name, format::kMaxClassNameBytes));
  } else {
    default_name(*table, label, entry->name);
  }
  entry->samples_seen = 0;
  entry->weight = 1;
  entry->issued = 1;
  entry->merged = kOwnClass;
  table->present[label] = 1;
  table->n_present++;
}

uint32_t class_next_label(const ClassTable& table) {
  uint32_t label = 0;
  while (label < table.capacity && table.entries[label].issued) label++;
  if (label < table.capacity) return label;
  label = 0;
  while (label < table.capacity && table.present[label]) label++;
  return label;
}

void class_drop(ClassTable* table, uint32_t label) {
  memset(table->entries[label].name, 0, sizeof table->entries[label].name);
  table->entries[label].samples_seen = 0;
  table->entries[label].weight = 1;
  table->entries[label].full = 0;
  table->entries[label].merged = kOwnClass;
  table->present[label] = 0;
  table->n_present--;
}

int32_t class_find(const ClassTable& table, const char* name) {
  for (uint32_t label = 0; label < table.capacity; label++) {
    if (table.present[label] && same_text(table.entries[label].name, name)) return static_cast<int32_t>(label);
  }
  return -1;
}

}  // namespace edgecl
