// Sufficient statistics of embeddings: counts, class sums and second moments in fixed point. What every head without
// gradients is read from, and some novelty scores.
// Never here: class scores (<kind>_head.cpp), sections of a state (statistics_state.cpp).
//
// An embedding row z becomes q = round(z * 16383 / range), 16-bit integers, and everything below is a sum of integers.
// So it is exact: rows may come in any order, be taken back, or be learned on two devices and added. Sums wrap around
// (modular_sum); none of kMaxStatisticRows learned rows gets near.
#ifndef EDGECL_RUNTIME_HEADS_STATISTICS_H_
#define EDGECL_RUNTIME_HEADS_STATISTICS_H_

#include <stdint.h>

#include "kernels/kernels.h"
#include "runtime/core/arena.h"
#include "runtime/core/memory.h"
#include "runtime/core/status.h"
#include "runtime/heads/parts.h"

namespace edgecl {

constexpr float kDefaultFeatureRange = 64;  // of a recipe that says 0
constexpr uint32_t kPendingRows = 16;       // that wait to enter the moments together; at most kMomentRows
constexpr int64_t kMaxStatisticRows = 1 << 29;
constexpr uint32_t kMaxFeatures = 8192;  // of an embedding
constexpr int32_t kSquareShift = 8;      // ClassCounts::square_sum counts 256ths

// Second moments that are kept: none, one triangle for all rows, or one a class.
enum class Moments : uint8_t { kNone, kShared, kOfClasses };

// What a head asks of its statistics.
struct StatisticsSize {
  uint32_t dim = 0;      // numbers of an embedding
  uint32_t columns = 0;  // class capacity of the bundle
  uint32_t bank = 0;     // rows that are kept whole
  uint32_t parts = 0;    // other devices whose contributions can be merged
  Moments moments = Moments::kNone;
  bool roots = false;     // of each feature its square root enters, with the feature's sign
  bool counters = false;  // sums are int32: of codes, each bit of which counts +1 or -1

  uint64_t triangles() const { return moments == Moments::kOfClasses ? columns : moments == Moments::kShared; }
  uint64_t moment_numbers() const;  // of all triangles, packed (kernels/moments.h)
};

// Single rows, in the order in which they were learned: as many as the bank has room for.
struct FeatureBank {
  uint32_t capacity = 0, fill = 0;
  int16_t* rows = nullptr;    // [capacity][dim]
  int32_t* labels = nullptr;  // [capacity]

  uint32_t count(int32_t label) const;
};

struct Statistics {
  StatisticsSize size;
  float scale = 0;                 // q = round(z * scale)
  ClassCounts* classes = nullptr;  // [columns]
  int64_t* sum = nullptr;          // [columns][dim]
  int32_t* counters = nullptr;     // [columns][dim] in place of `sum`: of codes of bits (hd_head.h)
  int64_t* moments = nullptr;      // packed lower triangles, without the pending rows; null: not kept
  FeatureBank bank;
  int16_t* pending = nullptr;  // [kPendingRows][dim]: rows that enter one triangle
  uint32_t n_pending = 0;
  uint32_t pending_label = 0;  // of moments of classes
  float* row = nullptr;        // [dim] one embedding under way
  Parts parts;                 // all of the above are the total of these and of what this device learned

  int64_t n_rows() const;
  const int64_t* class_sum(uint32_t label) const { return sum + static_cast<uint64_t>(label) * size.dim; }
  int64_t* class_sum(uint32_t label) { return sum + static_cast<uint64_t>(label) * size.dim; }
  // Where the products of a class's rows are added: its own triangle, or that of all rows.
  int64_t* triangle_of(uint32_t label) const;
};
EDGECL_TARGET_BYTES(Statistics, 100, 160);

// In the arena's present region. `range`: largest magnitude of a feature that is told apart, before a root of it is
// taken; 0: the default.
void lay_out_statistics(Arena* arena, const StatisticsSize& size, float range, Statistics* statistics);
void clear_statistics(Statistics* statistics);
// Scratch memory of one thread for the calls below.
uint64_t statistics_scratch_bytes(const StatisticsSize& size, const ScratchTable& kernels);

// Adds n rows of float embeddings [n][dim], which are finite, with labels below `columns`. O(n * dim), and with moments
// O(n * dim^2), once in kPendingRows rows; with those of classes, as often as the class changes, too.
void add_rows(const Net& net, const float* embeddings, const int32_t* labels, uint32_t n, Statistics* statistics);
// Takes the same rows back. E_NOT_FOUND, and nothing is changed, when they were not learned here, as far as one can see: a
// class has fewer own rows, or the bank holds all of them and not this one, or what would be left are sums of no rows.
Status take_rows(const Net& net, const float* embeddings, const int32_t* labels, uint32_t n, Statistics* statistics);
// E_NOT_FOUND for row r of those to take back; for rows of a class whose sums would not be those of any rows.
Status never_learned(uint32_t r);
Status impossible_sums(uint32_t label);
// Whether all own rows of a class can be taken back: always but with shared moments, and then when the bank holds each of
// them; and whether there are some, where other devices have rows of it. E_UNSUPPORTED.
Status check_class_known(const Statistics& statistics, uint32_t label);
// All own rows of a class go. Precondition: check_class_known.
void take_class(const Net& net, uint32_t label, Statistics* statistics);

// Row `row` of an embedding tensor, [dim].
void gather_row(const Tensor& embedding, uint32_t row, float* to);
// The same in fixed point.
void quantized_row(const Net& net, const Statistics& statistics, const Tensor& embedding, uint32_t row, int16_t* q);
int64_t squared(const int16_t* row, uint32_t dim);
// Square roots of n magnitudes, with the signs of x. In place, too.
void signed_roots(const float* x, uint32_t n, float* to);

// Entry (i, j) of a class's triangle (or of the one of all rows), j <= i, as if the pending rows were in it already.
int64_t settled_moment(const Statistics& statistics, uint32_t label, uint32_t i, uint32_t j);
// The bank is empty from now on.
void clear_bank(Statistics* statistics);
// The pending rows enter the moments. What the statistics stand for does not change.
void settle_moments(const Net& net, Statistics* statistics);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_HEADS_STATISTICS_H_
