// Changes of a sparse layer's structure in place, within its planned capacity.
// Never here: which weights to drop or grow, and when (runtime/learn/sparsity/structure.h).
#ifndef EDGECL_RUNTIME_CORE_SPARSE_EDIT_H_
#define EDGECL_RUNTIME_CORE_SPARSE_EDIT_H_

#include <stdint.h>

#include "runtime/core/memory.h"

namespace edgecl {

// A position as a number that ascends in the order in which entries are stored: unit * width + index, unit = block *
// rows + row, width = channel_block * taps. Below position_bound(); keys of a ragged last block leave gaps.
inline uint32_t position_width(const SparsePattern& pattern) {
  return static_cast<uint32_t>(pattern.channel_block) * static_cast<uint32_t>(pattern.taps);
}
inline uint64_t position_bound(const SparsePattern& pattern) {
  return static_cast<uint64_t>(pattern.n_blocks) * static_cast<uint64_t>(pattern.rows) * position_width(pattern);
}
// Key of weight (row, column), column = channel * taps + tap.
inline uint32_t position_key(const SparsePattern& pattern, uint32_t row, uint32_t column) {
  const uint32_t width = position_width(pattern);
  return (column / width * static_cast<uint32_t>(pattern.rows) + row) * width + column % width;
}

// One bit a key. `words` has position_words(pattern) elements.
inline uint64_t position_words(const SparsePattern& pattern) {
  return (position_bound(pattern) + 63) / 64;
}
inline bool has_position(const uint64_t* words, uint32_t key) {
  return (words[key / 64] >> (key % 64) & 1) != 0;
}
inline void add_position(uint64_t* words, uint32_t key) {
  words[key / 64] |= 1ull << (key % 64);
}
// Whether the pattern stores the position. O(log entries of the unit).
bool stores_position(const SparsePattern& pattern, uint32_t key);

// Removes entries with keep[k] == 0; values and velocities stay with their weight. The transposed pattern is stale
// until rebuild_transposed. O(nnz).
void drop_entries(ParamWeights* param, const uint8_t* keep);
// Adds the entries of `words`, none of which it may have already, and no more than fit its capacity; they get value and
// velocity +0. Also stale afterwards. O(keys / 64 + nnz).
void grow_entries(ParamWeights* param, const uint64_t* words);
// Gives a parameter a structure key by key: ascending, at most its capacity. Values are the caller's to set.
class StructureWriter {
 public:
  explicit StructureWriter(ParamWeights* param) : param_(param) {}
  void add(uint32_t key);
  void finish();

 private:
  ParamWeights* param_;
  uint32_t n_ = 0;
  int64_t unit_ = 0;  // units below it have their start
};

// Brings the transposed pattern, if there is one, up to date. O(nnz).
void rebuild_transposed(ParamWeights* param);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_SPARSE_EDIT_H_
