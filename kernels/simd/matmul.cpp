// Products of two tensors of a row, summed over any axes.
// Never here: layers with weights.
//
// One batch row: the register tile of the dense layers, with the columns in the lanes; columns that do not lie together are
// packed. Several rows: these are the lanes; what a tile of rows by columns reads
// is packed, since neighbours in a sum may lie any way apart.
#include "kernels/kernel_declarations.h"
#include "kernels/plan/matmul_plan.h"
#include "kernels/simd/linear_tiles.h"
#include "kernels/simd/transpose.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr TapOffset kOneTap = {0, 0};
constexpr int kTileRows = kRegisters == 16 ? 3 : 4, kTileColumns = 4;
static_assert(kTileRows <= kMatmulTileRows, "scratch memory is for so many");

#if defined(__AVX512F__)
constexpr bool kMasks = true;  // a vector that is not whole is stored by one instruction like any other
#else
constexpr bool kMasks = false;
#endif

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

// The product turned over: columns of y, which lie together, become rows of the tiles, and rows of y the lanes.
MatmulPlan turned(const MatmulPlan& p) {
  MatmulPlan t = p;
  t.a = p.b;
  t.b = p.a;
  t.a_offset = p.b_offset;
  t.b_offset = p.a_offset;
  t.row = {p.column.size, p.column.b, 0, p.column.y};
  t.column = {p.row.size, 0, p.row.a, p.row.y};
  for (int i = 0; i < kMatmulAxes; i++) {
    t.outer[i] = {p.outer[i].size, p.outer[i].b, p.outer[i].a, p.outer[i].y};
    t.inner[i] = {p.inner[i].size, p.inner[i].b, p.inner[i].a, p.inner[i].y};
  }
  return t;
}
// Worth it where few rows of y do not pay for packing all columns, and the last vector is not too empty.
bool turns(const MatmulPlan& p) {
  return p.column.b != 1 && p.row.size <= kMatmulPanel && (p.row.a == 1 || 2 * p.row.size <= p.column.size) &&
         vectors_of(p.row.size) * kVec - p.row.size <= 10;
}

__attribute__((noinline)) void run_tiles_of(const GemmTileArgs& t, int64_t rows, int64_t floats, const TileGrid& grid) {
  run_tiles(t, rows, floats, grid);
}

// y[c * column + r] = tile[r][c] for `rows` r; rows of the tile lie kMatmulPanel floats apart.
__attribute__((noinline)) void store_turned(const float* tile, int64_t columns, int64_t rows, bool accumulate, float* y,
                                            int64_t column) {
  for (int64_t c = 0; c < columns; c += kVec) {
    vec t[kVec];
    EDGECL_UNROLL
    for (int i = 0; i < kVec; i++) t[i] = vload(tile + i * kMatmulPanel + c);
    transpose_registers(t);
    const int64_t left = columns - c;
    for (int64_t i = 0; i < kVec && i < left; i++) {
      float* to = y + (c + i) * column;
      const vec v = accumulate ? vload_n(to, static_cast<int>(rows)) + t[i] : t[i];
      vstore_n(to, v, static_cast<int>(rows));
    }
  }
}

constexpr int64_t kTurnedRows = 64;  // of a turned product that are one item of work

void multiply_flat(const MatmulArgs& args, const MatmulPlan& p, bool turn, int part, int n_parts, float* panel) {
  const MatmulAxis inner = p.n_inner == 1 ? p.inner[0] : MatmulAxis{1, 0, 0, 0};
  const bool direct = p.column.b == 1;
  const int64_t fitting = kMatmulPanelFloats / inner.size / 16 * 16;
  const int64_t width = direct || fitting > kMatmulPanel ? kMatmulPanel : fitting;
  const int64_t blocks = (p.column.size + width - 1) / width, row_step = turn ? kTurnedRows : p.row.size,
                row_blocks = (p.row.size + row_step - 1) / row_step;
  const int64_t last_width = p.column.size - (blocks - 1) * width, tile_rows = turn ? kVec : p.row.size;
  const TileGrid grid = tile_grid(tile_rows, vectors_of(width)),
                 last_grid = tile_grid(tile_rows, vectors_of(last_width));
  float tile[kVec * kMatmulPanel] = {};
  GemmTileArgs t = {};
  t.taps = &kOneTap;
  t.n_taps = 1;
  t.n_channels = static_cast<int>(inner.size);
  t.scalar_row = p.row.a;
  t.scalar_channel = inner.a;
  t.vector_channel = direct ? inner.b : width;
  t.out = tile;
  t.out_row = turn ? kMatmulPanel : p.row.y;
  t.accumulate = args.accumulate && !turn;
  t.scale = args.scale == 1.0f ? nullptr : &args.scale;
  int64_t begin, end, packed = -1;
  share(outer_count(p) * blocks * row_blocks, part, n_parts, &begin, &end);
  for (int64_t item = begin; item < end; item++) {
    const int64_t panels = item / row_blocks, block = panels % blocks, column = block * width;
    const Places at = outer_places(p, panels / blocks);
    const bool is_last = block == blocks - 1;
    const int64_t columns = is_last ? last_width : width;
    const float* b = p.b.data + at.b + column * p.column.b;
    if (!direct && panels != packed) pack(b, inner.size, inner.b, columns, p.column.b, panel, width);
    packed = panels;
    t.vectors = direct ? b : panel;
    t.scalars = p.a.data + at.a;
    float* y = args.y.data + at.y + column * p.column.y;
    if (!turn) {
      t.out = y;
      run_tiles_of(t, p.row.size, columns, is_last ? last_grid : grid);
      continue;
    }
    const int64_t first = item % row_blocks * row_step, last = first + row_step;
    for (int64_t row = first; row < last && row < p.row.size; row += kVec) {
      const int64_t left = p.row.size - row, rows = left < kVec ? left : kVec;
      t.scalars = p.a.data + at.a + row * p.row.a;
      const int64_t floats = vectors_of(columns) * kVec;
      run_tiles_of(t, rows, floats, rows < kVec ? tile_grid(rows, vectors_of(floats)) : is_last ? last_grid : grid);
      store_turned(tile, columns, rows, args.accumulate, y + row, p.column.y);
    }
  }
}

// The next terms of all sums, packed: offsets of the terms, then vectors of the lanes.
struct Packed {
  int64_t terms;  // at most
  int64_t *of_a, *of_b;
  float *a, *b;
};

// Offsets of terms `first`, ..., `first` + `terms` - 1 of the sums.
void lay_out_terms(const MatmulPlan& p, int64_t first, int64_t terms, const Packed& packed) {
  for (int64_t r = 0; r < terms; r++) {
    int64_t at = first + r, a = 0, b = 0;
    for (int k = p.n_inner - 1; k >= 0; k--) {
      a += at % p.inner[k].size * p.inner[k].a;
      b += at % p.inner[k].size * p.inner[k].b;
      at /= p.inner[k].size;
    }
    packed.of_a[r] = a;
    packed.of_b[r] = b;
  }
}

// Vectors of `n` lines by tiles of kWidth: to[tile][term][line]. The last tile repeats its last line.
template <int kWidth>
void pack_lines(const float* from, const int64_t* offsets, int64_t terms, int64_t n, int64_t step, float* to) {
  const int64_t whole = step <= (terms > 1 ? offsets[1] - offsets[0] : step) ? n / kWidth * kWidth : 0;
  for (int64_t r = 0; r < terms; r++) {  // lines that lie together
    const float* line = from + offsets[r];
    float* tile = to + r * kWidth * kVec;
    for (int64_t j = 0; j < whole; j += kWidth, tile += terms * kWidth * kVec, line += kWidth * step) EDGECL_UNROLL
    for (int i = 0; i < kWidth; i++) vstore(tile + i * kVec, vload(line + i * step));
  }
  for (int64_t j = whole; j < (n + kWidth - 1) / kWidth * kWidth; j++) {
    const float* line = from + (j < n ? j : n - 1) * step;
    float* tile = to + (j / kWidth * terms * kWidth + j % kWidth) * kVec;
    for (int64_t r = 0; r < terms; r++) vstore(tile + r * kWidth * kVec, vload(line + offsets[r]));
  }
}

// What becomes of the sums of a tile.
struct TileEnd {
  float* y;
  int64_t row, column;    // strides
  int64_t rows, columns;  // that there are
  int count;              // lanes
  bool first, last;       // of the terms; between them y holds the sums so far
  bool accumulate;
  float scale;
};

__attribute__((noinline)) void tile(const float* a, const float* b, int64_t terms, const TileEnd& end) {
  vec sum[kTileRows][kTileColumns];
  EDGECL_UNROLL
  for (int i = 0; i < kTileRows; i++) EDGECL_UNROLL
  for (int j = 0; j < kTileColumns; j++) sum[i][j] = vzero();
  if (!end.first) {
    for (int64_t i = 0; i < end.rows; i++)
      for (int64_t j = 0; j < end.columns; j++) sum[i][j] = vload(end.y + i * end.row + j * end.column);
  }
  for (int64_t r = 0; r < terms; r++, a += kTileRows * kVec, b += kTileColumns * kVec) {
    vec v[kTileRows];
    EDGECL_UNROLL
    for (int i = 0; i < kTileRows; i++) v[i] = vload(a + i * kVec);
    EDGECL_UNROLL
    for (int j = 0; j < kTileColumns; j++) {
      const vec w = vload(b + j * kVec);
      EDGECL_UNROLL
      for (int i = 0; i < kTileRows; i++) sum[i][j] = vfma(v[i], w, sum[i][j]);
    }
  }
  const vec scale = vset(end.last ? end.scale : 1.0f);
  if (end.rows == kTileRows && end.columns == kTileColumns && (kMasks || end.count == kVec) && !end.accumulate) {
    EDGECL_UNROLL
    for (int i = 0; i < kTileRows; i++) EDGECL_UNROLL
    for (int j = 0; j < kTileColumns; j++)
      vstore_n(end.y + i * end.row + j * end.column, scale * sum[i][j], kMasks ? end.count : kVec);
    return;
  }
  vec results[kTileRows][kTileColumns];
  EDGECL_UNROLL
  for (int i = 0; i < kTileRows; i++) EDGECL_UNROLL
  for (int j = 0; j < kTileColumns; j++) results[i][j] = scale * sum[i][j];
  for (int64_t i = 0; i < end.rows; i++)
    for (int64_t j = 0; j < end.columns; j++) {
      float* to = end.y + i * end.row + j * end.column;
      const vec result = results[i][j];
      vstore_n(to, end.accumulate ? vload_n(to, end.count) + result : result, end.count);
    }
}

// All rows by some columns of one batch of matrices, for kVec lanes at most.
void multiply_packed(const MatmulPlan& p, const float* a, const float* b, int64_t columns, TileEnd end,
                     const Packed& packed) {
  int64_t all = 1;
  for (int k = 0; k < p.n_inner; k++) all *= p.inner[k].size;
  float* const y = end.y;
  for (int64_t first = 0; first < all; first += packed.terms) {
    const int64_t terms = all - first < packed.terms ? all - first : packed.terms;
    lay_out_terms(p, first, terms, packed);
    end.first = first == 0;
    end.last = first + terms == all;
    pack_lines<kTileColumns>(b, packed.of_b, terms, columns, p.column.b, packed.b);
    for (int64_t row = 0; row < p.row.size; row += kTileRows) {
      end.rows = p.row.size - row < kTileRows ? p.row.size - row : kTileRows;
      pack_lines<kTileRows>(a + row * p.row.a, packed.of_a, terms, end.rows, p.row.a, packed.a);
      for (int64_t j = 0; j < columns; j += kTileColumns) {
        end.columns = columns - j < kTileColumns ? columns - j : kTileColumns;
        end.y = y + row * p.row.y + j * p.column.y;
        tile(packed.a, packed.b + j * terms * kVec, terms, end);
      }
    }
  }
}

// One row by one column after the other, from where they lie.
void multiply_single(const MatmulPlan& p, const float* a, const float* b, int64_t columns, const TileEnd& end) {
  const MatmulAxis inner = p.n_inner > 0 ? p.inner[p.n_inner - 1] : MatmulAxis{1, 0, 0, 0};
  int64_t outer_terms = 1;
  for (int k = 0; k + 1 < p.n_inner; k++) outer_terms *= p.inner[k].size;
  for (int64_t row = 0; row < p.row.size; row++)
    for (int64_t column = 0; column < columns; column++) {
      vec sum = vzero();
      for (int64_t o = 0; o < outer_terms; o++) {
        const float *from_a = a + row * p.row.a, *from_b = b + column * p.column.b;
        for (int64_t k = p.n_inner - 2, at = o; k >= 0; at /= p.inner[k--].size) {
          from_a += at % p.inner[k].size * p.inner[k].a;
          from_b += at % p.inner[k].size * p.inner[k].b;
        }
        for (int64_t r = 0; r < inner.size; r++)
          sum = vfma(vload(from_a + r * inner.a), vload(from_b + r * inner.b), sum);
      }
      float* to = end.y + row * end.row + column * end.column;
      const vec result = vset(end.scale) * sum;
      vstore_n(to, end.accumulate ? vload_n(to, end.count) + result : result, end.count);
    }
}

void multiply_rows(const MatmulArgs& args, const MatmulPlan& p, int part, int n_parts, void* scratch) {
  const int64_t lanes = args.y.lanes, outer = outer_count(p);
  int64_t all = 1;
  for (int k = 0; k < p.n_inner; k++) all *= p.inner[k].size;
  const int64_t most = args.accumulate ? kMatmulTerms : kMatmulNearTerms, terms = all < most ? all : most;
  // Sums of several turns wait in y, where nothing else may be; and a few rows are not worth a copy of all columns.
  const bool packs = lanes > 1 && p.row.size >= kTileRows && !(args.accumulate && all > kMatmulTerms);
  ScratchCursor cursor = {static_cast<char*>(scratch), 0};
  Packed packed = {};
  packed.terms = terms;
  if (packs) {
    packed.of_a = cursor.take<int64_t>(terms);
    packed.of_b = cursor.take<int64_t>(terms);
    packed.a = cursor.take<float>(terms * kTileRows * kVec);
    packed.b = cursor.take<float>(0);
  }
  const int64_t fitting = kMatmulColumnVectors / terms / kTileColumns * kTileColumns,
                width = fitting < p.column.size ? fitting : p.column.size, blocks = (p.column.size + width - 1) / width;
  const auto group = [](const Tensor& t) { return static_cast<int64_t>(t.channels) * t.plane(); };
  TileEnd end = {nullptr, p.row.y, p.column.y, 0, 0, 0, true, true, args.accumulate, args.scale};
  int64_t begin, stop;
  share(args.y.groups * outer * blocks, part, n_parts, &begin, &stop);
  for (int64_t item = begin; item < stop; item++) {
    const int64_t g = item / (outer * blocks), column = item % blocks * width, left = p.column.size - column,
                  columns = left < width ? left : width;
    const Places at = outer_places(p, item / blocks % outer);
    for (int64_t l = 0; l < lanes; l += kVec) {
      const float *a = p.a.data + g * group(p.a) + at.a + l,
                  *b = p.b.data + g * group(p.b) + at.b + column * p.column.b + l;
      end.y = args.y.data + g * group(args.y) + at.y + column * p.column.y + l;
      end.count = lanes - l < kVec ? static_cast<int>(lanes - l) : kVec;
      if (packs)
        multiply_packed(p, a, b, columns, end, packed);
      else
        multiply_single(p, a, b, columns, end);
    }
  }
}

}  // namespace

void matmul(const MatmulArgs& args, int part, int n_parts, void* scratch) {
  const MatmulPlan p = plan_matmul(args);
  const bool turn = p.flat && turns(p);
  if (p.flat)
    multiply_flat(args, turn ? turned(p) : p, turn, part, n_parts, static_cast<float*>(scratch));
  else
    multiply_rows(args, p, part, n_parts, scratch);
}

}  // namespace edgecl::EDGECL_LEVEL
