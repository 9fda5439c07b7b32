// Distance to the k-th nearest row of the bank, all of length 1 (Sun et al. 2022, "Out-of-distribution detection with
// deep nearest neighbors").
// Never here: which rows the bank keeps (heads/statistics.cpp).
#include "kernels/arithmetic.h"
#include "runtime/core/encoder.h"
#include "runtime/novelty/novelty.h"

namespace edgecl {
namespace {

constexpr uint32_t kNeighbours = 10;  // k; the farthest row of a bank that has fewer

const Statistics& statistics(const HeadMemory& head) {
  return head.own->statistics;
}

Status check(const HeadMemory& head, const NoveltyMemory&) {
  if (head.own != nullptr && statistics(head).bank.capacity > 0) return Status();
  return failure(
      EDGECL_E_UNSUPPORTED,
      "expected a bank of embeddings for the score knn; found none; make the session with head = ncm, lda or "
      "ridge and a head_bank");
}

Status prepare(const HeadMemory& head, const NoveltyMemory&, const Net&) {
  if (statistics(head).bank.fill > 0) return Status();
  return failure(EDGECL_E_SEQUENCE, "expected rows in the bank for the score knn; found none; learn some first");
}

// Square of the distance between two directions is 2 - 2 cos.
float score(const NoveltyInput& in, uint32_t row) {
  const Statistics& s = statistics(in.head);
  int16_t* const q = s.pending + static_cast<uint64_t>(kPendingRows) * s.size.dim;  // a place to compare rows in
  quantized_row(in.net, s, in.embedding, row, q);
  const int64_t own = squared(q, s.size.dim);
  float nearest[kNeighbours];  // cosines, descending
  uint32_t n = 0;
  for (uint32_t i = 0; i < s.bank.fill; i++) {
    const int16_t* const other = s.bank.rows + static_cast<uint64_t>(i) * s.size.dim;
    int64_t product = 0;
    for (uint32_t k = 0; k < s.size.dim; k++) product += static_cast<int32_t>(q[k]) * other[k];
    const float length =
        square_root(static_cast<float>(own)) * square_root(static_cast<float>(squared(other, s.size.dim)));
    const float cosine = length > 0 ? static_cast<float>(product) / length : 0;
    uint32_t at = n < kNeighbours ? n++ : kNeighbours;
    if (at == kNeighbours && !(cosine > nearest[kNeighbours - 1])) continue;
    if (at == kNeighbours) at--;
    for (; at > 0 && cosine > nearest[at - 1]; at--) nearest[at] = nearest[at - 1];
    nearest[at] = cosine;
  }
  // A row may be routed to a domain whose bank is empty, as where other devices alone learned: none is near then.
  const float square = 2 - 2 * (n > 0 ? nearest[n - 1] : -1);
  return square > 0 ? square_root(square) : 0;
}

}  // namespace

const NoveltyKind kNearestRowsNovelty = {"knn", false, check, prepare, score};

}  // namespace edgecl
