// Roles of the axes of a product of two tensors.
// Never here: the kernel.
#include "kernels/plan/matmul_plan.h"

namespace edgecl {
namespace {

using plan::MatmulAxis;

// Appends an axis, or makes it one with the last where it goes on from there.
void append(MatmulAxis* axes, int* n, const MatmulAxis& axis) {
  if (*n > 0) {
    MatmulAxis& last = axes[*n - 1];
    if (last.a == axis.a * axis.size && last.b == axis.b * axis.size && last.y == axis.y * axis.size) {
      last = {last.size * axis.size, axis.a, axis.b, axis.y};
      return;
    }
  }
  axes[(*n)++] = axis;
}

// The place of the axis that one tensor alone and y have: that of stride 1 in y, else the largest; -1: none.
int choose(const MatmulAxis* axes, int n, bool of_b) {
  int best = -1;
  for (int i = 0; i < n; i++) {
    if ((of_b ? axes[i].a : axes[i].b) != 0) continue;
    if (best < 0 || (axes[best].y != 1 && (axes[i].y == 1 || axes[i].size > axes[best].size))) best = i;
  }
  return best;
}

MatmulAxis take(MatmulAxis* axes, int* n, int at) {
  if (at < 0) return {1, 0, 0, 0};
  const MatmulAxis taken = axes[at];
  for (int i = at + 1; i < *n; i++) axes[i - 1] = axes[i];
  (*n)--;
  return taken;
}

int64_t elements(const Tensor& t) {
  return static_cast<int64_t>(t.channels) * t.height * t.width;
}

}  // namespace

plan::MatmulPlan plan::plan_matmul(const MatmulArgs& args) {
  MatmulPlan p = {};
  const int64_t lanes = args.y.lanes;
  p.a = args.a;
  p.b = args.b;
  p.a_offset = args.a_offset * lanes;
  p.b_offset = args.b_offset * lanes;
  p.y_offset = args.y_offset * lanes;
  bool columns_of_a = false, columns_of_b = false;  // with stride 1 in y
  for (int k = 0; k < kMatmulAxes; k++) {
    if (args.size[k] == 1) continue;
    const MatmulAxis axis = {args.size[k], args.a_stride[k] * lanes, args.b_stride[k] * lanes,
                             args.y_stride[k] * lanes};
    if (axis.y == 0)
      append(p.inner, &p.n_inner, axis);
    else
      append(p.outer, &p.n_outer, axis);
  }
  for (int i = 0; i < p.n_outer; i++) {
    if (p.outer[i].y != lanes) continue;
    columns_of_a = p.outer[i].b == 0;
    columns_of_b = p.outer[i].a == 0;
  }
  if (lanes == 1 && columns_of_a && !columns_of_b) {  // a product's factors may change places
    p.a = args.b;
    p.b = args.a;
    const int64_t offset = p.a_offset;
    p.a_offset = p.b_offset;
    p.b_offset = offset;
    for (int i = 0; i < kMatmulAxes; i++) {
      p.outer[i] = {p.outer[i].size, p.outer[i].b, p.outer[i].a, p.outer[i].y};
      p.inner[i] = {p.inner[i].size, p.inner[i].b, p.inner[i].a, p.inner[i].y};
    }
  }
  p.column = take(p.outer, &p.n_outer, choose(p.outer, p.n_outer, true));
  p.row = take(p.outer, &p.n_outer, choose(p.outer, p.n_outer, false));
  p.flat = lanes == 1 && p.column.y == 1 && p.n_inner <= 1;
  if (p.flat && p.n_inner == 1 && p.column.b != 1) p.flat = p.inner[0].size * 16 <= kMatmulPanelFloats;
  return p;
}

uint64_t ScratchTable::matmul_scratch_bytes(const MatmulArgs& args) const {
  if (tiled.floats == 1) return 0;
  // One operand has all axes of a sum, and the output those of the columns.
  const int64_t a = elements(args.a), b = elements(args.b), terms = a > b ? a : b;
  if (args.y.lanes == 1) {
    const int64_t floats = terms * plan::kMatmulPanel;
    return static_cast<uint64_t>(floats < plan::kMatmulPanelFloats ? floats : plan::kMatmulPanelFloats) *
               sizeof(float) +
           kReadSlack * sizeof(float);
  }
  const int64_t packed = terms < plan::kMatmulTerms ? terms : plan::kMatmulTerms,
                columns = packed * plan::round_up(elements(args.y), 4);
  const int64_t vectors =
      packed * plan::kMatmulTileRows + (columns < plan::kMatmulColumnVectors ? columns : plan::kMatmulColumnVectors);
  return static_cast<uint64_t>(vectors * tiled.floats) * sizeof(float) +
         2 * static_cast<uint64_t>(plan::round_up(packed, 8)) * sizeof(int64_t);
}

}  // namespace edgecl
