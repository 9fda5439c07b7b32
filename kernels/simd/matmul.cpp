// Products of two tensors of a row, summed over any axes.
// Never here: layers with weights.
//
// One batch row: the register tile of the dense layers, with the columns in the lanes; columns that do not lie together are
// packed. Several rows: these are the lanes, and a tile of rows by columns shares its loads.
#include "kernels/kernel_declarations.h"
#include "kernels/plan/matmul_plan.h"
#include "kernels/simd/linear_tiles.h"
#include "kernels/simd/transpose.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr TapOffset kOneTap = {0, 0};
constexpr int kTileRows = 4, kTileColumns = kRegisters == 16 ? 2 : 4;

struct Places {
  int64_t a, b, y;
};

// The places of index `at` of the outer axes.
Places outer_places(const MatmulPlan& p, int64_t at) {
  Places found = {p.a_offset, p.b_offset, p.y_offset};
  for (int k = p.n_outer - 1; k >= 0; k--) {
    const MatmulAxis& axis = p.outer[k];
    const int64_t i = at % axis.size;
    at /= axis.size;
    found.a += i * axis.a;
    found.b += i * axis.b;
    found.y += i * axis.y;
  }
  return found;
}

int64_t outer_count(const MatmulPlan& p) {
  int64_t n = 1;
  for (int k = 0; k < p.n_outer; k++) n *= p.outer[k].size;
  return n;
}

// panel[r][c] = from[r * term + c * column].
void pack(const float* from, int64_t terms, int64_t term, int64_t columns, int64_t column, float* panel,
          int64_t pitch) {
  if (term == 1) return transpose(from, column, columns, terms, panel, pitch);
  for (int64_t r = 0; r < terms; r++)
    for (int64_t c = 0; c < columns; c++) panel[r * pitch + c] = from[r * term + c * column];
}

void multiply_flat(const MatmulArgs& args, const MatmulPlan& p, int part, int n_parts, float* panel) {
  const MatmulAxis inner = p.n_inner == 1 ? p.inner[0] : MatmulAxis{1, 0, 0, 0};
  const bool direct = p.column.b == 1;
  const int64_t fitting = kMatmulPanelFloats / inner.size / 16 * 16;
  const int64_t width = direct || fitting > kMatmulPanel ? kMatmulPanel : fitting;
  const int64_t blocks = (p.column.size + width - 1) / width;
  GemmTileArgs t = {};
  t.taps = &kOneTap;
  t.n_taps = 1;
  t.n_channels = static_cast<int>(inner.size);
  t.scalar_row = p.row.a;
  t.scalar_channel = inner.a;
  t.vector_channel = direct ? inner.b : width;
  t.out_row = p.row.y;
  t.accumulate = args.accumulate;
  t.scale = args.scale == 1.0f ? nullptr : &args.scale;
  int64_t begin, end;
  share(outer_count(p) * blocks, part, n_parts, &begin, &end);
  for (int64_t item = begin; item < end; item++) {
    const Places at = outer_places(p, item / blocks);
    const int64_t column = item % blocks * width, left = p.column.size - column, columns = left < width ? left : width;
    const float* b = p.b.data + at.b + column * p.column.b;
    if (!direct) pack(b, inner.size, inner.b, columns, p.column.b, panel, width);
    t.vectors = direct ? b : panel;
    t.scalars = p.a.data + at.a;
    t.out = args.y.data + at.y + column;
    run_tiles(t, p.row.size, columns);
  }
}

// One tile of several batch rows: kRows x kColumns sums of `count` lanes.
template <int kRows, int kColumns>
__attribute__((noinline)) void tile(const MatmulArgs& args, const MatmulPlan& p, const float* a, const float* b,
                                    float* y, int count) {
  const MatmulAxis inner = p.n_inner > 0 ? p.inner[p.n_inner - 1] : MatmulAxis{1, 0, 0, 0};
  vec sum[kRows][kColumns];
  EDGECL_UNROLL
  for (int i = 0; i < kRows; i++) EDGECL_UNROLL
  for (int j = 0; j < kColumns; j++) sum[i][j] = vzero();
  const int64_t a_row = p.row.a, b_column = p.column.b;
  int64_t at[kMatmulAxes] = {};
  for (;;) {
    const float *from_a = a, *from_b = b;
    for (int64_t r = 0; r < inner.size; r++, from_a += inner.a, from_b += inner.b) {
      vec v[kRows];
      EDGECL_UNROLL
      for (int i = 0; i < kRows; i++) v[i] = vload(from_a + i * a_row);
      EDGECL_UNROLL
      for (int j = 0; j < kColumns; j++) {
        const vec w = vload(from_b + j * b_column);
        EDGECL_UNROLL
        for (int i = 0; i < kRows; i++) sum[i][j] = vfma(v[i], w, sum[i][j]);
      }
    }
    int k = p.n_inner - 2;  // the next index of the other axes
    for (; k >= 0; k--) {
      a += p.inner[k].a;
      b += p.inner[k].b;
      if (++at[k] < p.inner[k].size) break;
      a -= p.inner[k].size * p.inner[k].a;
      b -= p.inner[k].size * p.inner[k].b;
      at[k] = 0;
    }
    if (k < 0) break;
  }
  const vec scale = vset(args.scale);
  EDGECL_UNROLL
  for (int i = 0; i < kRows; i++) EDGECL_UNROLL
  for (int j = 0; j < kColumns; j++) {
    float* to = y + i * p.row.y + j * p.column.y;
    const vec result = scale * sum[i][j];
    vstore_n(to, args.accumulate ? vload_n(to, count) + result : result, count);
  }
}

void multiply_rows(const MatmulArgs& args, const MatmulPlan& p, int part, int n_parts) {
  const int64_t lanes = args.y.lanes, outer = outer_count(p), row_blocks = (p.row.size + kTileRows - 1) / kTileRows;
  const auto group = [](const Tensor& t) { return static_cast<int64_t>(t.channels) * t.plane(); };
  int64_t begin, end;
  share(args.y.groups * outer * row_blocks, part, n_parts, &begin, &end);
  for (int64_t item = begin; item < end; item++) {
    const int64_t g = item / (outer * row_blocks), row = item % row_blocks * kTileRows, rows = p.row.size - row;
    const Places at = outer_places(p, item / row_blocks % outer);
    for (int64_t l = 0; l < lanes; l += kVec) {
      const int count = lanes - l < kVec ? static_cast<int>(lanes - l) : kVec;
      const float *a = p.a.data + g * group(p.a) + at.a + row * p.row.a + l, *b = p.b.data + g * group(p.b) + at.b + l;
      float* y = args.y.data + g * group(args.y) + at.y + row * p.row.y + l;
      int64_t j = 0;
      for (; j + kTileColumns <= p.column.size; j += kTileColumns) {
        const float* from = b + j * p.column.b;
        float* to = y + j * p.column.y;
        if (rows >= kTileRows) {
          tile<kTileRows, kTileColumns>(args, p, a, from, to, count);
          continue;
        }
        for (int64_t i = 0; i < rows; i++)
          tile<1, kTileColumns>(args, p, a + i * p.row.a, from, to + i * p.row.y, count);
      }
      for (; j < p.column.size; j++) {
        const float* from = b + j * p.column.b;
        float* to = y + j * p.column.y;
        if (rows >= kTileRows) {
          tile<kTileRows, 1>(args, p, a, from, to, count);
          continue;
        }
        for (int64_t i = 0; i < rows; i++) tile<1, 1>(args, p, a + i * p.row.a, from, to + i * p.row.y, count);
      }
    }
  }
}

}  // namespace

void matmul(const MatmulArgs& args, int part, int n_parts, void* scratch) {
  const MatmulPlan p = plan_matmul(args);
  if (p.flat)
    multiply_flat(args, p, part, n_parts, static_cast<float*>(scratch));
  else
    multiply_rows(args, p, part, n_parts);
}

}  // namespace edgecl::EDGECL_LEVEL
