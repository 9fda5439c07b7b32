// Dropping and growing of stored entries.
// Never here: random draws, scores, schedules.
#include "runtime/core/sparse_edit.h"

#include <string.h>

namespace edgecl {
namespace {

int64_t n_units(const SparsePattern& pattern) {
  return static_cast<int64_t>(pattern.n_blocks) * pattern.rows;
}

// The arrays of a session's patterns are the session's own memory, hence the casts.
uint32_t* own_starts(ParamBuffers* param) {
  return const_cast<uint32_t*>(param->pattern.row_start);
}
uint16_t* own_index(ParamBuffers* param) {
  return const_cast<uint16_t*>(param->pattern.index);
}

void set_nnz(ParamBuffers* param, uint32_t nnz) {
  param->pattern.nnz = nnz;
  param->n = nnz;
}

uint32_t count_bits(const uint64_t* words, uint64_t n_words) {
  uint32_t n = 0;
  for (uint64_t i = 0; i < n_words; i++) n += static_cast<uint32_t>(__builtin_popcountll(words[i]));
  return n;
}

// Calls visit(key) for every set bit, keys descending.
template <class Visit>
void each_descending(const uint64_t* words, uint64_t n_words, const Visit& visit) {
  for (uint64_t i = n_words; i-- > 0;) {
    for (uint64_t word = words[i]; word != 0;) {
      const uint32_t bit = 63u - static_cast<uint32_t>(__builtin_clzll(word));
      visit(static_cast<uint32_t>(i * 64 + bit));
      word &= ~(1ull << bit);
    }
  }
}

}  // namespace

void positions_of(const SparsePattern& pattern, uint64_t* words) {
  memset(words, 0, static_cast<size_t>(position_words(pattern)) * sizeof(uint64_t));
  const uint32_t width = position_width(pattern);
  for (int64_t unit = 0; unit < n_units(pattern); unit++) {
    const uint32_t base = static_cast<uint32_t>(unit) * width;
    for (uint32_t k = pattern.row_start[unit]; k < pattern.row_start[unit + 1]; k++)
      add_position(words, base + pattern.index[k]);
  }
}

void drop_entries(ParamBuffers* param, const uint8_t* keep) {
  uint32_t* const start = own_starts(param);
  uint16_t* const index = own_index(param);
  uint32_t to = 0, from = 0;
  for (int64_t unit = 0; unit < n_units(param->pattern); unit++) {
    const uint32_t end = start[unit + 1];
    start[unit] = to;
    for (; from < end; from++) {
      if (keep[from] == 0) continue;
      index[to] = index[from];
      param->value[to] = param->value[from];
      if (param->velocity) param->velocity[to] = param->velocity[from];
      to++;
    }
  }
  start[n_units(param->pattern)] = to;
  set_nnz(param, to);
}

void grow_entries(ParamBuffers* param, const uint64_t* words) {
  uint32_t* const start = own_starts(param);
  uint16_t* const index = own_index(param);
  const uint64_t n_words = position_words(param->pattern);
  const uint32_t width = position_width(param->pattern);
  // From the back, so that an entry is never written over before it was moved.
  uint32_t to = count_bits(words, n_words), from = static_cast<uint32_t>(param->n);
  const uint32_t total = to;
  int64_t unit = n_units(param->pattern);  // start[unit] is the last boundary written
  start[unit] = total;
  uint32_t unit_begin = unit > 0 ? start[unit - 1] : 0;  // of unit - 1, before the change
  each_descending(words, n_words, [&](uint32_t key) {
    const int64_t of_key = key / width;
    while (unit - 1 > of_key) {
      unit--;
      start[unit] = to;
      unit_begin = start[unit - 1];
    }
    const uint16_t place = static_cast<uint16_t>(key % width);
    to--;
    const bool stored = from > unit_begin && index[from - 1] == place;
    if (stored) from--;
    index[to] = place;
    param->value[to] = stored ? param->value[from] : 0.0f;
    if (param->velocity) param->velocity[to] = stored ? param->velocity[from] : 0.0f;
  });
  while (unit > 0) start[--unit] = to;
  set_nnz(param, total);
}

void StructureWriter::add(uint32_t key) {
  const uint32_t width = position_width(param_->pattern);
  while (unit_ <= key / width) own_starts(param_)[unit_++] = n_;
  own_index(param_)[n_++] = static_cast<uint16_t>(key % width);
}

void StructureWriter::finish() {
  while (unit_ <= n_units(param_->pattern)) own_starts(param_)[unit_++] = n_;
  set_nnz(param_, n_);
}

void rebuild_transposed(ParamBuffers* param) {
  SparsePattern& transposed = param->transposed;
  if (transposed.row_start == nullptr) return;
  sparse_transpose(param->pattern, const_cast<uint32_t*>(transposed.row_start), const_cast<uint16_t*>(transposed.index),
                   const_cast<uint32_t*>(transposed.source));
  transposed.nnz = param->pattern.nnz;
}

}  // namespace edgecl
