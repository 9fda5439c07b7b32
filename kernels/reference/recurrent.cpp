// Recurrent layers, forward and back through time: scalar reference.
// Never here: the cells' formulas (kernels/recurrent_formulas.h), blocks of steps.
#include "kernels/recurrent_formulas.h"
#include "kernels/reference/common.h"
#include "kernels/scalar_math.h"

namespace edgecl::reference {
namespace {

typedef ScalarMath M;

// One batch row: where its numbers lie, and the order of its steps.
struct Row {
  int64_t group, lane, lanes, steps, hidden, kept;
  bool reverse;

  Row(const Tensor& y, const RecurrentShape& shape, int64_t row)
      : group(row / y.lanes),
        lane(row % y.lanes),
        lanes(y.lanes),
        steps(y.width),
        hidden(y.channels),
        kept(shape.kept() * hidden),
        reverse(shape.reverse) {}
  int64_t time(int64_t step) const { return reverse ? steps - 1 - step : step; }
  float* at(const Tensor& t, int64_t channel, int64_t time) const {
    return t.data + offset_of(t, group, channel, 0, time, lane);
  }
  int64_t kept_at(int64_t time) const { return ((group * steps + time) * lanes + lane) * kept; }
};

// Calls f(row) for the batch rows of a part.
template <class F>
void for_rows(const Tensor& y, const RecurrentShape& shape, int part, int n_parts, F f) {
  const Share rows = share_of(y.rows(), part, n_parts);
  for (int64_t r = rows.begin; r < rows.end; r++) f(Row(y, shape, r));
}

// Where the gradient of a column of the product with the inputs lies.
int64_t slot(const RecurrentShape& shape, int64_t hidden, int64_t column) {
  return column >= shape.together() * hidden ? column + hidden : column;
}

// The chain of a column of weights, `columns` apart.
float product(const float* weight, int64_t columns, int64_t n, float start, const float* x) {
  for (int64_t k = 0; k < n; k++, weight += columns) start = fused(*weight, x[k], start);
  return start;
}

// Of one row: what a step leaves [kept * H], the states h and c in front of it, the inputs of the step.
struct Work {
  float *slots, *h, *cell, *x;
  Work(const RecurrentForwardArgs& a, void* scratch)
      : slots(static_cast<float*>(scratch)),
        h(slots + a.shape.kept() * static_cast<int64_t>(a.y.channels)),
        cell(h + a.y.channels),
        x(cell + a.y.channels) {}
};

void forward_row(const RecurrentForwardArgs& a, const Row& row, const Work& w) {
  const int64_t hidden = row.hidden, columns = a.shape.gates() * hidden, n_at = 2 * hidden;
  const bool linear = a.shape.linear(), reset_first = a.shape.cell == RecurrentCell::kGru;
  float *slots = w.slots, *reset = slots + 3 * hidden, *last = slots + 4 * hidden;
  for (int64_t k = 0; k < hidden; k++) w.h[k] = w.cell[k] = 0.0f;
  for (int64_t step = 0; step < row.steps; step++) {
    const int64_t t = row.time(step);
    for (int64_t c = 0; c < a.x.channels; c++) w.x[c] = *row.at(a.x, c, t);
    for (int64_t g = 0; g < columns; g++) {
      const bool of_n = g >= n_at && a.shape.is_gru();
      const float start = !a.bias ? 0.0f : of_n && linear ? a.bias[g] : a.bias[g] + a.bias_r[g];
      const float of_x = product(a.weight + g, columns, a.x.channels, start, w.x);
      slots[of_n && linear ? g + hidden : g] = of_n ? of_x : product(a.weight_r + g, columns, hidden, of_x, w.h);
      if (of_n && linear) slots[g] = product(a.weight_r + g, columns, hidden, a.bias ? a.bias_r[g] : 0.0f, w.h);
    }
    if (a.shape.is_gru()) {
      for (int64_t k = 0; k < n_at; k++) slots[k] = M::sigmoid(slots[k]);
      for (int64_t k = 0; k < hidden && reset_first; k++) reset[k] = slots[hidden + k] * w.h[k];
      for (int64_t g = n_at; g < columns && reset_first; g++)
        slots[g] = product(a.weight_r + g, columns, hidden, slots[g], reset);
    }
    for (int64_t k = 0; k < hidden; k++) {
      float *s0 = slots + k, *s1 = s0 + hidden, *s2 = s1 + hidden, *s3 = s2 + hidden;
      if (a.shape.cell == RecurrentCell::kLstm) {
        *s0 = M::sigmoid(*s0), *s1 = M::sigmoid(*s1), *s2 = M::sigmoid(*s2), *s3 = M::tanh(*s3);
        last[k] = w.cell[k] = lstm_state<M>(*s0, *s2, *s3, w.cell[k]);
        w.h[k] = *s1 * M::tanh(w.cell[k]);
      } else if (a.shape.is_gru()) {
        float* n = linear ? s3 : s2;
        *n = M::tanh(linear ? fused(*s1, *s2, *s3) : *s2);
        last[k] = w.h[k] = gru_state<M>(*s0, *n, w.h[k]);
      } else {
        *s0 = w.h[k] = rnn_step<M>(a.shape.cell == RecurrentCell::kRnnRelu, *s0);
      }
      *row.at(a.y, k, t) = w.h[k];
    }
    for (int64_t i = 0; i < row.kept && a.kept; i++) a.kept[row.kept_at(t) + i] = slots[i];
  }
}

// scratch: gradients of h and of c (or of r * h) at the step under way, and what the step before it gets.
void steps_backward_row(const RecurrentStepsBackwardArgs& a, const Row& row, float* scratch) {
  const int64_t hidden = row.hidden, columns = a.shape.gates() * hidden;
  float *carried = scratch, *dc = scratch + hidden, *before = dc + hidden;
  for (int64_t k = 0; k < 2 * hidden; k++) carried[k] = 0.0f;
  for (int64_t step = row.steps - 1; step >= 0; step--) {
    const int64_t t = row.time(step);
    float* kept = a.kept + row.kept_at(t);
    const float* kept_before = step > 0 ? a.kept + row.kept_at(row.time(step - 1)) + 4 * hidden : nullptr;
    const auto last = [&](int64_t k) { return step > 0 ? kept_before[k] : 0.0f; };  // h of a GRU, c of an LSTM
    const auto back = [&](int64_t k, int64_t begin, int64_t end, const float* d, float start) {
      for (int64_t g = begin; g < end; g++) start = fused(a.weight_r[k * columns + g], d[g - begin], start);
      return start;
    };
    for (int64_t k = 0; k < hidden; k++) {
      float *s0 = kept + k, *s1 = s0 + hidden, *s2 = s1 + hidden, *s3 = s2 + hidden;
      const float dh = *row.at(a.dy, k, t) + carried[k];
      before[k] = 0.0f;
      if (a.shape.cell == RecurrentCell::kLstm) {
        dc[k] = lstm_gradient<M>(*s0, *s1, *s2, *s3, kept[4 * hidden + k], last(k), dh, dc[k]);
      } else if (a.shape.is_gru()) {
        before[k] = dh * *s0;
        gru_gradient<M>(*s0, a.shape.linear() ? *s3 : *s2, last(k), dh);
      } else {
        *s0 = rnn_gradient<M>(a.shape.cell == RecurrentCell::kRnnRelu, *s0, dh);
      }
    }
    for (int64_t k = 0; k < hidden && a.shape.is_gru(); k++) {
      float &r = kept[hidden + k], &q = kept[2 * hidden + k];
      if (a.shape.linear()) {
        const float n = kept[3 * hidden + k], dq = n * r;
        r = sigmoid_gradient<M>(r, n * q);
        q = dq;
      } else {
        const float s = back(k, 2 * hidden, columns, kept + 2 * hidden, 0.0f);
        before[k] = fused(s, r, before[k]);
        r = sigmoid_gradient<M>(r, s * last(k));
      }
    }
    for (int64_t k = 0; k < hidden; k++) {
      carried[k] = back(k, 0, a.shape.cell == RecurrentCell::kGru ? 2 * hidden : columns, kept, before[k]);
    }
  }
}

}  // namespace

void recurrent_forward(const RecurrentForwardArgs& a, int part, int n_parts, void* scratch) {
  for_rows(a.y, a.shape, part, n_parts, [&](const Row& row) { forward_row(a, row, Work(a, scratch)); });
}

void recurrent_steps_backward(const RecurrentStepsBackwardArgs& a, int part, int n_parts, void* scratch) {
  for_rows(a.y, a.shape, part, n_parts,
           [&](const Row& row) { steps_backward_row(a, row, static_cast<float*>(scratch)); });
}

void recurrent_data_backward(const RecurrentDataBackwardArgs& a, int part, int n_parts, void*) {
  for_rows(a.y, a.shape, part, n_parts, [&](const Row& row) {
    const int64_t columns = a.shape.gates() * row.hidden;
    for (int64_t t = 0; t < row.steps; t++) {
      for (int64_t c = 0; c < a.dx.channels; c++) {
        float sum = 0.0f;
        for (int64_t g = 0; g < columns; g++)
          sum = fused(a.weight[c * columns + g], a.gradients[row.kept_at(t) + slot(a.shape, row.hidden, g)], sum);
        float* dx = row.at(a.dx, c, t);
        *dx = a.accumulate ? *dx + sum : sum;
      }
    }
  });
}

void recurrent_weight_backward(const RecurrentWeightBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t hidden = a.y.channels, columns = a.shape.gates() * hidden, kept = a.shape.kept() * hidden,
                plane = a.y.plane(), lanes = a.y.lanes, inputs = a.x.channels;
  // Positions of a group that have a state before them.
  const int64_t begin = a.shape.reverse ? 0 : lanes, end = a.shape.reverse ? plane - lanes : plane;
  const auto sum_over = [&](int64_t from, int64_t until, auto add) {
    float sum = 0.0f;
    for (int64_t group = 0; group < a.y.groups; group++)
      for (int64_t p = from; p < until; p++) sum = add(group, p, a.gradients + (group * plane + p) * kept, sum);
    return sum;
  };
  const Share of_x = share_of(inputs, part, n_parts), of_h = share_of(hidden, part, n_parts),
              of_bias = share_of(columns, part, n_parts);
  for (int64_t i = of_x.begin * columns; i < of_x.end * columns && a.dweight; i++) {
    const int64_t c = i / columns, at = slot(a.shape, hidden, i % columns);
    a.dweight[i] = sum_over(0, plane, [&](int64_t group, int64_t p, const float* gradients, float sum) {
      return fused(a.x.data[(group * inputs + c) * plane + p], gradients[at], sum);
    });
  }
  for (int64_t i = of_h.begin * columns; i < of_h.end * columns && a.dweight_r; i++) {
    const int64_t k = i / columns, g = i % columns, before = a.shape.reverse ? lanes : -lanes;
    // With kGru what meets n's columns is r * h.
    const bool reset = a.shape.cell == RecurrentCell::kGru && g >= 2 * hidden;
    a.dweight_r[i] = sum_over(begin, end, [&](int64_t group, int64_t p, const float* gradients, float sum) {
      const float h = reset ? gradients[3 * hidden + k] : a.y.data[(group * hidden + k) * plane + p + before];
      return fused(h, gradients[g], sum);
    });
  }
  for (int64_t g = of_bias.begin; g < of_bias.end; g++) {
    const auto bias = [&](int64_t at) {
      return sum_over(0, plane,
                      [&](int64_t, int64_t, const float* gradients, float sum) { return sum + gradients[at]; });
    };
    if (a.dbias) a.dbias[g] = bias(slot(a.shape, hidden, g));
    if (a.dbias_r) a.dbias_r[g] = bias(g);
  }
}

}  // namespace edgecl::reference
