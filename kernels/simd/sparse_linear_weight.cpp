// Sparse linear layer, weight gradient: the batch in the virtual lanes, a vector of stored entries summed at once.
// Never here: forward and input gradient, gradients of weights that are not stored.
#include "kernels/kernel_declarations.h"
#include "kernels/plan/sparse_linear_plan.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sparse_linear_entries.h"
#include "kernels/simd/sparse_linear_pad.h"
#include "kernels/simd/sparse_registers.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr int kWindow = 512;  // entries of a row that are taken at once

struct LinearWeight {
  const SparseLinearBackwardWeightArgs& args;
  int64_t vectors, pitch;  // of a channel of the batch; floats
  const float* dy;         // [row][pitch]
  float* x_block;          // [channel of a block][pitch]; null: x lies so
};

struct LinearWeightScratch {
  float *dy, *x;  // null where the tensor lies as the kernel wants it
};
LinearWeightScratch take_scratch(const LinearGradientPlan& plan, ScratchCursor* cursor) {
  LinearWeightScratch s = {};
  if (plan.as_it_lies) return s;
  s.dy = cursor->take<float>(plan.dy);
  s.x = cursor->take<float>(plan.x);
  return s;
}

// Entries of one channel block: what a bundle reads.
struct BlockOperands {
  const float *x, *dy;
  const uint16_t* index;
  int64_t pitch, vectors;
};

// Lane i: the sum over the batch rows of dY(v) * x(i)[v].
template <int kVectors, class X, class Dy>
EDGECL_INLINE SumVec products(int64_t vectors, X x, Dy dy) {
  return bundle_sum<kVectors>(
      vectors,
      [=](int i) __attribute__((always_inline)) {
        const float* from = x(i);
        keep_pointer(from);
        return from;
      },
      [=](const float* from, int64_t v)
          __attribute__((always_inline)) { return dy(v) * HalfLane::load(from + v * kSum); },
      [=](SumVec acc, const float* from, int64_t v)
          __attribute__((always_inline)) { return HalfLane::fma(dy(v), HalfLane::load(from + v * kSum), acc); });
}

// Entries [begin, end) of one channel block, row by row, with dY of the row in registers; `row` is the one of the
// first.
template <int kVectors>
void block_entries(const LinearWeight& w, const BlockOperands& o, const uint32_t* row_start, int64_t row,
                   uint32_t begin, uint32_t end) {
  const int64_t pitch = kVectors > 0 ? kVectors * kSum : o.pitch;
  const float* x = o.x;
  const uint8_t* selected = w.args.selected;
  uint16_t list[kWindow + 16];
  float sums[kWindow + 16];  // of the selected entries from `first` on: spread when they have left the store buffers
  uint32_t first = begin;
  int n_sums = 0;
  for (uint32_t k = begin; k < end;) {
    while (row_start[row + 1] <= k) row++;
    uint32_t row_end = row_start[row + 1] < end ? row_start[row + 1] : end;
    if (row_end - k > kWindow) row_end = k + kWindow;
    if (selected && row_end - first > kWindow) {
      spread_selected(sums, selected + first, static_cast<int>(k - first), w.args.dvalue + first);
      first = k;
      n_sums = 0;
    }
    const float* from = o.dy + row * w.pitch;
    SumVec dy[kVectors > 0 ? kVectors : 1];
    EDGECL_UNROLL
    for (int v = 0; v < kVectors; v++) dy[v] = HalfLane::load(from + v * kSum);
    const auto dy_of = [&](int64_t v) __attribute__((always_inline)) {
      return kVectors > 0 ? dy[v] : HalfLane::load(from + v * kSum);
    };
    // Bundles of all entries write on behind the row, where the next one will, and read the indices there; the last
    // ones of a pattern have none behind them.
    const uint16_t* index = o.index + k;
    float* out = w.args.dvalue + k;
    int count = static_cast<int>(row_end - k);
    if (selected || row_end + kSum > w.args.pattern.nnz) {
      count = list_entries(index, selected ? selected + k : nullptr, count, list);
      memset(list + count, 0, kSum * sizeof(uint16_t));  // any channel will do
      index = list;
    }
    if (selected) out = sums + n_sums;
    n_sums += count;
    for (int j = 0; j < count; j += kSum) {
      const uint16_t* bundle = index + j;
      const SumVec sum = products<kVectors>(
          o.vectors, [=](int i) __attribute__((always_inline)) { return x + bundle[i] * pitch; }, dy_of);
      const int64_t left = selected ? kSum : static_cast<int64_t>(end) - k - j;
      if (left >= kSum)
        HalfLane::store(out + j, sum);
      else
        HalfLane::store_n(out + j, sum, static_cast<int>(left));
    }
    k = row_end;
  }
  if (selected) spread_selected(sums, selected + first, static_cast<int>(end - first), w.args.dvalue + first);
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
    for (; selected && k < row_end; k++) {  // by bits: a branch on the flag would be guessed wrong too often
      const float product = dy * x[index[k]] + 0.0f;
      uint32_t bits;
      memcpy(&bits, &product, sizeof bits);
      bits &= selected[k] != 0 ? ~0u : 0u;
      memcpy(dvalue + k, &bits, sizeof bits);
    }
    for (; k + 4 <= row_end; k += 4) {
      EDGECL_UNROLL
      for (uint32_t i = 0; i < 4; i++) dvalue[k + i] = dy * x[index[k + i]] + 0.0f;
    }
    for (; k < row_end; k++) dvalue[k] = dy * x[index[k]] + 0.0f;
  }
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
  if (w.x_block) pad_channels<HalfLane>(a.x, first, last, 0, w.vectors, w.x_block);
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
    case 6:
      return block_entries<6>(w, o, row_start, low, begin, end);
    case 8:
      return block_entries<8>(w, o, row_start, low, begin, end);
#if defined(__aarch64__)
    case 5:
      return block_entries<5>(w, o, row_start, low, begin, end);
    case 16:
      return block_entries<16>(w, o, row_start, low, begin, end);
#endif
    default:
      return block_entries<0>(w, o, row_start, low, begin, end);
  }
}

template <int kVectors>
void bias_gradient(const LinearWeight& w, int64_t begin, int64_t end, float* dbias) {
  for (int64_t row = begin; row < end; row += kSum) {
    const int n = static_cast<int>(end - row < kSum ? end - row : kSum);
    const float* dy = w.dy + row * w.pitch;
    const int64_t last = (n - 1) * w.pitch, pitch = w.pitch;
    const SumVec sum = bundle_sum<kVectors>(
        w.vectors, [=](int i) __attribute__((always_inline)) { return dy + (i * pitch < last ? i * pitch : last); },
        [=](const float* from, int64_t v) __attribute__((always_inline)) { return HalfLane::load(from + v * kSum); },
        [=](SumVec acc, const float* from, int64_t v)
            __attribute__((always_inline)) { return acc + HalfLane::load(from + v * kSum); });
    HalfLane::store_n(dbias + row, sum, n);
  }
}

}  // namespace

void sparse_linear_backward_weight(const SparseLinearBackwardWeightArgs& a, int part, int n_parts, void* scratch) {
  const SparsePattern& p = a.pattern;
  ScratchCursor cursor = {static_cast<char*>(scratch), 0};
  const LinearGradientPlan plan = plan_linear_gradient(kShape, a);
  const LinearWeightScratch s = take_scratch(plan, &cursor);
  LinearWeight w = {a, plan.vectors, plan.pitch, a.dy.data, s.x};
  int64_t begin, end;
  if (s.dy) {
    pad_channels<HalfLane>(a.dy, 0, a.dy.channels, 0, w.vectors, s.dy);
    w.dy = s.dy;
  }
  if (a.dbias) {
    share(p.rows, part, n_parts, &begin, &end);
    if (a.x.rows() == 1)
      for (int64_t row = begin; row < end; row++) a.dbias[row] = a.dy.data[row] + 0.0f;
    else if (w.vectors == 2)
      bias_gradient<2>(w, begin, end, a.dbias);
    else if (w.vectors == 3)
      bias_gradient<3>(w, begin, end, a.dbias);
    else if (w.vectors == 4)
      bias_gradient<4>(w, begin, end, a.dbias);
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
