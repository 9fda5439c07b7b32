// Whose the sums of a head are: the parts that other devices contributed, each kept by itself, and what is left, which
// is this device's own.
// Never here: messages and classes' names (runtime/learn/merge.cpp), how rows are counted (statistics.cpp).
//
// The statistics are the total. Own sums are not stored: they are the total less all parts, modulo 2^64 (counters of
// codes: 2^32). So what another device learned enters by one addition, and its newer message takes the place of the older
// one by a subtraction and an addition. The order does not matter, and the result has the bits of one session that
// learned everything (a conflict-free replicated data type; Shapiro et al. 2011).
#ifndef EDGECL_RUNTIME_HEADS_PARTS_H_
#define EDGECL_RUNTIME_HEADS_PARTS_H_

#include <stdint.h>

#include "runtime/core/arena.h"

namespace edgecl {

struct HeadMemory;
struct Statistics;

// Of one class.
struct ClassCounts {
  int64_t n;           // rows
  int64_t square_sum;  // of each row the squares of its features added up, and of that the 256th part, rounded down;
                       // 0 for codes of bits
  int64_t saturated;   // features beyond the range
};
EDGECL_SAME_BYTES(ClassCounts);

struct DeviceVersion {
  uint64_t device;   // 0: not said
  uint64_t version;  // rises with every change of what this device contributed; 0: it never contributed
  uint64_t least;    // of the own device: the next version is this one at least
};
EDGECL_SAME_BYTES(DeviceVersion);

// The devices of a session. Part k of all its sums is that of ids[k].
struct DeviceTable {
  uint32_t capacity, fill;
  DeviceVersion* own;  // [1]
  DeviceVersion* ids;  // [capacity]
  uint8_t* replaced;   // [capacity] work of a merge: a newer part comes
};
EDGECL_TARGET_BYTES(DeviceTable, 20, 32);

struct Parts {
  DeviceTable* devices = nullptr;  // null: there are never any
  ClassCounts* classes = nullptr;  // [capacity][columns]
  int64_t* sum = nullptr;          // [capacity][columns][dim]
  int32_t* counters = nullptr;     // in place of `sum`, where the statistics have counters
  int64_t* moments = nullptr;      // [capacity] packed triangles, as many as the total has; null: not kept
  uint8_t* marks = nullptr;        // [columns] work of a merge
  int64_t* rows = nullptr;         // [1] work of a merge: of all devices, with the new ones

  uint32_t fill() const { return devices == nullptr ? 0 : devices->fill; }
};

constexpr uint32_t kNoPart = 0xffffffff;

DeviceTable* lay_out_devices(Arena* arena, uint32_t capacity);
// Memory of the parts; whoever lays out the head sets Parts::devices.
void lay_out_parts(Arena* arena, uint32_t capacity, Statistics* statistics);
// Every part is empty. The table is the session's to clear.
void clear_parts(Statistics* statistics);
// This device's contribution changed.
void next_version(DeviceTable* devices);

// The sums of a head; null for one that learns by gradients.
Statistics* sums_of(const HeadMemory& memory);

// The part of a device; kNoPart.
uint32_t find_part(const DeviceTable& devices, uint64_t device);
// The device that follows in ascending order, its part or kNoPart; false after the last. `own`: with this device.
bool next_device(const DeviceTable& devices, bool own, uint64_t previous, uint32_t* part);
// Adds a part's sums to the total, or takes them out of it. O(columns * dim), and of each triangle O(dim^2).
void add_part(uint32_t part, bool subtract, Statistics* statistics);
void empty_part(uint32_t part, Statistics* statistics);
// Part `from` takes the place of part `to`, and is empty then.
void move_part(uint32_t from, uint32_t to, Statistics* statistics);

// Rows of a class that this device learned, or the others. O(parts).
int64_t own_rows(const Statistics& statistics, uint32_t label);
int64_t others_rows(const Statistics& statistics, uint32_t label);
// What this device contributed to one number.
ClassCounts own_counts(const Statistics& statistics, uint32_t label);
int64_t own_sum(const Statistics& statistics, uint32_t label, uint32_t i);
int64_t own_moment(const Statistics& statistics, uint32_t label, uint32_t i, uint32_t j);  // j <= i; see triangle_of
// The same of part `part`, or with kNoPart of this device.
ClassCounts part_counts(const Statistics& statistics, uint32_t part, uint32_t label);
int64_t part_sum(const Statistics& statistics, uint32_t part, uint32_t label, uint32_t i);
int64_t part_moment(const Statistics& statistics, uint32_t part, uint32_t label, uint32_t i, uint32_t j);
void set_part_class(uint32_t part, uint32_t label, const ClassCounts& counts, Statistics* statistics);
void set_part_sum(uint32_t part, uint32_t label, uint32_t i, int64_t sum, Statistics* statistics);
void set_part_moment(uint32_t part, uint32_t label, uint32_t i, uint32_t j, int64_t moment, Statistics* statistics);
uint64_t triangle_entries(uint64_t dim);                             // of one triangle, without what is no entry
uint32_t part_classes(const Statistics& statistics, uint32_t part);  // that have rows
int64_t part_rows(const Statistics& statistics, uint32_t part);

// Own counts and sums of a class become 0, and its own moments where classes have some; none of its rows is pending.
void clear_own(uint32_t label, Statistics* statistics);
// The own sums become part `part`, whatever it held, and what it held becomes the own sums. The total stays.
void swap_own(uint32_t part, Statistics* statistics);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_HEADS_PARTS_H_
