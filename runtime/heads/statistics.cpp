// Rows into the sums and out of them.
// Never here: what is computed from the sums.
#include "runtime/heads/statistics.h"

#include <string.h>

#include "kernels/arithmetic.h"
#include "runtime/core/encoder.h"
#include "runtime/core/executor.h"

namespace edgecl {
namespace {

constexpr float kLargestQuantized = static_cast<float>(kQuantizedLimit);

void quantize_to(const Net& net, const float* embedding, const Statistics& s, int16_t* row, int32_t* n_saturated) {
  if (s.size.roots) {
    signed_roots(embedding, s.size.dim, s.row);
    embedding = s.row;
  }
  net.env.kernels->quantize_rows({embedding, row, n_saturated, 1, static_cast<int32_t>(s.size.dim), s.scale}, 0, 1,
                                 nullptr);
}

// A row in fixed point, in the place behind the pending rows.
int16_t* quantize(const Net& net, const float* embedding, const Statistics& s, int32_t* n_saturated) {
  int16_t* const row = s.pending + static_cast<uint64_t>(s.n_pending) * s.size.dim;
  quantize_to(net, embedding, s, row, n_saturated);
  return row;
}

// The row into everything but moments and bank, or out of it.
void count_row(const Net& net, const int16_t* row, int32_t label, int32_t n_saturated, int32_t sign, Statistics* s) {
  ClassCounts* const counts = &s->classes[label];
  int64_t square;
  const SumRowArgs args = {row, s->class_sum(static_cast<uint32_t>(label)), &square, static_cast<int32_t>(s->size.dim),
                           sign < 0};
  net.env.kernels->sum_row(args, 0, 1, nullptr);
  counts->n += sign;
  counts->square_sum = modular_sum(counts->square_sum, sign * (square >> kSquareShift));
  counts->saturated = modular_sum(counts->saturated, sign * n_saturated);
}

void update_moments(const Net& net, uint32_t n, bool subtract, Statistics* s) {
  if (n == 0 || s->moments == nullptr) return;
  run_kernel(net, net.env.kernels->moments_update,
             MomentsUpdateArgs{s->pending, s->triangle_of(s->pending_label), static_cast<int32_t>(n),
                               static_cast<int32_t>(s->size.dim), subtract});
}

// Whether the rows that wait belong to another triangle than those of this class.
bool others_wait(const Statistics& s, uint32_t label) {
  return s.size.moments == Moments::kOfClasses && s.n_pending > 0 && s.pending_label != label;
}

// The pending rows out of the moments.
void take_pending(const Net& net, Statistics* s) {
  update_moments(net, s->n_pending, true, s);
  s->n_pending = 0;
}

// The first row of the bank that equals this one, from `begin` on; the fill where there is none.
uint32_t bank_find(const Statistics& s, const int16_t* row, int32_t label, uint32_t begin) {
  const FeatureBank& bank = s.bank;
  const uint64_t dim = s.size.dim;
  for (uint32_t i = begin; i < bank.fill; i++) {
    if (bank.labels[i] == label && memcmp(bank.rows + i * dim, row, dim * sizeof *row) == 0) return i;
  }
  return bank.fill;
}

// Rows that `keep` says no to go; the others keep their order.
template <class Keep>
void bank_filter(Statistics* s, const Keep& keep) {
  FeatureBank* bank = &s->bank;
  const uint64_t dim = s->size.dim;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < bank->fill; i++) {
    if (!keep(i)) continue;
    if (kept != i) memcpy(bank->rows + kept * dim, bank->rows + i * dim, dim * sizeof *bank->rows);
    bank->labels[kept++] = bank->labels[i];
  }
  memset(bank->rows + kept * dim, 0, (bank->fill - kept) * dim * sizeof *bank->rows);
  bank->fill = kept;
}

// The bank has no row of another device.
bool bank_complete(const Statistics& s, uint32_t label) {
  return own_rows(s, label) == static_cast<int64_t>(s.bank.count(static_cast<int32_t>(label)));
}

struct Rows {
  const float* embeddings;
  const int32_t* labels;
  uint32_t n;
};

// Rows into counts, sums and moments, or out of them; the bank stays. Precondition: no row is pending.
void count_rows(const Net& net, const Rows& rows, int32_t sign, Statistics* s) {
  const auto finish_pending = [&] {
    if (sign < 0) take_pending(net, s);
    if (sign > 0) settle_moments(net, s);
  };
  for (uint32_t r = 0; r < rows.n; r++) {
    int32_t n_saturated;
    if (others_wait(*s, static_cast<uint32_t>(rows.labels[r]))) finish_pending();
    const int16_t* row = quantize(net, rows.embeddings + static_cast<uint64_t>(r) * s->size.dim, *s, &n_saturated);
    count_row(net, row, rows.labels[r], n_saturated, sign, s);
    if (s->moments == nullptr) continue;
    s->pending_label = static_cast<uint32_t>(rows.labels[r]);
    if (++s->n_pending == kPendingRows) finish_pending();
  }
  finish_pending();
}

constexpr double kRounding = 1 + 1e-9;  // of the sums of squares below, which are rounded

// The same of the own triangle of a class: without rows it is zero, else each feature's squares are no less than its
// sum allows.
bool can_be_triangle(const Statistics& s, uint32_t label) {
  const int64_t n = own_rows(s, label);
  for (uint32_t i = 0; i < s.size.dim; i++) {
    for (uint32_t j = 0; n == 0 && j < i; j++) {
      if (own_moment(s, label, i, j) != 0) return false;
    }
    const int64_t moment = own_moment(s, label, i, i);
    if (moment < 0 || (n == 0 && moment != 0)) return false;
    const double sum = static_cast<double>(own_sum(s, label, i));
    if (n > 0 && sum * sum / static_cast<double>(n) > static_cast<double>(moment) * kRounding) return false;
  }
  return true;
}

// Whether there can be rows with the own sums of a class: n rows within +-kQuantizedLimit, and by Cauchy and Schwarz
// |sum|^2 <= n * (sum of squares).
bool can_be_sums(const Statistics& s, uint32_t label) {
  const ClassCounts own = own_counts(s, label);
  bool zero = own.square_sum == 0 && own.saturated == 0, small = own.n >= 0;
  double square = 0;
  for (uint32_t i = 0; i < s.size.dim; i++) {
    const int64_t sum = own_sum(s, label, i), most = own.n * kQuantizedLimit;
    zero = zero && sum == 0;
    small = small && sum <= most && sum >= -most;
    square += static_cast<double>(sum) * static_cast<double>(sum);
  }
  if (own.n == 0) return zero;
  if (!small || own.square_sum < 0 || own.saturated < 0 || own.saturated > own.n * s.size.dim) return false;
  const double n = static_cast<double>(own.n), below = (1 << kSquareShift) - 1;
  const double squares = static_cast<double>(own.square_sum) * (1 << kSquareShift);  // or up to `below` more a row
  if (own.n == 1 && square * kRounding < squares) return false;
  return square <= n * (squares + below * n) * kRounding;
}

// The same of the diagonal of second moments of all rows: of each feature the squares within the classes add up to no less than 0.
bool can_be_moments(const Statistics& s) {
  for (uint32_t i = 0; i < s.size.dim && s.size.moments == Moments::kShared; i++) {
    double between = 0;
    for (uint32_t c = 0; c < s.size.columns; c++) {
      const int64_t n = own_rows(s, c);
      if (n <= 0) continue;
      const double sum = static_cast<double>(own_sum(s, c, i));
      between += sum * sum / static_cast<double>(n);
    }
    const int64_t moment = own_moment(s, 0, i, i);
    if (moment < 0 || between > static_cast<double>(moment) * kRounding) return false;
  }
  return true;
}

bool can_be_class(const Statistics& s, uint32_t label) {
  return can_be_sums(s, label) && (s.size.moments != Moments::kOfClasses || can_be_triangle(s, label));
}

// The first row whose class has sums of no rows; n.
uint32_t first_odd_class(const Statistics& s, const Rows& rows) {
  uint32_t r = 0;
  while (r < rows.n && can_be_class(s, static_cast<uint32_t>(rows.labels[r]))) r++;
  return r;
}

// Of rows 0..r of a batch, those of row r's label.
uint32_t rows_of_label(const int32_t* labels, uint32_t r) {
  uint32_t n = 0;
  for (uint32_t i = 0; i <= r; i++) n += labels[i] == labels[r];
  return n;
}

// How many of rows 0..r-1 of a batch equal row r, which is `row` in fixed point.
uint32_t equals_before(const Net& net, const float* embeddings, const int32_t* labels, uint32_t r, const Statistics& s,
                       const int16_t* row, int16_t* other) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < r; i++) {
    if (labels[i] != labels[r]) continue;
    int32_t n_saturated;
    quantize_to(net, embeddings + static_cast<uint64_t>(i) * s.size.dim, s, other, &n_saturated);
    n += memcmp(other, row, s.size.dim * sizeof *row) == 0;
  }
  return n;
}

}  // namespace

Status never_learned(uint32_t r) {
  return failure(EDGECL_E_NOT_FOUND,
                 "expected rows that this device learned under their labels; found another one at row %u; hand in the "
                 "samples and labels as they were learned, in the domain that learned them",
                 r);
}

void signed_roots(const float* x, uint32_t n, float* to) {
  for (uint32_t i = 0; i < n; i++) to[i] = x[i] < 0 ? -square_root(-x[i]) : square_root(x[i]);
}

Status impossible_sums(uint32_t label) {
  return failure(
      EDGECL_E_NOT_FOUND,
      "expected rows that this device learned under their labels; found others of class %u, without which no "
      "rows would have its sums; hand in the samples and labels as they were learned, in the domain that "
      "learned them",
      label);
}

int64_t squared(const int16_t* row, uint32_t dim) {
  int64_t square = 0;
  for (uint32_t i = 0; i < dim; i++) square += static_cast<int32_t>(row[i]) * row[i];
  return square;
}

void gather_row(const Tensor& embedding, uint32_t row, float* to) {
  const int64_t plane = static_cast<int64_t>(embedding.height) * embedding.width * embedding.channels;
  const float* from = tensor_place(embedding, row, 0, 0);
  if (embedding.lanes == 1) {
    memcpy(to, from, static_cast<size_t>(plane) * sizeof *to);
    return;
  }
  for (int64_t i = 0; i < plane; i++) to[i] = from[i * embedding.lanes];
}

void quantized_row(const Net& net, const Statistics& s, const Tensor& embedding, uint32_t row, int16_t* q) {
  gather_row(embedding, row, s.row);
  int32_t n_saturated;
  quantize_to(net, s.row, s, q, &n_saturated);
}

uint64_t StatisticsSize::moment_numbers() const {
  return triangles() * static_cast<uint64_t>(moments_size(dim));
}

int64_t* Statistics::triangle_of(uint32_t label) const {
  return size.moments == Moments::kOfClasses ? moments + label * static_cast<uint64_t>(moments_size(size.dim))
                                             : moments;
}

int64_t Statistics::n_rows() const {
  int64_t n = 0;
  for (uint32_t c = 0; c < size.columns; c++) n += classes[c].n;
  return n;
}

uint32_t FeatureBank::count(int32_t label) const {
  uint32_t n = 0;
  for (uint32_t i = 0; i < fill; i++) n += labels[i] == label;
  return n;
}

void lay_out_statistics(Arena* arena, const StatisticsSize& size, float range, Statistics* statistics) {
  const uint64_t dim = size.dim, columns = size.columns;
  statistics->size = size;
  const float largest = range > 0 ? range : kDefaultFeatureRange;
  statistics->scale = kLargestQuantized / (size.roots ? square_root(largest) : largest);
  statistics->classes = arena->take<ClassCounts>(columns);
  statistics->sum = arena->take<int64_t>(columns * dim);
  statistics->moments = size.triangles() > 0 ? arena->take<int64_t>(size.moment_numbers()) : nullptr;
  statistics->pending = arena->take<int16_t>((kPendingRows + 2) * dim + kReadSlack);  // two more to compare rows in
  statistics->row = arena->take<float>(dim + kReadSlack);
  statistics->bank.capacity = size.bank;
  statistics->bank.rows = arena->take<int16_t>(size.bank * dim);
  statistics->bank.labels = arena->take<int32_t>(size.bank);
  lay_out_parts(arena, size.parts, statistics);
}

void clear_statistics(Statistics* s) {
  const uint64_t dim = s->size.dim;
  s->n_pending = 0;
  clear_parts(s);
  memset(static_cast<void*>(s->classes), 0, s->size.columns * sizeof *s->classes);
  memset(s->sum, 0, s->size.columns * dim * sizeof *s->sum);
  if (s->moments) memset(s->moments, 0, s->size.moment_numbers() * sizeof *s->moments);
  memset(s->pending, 0, (kPendingRows + 2) * dim * sizeof *s->pending);
  s->bank.fill = 0;
  if (s->bank.capacity > 0) memset(s->bank.rows, 0, s->bank.capacity * dim * sizeof *s->bank.rows);
}

uint64_t statistics_scratch_bytes(const StatisticsSize& size, const ScratchTable& kernels) {
  const int32_t dim = static_cast<int32_t>(size.dim);
  uint64_t most = kernels.quantize_rows_scratch_bytes({nullptr, nullptr, nullptr, 1, dim, 1});
  for (int32_t n = 1; size.triangles() > 0 && n <= static_cast<int32_t>(kPendingRows); n++) {
    const uint64_t need = kernels.moments_update_scratch_bytes({nullptr, nullptr, n, dim, false});
    if (need > most) most = need;
  }
  return most;
}

void add_rows(const Net& net, const float* embeddings, const int32_t* labels, uint32_t n, Statistics* s) {
  const uint64_t dim = s->size.dim;
  for (uint32_t r = 0; r < n; r++) {
    int32_t n_saturated;
    if (others_wait(*s, static_cast<uint32_t>(labels[r]))) settle_moments(net, s);
    const int16_t* row = quantize(net, embeddings + r * dim, *s, &n_saturated);
    count_row(net, row, labels[r], n_saturated, 1, s);
    if (s->bank.fill < s->bank.capacity) {
      memcpy(s->bank.rows + s->bank.fill * dim, row, dim * sizeof *row);
      s->bank.labels[s->bank.fill++] = labels[r];
    }
    if (s->moments == nullptr) continue;
    s->pending_label = static_cast<uint32_t>(labels[r]);
    if (++s->n_pending == kPendingRows) settle_moments(net, s);
  }
}

Status take_rows(const Net& net, const float* embeddings, const int32_t* labels, uint32_t n, Statistics* s) {
  const uint64_t dim = s->size.dim;
  settle_moments(net, s);
  int16_t* const other = s->pending + (kPendingRows + 1) * dim;
  int32_t n_saturated;
  for (uint32_t r = 0; r < n; r++) {
    const uint32_t label = static_cast<uint32_t>(labels[r]);
    if (own_rows(*s, label) < static_cast<int64_t>(rows_of_label(labels, r))) return never_learned(r);
    if (s->bank.capacity == 0 || !bank_complete(*s, label)) continue;
    const int16_t* row = quantize(net, embeddings + r * dim, *s, &n_saturated);
    uint32_t found = bank_find(*s, row, labels[r], 0);
    for (uint32_t k = equals_before(net, embeddings, labels, r, *s, row, other); k > 0 && found < s->bank.fill; k--)
      found = bank_find(*s, row, labels[r], found + 1);
    if (found == s->bank.fill) return never_learned(r);
  }
  const Rows rows = {embeddings, labels, n};
  count_rows(net, rows, -1, s);
  const uint32_t odd = first_odd_class(*s, rows);
  const bool odd_moments = odd == n && !can_be_moments(*s);
  if (odd < n || odd_moments) {
    count_rows(net, rows, 1, s);
    // Sums that were odd before, which a state may bring, are not these rows' fault.
    const bool was_odd = odd < n ? !can_be_class(*s, static_cast<uint32_t>(labels[odd])) : !can_be_moments(*s);
    if (!was_odd) return impossible_sums(static_cast<uint32_t>(labels[odd < n ? odd : 0]));
    count_rows(net, rows, -1, s);
  }
  for (uint32_t r = 0; r < n && s->bank.capacity > 0; r++) {
    const uint32_t found = bank_find(*s, quantize(net, embeddings + r * dim, *s, &n_saturated), labels[r], 0);
    bank_filter(s, [&](uint32_t i) { return i != found; });
  }
  // A class without rows has no sums, whatever was taken out of it: a state would not hold them either.
  for (uint32_t r = 0; r < n; r++) {
    const uint32_t label = static_cast<uint32_t>(labels[r]);
    if (own_rows(*s, label) == 0) clear_own(label, s);
  }
  return Status();
}

Status check_class_known(const Statistics& s, uint32_t label) {
  if (own_rows(s, label) == 0 && others_rows(s, label) > 0) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a class that this device learned; found class %u, whose rows all came from other devices; "
                   "forget it there and merge their newer messages, or take them out by edgecl_unmerge",
                   label);
  }
  if (s.size.moments != Moments::kShared || bank_complete(s, label)) return Status();
  return failure(EDGECL_E_UNSUPPORTED,
                 "expected every row of class %u in the bank, to take the class out of the second moments; found %u of "
                 "%llu; hand its samples to edgecl_unlearn, or make sessions with a larger head_bank",
                 label, s.bank.count(static_cast<int32_t>(label)), static_cast<unsigned long long>(own_rows(s, label)));
}

void take_class(const Net& net, uint32_t label, Statistics* s) {
  const uint64_t dim = s->size.dim;
  const int32_t of_class = static_cast<int32_t>(label);
  settle_moments(net, s);
  for (uint32_t i = 0; s->size.moments == Moments::kShared && i < s->bank.fill; i++) {
    if (s->bank.labels[i] != of_class) continue;
    memcpy(s->pending + s->n_pending * dim, s->bank.rows + i * dim, dim * sizeof *s->pending);
    if (++s->n_pending == kPendingRows) take_pending(net, s);
  }
  take_pending(net, s);
  bank_filter(s, [&](uint32_t i) { return s->bank.labels[i] != of_class; });
  clear_own(label, s);
}

void clear_bank(Statistics* s) {
  bank_filter(s, [](uint32_t) { return false; });
}

int64_t settled_moment(const Statistics& s, uint32_t label, uint32_t i, uint32_t j) {
  int64_t moment = s.triangle_of(label)[moments_at(i, j, s.size.dim)];
  if (others_wait(s, label)) return moment;
  for (uint32_t r = 0; r < s.n_pending; r++) {
    const int16_t* const row = s.pending + static_cast<uint64_t>(r) * s.size.dim;
    moment = modular_sum(moment, static_cast<int32_t>(row[i]) * row[j]);
  }
  return moment;
}

void settle_moments(const Net& net, Statistics* s) {
  if (s->moments == nullptr) return;
  update_moments(net, s->n_pending, false, s);
  s->n_pending = 0;
}

}  // namespace edgecl
