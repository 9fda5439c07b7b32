// Parts as bytes, in messages and states.
// Never here: what is done with them.
#include "runtime/learn/part_record.h"

#include <string.h>

#include "runtime/core/text.h"

namespace edgecl {
namespace {

constexpr uint64_t kMaxDomainRows = 1ull << 56;

// Numbers go out in pieces, as each call of the digest has its price.
template <class T>
class Numbers {
 public:
  explicit Numbers(SectionWriter* out) : out_(out) {}
  ~Numbers() { flush(); }
  void add(int64_t x) {
    piece_[n_++] = static_cast<T>(x);
    if (n_ == kPiece) flush();
  }

 private:
  static constexpr uint32_t kPiece = 32;
  void flush() {
    out_->bytes(piece_, n_ * sizeof *piece_);
    n_ = 0;
  }
  SectionWriter* out_;
  T piece_[kPiece];
  uint32_t n_ = 0;
};

template <class T>
void write_class_sums(SectionWriter* out, const Statistics& s, uint32_t part, uint32_t label) {
  Numbers<T> numbers(out);
  for (uint32_t i = 0; i < s.size.dim; i++) numbers.add(part_sum(s, part, label, i));
}

// A class that is absent has rows in forged states alone; in a message it would have no name.
bool is_written(const Session& session, const Statistics& s, uint32_t part, uint32_t label, ClassKey key) {
  if (part_counts(s, part, label).n <= 0) return false;
  return key == ClassKey::kLabel || (label < session.classes.capacity && session.classes.present[label] != 0);
}

void write_moments(SectionWriter* out, const Statistics& s, uint32_t part, uint32_t label) {
  if (out->counting()) return out->skip(triangle_entries(s.size.dim) * sizeof(int64_t));
  Numbers<int64_t> numbers(out);
  for (uint32_t i = 0; i < s.size.dim; i++) {
    for (uint32_t j = 0; j <= i; j++) numbers.add(part_moment(s, part, label, i, j));
  }
}

}  // namespace

void write_part_head(SectionWriter* out, const DeviceTable& devices, uint32_t part) {
  const DeviceVersion& id = part == kNoPart ? *devices.own : devices.ids[part];
  out->u64(id.device);
  out->u64(id.version);
}

void write_part_sums(SectionWriter* out, const Session& session, const Statistics& s, uint32_t part, ClassKey key) {
  uint32_t n_classes = 0;
  for (uint32_t c = 0; c < s.size.columns; c++) n_classes += is_written(session, s, part, c, key);
  out->list(n_classes);
  for (uint32_t c = 0; c < s.size.columns; c++) {
    if (!is_written(session, s, part, c, key)) continue;
    const char* const name = key == ClassKey::kName ? session.classes.entries[c].name : "";
    const uint32_t n_name = static_cast<uint32_t>(text_length(name));
    out->u32(key == ClassKey::kName ? n_name : c);
    out->bytes(name, n_name);
    const ClassCounts counts = part_counts(s, part, c);
    out->bytes(&counts, sizeof counts);
    if (out->counting()) {
      out->skip(class_sums_bytes(s));
    } else if (s.size.counters) {
      write_class_sums<int32_t>(out, s, part, c);
    } else {
      write_class_sums<int64_t>(out, s, part, c);
    }
    if (s.size.moments == Moments::kOfClasses) write_moments(out, s, part, c);
  }
  if (s.size.moments == Moments::kShared) write_moments(out, s, part, 0);
}

Status read_part_head(SectionReader* in, uint64_t previous, PartHead* head) {
  head->device = in->u64();
  head->version = in->u64();
  if (in->failed()) return in->corrupt("a truncated device");
  if (head->device <= previous || head->version == 0) return in->corrupt("devices out of order, or without a version");
  return Status();
}

Status read_part_counts(SectionReader* in, const Statistics& s, ClassCounts* counts) {
  counts->n = static_cast<int64_t>(in->u64());
  counts->square_sum = static_cast<int64_t>(in->u64());
  counts->saturated = static_cast<int64_t>(in->u64());
  if (in->failed()) return in->corrupt("a truncated class");
  if (counts->n < 1 || counts->n > kMaxStatisticRows) return in->corrupt("a bad count");
  if (s.size.counters && counts->square_sum != 0) return in->corrupt("squares of a code");
  return Status();
}

uint64_t class_sums_bytes(const Statistics& s) {
  return s.size.dim * (s.size.counters ? sizeof(int32_t) : sizeof(int64_t));
}

int64_t sum_at(const Statistics& s, const uint8_t* sums, uint32_t i) {
  if (!s.size.counters) return number_at(sums, i);
  int32_t x;
  memcpy(&x, sums + static_cast<uint64_t>(i) * sizeof x, sizeof x);
  return x;
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

uint64_t part_sums_bytes_max(const StatisticsSize& size) {
  const uint64_t of_class =
      sizeof(uint32_t) + sizeof(ClassCounts) + size.dim * (size.counters ? sizeof(int32_t) : sizeof(int64_t));
  return 2 * sizeof(uint32_t) + size.columns * of_class +
         size.triangles() * triangle_entries(size.dim) * sizeof(int64_t);
}

void write_domain_part_head(SectionWriter* out, const Domain& domain, uint32_t part) {
  const RoutingModel& routing = domain.routing;
  const uint64_t dim = routing.statistics.size.dim;
  const uint32_t n = part == kNoPart ? routing.held_fill : routing.others[part].held_fill;
  out->u64(part == kNoPart ? domain.rows : routing.others[part].rows);
  out->list(n);
  out->bytes(part == kNoPart ? routing.held : routing.others_held + part * kHeldRows * dim, n * dim * sizeof(int16_t));
}

Status read_domain_part_head(SectionReader* in, const Domain& domain, DomainPartHead* head) {
  head->rows = in->u64();
  head->n_held = in->list();
  if (in->failed() || head->rows > kMaxDomainRows || head->n_held > kHeldRows)
    return in->corrupt("a bad count of rows of a domain");
  head->held = in->bytes(static_cast<uint64_t>(head->n_held) * domain.routing.statistics.size.dim * sizeof(int16_t));
  return head->held == nullptr ? in->corrupt("truncated held-out rows") : Status();
}

void set_domain_part_head(const DomainPartHead& head, uint32_t part, Domain* domain) {
  RoutingModel* const routing = &domain->routing;
  const uint64_t dim = routing->statistics.size.dim;
  routing->others[part] = {head.rows, head.n_held, 0};
  memcpy(routing->others_held + part * kHeldRows * dim, head.held, head.n_held * dim * sizeof(int16_t));
}

}  // namespace edgecl
