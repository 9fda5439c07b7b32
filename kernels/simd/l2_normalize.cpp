// L2 normalisation over the channels of each position, and its input gradient.
// Never here: sums over positions or over the batch; every row stands alone.
//
// A column is the channels of one position of one row. Columns lie side by side, H * W * L of them in a group of rows,
// and are worked on in blocks of neighbours. Where a block is a whole plane, 16 channels of it are consecutive floats,
// which the virtual lanes take as they come, however few columns there are: batch 1 of a vector is one.
// Built for size (-Os): waits for memory.
#include "kernels/plan/streamed_plan.h"
#include "kernels/simd/periods.h"
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

struct Block {
  int64_t channels, plane;
  int64_t first;    // offset of its first float in the tensor
  int64_t columns;  // at most kNormalizeColumns
};

// Walks a block: body(offset from its first float, offset in `rows` rows of one float a column, store). Channel c meets
// row c % rows.
template <class Body>
EDGECL_INLINE void for_block(const Block& b, int64_t rows, Body body) {
  const int64_t all = rows * b.columns;
  if (b.columns == b.plane) return for_periods(b.channels * b.plane, all, body);
  for (int64_t c = 0, row = 0; c < b.channels; c++) {
    for_flat(0, b.columns, [&](int64_t i, auto store) EDGECL_INLINE_LAMBDA { body(c * b.plane + i, row + i, store); });
    row = row + b.columns == all ? 0 : row + b.columns;
  }
}

// Rows of coefficients that an elementwise pass needs: one, where whole vectors fit into it or it is walked by itself.
EDGECL_INLINE int64_t coefficient_rows(const Block& b) {
  return b.columns == b.plane && b.columns % kVirtualLanes != 0 ? kVirtualLanes : 1;
}

// sum[0 .. columns - 1] = the sum of a * b over the channels.
__attribute__((noinline)) void sum_of_products(const Block& block, const float* a, const float* b, float* sum) {
  clear(sum, kVirtualLanes * block.columns);
  for_block(block, kVirtualLanes, [&](int64_t i, int64_t j, auto store) EDGECL_INLINE_LAMBDA {
    store(sum + j, vfma(vload(a + i), vload(b + i), vload(sum + j)));
  });
  tree_of_rows(sum, block.columns);
}

// Calls body(block) for each block of the share.
template <class Body>
EDGECL_INLINE void for_share(const Tensor& x, int part, int n_parts, Body body) {
  const int64_t plane = x.plane(), blocks = (plane + kNormalizeColumns - 1) / kNormalizeColumns;
  int64_t begin, end;
  share(x.groups * blocks, part, n_parts, &begin, &end);
  for (int64_t k = begin; k < end; k++) {
    const int64_t offset = k % blocks * kNormalizeColumns, left = plane - offset;
    body(Block{x.channels, plane, k / blocks * x.channels * plane + offset,
               left < kNormalizeColumns ? left : kNormalizeColumns});
  }
}

}  // namespace

void l2_normalize_forward(const L2NormalizeForwardArgs& a, int part, int n_parts, void* scratch) {
  float* r = static_cast<float*>(scratch);
  const vec eps = vset(a.eps), one = vset(1.0f);
  for_share(a.x, part, n_parts, [&](const Block& b) EDGECL_INLINE_LAMBDA {
    const float* x = a.x.data + b.first;
    float* y = a.y.data + b.first;
    sum_of_products(b, x, x, r);
    store_flat(r, 0, b.columns, [&](int64_t i) EDGECL_INLINE_LAMBDA { return one / vmax(eps, vsqrt(vload(r + i))); });
    const int64_t rows = coefficient_rows(b);
    repeat(r, b.columns, rows * b.columns);
    for_block(b, rows, [&](int64_t i, int64_t j, auto store) EDGECL_INLINE_LAMBDA {
      store(y + i, vload(x + i) * vload(r + j));
    });
  });
}

void l2_normalize_backward(const L2NormalizeBackwardArgs& a, int part, int n_parts, void* scratch) {
  float *r = static_cast<float*>(scratch), *along = r + normalize_lanes(a.x);
  const vec eps = vset(a.eps), one = vset(1.0f);
  const bool accumulate = a.accumulate;
  for_share(a.x, part, n_parts, [&](const Block& b) EDGECL_INLINE_LAMBDA {
    const float *x = a.x.data + b.first, *dy = a.dy.data + b.first;
    float* dx = a.dx.data + b.first;
    sum_of_products(b, x, x, r);
    sum_of_products(b, dy, x, along);
    for_flat(0, b.columns, [&](int64_t i, auto store) EDGECL_INLINE_LAMBDA {
      const vec norm = vsqrt(vload(r + i)), factor = one / vmax(eps, norm);
      store(along + i, eps > norm ? vzero() : -(vload(along + i) * factor));
      store(r + i, factor);
    });
    const int64_t rows = coefficient_rows(b);
    repeat(r, b.columns, rows * b.columns);
    repeat(along, b.columns, rows * b.columns);
    for_block(b, rows, [&](int64_t i, int64_t j, auto store) EDGECL_INLINE_LAMBDA {
      const vec factor = vload(r + j);
      const vec result = vfma(vload(x + i) * factor, vload(along + j), vload(dy + i)) * factor;
      store(dx + i, accumulate ? vload(dx + i) + result : result);
    });
  });
}

}  // namespace edgecl::EDGECL_LEVEL
