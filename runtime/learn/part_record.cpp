// Parts as bytes, in messages and states.
// Never here: what is done with them.
#include <string.h>

#include "runtime/core/text.h"
#include "runtime/heads/statistics_head.h"
#include "runtime/learn/merge.h"

namespace edgecl {
namespace {

// Numbers go out in pieces, as each call of the digest has its price.
class Numbers {
 public:
  explicit Numbers(SectionWriter* out) : out_(out) {}
  ~Numbers() { flush(); }
  void add(int64_t x) {
    piece_[n_++] = x;
    if (n_ == kPiece) flush();
  }

 private:
  static constexpr uint32_t kPiece = 32;
  void flush() {
    out_->bytes(piece_, n_ * sizeof *piece_);
    n_ = 0;
  }
  SectionWriter* out_;
  int64_t piece_[kPiece];
  uint32_t n_ = 0;
};

// A class that is absent has rows in forged states alone; in a message it would have no name.
bool is_written(const Session& session, const Statistics& s, uint32_t part, uint32_t label, bool names) {
  if (part_counts(s, part, label).n <= 0) return false;
  return !names || (label < session.classes.capacity && session.classes.present[label] != 0);
}

void write_moments(SectionWriter* out, const Statistics& s, uint32_t part, uint32_t label) {
  if (out->counting()) return out->skip(triangle_entries(s.size.dim) * sizeof(int64_t));
  Numbers numbers(out);
  for (uint32_t i = 0; i < s.size.dim; i++) {
    for (uint32_t j = 0; j <= i; j++) numbers.add(part_moment(s, part, label, i, j));
  }
}

void write_class_sums(SectionWriter* out, const Statistics& s, uint32_t part, uint32_t label) {
  if (out->counting()) return out->skip(s.size.dim * sizeof(int64_t));
  Numbers numbers(out);
  for (uint32_t i = 0; i < s.size.dim; i++) numbers.add(part_sum(s, part, label, i));
}

}  // namespace

void write_part(SectionWriter* out, const Session& session, uint32_t part, bool names) {
  const Statistics& s = session.head_memory.own->statistics;
  const DeviceVersion& id = part == kNoPart ? *s.parts.own : s.parts.ids[part];
  uint32_t n_classes = 0;
  for (uint32_t c = 0; c < s.size.columns; c++) n_classes += is_written(session, s, part, c, names);
  out->u64(id.device);
  out->u64(id.version);
  out->list(n_classes);
  for (uint32_t c = 0; c < s.size.columns; c++) {
    if (!is_written(session, s, part, c, names)) continue;
    const char* const name = names ? session.classes.entries[c].name : "";
    const uint32_t n_name = static_cast<uint32_t>(text_length(name));
    out->u32(names ? n_name : c);
    out->bytes(name, n_name);
    const ClassCounts counts = part_counts(s, part, c);
    out->bytes(&counts, sizeof counts);
    write_class_sums(out, s, part, c);
    if (s.size.moments == Moments::kOfClasses) write_moments(out, s, part, c);
  }
  if (s.size.moments == Moments::kShared) write_moments(out, s, part, 0);
}

Status read_part_head(SectionReader* in, uint64_t previous, PartHead* head) {
  head->device = in->u64();
  head->version = in->u64();
  head->n_classes = in->list();
  if (in->failed()) return in->corrupt("a truncated device");
  if (head->device <= previous || head->version == 0) return in->corrupt("devices out of order, or without a version");
  return Status();
}

Status read_part_counts(SectionReader* in, ClassCounts* counts) {
  counts->n = static_cast<int64_t>(in->u64());
  counts->square_sum = static_cast<int64_t>(in->u64());
  counts->saturated = static_cast<int64_t>(in->u64());
  if (in->failed()) return in->corrupt("a truncated class");
  if (counts->n < 1 || counts->n > kMaxStatisticRows) return in->corrupt("a bad count");
  return Status();
}

Status read_part_moments(SectionReader* in, uint32_t part, uint32_t label, Statistics* s) {
  const uint8_t* const numbers = in->bytes(triangle_entries(s->size.dim) * sizeof(int64_t));
  if (numbers == nullptr) return in->corrupt("truncated second moments");
  if (part == kNoPart) return Status();
  uint64_t at = 0;
  for (uint32_t i = 0; i < s->size.dim; i++) {
    for (uint32_t j = 0; j <= i; j++) set_part_moment(part, label, i, j, number_at(numbers, at++), s);
  }
  return Status();
}

int64_t number_at(const uint8_t* bytes, uint64_t i) {
  int64_t x;
  memcpy(&x, bytes + i * sizeof x, sizeof x);
  return x;
}

bool next_device(const Statistics& s, bool own, uint64_t previous, uint32_t* part) {
  uint64_t least = 0;
  if (own && s.parts.own->version > 0 && s.parts.own->device > previous) {
    least = s.parts.own->device;
    *part = kNoPart;
  }
  for (uint32_t k = 0; k < s.parts.fill; k++) {
    const uint64_t device = s.parts.ids[k].device;
    if (device <= previous || (least != 0 && device >= least)) continue;
    least = device;
    *part = k;
  }
  return least != 0;
}

}  // namespace edgecl
