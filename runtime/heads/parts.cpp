// The parts of other devices, and own sums as what they leave of the total.
// Never here: messages.
#include "runtime/heads/parts.h"

#include <string.h>

#include "runtime/heads/hd_head.h"
#include "runtime/heads/statistics_head.h"

namespace edgecl {
namespace {

uint64_t part_sums(const Statistics& s) {
  return static_cast<uint64_t>(s.size.columns) * s.size.dim;
}
ClassCounts* counts_of(const Statistics& s, uint32_t part) {
  return s.parts.classes + static_cast<uint64_t>(part) * s.size.columns;
}
int64_t* moments_of(const Statistics& s, uint32_t part) {
  return s.parts.moments + part * s.size.moment_numbers();
}
// A part's triangle in the place that the total has for the class.
int64_t* triangle_of(const Statistics& s, uint32_t part, uint32_t label) {
  return moments_of(s, part) + (s.triangle_of(label) - s.moments);
}

// Place of number i of a class among the sums of a part, or with part 0 of the total.
uint64_t place_of(const Statistics& s, uint32_t part, uint32_t label, uint32_t i) {
  return part * part_sums(s) + static_cast<uint64_t>(label) * s.size.dim + i;
}
int64_t total_sum(const Statistics& s, uint32_t label, uint32_t i) {
  const uint64_t place = place_of(s, 0, label, i);
  return s.counters != nullptr ? s.counters[place] : s.sum[place];
}
void set_total_sum(uint32_t label, uint32_t i, int64_t x, Statistics* s) {
  const uint64_t place = place_of(*s, 0, label, i);
  if (s->counters != nullptr) {
    s->counters[place] = static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint64_t>(x)));
  } else {
    s->sum[place] = x;
  }
}
int64_t sum_of(const Statistics& s, uint32_t part, uint32_t label, uint32_t i) {
  const uint64_t place = place_of(s, part, label, i);
  return s.parts.counters != nullptr ? s.parts.counters[place] : s.parts.sum[place];
}
int64_t moment_of(const Statistics& s, uint32_t part, uint32_t label, uint32_t i, uint32_t j) {
  return triangle_of(s, part, label)[moments_at(i, j, s.size.dim)];
}

int64_t difference(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}
ClassCounts difference(const ClassCounts& a, const ClassCounts& b) {
  return {difference(a.n, b.n), difference(a.square_sum, b.square_sum), difference(a.saturated, b.saturated)};
}

void add(const int64_t* x, uint64_t n, bool subtract, int64_t* to) {
  if (subtract) {
    for (uint64_t i = 0; i < n; i++) to[i] = difference(to[i], x[i]);
  } else {
    for (uint64_t i = 0; i < n; i++) to[i] = modular_sum(to[i], x[i]);
  }
}

void add(const int32_t* x, uint64_t n, bool subtract, int32_t* to) {
  for (uint64_t i = 0; i < n; i++) {
    const uint32_t a = static_cast<uint32_t>(to[i]), b = static_cast<uint32_t>(x[i]);
    to[i] = static_cast<int32_t>(subtract ? a - b : a + b);
  }
}

}  // namespace

DeviceTable* lay_out_devices(Arena* arena, uint32_t capacity) {
  DeviceTable* const devices = arena->take<DeviceTable>(1);
  const DeviceTable table = {capacity, 0, arena->take<DeviceVersion>(1), arena->take<DeviceVersion>(capacity),
                             arena->take<uint8_t>(capacity)};
  if (arena->measuring() || arena->exhausted()) return nullptr;
  *devices = table;
  *devices->own = {};
  return devices;
}

void lay_out_parts(Arena* arena, uint32_t capacity, Statistics* s) {
  Parts* const parts = &s->parts;
  const uint64_t n = capacity, columns = s->size.columns, sums = n * columns * s->size.dim;
  parts->classes = arena->take<ClassCounts>(n * columns);
  if (s->size.counters) {
    parts->counters = arena->take<int32_t>(sums);
  } else {
    parts->sum = arena->take<int64_t>(sums);
  }
  parts->moments = s->size.triangles() > 0 ? arena->take<int64_t>(n * s->size.moment_numbers()) : nullptr;
  parts->marks = arena->take<uint8_t>(capacity > 0 ? columns : 0);
  parts->rows = arena->take<int64_t>(capacity > 0 ? 1 : 0);
}

void clear_parts(Statistics* s) {
  for (uint32_t part = 0; part < s->size.parts; part++) empty_part(part, s);
}

void next_version(DeviceTable* devices) {
  if (devices == nullptr || devices->own->device == 0) return;
  DeviceVersion* const own = devices->own;
  if (own->version < UINT64_MAX) own->version++;
  if (own->version < own->least) own->version = own->least;
}

Statistics* sums_of(const HeadMemory& memory) {
  return memory.own != nullptr ? &memory.own->statistics : memory.hd != nullptr ? &memory.hd->sums : nullptr;
}

uint32_t find_part(const DeviceTable& devices, uint64_t device) {
  for (uint32_t part = 0; part < devices.fill; part++) {
    if (devices.ids[part].device == device) return part;
  }
  return kNoPart;
}

bool next_device(const DeviceTable& devices, bool own, uint64_t previous, uint32_t* part) {
  uint64_t least = 0;
  if (own && devices.own->device > previous) {
    least = devices.own->device;
    *part = kNoPart;
  }
  for (uint32_t k = 0; k < devices.fill; k++) {
    const uint64_t device = devices.ids[k].device;
    if (device <= previous || (least != 0 && device >= least)) continue;
    least = device;
    *part = k;
  }
  return least != 0;
}

void add_part(uint32_t part, bool subtract, Statistics* s) {
  const ClassCounts* const counts = counts_of(*s, part);
  for (uint32_t c = 0; c < s->size.columns; c++) {
    ClassCounts* const to = &s->classes[c];
    const ClassCounts& x = counts[c];
    *to = subtract ? difference(*to, x)
                   : ClassCounts{modular_sum(to->n, x.n), modular_sum(to->square_sum, x.square_sum),
                                 modular_sum(to->saturated, x.saturated)};
  }
  const uint64_t begin = part * part_sums(*s);
  if (s->counters != nullptr) {
    add(s->parts.counters + begin, part_sums(*s), subtract, s->counters);
  } else {
    add(s->parts.sum + begin, part_sums(*s), subtract, s->sum);
  }
  if (s->moments != nullptr) add(moments_of(*s, part), s->size.moment_numbers(), subtract, s->moments);
}

void empty_part(uint32_t part, Statistics* s) {
  memset(static_cast<void*>(counts_of(*s, part)), 0, s->size.columns * sizeof(ClassCounts));
  const uint64_t n = part_sums(*s), begin = part * n;
  if (s->size.counters) memset(s->parts.counters + begin, 0, n * sizeof(int32_t));
  if (!s->size.counters) memset(s->parts.sum + begin, 0, n * sizeof(int64_t));
  if (s->moments != nullptr) memset(moments_of(*s, part), 0, s->size.moment_numbers() * sizeof(int64_t));
}

void move_part(uint32_t from, uint32_t to, Statistics* s) {
  if (from != to) {
    const uint64_t n = part_sums(*s);
    memcpy(static_cast<void*>(counts_of(*s, to)), counts_of(*s, from), s->size.columns * sizeof(ClassCounts));
    if (s->size.counters) memcpy(s->parts.counters + to * n, s->parts.counters + from * n, n * sizeof(int32_t));
    if (!s->size.counters) memcpy(s->parts.sum + to * n, s->parts.sum + from * n, n * sizeof(int64_t));
    if (s->moments != nullptr)
      memcpy(moments_of(*s, to), moments_of(*s, from), s->size.moment_numbers() * sizeof(int64_t));
  }
  empty_part(from, s);
}

int64_t others_rows(const Statistics& s, uint32_t label) {
  int64_t n = 0;
  for (uint32_t part = 0; part < s.parts.fill(); part++) n += counts_of(s, part)[label].n;
  return n;
}

int64_t own_rows(const Statistics& s, uint32_t label) {
  return s.classes[label].n - others_rows(s, label);
}

ClassCounts own_counts(const Statistics& s, uint32_t label) {
  ClassCounts own = s.classes[label];
  for (uint32_t part = 0; part < s.parts.fill(); part++) own = difference(own, counts_of(s, part)[label]);
  return own;
}

int64_t own_sum(const Statistics& s, uint32_t label, uint32_t i) {
  int64_t own = total_sum(s, label, i);
  for (uint32_t part = 0; part < s.parts.fill(); part++) own = difference(own, sum_of(s, part, label, i));
  return s.counters != nullptr ? static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint64_t>(own))) : own;
}

int64_t own_moment(const Statistics& s, uint32_t label, uint32_t i, uint32_t j) {
  int64_t own = settled_moment(s, label, i, j);
  for (uint32_t part = 0; part < s.parts.fill(); part++) own = difference(own, moment_of(s, part, label, i, j));
  return own;
}

ClassCounts part_counts(const Statistics& s, uint32_t part, uint32_t label) {
  return part == kNoPart ? own_counts(s, label) : counts_of(s, part)[label];
}

int64_t part_sum(const Statistics& s, uint32_t part, uint32_t label, uint32_t i) {
  return part == kNoPart ? own_sum(s, label, i) : sum_of(s, part, label, i);
}

int64_t part_moment(const Statistics& s, uint32_t part, uint32_t label, uint32_t i, uint32_t j) {
  return part == kNoPart ? own_moment(s, label, i, j) : moment_of(s, part, label, i, j);
}

void set_part_class(uint32_t part, uint32_t label, const ClassCounts& counts, Statistics* s) {
  counts_of(*s, part)[label] = counts;
}

void set_part_sum(uint32_t part, uint32_t label, uint32_t i, int64_t sum, Statistics* s) {
  const uint64_t place = place_of(*s, part, label, i);
  if (s->counters != nullptr) {
    s->parts.counters[place] = static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint64_t>(sum)));
  } else {
    s->parts.sum[place] = sum;
  }
}

void set_part_moment(uint32_t part, uint32_t label, uint32_t i, uint32_t j, int64_t moment, Statistics* s) {
  triangle_of(*s, part, label)[moments_at(i, j, s->size.dim)] = moment;
}

uint64_t triangle_entries(uint64_t dim) {
  return dim * (dim + 1) / 2;
}

uint32_t part_classes(const Statistics& s, uint32_t part) {
  uint32_t n = 0;
  for (uint32_t c = 0; c < s.size.columns; c++) n += part_counts(s, part, c).n > 0;
  return n;
}

int64_t part_rows(const Statistics& s, uint32_t part) {
  int64_t n = 0;
  for (uint32_t c = 0; c < s.size.columns; c++) n += part_counts(s, part, c).n;
  return n;
}

void clear_own(uint32_t label, Statistics* s) {
  s->classes[label] = difference(s->classes[label], own_counts(*s, label));
  for (uint32_t i = 0; i < s->size.dim; i++)
    set_total_sum(label, i, difference(total_sum(*s, label, i), own_sum(*s, label, i)), s);
  if (s->size.moments != Moments::kOfClasses) return;
  const uint64_t n = static_cast<uint64_t>(moments_size(s->size.dim));
  int64_t* const triangle = s->triangle_of(label);
  memset(triangle, 0, n * sizeof *triangle);  // what is left is of the others
  for (uint32_t part = 0; part < s->parts.fill(); part++) add(triangle_of(*s, part, label), n, false, triangle);
}

void swap_own(uint32_t part, Statistics* s) {
  for (uint32_t c = 0; c < s->size.columns; c++) {
    counts_of(*s, part)[c] = own_counts(*s, c);
    for (uint32_t i = 0; i < s->size.dim; i++) set_part_sum(part, c, i, own_sum(*s, c, i), s);
  }
  for (uint32_t t = 0; t < s->size.triangles(); t++) {
    for (uint32_t i = 0; i < s->size.dim; i++) {
      for (uint32_t j = 0; j <= i; j++) set_part_moment(part, t, i, j, own_moment(*s, t, i, j), s);
    }
  }
}

}  // namespace edgecl
