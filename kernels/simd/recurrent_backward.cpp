// Recurrent layers back through time, and the gradients of their inputs and weights.
// Never here: the forward pass.
// Built for size (-Os): 3 % slower; the products, which are most of the work, are called.
#include "kernels/simd/recurrent.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

typedef RecurrentMath M;

// One step of some batch rows: what the forward pass kept, [row][kept * H]; the state before it, rows last_row apart; the
// gradients of y and of the state after it, and of c or of r * h, [row][H].
struct Step {
  float* kept;
  const float* last;
  int64_t last_row;
  const float* dy;
  float *carried, *other;
};

__attribute__((noinline)) void lstm_rows(const Step& s, int64_t rows, int64_t hidden) {
  for (int64_t r = 0; r < rows; r++) {
    float *i0 = s.kept + r * 5 * hidden, *o0 = i0 + hidden, *f0 = o0 + hidden, *g0 = f0 + hidden;
    const float *cells = g0 + hidden, *last = s.last + r * s.last_row, *dy = s.dy + r * hidden,
                *carried = s.carried + r * hidden;
    float* dc = s.other + r * hidden;
    for_once(0, hidden, [&](int64_t k, auto store) EDGECL_INLINE_LAMBDA {
      vec i = vload(i0 + k), o = vload(o0 + k), f = vload(f0 + k), g = vload(g0 + k);
      store(dc + k, lstm_gradient<M>(i, o, f, g, vload(cells + k), vload(last + k), vload(dy + k) + vload(carried + k),
                                     vload(dc + k)));
      store(i0 + k, i);
      store(o0 + k, o);
      store(f0 + k, f);
      store(g0 + k, g);
    });
  }
}

// Leaves dh * z in `carried`. With `linear` r and q become gradients as well.
__attribute__((noinline)) void gru_rows(const Step& s, bool linear, int64_t rows, int64_t hidden) {
  for (int64_t row = 0; row < rows; row++) {
    float *z0 = s.kept + row * 5 * hidden, *r0 = z0 + hidden, *q0 = r0 + hidden, *n0 = linear ? q0 + hidden : q0;
    const float *last = s.last + row * s.last_row, *dy = s.dy + row * hidden;
    float* carried = s.carried + row * hidden;
    for_once(0, hidden, [&](int64_t k, auto store) EDGECL_INLINE_LAMBDA {
      vec z = vload(z0 + k), n = vload(n0 + k);
      const vec dh = vload(dy + k) + vload(carried + k), direct = dh * z;
      gru_gradient<M>(z, n, vload(last + k), dh);
      store(carried + k, direct);
      store(z0 + k, z);
      store(n0 + k, n);
      if (linear) {
        const vec r = vload(r0 + k), dr = sigmoid_gradient<M>(r, n * vload(q0 + k));
        store(r0 + k, dr);
        store(q0 + k, n * r);
      }
    });
  }
}
// The rest of a GRU whose reset comes first: `other` is the gradient of r * h.
__attribute__((noinline)) void reset_rows(const Step& s, int64_t rows, int64_t hidden) {
  for (int64_t row = 0; row < rows; row++) {
    float *r0 = s.kept + row * 5 * hidden + hidden, *carried = s.carried + row * hidden;
    const float *last = s.last + row * s.last_row, *other = s.other + row * hidden;
    for_once(0, hidden, [&](int64_t k, auto store) EDGECL_INLINE_LAMBDA {
      const vec r = vload(r0 + k), d = vload(other + k);
      store(carried + k, vfma(d, r, vload(carried + k)));
      store(r0 + k, sigmoid_gradient<M>(r, d * vload(last + k)));
    });
  }
}

__attribute__((noinline)) void rnn_rows(const Step& s, bool relu, int64_t rows, int64_t hidden) {
  store_once(s.kept, 0, rows * hidden, [&](int64_t k) EDGECL_INLINE_LAMBDA {
    return rnn_gradient<M>(relu, vload(s.kept + k), vload(s.dy + k) + vload(s.carried + k));
  });
}

class Cell {
 public:
  // back: weight_r transposed, [gates * H][H].
  Cell(const RecurrentStepsBackwardArgs& a, const float* back, int64_t rows)
      : shape_(a.shape),
        back_(back),
        rows_(rows),
        hidden_(a.y.channels),
        kept_(a.shape.kept() * hidden_),
        all_(rows, (a.shape.cell == RecurrentCell::kGru ? 2 : a.shape.gates()) * hidden_, hidden_),
        last_(rows, hidden_, hidden_) {
    all_.of(kept_, 1, hidden_);
    last_.of(kept_, 1, hidden_);
  }
  EDGECL_ALWAYS_INLINE void operator()(const Step& s) {
    const float* start = s.carried;
    switch (shape_.cell) {
      case RecurrentCell::kLstm:
        lstm_rows(s, rows_, hidden_);
        start = nullptr;
        break;
      case RecurrentCell::kGru:
        gru_rows(s, false, rows_, hidden_);
        last_(s.kept + 2 * hidden_, back_ + 2 * hidden_ * hidden_, nullptr, 0, s.other, hidden_);
        reset_rows(s, rows_, hidden_);
        break;
      case RecurrentCell::kGruLinear:
        gru_rows(s, true, rows_, hidden_);
        break;
      case RecurrentCell::kRnnTanh:
      case RecurrentCell::kRnnRelu:
        rnn_rows(s, shape_.cell == RecurrentCell::kRnnRelu, rows_, hidden_);
        start = nullptr;
        break;
    }
    all_(s.kept, back_, start, hidden_, s.carried, hidden_);
  }

 private:
  const RecurrentShape shape_;
  const float* back_;
  const int64_t rows_, hidden_, kept_;
  Product all_, last_;
};

void back_lanes(const RecurrentStepsBackwardArgs& a, const RecurrentLanes& l, float* scratch) {
  const RecurrentBackwardPieces pieces = recurrent_backward_pieces(a);
  const int64_t hidden = a.y.channels, kept_row = a.shape.kept() * hidden, width = a.y.width, lanes = a.y.lanes,
                plane = width * lanes, states_row = l.n * hidden;
  const float* back = scratch;
  float *dy = scratch + pieces.transposed, *carried = dy + pieces.gradients, *other = carried + pieces.states,
        *zeros = other + pieces.states;
  const bool whole = l.n == lanes, reverse = a.shape.reverse;
  for (int64_t k = 0; k < states_row; k++) carried[k] = other[k] = zeros[k] = 0.0f;
  Cell cell(a, back, l.n);
  for_step_blocks(width, recurrent_block(lanes, width).steps, reverse, [&](int64_t t, int64_t steps) {
    for (int64_t s = 0; s < (whole ? 1 : steps); s++)
      transpose_called(a.dy.data + l.group * hidden * plane + (t + s) * lanes + l.first, plane, hidden,
                       whole ? steps * l.n : l.n, dy + s * states_row, hidden);
    for (int64_t i = 0; i < steps; i++) {
      const int64_t s = reverse ? i : steps - 1 - i, before = t + s + (reverse ? 1 : -1);
      const auto kept = [&](int64_t time) { return a.kept + ((l.group * width + time) * lanes + l.first) * kept_row; };
      const bool begins = before < 0 || before == width;
      cell({kept(t + s), begins ? zeros : kept(before) + 4 * hidden, begins ? 0 : kept_row, dy + s * states_row,
            carried, other});
    }
  });
}

// The gradients that weights meet, [position][kept * H]; positions of a group are its steps and lanes. f(group, first
// position, positions) for all chunks.
template <class F>
EDGECL_INLINE void for_chunks(const Tensor& y, F f) {
  for (int64_t g = 0; g < y.groups; g++)
    for (int64_t p = 0; p < y.plane(); p += kRecurrentChunk)
      f(g, p, y.plane() - p < kRecurrentChunk ? y.plane() - p : kRecurrentChunk);
}

// Rows [begin, end) of a weight gradient, chunk by chunk: sums go on from where they are.
struct WeightSum {
  int64_t begin, end, columns;
  float* out;
  int64_t out_row;
  Product product;

  WeightSum(float* to, int64_t to_row, int64_t rows, int64_t n, int part, int n_parts)
      : WeightSum(to, to_row, rows * part / n_parts, rows * (part + 1) / n_parts, n) {}
  // scalars: of row 0 and the first position; n may be 0.
  __attribute__((noinline)) void add(const float* scalars, int64_t scalar_row, int64_t scalar_position,
                                     const float* gradients, int64_t position_row, int64_t n, bool first) {
    if (begin >= end || !out) return;
    product.of(scalar_row, scalar_position, position_row);
    product.take(n);
    float* to = out + begin * out_row;
    product(scalars + begin * scalar_row, gradients, first ? nullptr : to, out_row, to, out_row);
  }

 private:
  WeightSum(float* to, int64_t to_row, int64_t from, int64_t until, int64_t n)
      : begin(from), end(until), columns(n), out(to), out_row(to_row), product(until > from ? until - from : 1, 0, n) {}
};

void add_bias(const float* gradients, int64_t position_row, int64_t n, float* out, int64_t columns, int part,
              int n_parts, bool first) {
  if (!out) return;
  int64_t begin, end;
  share(vectors_of(columns), part, n_parts, &begin, &end);
  for_once(begin * kVec, end * kVec < columns ? end * kVec : columns, [&](int64_t o, auto store) EDGECL_INLINE_LAMBDA {
    vec sum = first ? vzero() : vload(out + o);
    for (int64_t p = 0; p < n; p++) sum = sum + vload(gradients + p * position_row + o);
    store(out + o, sum);
  });
}

}  // namespace

void recurrent_steps_backward(const RecurrentStepsBackwardArgs& a, int part, int n_parts, void* scratch) {
  const int64_t hidden = a.y.channels, columns = a.shape.gates() * hidden;
  float* back = static_cast<float*>(scratch);
  transpose_called(a.weight_r, columns, hidden, columns, back, hidden);
  for_lane_blocks(a.y, part, n_parts, [&](const RecurrentLanes& l) { back_lanes(a, l, back); });
}

void recurrent_data_backward(const RecurrentDataBackwardArgs& a, int part, int n_parts, void* scratch) {
  const int64_t hidden = a.y.channels, columns = a.shape.gates() * hidden, kept = a.shape.kept() * hidden,
                inputs = a.dx.channels, plane = a.y.plane();
  float* gradients = static_cast<float*>(scratch);
  const int64_t together = a.shape.together() * hidden;
  const int64_t chunks = (plane + kRecurrentChunk - 1) / kRecurrentChunk * a.y.groups;
  int64_t begin, end, chunk = 0;
  share(chunks, part, n_parts, &begin, &end);
  for_chunks(a.y, [&](int64_t g, int64_t p, int64_t n) {
    const bool mine = begin <= chunk && chunk < end;
    chunk++;
    if (!mine) return;
    const float* from = a.gradients + (g * plane + p) * kept;
    transpose_called(from, kept, n, together, gradients, kRecurrentChunk);
    if (a.shape.linear())
      transpose_called(from + 3 * hidden, kept, n, hidden, gradients + together * kRecurrentChunk, kRecurrentChunk);
    Product product(inputs, columns, n);
    product.of(columns, 1, kRecurrentChunk);
    product(a.weight, gradients, nullptr, 0, a.dx.data + g * inputs * plane + p, plane, a.accumulate);
  });
}

void recurrent_weight_backward(const RecurrentWeightBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t hidden = a.y.channels, columns = a.shape.gates() * hidden, kept = a.shape.kept() * hidden,
                inputs = a.x.channels, plane = a.y.plane(), lanes = a.y.lanes, n_at = 2 * hidden;
  const bool linear = a.shape.linear(), reset_first = a.shape.cell == RecurrentCell::kGru;
  // n of a GRU is apart: of kGruLinear its product with the inputs, of kGru that with r * h.
  WeightSum of_x(a.dweight, columns, inputs, linear ? n_at : columns, part, n_parts),
      of_x_n(linear && a.dweight ? a.dweight + n_at : nullptr, columns, inputs, hidden, part, n_parts),
      of_h(a.dweight_r, columns, hidden, reset_first ? n_at : columns, part, n_parts),
      of_h_n(reset_first && a.dweight_r ? a.dweight_r + n_at : nullptr, columns, hidden, hidden, part, n_parts);
  for_chunks(a.y, [&](int64_t g, int64_t p, int64_t n) {
    const bool first = g == 0 && p == 0;
    const float *gradients = a.gradients + (g * plane + p) * kept, *x = a.x.data + g * inputs * plane + p;
    of_x.add(x, plane, 1, gradients, kept, n, first);
    of_x_n.add(x, plane, 1, gradients + 3 * hidden, kept, n, first);
    add_bias(gradients, kept, n, a.dbias, linear ? n_at : columns, part, n_parts, first);
    if (linear && a.dbias) add_bias(gradients + 3 * hidden, kept, n, a.dbias + n_at, hidden, part, n_parts, first);
    add_bias(gradients, kept, n, a.dbias_r, columns, part, n_parts, first);
    // Positions that have a state before them, and how far it is away.
    const int64_t from = a.shape.reverse || p >= lanes ? p : lanes < p + n ? lanes : p + n;
    int64_t until = a.shape.reverse && p + n > plane - lanes ? plane - lanes : p + n;
    if (until < from) until = from;
    const float* with_state = a.gradients + (g * plane + from) * kept;
    const float* states = a.y.data + g * hidden * plane + from + (a.shape.reverse ? lanes : -lanes);
    of_h.add(states, plane, 1, with_state, kept, until - from, first);
    of_h_n.add(with_state + 3 * hidden, 1, kept, with_state + n_at, kept, until - from, first);
  });
}

}  // namespace edgecl::EDGECL_LEVEL
