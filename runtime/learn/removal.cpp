// Records of examples and the choice among them.
// Never here: allocation; sorting, which would need memory for an order.
// Wang, Zhan, Gong and others 2022, "SparCL", dynamic data removal; forgetting events as in Toneva and others 2019, "An
// empirical study of example forgetting during deep neural network learning".
#include "runtime/learn/removal.h"

#include <string.h>

#include "kernels/kernels.h"

namespace edgecl {
namespace {

constexpr uint16_t kMost = 65535;

uint32_t score_of(const Removal& removal, const RemovalRecord& r) {
  if (r.shown == 0) return kMost;
  if (removal.score == format::kRemovalForgetting && (r.flags & kRemovalEverCorrect) == 0) return kMost;
  return r.wrong_or_forgotten;
}

// Orders examples: score, then mean loss, as a number.
uint64_t key_of(const Removal& removal, const RemovalRecord& r) {
  const float mean = r.shown == 0 ? 0.0f : r.loss_sum / static_cast<float>(r.shown);
  uint32_t bits;
  memcpy(&bits, &mean, sizeof bits);
  const uint32_t ordered = bits >> 31 ? ~bits : bits | 0x80000000u;  // as the numbers are ordered
  return static_cast<uint64_t>(score_of(removal, r)) << 32 | ordered;
}

uint32_t count_below(const Removal& removal, uint64_t limit) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < removal.n; i++) {
    const RemovalRecord& r = removal.records[i];
    n += (r.flags & kRemovalRemoved) == 0 && key_of(removal, r) < limit;
  }
  return n;
}

void record_one(const Removal& removal, RemovalRecord* r, bool correct, float loss) {
  if (r->shown == kMost) return;
  r->shown++;
  r->loss_sum += loss;
  const bool forgotten = !correct && (r->flags & kRemovalWasCorrect) != 0;
  const bool counts = removal.score == format::kRemovalForgetting ? forgotten : !correct;
  r->wrong_or_forgotten = static_cast<uint16_t>(r->wrong_or_forgotten + counts);
  r->flags = static_cast<uint8_t>(correct ? r->flags | kRemovalWasCorrect | kRemovalEverCorrect
                                          : r->flags & ~kRemovalWasCorrect);
}

}  // namespace

uint64_t removal_bytes(uint32_t n) {
  return sizeof(Removal) + static_cast<uint64_t>(n) * sizeof(RemovalRecord);
}

Status removal_init(void* memory, uint32_t n, uint32_t score, Removal** removal) {
  if (n == 0 || n > kMaxRemovalExamples) {
    return failure(EDGECL_E_ARGUMENT, "expected n_examples in 1..%u; found %u; pass the number of examples of a task",
                   kMaxRemovalExamples, n);
  }
  if (score > format::kRemovalForgetting) {
    return failure(EDGECL_E_ARGUMENT, "expected a score of 0 (misclassified) or 1 (forgetting); found %u; choose one",
                   score);
  }
  Removal* made = static_cast<Removal*>(memory);
  *made = {n, n, score, 0, reinterpret_cast<RemovalRecord*>(made + 1)};
  memset(made->records, 0, n * sizeof(RemovalRecord));
  *removal = made;
  return Status();
}

Status removal_record(Removal* removal, const uint32_t* ids, const uint8_t* correct, const float* loss, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    if (ids[i] >= removal->n || (removal->records[ids[i]].flags & kRemovalRemoved) != 0) {
      return failure(EDGECL_E_ARGUMENT,
                     "expected ids of kept examples below %u; found %u at place %u; take them from the kept list",
                     removal->n, ids[i], i);
    }
    if (!all_finite(loss + i, 1)) {
      return failure(EDGECL_E_ARGUMENT,
                     "expected finite losses; found NaN or infinity at place %u; record what a done step reported", i);
    }
  }
  for (uint32_t i = 0; i < n; i++) record_one(*removal, &removal->records[ids[i]], correct[i] != 0, loss[i]);
  return Status();
}

Status removal_stage(Removal* removal, uint32_t n) {
  if (n >= removal->n_kept) {
    return failure(EDGECL_E_ARGUMENT, "expected to remove fewer than the %u examples kept; found %u; remove fewer",
                   removal->n_kept, n);
  }
  // The largest limit with at most n keys below it, bit by bit: keys below are removed, and of those equal to it the
  // lowest ids.
  uint64_t limit = 0;
  for (int bit = 63; bit >= 0; bit--) {
    const uint64_t higher = limit | 1ull << bit;
    if (count_below(*removal, higher) <= n) limit = higher;
  }
  uint32_t of_limit = n - count_below(*removal, limit);
  for (uint32_t i = 0; i < removal->n; i++) {
    RemovalRecord& r = removal->records[i];
    bool removed = (r.flags & kRemovalRemoved) != 0;
    if (!removed) {
      const uint64_t key = key_of(*removal, r);
      const bool tied = key == limit && of_limit > 0;
      of_limit -= tied;
      removed = key < limit || tied;
    }
    r = RemovalRecord();
    r.flags = removed ? kRemovalRemoved : 0;
  }
  removal->n_kept -= n;
  return Status();
}

void removal_kept(const Removal& removal, uint32_t* ids) {
  for (uint32_t i = 0; i < removal.n; i++) {
    if ((removal.records[i].flags & kRemovalRemoved) == 0) *ids++ = i;
  }
}

}  // namespace edgecl
