// Which domain a sample comes from: of each domain a Gaussian model of frozen features, and how well it fits held-out
// rows.
// Never here: adaptors, heads, passes.
//
// A row of routing features x (the bundle's taps, side by side) lies so far from a domain:
//   score = the least over its classes c of (x - m_c)^T S^-1 (x - m_c) / dim
// with S the scatter within classes (Lee et al. 2018, "A simple unified framework for detecting out-of-distribution
// samples"), shrunk by kRoutingShrinkage. Every fifth row, chosen by its own bits, stays out of S and m and is held out:
// its score says what is usual. fit = (score - mean of the held-out scores) / their deviation; the domain with the
// smallest fit takes the sample. Statistics are sums of integers, so rows commute and can be taken back.
#ifndef EDGECL_RUNTIME_ADAPT_ROUTING_H_
#define EDGECL_RUNTIME_ADAPT_ROUTING_H_

#include "runtime/heads/statistics.h"

namespace edgecl {

class SectionReader;
class SectionWriter;

constexpr uint32_t kMaxRoutingFeatures = 1024;
constexpr uint32_t kHeldRows = 128;  // newest held-out rows that a domain keeps
constexpr uint32_t kHeldOneIn = 5;   // rows of a domain, one is held out
constexpr double kRoutingShrinkage = 0.1;
constexpr double kHeldQuantile = 0.95;  // of the held-out scores lies below the bound of what is known
constexpr uint32_t kRoutingPiece = 8;   // rows that are scored together

// What another device has in the domain beside sums.
struct RoutingPart {
  uint64_t rows;  // of the domain
  uint32_t held_fill;
  uint32_t zero;
};
EDGECL_SAME_BYTES(RoutingPart);

struct RoutingModel {
  Statistics statistics;
  double* factor = nullptr;        // packed: L of S = L L^T
  double* centre = nullptr;        // [dim][n]: L^-1 m_c of the classes that have rows
  double* weight = nullptr;        // [columns] work of the solver, then a word
  int16_t* held = nullptr;         // [kHeldRows][dim] own ones, in the order in which they came
  RoutingPart* others = nullptr;   // [parts]
  int16_t* others_held = nullptr;  // [parts][kHeldRows][dim]
  uint32_t held_fill = 0;
  uint32_t n = 0;                            // classes in `centre`
  float mean = 0, deviation = 1, bound = 0;  // of held-out scores; fits above `bound` are unknown
  bool ready = false;                        // all that is computed from the statistics
};
EDGECL_TARGET_BYTES(RoutingModel, 148, 232);

// What is needed to score rows, shared by all domains.
struct RoutingWork {
  double* rows = nullptr;        // [dim][kRoutingPiece]
  int16_t* quantized = nullptr;  // [kRoutingPiece][dim]
  float* scores = nullptr;       // [kHeldRows * (1 + parts)]
};

// `parts`: other devices whose rows can be merged.
void lay_out_routing(Arena* arena, uint32_t dim, uint32_t columns, uint32_t parts, RoutingModel* model);
void lay_out_routing_work(Arena* arena, uint32_t dim, uint32_t parts, RoutingWork* work);
uint64_t routing_scratch_bytes(uint32_t dim, uint32_t columns, const ScratchTable& kernels);
void clear_routing(RoutingModel* model);

// A row enters the statistics or the held-out rows. `features` [dim], finite. O(dim^2) once in kPendingRows rows.
void routing_add(const Net& net, const float* features, int32_t label, RoutingModel* model);
// Rows [n][dim] leave the statistics; routing_drop_held then takes the held-out ones of them, or routing_put_back undoes it.
// E_NOT_FOUND, and nothing is changed, when the domain did not learn them, as far as one can see: take_rows, or a held-out
// row is not there although newer ones never replaced any. `rows`: that the domain learned.
Status routing_take_rows(const Net& net, const float* features, const int32_t* labels, uint32_t n, uint64_t rows,
                         RoutingModel* model);
void routing_put_back(const Net& net, const float* features, const int32_t* labels, uint32_t n, RoutingModel* model);
void routing_drop_held(const Net& net, const float* features, uint32_t n, RoutingModel* model);

// Whether the domain has rows to compare with.
bool routing_has_rows(const RoutingModel& model);
// Factor, centres, and what is usual. O(dim^3 / 6 + kHeldRows * dim^2 / 2) after something was learned. E_NUMERIC.
Status routing_prepare(const Net& net, const RoutingWork& work, RoutingModel* model);
// Fits of n rows [n][dim]. Precondition: routing_prepare.
void routing_fits(const Net& net, const RoutingWork& work, const RoutingModel& model, const float* features, uint32_t n,
                  float* fits);

// Held-out rows of all devices.
uint32_t routing_n_held(const RoutingModel& model);
// The same of `of`'s held-out rows, fits [routing_n_held].
void routing_held_fits(const Net& net, const RoutingWork& work, const RoutingModel& model, const RoutingModel& of,
                       float* fits);

// --- parts of other devices (routing_parts.cpp) ---

// Held-out rows, one device after another: ascending numbers, so that sessions that have the same parts see one order.
class HeldLists {
 public:
  explicit HeldLists(const RoutingModel& model) : model_(model) {}
  // False after the last device.
  bool next(const int16_t** rows, uint32_t* n);

 private:
  const RoutingModel& model_;
  uint64_t previous_ = 0;
  bool begun_ = false;
};
void empty_routing_part(uint32_t part, RoutingModel* model);
// Part `from` takes the place of part `to`, and is empty then. Sums and all.
void move_routing_part(uint32_t from, uint32_t to, RoutingModel* model);
// Own held-out rows and rows become those of the part, and the other way round. Sums are the caller's.
void swap_own_held(uint32_t part, uint64_t* rows, RoutingModel* model);
// Held-out rows and rows of the part become own ones, older than those that there are.
void take_over_held(uint32_t part, uint64_t* rows, RoutingModel* model);

// Part of a domain's entry in the section DOMAINS.
uint64_t routing_bytes_max(uint32_t dim, uint32_t columns);
void write_routing(SectionWriter* out, const RoutingModel& model);
Status read_routing(SectionReader* in, RoutingModel* model, bool apply);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_ADAPT_ROUTING_H_
