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
uint32_t* own_starts(ParamWeights* param) {
  return const_cast<uint32_t*>(param->pattern.row_start);
}
uint16_t* own_index(ParamWeights* param) {
  return const_cast<uint16_t*>(param->pattern.index);
}

void set_nnz(ParamWeights* param, uint32_t nnz) {
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

// The first of the ascending entries [begin, end) that is not below `place`; `end` if there is none.
uint32_t first_at_or_after(const uint16_t* index, uint32_t begin, uint32_t end, uint32_t place) {
  if (begin == end) return end;
  for (uint32_t n = end - begin; n > 1;) {  // as many rounds for every place: nothing to guess wrong
    const uint32_t half = n / 2;
    begin = index[begin + half - 1] < place ? begin + half : begin;
    n -= half;
  }
  return begin + (index[begin] < place ? 1 : 0);
}

// Moves entries [begin, end) to `to` and on, further back.
void move_entries(ParamWeights* param, uint32_t begin, uint32_t end, uint32_t to) {
  const size_t n = end - begin;
  memmove(own_index(param) + to, param->pattern.index + begin, n * sizeof(uint16_t));
  memmove(param->own + to, param->own + begin, n * sizeof(float));
  if (param->velocity) memmove(param->velocity + to, param->velocity + begin, n * sizeof(float));
}

}  // namespace

bool stores_position(const SparsePattern& pattern, uint32_t key) {
  const uint32_t width = position_width(pattern), place = key % width;
  const uint32_t* start = pattern.row_start + key / width;
  const uint32_t at = first_at_or_after(pattern.index, start[0], start[1], place);
  return at < start[1] && pattern.index[at] == place;
}

void drop_entries(ParamWeights* param, const uint8_t* keep) {
  uint32_t* const start = own_starts(param);
  uint16_t* const index = own_index(param);
  float *const value = param->own, *const velocity = param->velocity;
  uint32_t to = 0, from = 0;
  for (int64_t unit = 0; unit < n_units(param->pattern); unit++) {
    const uint32_t end = start[unit + 1];
    start[unit] = to;
    // What is dropped is written and then written over: a branch would be guessed wrong too often.
    for (; from < end; from++) {
      index[to] = index[from];
      value[to] = value[from];
      if (velocity) velocity[to] = velocity[from];
      to += keep[from] != 0;
    }
  }
  start[n_units(param->pattern)] = to;
  set_nnz(param, to);
}

void grow_entries(ParamWeights* param, const uint64_t* words) {
  uint32_t* const start = own_starts(param);
  uint16_t* const index = own_index(param);
  const uint64_t n_words = position_words(param->pattern);
  const uint32_t width = position_width(param->pattern);
  // From the back, so that an entry is never written over before it was moved. Entries from `moved` on have been, and
  // `left` new ones are still to be placed; boundaries above `unit` are those after the change.
  uint32_t left = count_bits(words, n_words), moved = static_cast<uint32_t>(param->n);
  const uint32_t total = moved + left;
  int64_t unit = n_units(param->pattern);
  each_descending(words, n_words, [&](uint32_t key) {
    for (; unit > key / width; unit--) start[unit] += left;
    const uint32_t own_end = start[unit + 1] - left;
    const uint16_t place = static_cast<uint16_t>(key % width);
    const uint32_t at = first_at_or_after(index, start[unit], own_end < moved ? own_end : moved, place);
    move_entries(param, at, moved, at + left);
    moved = at;
    left--;
    index[at + left] = place;
    param->own[at + left] = 0.0f;
    if (param->velocity) param->velocity[at + left] = 0.0f;
  });
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

void rebuild_transposed(ParamWeights* param) {
  SparsePattern& transposed = param->transposed;
  if (transposed.row_start == nullptr) return;
  sparse_transpose(param->pattern, const_cast<uint32_t*>(transposed.row_start), const_cast<uint16_t*>(transposed.index),
                   const_cast<uint32_t*>(transposed.source));
  transposed.nnz = param->pattern.nnz;
}

}  // namespace edgecl
