// The class table: which labels were issued, which are present, their names and counts.
// Never here: the head's weights and the replay buffer (session.cpp removes a class from all three).
#ifndef EDGECL_RUNTIME_LEARN_CLASSES_H_
#define EDGECL_RUNTIME_LEARN_CLASSES_H_

#include <stddef.h>
#include <stdint.h>

#include "runtime/core/arena.h"
#include "runtime/core/plan.h"
#include "runtime/core/status.h"

namespace edgecl {

constexpr float kLargestClassWeight = 1e6f;

// A class that only rows of other devices made goes with the last of them.
enum MergedClass : uint8_t {
  kOwnClass = 0,
  kMergedClass = 1,
  // Added by a merge that may still fail, under a label never issued before, or one that was.
  kTrialClassNewLabel = 2,
  kTrialClassOldLabel = 3,
};

struct ClassEntry {
  char name[format::kMaxClassNameBytes + 1];  // zero-terminated; empty until the label is issued
  uint64_t samples_seen;                      // rows learned since the session began
  float weight;                               // of the cross-entropy of its rows; 1 unless it was set
  uint8_t issued;                             // ever added; stays 1 after removal
  uint8_t full;    // class-balanced buffer: was a largest class of a full buffer, and samples its own rows since
  uint8_t merged;  // MergedClass
};
EDGECL_SAME_BYTES(ClassEntry);

struct ClassTable {
  uint32_t capacity = 0;   // labels 0..capacity-1 (max_classes)
  uint32_t n_columns = 0;  // class capacity of the bundle: columns of the logits
  uint32_t n_present = 0;
  uint32_t label_kind = 0;        // format::LabelKind: what class names are the text of
  ClassEntry* entries = nullptr;  // [capacity]
  uint8_t* present = nullptr;     // [n_columns] 1 = has a class; what the loss kernels take as `allowed`
};

void lay_out_classes(Arena* arena, const Plan& plan, uint32_t capacity, ClassTable* table);
// The classes that the bundle ships, nothing else.
void classes_reset(const Plan& plan, ClassTable* table);

// Checks a name: 1..63 bytes, valid UTF-8. `name` zero-terminated.
Status check_class_name(const char* name);
// The same for bytes that came out of a file.
bool valid_class_name(const uint8_t* bytes, size_t n);

// Whether the label, which is not present, can be issued now under `name` (null: a name made from the label):
// E_ARGUMENT for a bad name or one in use. Changes nothing.
Status check_class_add(const ClassTable& table, const char* name);
// Issues it. Precondition: check_class_add succeeded.
void class_add(ClassTable* table, uint32_t label, const char* name);
// Lowest label never issued, else the lowest that was removed; `capacity` when all are present.
uint32_t class_next_label(const ClassTable& table);
// Marks a present label absent and clears name and count.
void class_drop(ClassTable* table, uint32_t label);
// Label of the present class of that name, or -1.
int32_t class_find(const ClassTable& table, const char* name);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_CLASSES_H_
