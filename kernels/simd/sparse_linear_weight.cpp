// Sparse linear layer, weight gradient: the batch in the virtual lanes, a vector of stored entries summed at once.
// Never here: forward and input gradient, gradients of weights that are not stored.
#include "kernels/kernel_declarations.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sparse_linear_entries.h"
#include "kernels/simd/sparse_linear_pad.h"
#include "kernels/simd/sparse_plan.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr int kWindow = 512;  // entries whose rows are looked up at once
constexpr int kLongRow = 2;   // bundles of a row and channel block on average from which dY stays in registers

struct LinearWeight {
  const SparseLinearBackwardWeightArgs& args;
  int64_t vectors, pitch;  // of a channel of the batch; floats
  const float* dy;         // [row][pitch]
  float* x_block;          // [channel of a block][pitch]; null: x lies so
};

struct LinearWeightScratch {
  float *dy, *x;  // null where the tensor lies as the kernel wants it
};
LinearWeightScratch take_scratch(const SparseLinearBackwardWeightArgs& a, ScratchCursor* cursor) {
  LinearWeightScratch s = {};
  if (lies_padded(a.x) || a.x.rows() == 1) return s;
  const int64_t pitch = batch_vectors(a.x) * kVec;
  s.dy = cursor->take<float>(pitch * a.dy.channels);
  s.x = cursor->take<float>(pitch * a.pattern.channel_block);
  return s;
}

// Entries of one channel block: what a bundle reads.
struct BlockOperands {
  const float *x, *dy;
  const uint16_t* index;
  int64_t pitch, vectors;
};

// Sums of the kVec entries k(i), which lie in the rows whose dY starts at dy + row_offset(i).
template <int kVectors, class Entry, class RowOffset>
EDGECL_INLINE vec scattered_bundle(const BlockOperands& o, Entry entry, RowOffset row_offset) {
  const int64_t pitch = kVectors > 0 ? kVectors * kVec : o.pitch;
  const float *x = o.x, *dy = o.dy;
  const uint16_t* index = o.index;
  return bundle_sum<kVectors>(o.vectors, [&](vec acc, int i, int64_t v) __attribute__((always_inline)) {
    return vfma(vload(dy + row_offset(i) + v * kVec), vload(x + index[entry(i)] * pitch + v * kVec), acc);
  });
}

// Entries of a window and the rows they lie in, for bundles that do not keep to one row.
struct EntryList {
  uint32_t entry[kWindow + 2 * 16], row_offset[kWindow + 2 * 16];
  int n;
};

// dvalue of all entries of the list; then it is empty.
template <int kVectors>
void finish_list(const BlockOperands& o, EntryList* list, float* dvalue) {
  if (list->n == 0) return;
  for (int i = 0; i < kVec; i++) {
    list->entry[list->n + i] = list->entry[list->n - 1];
    list->row_offset[list->n + i] = list->row_offset[list->n - 1];
  }
  for (int j = 0; j < list->n; j += kVec) {
    const uint32_t *entry = list->entry + j, *row = list->row_offset + j;
    float sums[kVec];
    vstore(sums, scattered_bundle<kVectors>(
                     o, [&](int i) __attribute__((always_inline)) { return entry[i]; },
                     [&](int i) __attribute__((always_inline)) { return row[i]; }));
    for (int i = 0; i < kVec; i++) dvalue[entry[i]] = sums[i];
  }
  list->n = 0;
}

// Walks the rows of a channel block: fills places of row_of (which has room for 2 * kVec more) with dY offsets of the
// entries [k, k + n). `row` is the one of entry k, and afterwards of entry k + n.
int64_t fill_rows(const uint32_t* row_start, int64_t row, uint32_t k, int n, uint32_t pitch, uint32_t* row_of) {
  for (int done = 0;;) {
    const int64_t left = static_cast<int64_t>(row_start[row + 1]) - k;
    const int end = left < n ? static_cast<int>(left) : n;
    const ivec offset = static_cast<int32_t>(row * pitch) - (ivec){};
    memcpy(row_of + done, &offset, sizeof offset);
    memcpy(row_of + done + kVec, &offset, sizeof offset);
    for (int i = done + 2 * kVec; i < end; i += kVec) memcpy(row_of + i, &offset, sizeof offset);
    if (left >= n) return row;
    done = end;
    row++;
  }
}

// Entries [begin, end) of one channel block; `row` is the one of the first.
template <int kVectors>
void scattered_entries(const LinearWeight& w, const BlockOperands& o, const uint32_t* row_start, int64_t row,
                       uint32_t begin, uint32_t end) {
  const uint8_t* selected = w.args.selected;
  float* dvalue = w.args.dvalue;
  uint32_t row_of[kWindow + 2 * 16];
  EntryList list;
  for (uint32_t k = begin; k < end; k += kWindow) {
    const int n = static_cast<int>(end - k < kWindow ? end - k : kWindow);
    row = fill_rows(row_start, row, k, n, static_cast<uint32_t>(w.pitch), row_of);
    if (selected) {
      memset(dvalue + k, 0, static_cast<size_t>(n) * sizeof(float));
      list.n = append_selected(selected + k, k, n, list.entry);
      for (int i = 0; i < list.n; i++) list.row_offset[i] = row_of[list.entry[i] - k];
      finish_list<kVectors>(o, &list, dvalue);
      continue;
    }
    int j = 0;
    for (; j + kVec <= n; j += kVec) {
      const uint32_t *here = row_of + j, entry = k + static_cast<uint32_t>(j);
      vstore(dvalue + entry,
             scattered_bundle<kVectors>(
                 o, [=](int i) __attribute__((always_inline)) { return entry + static_cast<uint32_t>(i); },
                 [=](int i) __attribute__((always_inline)) { return here[i]; }));
    }
    for (list.n = 0; j < n; j++, list.n++) {
      list.entry[list.n] = k + static_cast<uint32_t>(j);
      list.row_offset[list.n] = row_of[j];
    }
    finish_list<kVectors>(o, &list, dvalue);
  }
}

// The same where rows are long: whole bundles of a row with its dY in registers, the rest of each row by list.
template <int kVectors>
void row_entries(const LinearWeight& w, const BlockOperands& o, const uint32_t* row_start, int64_t row, uint32_t begin,
                 uint32_t end) {
  float* dvalue = w.args.dvalue;
  const float* x = o.x;
  EntryList list;
  list.n = 0;
  for (uint32_t k = begin; k < end; row++) {
    const uint32_t row_end = row_start[row + 1] < end ? row_start[row + 1] : end;
    const int64_t offset = row * w.pitch;
    vec dy[kVectors];
    EDGECL_UNROLL
    for (int v = 0; v < kVectors; v++) dy[v] = vload(o.dy + offset + v * kVec);
    for (; k + kVec <= row_end; k += kVec) {
      const uint16_t* index = o.index + k;
      vstore(dvalue + k, bundle_sum<kVectors>(kVectors, [&](vec acc, int i, int64_t v) __attribute__((always_inline)) {
               return vfma(dy[v], vload(x + index[i] * (kVectors * kVec) + v * kVec), acc);
             }));
    }
    if (k >= row_end) continue;
    if (list.n + kVec > kWindow) finish_list<kVectors>(o, &list, dvalue);
    for (; k < row_end; k++, list.n++) {
      list.entry[list.n] = k;
      list.row_offset[list.n] = static_cast<uint32_t>(offset);
    }
  }
  finish_list<kVectors>(o, &list, dvalue);
}

// One batch row: every gradient is one product, to which the tree adds +0.
void single_row_entries(const LinearWeight& w, const float* x, const uint32_t* row_start, int64_t row, uint32_t begin,
                        uint32_t end) {
  const uint16_t* index = w.args.pattern.index;
  const uint8_t* selected = w.args.selected;
  float* dvalue = w.args.dvalue;
  for (uint32_t k = begin; k < end; row++) {
    const uint32_t row_end = row_start[row + 1] < end ? row_start[row + 1] : end;
    const float dy = w.args.dy.data[row];
    if (selected)
      for (; k < row_end; k++) {  // by bits: a branch on the flag would be guessed wrong too often
        const float product = sfma(dy, x[index[k]], 0.0f) + 0.0f;
        uint32_t bits;
        memcpy(&bits, &product, sizeof bits);
        bits &= selected[k] != 0 ? ~0u : 0u;
        memcpy(dvalue + k, &bits, sizeof bits);
      }
    else
      for (; k < row_end; k++) dvalue[k] = sfma(dy, x[index[k]], 0.0f) + 0.0f;
  }
}

template <int kVectors>
void block_entries(const LinearWeight& w, const BlockOperands& o, const uint32_t* row_start, int64_t row,
                   uint32_t begin, uint32_t end) {
  const SparsePattern& p = w.args.pattern;
  if constexpr (kVectors > 0)
    if (!w.args.selected && p.nnz >= static_cast<int64_t>(kLongRow) * kVec * p.rows * p.n_blocks)
      return row_entries<kVectors>(w, o, row_start, row, begin, end);
  scattered_entries<kVectors>(w, o, row_start, row, begin, end);
}

// The part of the entries [begin, end) that lies in channel block b.
void entries_of_block(const LinearWeight& w, int64_t b, uint32_t begin, uint32_t end) {
  const SparseLinearBackwardWeightArgs& a = w.args;
  const SparsePattern& p = a.pattern;
  const uint32_t* row_start = p.row_start + b * p.rows;
  if (begin < row_start[0]) begin = row_start[0];
  if (end > row_start[p.rows]) end = row_start[p.rows];
  if (begin >= end) return;
  int64_t low = 0, high = p.rows - 1;  // the row of entry `begin`: the last that starts at or before it
  while (low < high) {
    const int64_t middle = (low + high + 1) / 2;
    if (row_start[middle] <= begin)
      low = middle;
    else
      high = middle - 1;
  }
  const int64_t first = b * p.channel_block,
                last = first + p.channel_block < p.channels ? first + p.channel_block : p.channels;
  if (a.x.rows() == 1) return single_row_entries(w, a.x.data + first, row_start, low, begin, end);
  if (w.x_block) pad_channels(a.x, first, last, 0, w.vectors, w.x_block);
  const BlockOperands o = {w.x_block ? w.x_block : a.x.data + first * w.pitch, w.dy, p.index, w.pitch, w.vectors};
  switch (w.vectors) {
    case 1:
      return block_entries<1>(w, o, row_start, low, begin, end);
    case 2:
      return block_entries<2>(w, o, row_start, low, begin, end);
    case 3:
      return block_entries<3>(w, o, row_start, low, begin, end);
    case 4:
      return block_entries<4>(w, o, row_start, low, begin, end);
    default:
      return block_entries<0>(w, o, row_start, low, begin, end);
  }
}

template <int kVectors>
void bias_gradient(const LinearWeight& w, int64_t begin, int64_t end, float* dbias) {
  for (int64_t row = begin; row < end; row += kVec) {
    const int n = static_cast<int>(end - row < kVec ? end - row : kVec);
    const float* dy = w.dy + row * w.pitch;
    const int64_t last = (n - 1) * w.pitch, pitch = w.pitch;
    const vec sum = bundle_sum<kVectors>(w.vectors, [=](vec acc, int i, int64_t v) __attribute__((always_inline)) {
      return acc + vload(dy + (i * pitch < last ? i * pitch : last) + v * kVec);
    });
    vstore_n(dbias + row, sum, n);
  }
}

}  // namespace

size_t sparse_linear_backward_weight_scratch_bytes(const SparseLinearBackwardWeightArgs& a) {
  ScratchCursor cursor = {nullptr, 0};
  take_scratch(a, &cursor);
  return cursor.used;
}

void sparse_linear_backward_weight(const SparseLinearBackwardWeightArgs& a, int part, int n_parts, void* scratch) {
  const SparsePattern& p = a.pattern;
  ScratchCursor cursor = {static_cast<char*>(scratch), 0};
  const LinearWeightScratch s = take_scratch(a, &cursor);
  LinearWeight w = {a, batch_vectors(a.x), a.x.rows() == 1 ? 1 : batch_vectors(a.x) * kVec, a.dy.data, s.x};
  int64_t begin, end;
  if (s.dy) {
    pad_channels(a.dy, 0, a.dy.channels, 0, w.vectors, s.dy);
    w.dy = s.dy;
  }
  if (a.dbias) {
    share(p.rows, part, n_parts, &begin, &end);
    if (a.x.rows() == 1)
      for (int64_t row = begin; row < end; row++) a.dbias[row] = a.dy.data[row] + 0.0f;
    else if (w.vectors <= 2)
      w.vectors == 1 ? bias_gradient<1>(w, begin, end, a.dbias) : bias_gradient<2>(w, begin, end, a.dbias);
    else
      bias_gradient<0>(w, begin, end, a.dbias);
  }
  share((p.nnz + 15ll) / 16, part, n_parts, &begin, &end);  // parts keep to their own cache lines
  begin *= 16;
  end = end * 16 < p.nnz ? end * 16 : p.nnz;
  for (int64_t b = 0; b < p.n_blocks; b++)
    entries_of_block(w, b, static_cast<uint32_t>(begin), static_cast<uint32_t>(end));
}

}  // namespace edgecl::EDGECL_LEVEL
