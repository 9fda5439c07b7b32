// The parts of other devices, and own sums as what they leave of the total.
// Never here: messages.
#include "runtime/heads/parts.h"

#include <string.h>

#include "runtime/heads/statistics_head.h"

namespace edgecl {
namespace {

uint64_t part_sums(const Statistics& s) {
  return static_cast<uint64_t>(s.size.columns) * s.size.dim;
}
ClassCounts* counts_of(const Statistics& s, uint32_t part) {
  return s.parts.classes + static_cast<uint64_t>(part) * s.size.columns;
}
int64_t* sums_of(const Statistics& s, uint32_t part) {
  return s.parts.sum + part * part_sums(s);
}
int64_t* moments_of(const Statistics& s, uint32_t part) {
  return s.parts.moments + part * s.size.moment_numbers();
}
// A part's triangle in the place that the total has for the class.
int64_t* triangle_of(const Statistics& s, uint32_t part, uint32_t label) {
  return moments_of(s, part) + (s.triangle_of(label) - s.moments);
}

int64_t sum_of(const Statistics& s, uint32_t part, uint32_t label, uint32_t i) {
  return sums_of(s, part)[static_cast<uint64_t>(label) * s.size.dim + i];
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

}  // namespace

void lay_out_parts(Arena* arena, uint32_t capacity, Statistics* s) {
  Parts* const parts = &s->parts;
  const uint64_t n = capacity, columns = s->size.columns;
  parts->capacity = capacity;
  parts->own = arena->take<DeviceVersion>(1);
  parts->ids = arena->take<DeviceVersion>(n);
  parts->classes = arena->take<ClassCounts>(n * columns);
  parts->sum = arena->take<int64_t>(n * columns * s->size.dim);
  parts->moments = s->size.triangles() > 0 ? arena->take<int64_t>(n * s->size.moment_numbers()) : nullptr;
  parts->marks = arena->take<uint8_t>(capacity > 0 ? columns : 0);
}

void clear_parts(Statistics* s) {
  Parts* const parts = &s->parts;
  while (parts->fill > 0) {
    parts->fill--;
    empty_part(parts->fill, s);
    parts->ids[parts->fill] = {};
  }
}

void next_version(Statistics* s) {
  DeviceVersion* const own = s->parts.own;
  if (own->device == 0) return;
  if (own->version < UINT64_MAX) own->version++;
  if (own->version < own->least) own->version = own->least;
}

uint32_t find_part(const Statistics& s, uint64_t device) {
  for (uint32_t part = 0; part < s.parts.fill; part++) {
    if (s.parts.ids[part].device == device) return part;
  }
  return kNoPart;
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
  add(sums_of(*s, part), part_sums(*s), subtract, s->sum);
  if (s->moments != nullptr) add(moments_of(*s, part), s->size.moment_numbers(), subtract, s->moments);
}

void empty_part(uint32_t part, Statistics* s) {
  memset(static_cast<void*>(counts_of(*s, part)), 0, s->size.columns * sizeof(ClassCounts));
  memset(sums_of(*s, part), 0, part_sums(*s) * sizeof(int64_t));
  if (s->moments != nullptr) memset(moments_of(*s, part), 0, s->size.moment_numbers() * sizeof(int64_t));
}

uint32_t new_part(uint64_t device, Statistics* s) {
  const uint32_t part = s->parts.fill++;
  s->parts.ids[part] = {device, 0, 0};
  empty_part(part, s);
  return part;
}

void drop_part(uint32_t part, Statistics* s) {
  add_part(part, true, s);
  release_part(part, s);
}

void release_part(uint32_t part, Statistics* s) {
  const uint32_t last = --s->parts.fill;
  if (part != last) {
    s->parts.ids[part] = s->parts.ids[last];
    memcpy(static_cast<void*>(counts_of(*s, part)), counts_of(*s, last), s->size.columns * sizeof(ClassCounts));
    memcpy(sums_of(*s, part), sums_of(*s, last), part_sums(*s) * sizeof(int64_t));
    if (s->moments != nullptr)
      memcpy(moments_of(*s, part), moments_of(*s, last), s->size.moment_numbers() * sizeof(int64_t));
  }
  s->parts.ids[last] = {};
  empty_part(last, s);
}

int64_t others_rows(const Statistics& s, uint32_t label) {
  int64_t n = 0;
  for (uint32_t part = 0; part < s.parts.fill; part++) n += counts_of(s, part)[label].n;
  return n;
}

int64_t others_rows(const HeadMemory& memory, uint32_t label) {
  return memory.own == nullptr ? 0 : others_rows(memory.own->statistics, label);
}

int64_t own_rows(const Statistics& s, uint32_t label) {
  return s.classes[label].n - others_rows(s, label);
}

ClassCounts own_counts(const Statistics& s, uint32_t label) {
  ClassCounts own = s.classes[label];
  for (uint32_t part = 0; part < s.parts.fill; part++) own = difference(own, counts_of(s, part)[label]);
  return own;
}

int64_t own_sum(const Statistics& s, uint32_t label, uint32_t i) {
  int64_t own = s.class_sum(label)[i];
  for (uint32_t part = 0; part < s.parts.fill; part++) own = difference(own, sum_of(s, part, label, i));
  return own;
}

int64_t own_moment(const Statistics& s, uint32_t label, uint32_t i, uint32_t j) {
  int64_t own = settled_moment(s, label, i, j);
  for (uint32_t part = 0; part < s.parts.fill; part++) own = difference(own, moment_of(s, part, label, i, j));
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
  sums_of(*s, part)[static_cast<uint64_t>(label) * s->size.dim + i] = sum;
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
  int64_t* const sum = s->class_sum(label);
  for (uint32_t i = 0; i < s->size.dim; i++) sum[i] = difference(sum[i], own_sum(*s, label, i));
  if (s->size.moments != Moments::kOfClasses) return;
  const uint64_t n = static_cast<uint64_t>(moments_size(s->size.dim));
  int64_t* const triangle = s->triangle_of(label);
  memset(triangle, 0, n * sizeof *triangle);  // what is left is of the others
  for (uint32_t part = 0; part < s->parts.fill; part++) add(triangle_of(*s, part, label), n, false, triangle);
}

void swap_own(uint32_t part, Statistics* s) {
  for (uint32_t c = 0; c < s->size.columns; c++) {
    counts_of(*s, part)[c] = own_counts(*s, c);
    int64_t* const sum = sums_of(*s, part) + static_cast<uint64_t>(c) * s->size.dim;
    for (uint32_t i = 0; i < s->size.dim; i++) sum[i] = own_sum(*s, c, i);
  }
  for (uint32_t t = 0; t < s->size.triangles(); t++) {
    for (uint32_t i = 0; i < s->size.dim; i++) {
      for (uint32_t j = 0; j <= i; j++) set_part_moment(part, t, i, j, own_moment(*s, t, i, j), s);
    }
  }
}

}  // namespace edgecl
