// Bitwise majority of the codes of several layers: the votes of all bits of a vector are counted at once, in planes.
// Built for size (-Os): a microsecond.
// Never here: keys and ties themselves (kernels/hyperdimensional.h).
#include "kernels/kernel_declarations.h"
#include "kernels/plan/streamed_plan.h"
#include "kernels/simd/bits.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

// A count of four bits for each bit of T. It starts so that the majority of `votes` (an odd number) brings it to 8.
template <class T>
struct Votes {
  T plane[4];

  EDGECL_ALWAYS_INLINE explicit Votes(int votes) {
    const int start = 8 - (votes + 1) / 2;
    for (int i = 0; i < 4; i++) plane[i] = ((start >> i) & 1) ? ~T{} : T{};
  }
  EDGECL_ALWAYS_INLINE void add(T votes) {
    EDGECL_UNROLL
    for (int i = 0; i < 3; i++) {
      const T carry = plane[i] & votes;
      plane[i] ^= votes;
      votes = carry;
    }
    plane[3] ^= votes;
  }
  EDGECL_ALWAYS_INLINE T majority() const { return plane[3]; }
};

// Words [w, w + sizeof(T) / 8) of the code at `offset`; hash: keys of the layers and ties from that word on.
template <class T>
EDGECL_INLINE void bundle(const HdBundleArgs& a, int64_t offset, const uint64_t* hash) {
  const bool even = a.n_layers % 2 == 0;
  Votes<T> votes(a.n_layers + even);
  T x, key;
  for (int l = 0; l < a.n_layers; l++, hash += plan::kBundleWords) {
    memcpy(&x, a.codes[l] + offset, sizeof x);
    memcpy(&key, hash, sizeof key);
    votes.add(x ^ key);
  }
  memcpy(&x, hash, sizeof x);
  if (even) votes.add(x);
  x = votes.majority();
  memcpy(a.bundle + offset, &x, sizeof x);
}

}  // namespace

void hd_bundle_majority(const HdBundleArgs& a, int part, int n_parts, void* scratch) {
  constexpr int kStep = static_cast<int>(sizeof(uvec) / sizeof(uint64_t));
  uint64_t* hash = static_cast<uint64_t*>(scratch);
  const int64_t words = a.bits / 64;
  int64_t begin, end;
  share(words, part, n_parts, &begin, &end);
  for (; begin < end; begin += plan::kBundleWords) {
    const int count = static_cast<int>(end - begin < plan::kBundleWords ? end - begin : plan::kBundleWords);
    for (int l = 0; l <= a.n_layers; l++) {
      const bool key = l < a.n_layers;
      const uint64_t stream =
          hd_stream(a.seed, key ? HdPurpose::kLayerKey : HdPurpose::kBundleTies, key ? a.layer[l] : 0);
      for (int i = 0; i < count; i++)
        hash[l * plan::kBundleWords + i] = !key || a.bind ? hd_word(stream, static_cast<uint64_t>(begin + i)) : 0;
    }
    for (int64_t r = 0; r < a.rows; r++) {
      int i = 0;
      for (; i + kStep <= count; i += kStep) bundle<uvec>(a, r * words + begin + i, hash + i);
      for (; i < count; i++) bundle<uint64_t>(a, r * words + begin + i, hash + i);
    }
  }
}

}  // namespace edgecl::EDGECL_LEVEL
