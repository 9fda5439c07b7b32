// Sums and the rows of the bank in a state; section HEAD of heads that keep statistics.
// Never here: weights that are computed from them.
#include "runtime/heads/statistics_state.h"

#include <string.h>

#include "runtime/heads/statistics_head.h"
#include "runtime/state/section_writer.h"

namespace edgecl {
namespace {

constexpr uint64_t kHeaderBytes = 4 * sizeof(uint32_t), kCountBytes = 4 * sizeof(int64_t);

// No sum is checked against its rows: whoever took back what was never learned has a state of odd sums, which must come
// in as it went out.
Status read_class(SectionReader* in, const Statistics& s, uint32_t* label, ClassCounts* counts) {
  const uint64_t which = in->u64();
  counts->n = static_cast<int64_t>(in->u64());
  counts->square_sum = static_cast<int64_t>(in->u64());
  counts->saturated = static_cast<int64_t>(in->u64());
  if (in->failed()) return in->corrupt("a truncated class");
  if (which >= s.size.columns || which < *label) return in->corrupt("classes out of order or range");
  if (counts->n < 1 || counts->n > kMaxStatisticRows) return in->corrupt("a bad count");
  *label = static_cast<uint32_t>(which);
  return Status();
}

// Rows of one triangle, one after the other.
void write_triangle(SectionWriter* out, const Statistics& s, uint32_t label, bool all) {
  if (out->counting()) return out->skip(triangle_entries(s.size.dim) * sizeof(int64_t));
  for (uint32_t i = 0; i < s.size.dim; i++) {
    for (uint32_t j = 0; j <= i; j++)
      out->u64(static_cast<uint64_t>(all ? settled_moment(s, label, i, j) : own_moment(s, label, i, j)));
  }
}

void read_triangle(SectionReader* in, const Statistics& s, uint32_t label, bool apply) {
  for (uint32_t i = 0; i < s.size.dim; i++) {
    for (uint32_t j = 0; j <= i; j++) {
      const int64_t moment = static_cast<int64_t>(in->u64());
      if (apply) s.triangle_of(label)[moments_at(i, j, s.size.dim)] = moment;
    }
  }
}

Status read_bank(SectionReader* in, Statistics* s, uint32_t n, bool apply) {
  const uint64_t dim = s->size.dim;
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t label = in->u32();
    const uint8_t* const row = in->bytes(dim * sizeof(int16_t));
    if (row == nullptr) return in->corrupt("a truncated row");
    if (label >= s->size.columns) return in->corrupt("a row of no class");
    if (!apply) continue;
    memcpy(s->bank.rows + i * dim, row, dim * sizeof(int16_t));
    s->bank.labels[i] = static_cast<int32_t>(label);
  }
  return Status();
}

}  // namespace

uint64_t sums_bytes_max(const StatisticsSize& size) {
  const uint64_t dim = size.dim;
  uint64_t bytes = kHeaderBytes + size.columns * (kCountBytes + dim * sizeof(int64_t));
  bytes += size.triangles() * triangle_entries(dim) * sizeof(int64_t);
  return bytes + size.bank * (sizeof(uint32_t) + dim * sizeof(int16_t));
}

// dim, scale, how many classes, how many rows of the bank; each class with rows: label, counts, sums, and the lower
// triangle of its moments row by row; or behind the classes the one of all; each row of the bank: label, features.
void write_sums(SectionWriter* out, const Statistics& s, Whose whose) {
  const uint64_t dim = s.size.dim;
  const bool all = whose == Whose::kAll || s.parts.fill() == 0;
  uint32_t n_classes = 0;
  for (uint32_t c = 0; c < s.size.columns; c++) n_classes += (all ? s.classes[c].n : own_rows(s, c)) > 0;
  out->u32(s.size.dim);
  out->floats(&s.scale, 1);
  out->u32(n_classes);
  out->u32(s.bank.fill);
  for (uint32_t c = 0; c < s.size.columns; c++) {
    const ClassCounts counts = all ? s.classes[c] : own_counts(s, c);
    if (counts.n == 0) continue;
    out->u64(c);
    out->bytes(&counts, sizeof counts);
    if (all) out->bytes(s.class_sum(c), dim * sizeof(int64_t));
    for (uint32_t i = 0; !all && i < s.size.dim; i++) out->u64(static_cast<uint64_t>(own_sum(s, c, i)));
    if (s.size.moments == Moments::kOfClasses) write_triangle(out, s, c, all);
  }
  if (s.size.moments == Moments::kShared) write_triangle(out, s, 0, all);
  for (uint32_t i = 0; i < s.bank.fill; i++) {
    out->u32(static_cast<uint32_t>(s.bank.labels[i]));
    out->bytes(s.bank.rows + i * dim, dim * sizeof(int16_t));
  }
}

Status read_sums(SectionReader* in, Statistics* s, bool apply) {
  const uint64_t dim = s->size.dim;
  const uint32_t found_dim = in->u32();
  float scale = 0;
  const bool sound_scale = in->floats(1, kQuantizedLimit * 1e9f, &scale) && scale == s->scale;
  const uint32_t n_classes = in->u32(), n_bank = in->u32();
  if (in->failed() || found_dim != s->size.dim || !sound_scale) return in->corrupt("features of another kind");
  if (n_classes > s->size.columns || n_bank > s->bank.capacity) return in->corrupt("more classes or rows than fit");
  if (apply) clear_statistics(s);
  int64_t rows = 0;
  for (uint32_t k = 0, label = 0; k < n_classes; k++, label++) {
    ClassCounts counts;
    EDGECL_RETURN_IF_FAILED(read_class(in, *s, &label, &counts));
    rows += counts.n;
    if (apply) s->classes[label] = counts;
    for (uint64_t i = 0; i < dim; i++) {
      const int64_t sum = static_cast<int64_t>(in->u64());
      if (apply) s->class_sum(label)[i] = sum;
    }
    if (s->size.moments == Moments::kOfClasses) read_triangle(in, *s, label, apply);
  }
  if (rows > kMaxStatisticRows) return in->corrupt("too many rows");
  if (s->size.moments == Moments::kShared) read_triangle(in, *s, 0, apply);
  EDGECL_RETURN_IF_FAILED(read_bank(in, s, n_bank, apply));
  if (in->failed()) return in->corrupt("another size");
  if (apply) s->bank.fill = n_bank;
  return Status();
}

namespace statistics_head {

uint64_t section_bytes_max(const Plan& plan, const format::RecipeRecord& recipe) {
  return sums_bytes_max(size_of(plan, recipe));
}

void write_state(SectionWriter* out, const HeadMemory& memory, Whose whose) {
  write_sums(out, memory.own->statistics, whose);
}

Status read_state(SectionReader* in, const HeadMemory& memory, bool apply) {
  if (apply) reset(memory);
  return read_sums(in, &memory.own->statistics, apply);
}

void section_rows(SectionReader in, const StatisticsSize& size, uint32_t* rows) {
  memset(rows, 0, size.columns * sizeof *rows);
  const uint64_t dim = in.u32(), triangle = size.moments == Moments::kOfClasses ? triangle_entries(dim) : 0;
  in.u32();
  const uint32_t n_classes = in.u32();
  in.u32();
  for (uint32_t k = 0; k < n_classes; k++) {
    const uint64_t label = in.u64();
    rows[label] = static_cast<uint32_t>(in.u64());
    in.bytes((2 + dim + triangle) * sizeof(int64_t));
  }
}

}  // namespace statistics_head
}  // namespace edgecl
