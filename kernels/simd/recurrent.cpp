// Recurrent layers, forward: the products with the inputs of a block of steps at once, then a step after the other.
// Never here: gradients (recurrent_backward.cpp).
#include "kernels/simd/recurrent.h"

namespace edgecl::EDGECL_LEVEL {

void transpose_called(const float* from, int64_t from_row, int64_t rows, int64_t columns, float* to, int64_t to_row) {
  transpose(from, from_row, rows, columns, to, to_row);
}

void Product::operator()(const float* scalars, const float* vectors, const float* start, int64_t start_row, float* out,
                         int64_t out_row, bool accumulate) const {
  GemmTileArgs t = tile_;
  t.scalars = scalars;
  t.vectors = vectors;
  t.start = start;
  t.start_row = start_row;
  t.out = out;
  t.out_row = out_row;
  t.accumulate = accumulate;
  run_tiles(t, rows_, floats_, grid_);
}

namespace {

typedef RecurrentMath M;

// One batch row meets the weights of a step: as many sums at once as registers hold, so that no chain is waited for, where
// the gates fill such blocks; else blocks of about eight, which hide most of it.
constexpr int kRowVectors = 8;
typedef void (*RowTile)(const float* scalars, const float* weight, int64_t weight_row, int64_t n, const float* start,
                        float* out, int last);
template <int Q>
void row_tile(const float* scalars, const float* weight, int64_t weight_row, int64_t n, const float* start, float* out,
              int last) {
  vec acc[Q];
#pragma GCC unroll 16
  for (int q = 0; q < Q; q++) acc[q] = start ? vload(start + q * kVec) : vzero();
  for (const float* end = scalars + n; scalars < end; scalars++, weight += weight_row) {
    const vec x = vset(*scalars);
#pragma GCC unroll 16
    for (int q = 0; q < Q; q++) acc[q] = vfma(x, vload(weight + q * kVec), acc[q]);
  }
#pragma GCC unroll 16
  for (int q = 0; q < Q - 1; q++) vstore(out + q * kVec, acc[q]);
  AnyStore{last}(out + (Q - 1) * kVec, acc[Q - 1]);
}
template <int Q = kRowVectors>
RowTile row_tile_of(int vectors) {
  if (vectors == Q) return row_tile<Q>;
  if constexpr (Q > 1) return row_tile_of<Q - 1>(vectors);
  return nullptr;
}
int row_block(int64_t vectors) {
  if (kVec != 8 && vectors % 16 == 0) return 16;
  return vectors % 12 == 0 ? 12 : kRowVectors;
}

// The product of the states, or of r * h, with some columns of weight_r.
class StateProduct {
 public:
  StateProduct(int64_t rows, int64_t hidden, int64_t columns, int64_t weight_row)
      : tiles_(rows, hidden, columns),
        rows_(rows),
        n_(hidden),
        columns_(columns),
        weight_row_(weight_row),
        vectors_(vectors_of(columns)),
        blocks_((vectors_ + row_block(vectors_) - 1) / row_block(vectors_)) {}
  // One row: reads a copy of the weights from now on, in which each block of columns lies together.
  void copy_weights(const float* weight, float* panels) {
    panels_ = panels;
    for_blocks([&](int64_t v, int q) {
      for (int64_t k = 0; k < n_; k++)
        for (int64_t i = v; i < v + q; i++, panels += kVec) vstore(panels, vload(weight + k * weight_row_ + i * kVec));
    });
  }
  __attribute__((noinline)) void operator()(const float* states, int64_t state_row, const float* weight,
                                            const float* start, int64_t start_row, float* out, int64_t out_row) {
    if (rows_ > 1) {
      tiles_.of(state_row, 1, weight_row_);
      tiles_(states, weight, start, start_row, out, out_row);
      return;
    }
    for_blocks([&](int64_t v, int q) {
      const int64_t left = columns_ - (v + q - 1) * kVec;
      const RowTile tile = q == 16 ? row_tile<16> : q == 12 ? row_tile<12> : row_tile_of(q);
      const float* own = panels_ ? panels_ + v * n_ * kVec : weight + v * kVec;
      tile(states, own, panels_ ? q * kVec : weight_row_, n_, start ? start + v * kVec : nullptr, out + v * kVec,
           static_cast<int>(left < kVec ? left : kVec));
    });
  }

 private:
  template <class F>
  EDGECL_ALWAYS_INLINE void for_blocks(F f) const {
    for (int64_t b = 0; b < blocks_; b++) {
      int64_t v;
      int q;
      block_of(vectors_, b, blocks_, &v, &q);
      f(v, q);
    }
  }

  Product tiles_;
  int64_t rows_, n_, columns_, weight_row_, vectors_, blocks_;
  const float* panels_ = nullptr;
};

// What a step works on: sums of gates [row][kept * H], states before and after it [row][H], states c.
struct Step {
  float* gates;
  const float* before;
  float *after, *cells;
};

// Sums of gates that lie together become values.
__attribute__((noinline)) void sigmoids(float* sums, int64_t row, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; r++, sums += row)
    store_once(sums, 0, n, [&](int64_t k) EDGECL_INLINE_LAMBDA { return M::sigmoid(vload(sums + k)); });
}

// Of i, o and f as values.
__attribute__((noinline)) void lstm_rows(const Step& s, int64_t rows, int64_t hidden) {
  for (int64_t r = 0; r < rows; r++) {
    float *i0 = s.gates + r * 5 * hidden, *o0 = i0 + hidden, *f0 = o0 + hidden, *g0 = f0 + hidden, *kept = g0 + hidden;
    float *cells = s.cells + r * hidden, *after = s.after + r * hidden;
    for_once(0, hidden, [&](int64_t k, auto store) EDGECL_INLINE_LAMBDA {
      const vec g = M::tanh(vload(g0 + k));
      const vec c = lstm_state<M>(vload(i0 + k), vload(f0 + k), g, vload(cells + k));
      store(g0 + k, g);
      store(kept + k, c);
      store(cells + k, c);
      store(after + k, vload(o0 + k) * M::tanh(c));
    });
  }
}

// q = r * h.
EDGECL_INLINE void reset_rows(const Step& s, int64_t rows, int64_t hidden) {
  for (int64_t row = 0; row < rows; row++) {
    float *r0 = s.gates + row * 5 * hidden + hidden, *q0 = r0 + 2 * hidden;
    const float* before = s.before + row * hidden;
    store_once(q0, 0, hidden, [&](int64_t k) EDGECL_INLINE_LAMBDA { return vload(r0 + k) * vload(before + k); });
  }
}
// Of z and r as values.
__attribute__((noinline)) void gru_rows(const Step& s, bool linear, int64_t rows, int64_t hidden) {
  for (int64_t row = 0; row < rows; row++) {
    float *z0 = s.gates + row * 5 * hidden, *r0 = z0 + hidden, *q0 = r0 + hidden, *n0 = linear ? q0 + hidden : q0,
          *kept = z0 + 4 * hidden;
    const float* before = s.before + row * hidden;
    float* after = s.after + row * hidden;
    for_once(0, hidden, [&](int64_t k, auto store) EDGECL_INLINE_LAMBDA {
      vec n = vload(n0 + k);
      if (linear) n = vfma(vload(r0 + k), vload(q0 + k), n);
      n = M::tanh(n);
      const vec h = gru_state<M>(vload(z0 + k), n, vload(before + k));
      store(n0 + k, n);
      store(kept + k, h);
      store(after + k, h);
    });
  }
}

__attribute__((noinline)) void rnn_rows(const Step& s, bool relu, int64_t rows, int64_t hidden) {
  store_once(s.gates, 0, rows * hidden,
             [&](int64_t k) EDGECL_INLINE_LAMBDA { return rnn_step<M>(relu, vload(s.gates + k)); });
  memcpy(s.after, s.gates, static_cast<size_t>(rows * hidden) * sizeof(float));
}

// The products with the states of one step, and what follows from them.
class Cell {
 public:
  // panels: room for a copy of weight_r (recurrent_panels), or null.
  Cell(const RecurrentForwardArgs& a, int64_t rows, float* panels)
      : a_(a),
        rows_(rows),
        hidden_(a.y.channels),
        columns_(a.shape.gates() * hidden_),
        kept_(a.shape.kept() * hidden_),
        all_(rows, hidden_, a.shape.cell == RecurrentCell::kGru ? 2 * hidden_ : columns_, columns_),
        last_(rows, hidden_, hidden_, columns_) {
    if (panels) all_.copy_weights(a.weight_r, panels);
  }
  EDGECL_ALWAYS_INLINE void operator()(const Step& s) {
    all_(s.before, hidden_, a_.weight_r, s.gates, kept_, s.gates, kept_);
    const int64_t n = 2 * hidden_;
    switch (a_.shape.cell) {
      case RecurrentCell::kLstm:
        sigmoids(s.gates, kept_, rows_, 3 * hidden_);
        return lstm_rows(s, rows_, hidden_);
      case RecurrentCell::kGruLinear:
        sigmoids(s.gates, kept_, rows_, n);
        return gru_rows(s, true, rows_, hidden_);
      case RecurrentCell::kGru:
        sigmoids(s.gates, kept_, rows_, n);
        reset_rows(s, rows_, hidden_);
        last_(s.gates + n + hidden_, kept_, a_.weight_r + n, s.gates + n, kept_, s.gates + n, kept_);
        return gru_rows(s, false, rows_, hidden_);
      case RecurrentCell::kRnnTanh:
      case RecurrentCell::kRnnRelu:
        return rnn_rows(s, a_.shape.cell == RecurrentCell::kRnnRelu, rows_, hidden_);
    }
  }

 private:
  const RecurrentForwardArgs& a_;
  const int64_t rows_, hidden_, columns_, kept_;
  StateProduct all_, last_;
};

void start_of_sums(const RecurrentForwardArgs& a, float* start) {
  const int64_t hidden = a.y.channels, columns = a.shape.gates() * hidden;
  const int64_t both = a.shape.together() * hidden;
  for (int64_t g = 0; g < columns; g++) start[g] = !a.bias ? 0.0f : g < both ? a.bias[g] + a.bias_r[g] : a.bias[g];
}

// kGruLinear: q is a chain of its own, from the bias of the states.
void start_q(const RecurrentForwardArgs& a, float* gates, int64_t rows) {
  const int64_t hidden = a.y.channels;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t k = 2 * hidden; k < 3 * hidden; k++) gates[r * 5 * hidden + k] = a.bias_r ? a.bias_r[k] : 0.0f;
}

// All steps of some lanes of a group.
void forward_lanes(const RecurrentForwardArgs& a, const RecurrentLanes& l, float* scratch) {
  const RecurrentForwardPieces pieces = recurrent_forward_pieces(a);
  const int64_t hidden = a.y.channels, inputs = a.x.channels, columns = a.shape.gates() * hidden,
                kept = a.shape.kept() * hidden, width = a.y.width, lanes = a.y.lanes, plane = width * lanes;
  const int64_t most = recurrent_block(lanes, width).steps, states_row = l.n * hidden;
  float *start = scratch, *sums = start + pieces.start, *states = sums + pieces.steps, *cells = states + pieces.states;
  const bool whole = l.n == lanes, reverse = a.shape.reverse, linear = a.shape.linear();
  const int64_t together = a.shape.together() * hidden;
  const float* x = a.x.data + l.group * inputs * plane + l.first;
  float* y = a.y.data + l.group * hidden * plane + l.first;
  start_of_sums(a, start);
  for (int64_t k = 0; k < states_row; k++) cells[k] = 0.0f;
  Cell cell(a, l.n, pieces.panels > 0 ? cells + pieces.cells : nullptr);
  Product of_inputs(1, inputs, together), of_n = of_inputs;
  int64_t planned = 0;  // steps that these are made for
  bool first = true;
  for_step_blocks(width, most, !reverse, [&](int64_t t, int64_t steps) {
    // The state before the block lies at the end of `states` from which the block is walked.
    float* entry = states + (reverse ? steps + 1 : 0) * states_row;
    const float* leaves = states + (reverse ? 1 : most) * states_row;
    for (int64_t k = 0; k < states_row; k++) entry[k] = first ? 0.0f : leaves[k];
    first = false;
    float* gates = a.kept ? a.kept + ((l.group * width + t) * lanes + l.first) * kept : sums;
    const int64_t step_row = (a.kept ? lanes : l.n) * kept;
    if (steps != planned) {
      of_inputs = Product(whole ? steps * l.n : l.n, inputs, together);
      of_n = Product(whole ? steps * l.n : l.n, inputs, hidden);
      of_inputs.of(1, plane, columns);
      of_n.of(1, plane, columns);
      planned = steps;
    }
    for (int64_t s = 0; s < (whole ? 1 : steps); s++) {
      of_inputs(x + (t + s) * lanes, a.weight, start, 0, gates + s * step_row, kept);
      if (!linear) continue;
      of_n(x + (t + s) * lanes, a.weight + together, start + together, 0, gates + s * step_row + 3 * hidden, kept);
      start_q(a, gates + s * step_row, whole ? steps * l.n : l.n);
    }
    for (int64_t i = 0; i < steps; i++) {
      const int64_t s = reverse ? steps - 1 - i : i;
      float* after = states + (s + 1) * states_row;
      cell({gates + s * step_row, reverse ? after + states_row : after - states_row, after, cells});
    }
    for (int64_t s = 0; s < (whole ? 1 : steps); s++)
      transpose_called(states + (s + 1) * states_row, hidden, whole ? steps * l.n : l.n, hidden, y + (t + s) * lanes,
                       plane);
  });
}

}  // namespace

void recurrent_forward(const RecurrentForwardArgs& a, int part, int n_parts, void* scratch) {
  for_lane_blocks(a.y, part, n_parts,
                  [&](const RecurrentLanes& l) { forward_lanes(a, l, static_cast<float*>(scratch)); });
}

}  // namespace edgecl::EDGECL_LEVEL
