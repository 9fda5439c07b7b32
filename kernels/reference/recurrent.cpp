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

// The chain of `column` over the states, which h(k) gives.
template <class H>
float product(const float* weight, int64_t columns, int64_t column, int64_t hidden, float start, H h) {
  for (int64_t k = 0; k < hidden; k++) start = fused(weight[k * columns + column], h(k), start);
  return start;
}

void forward_row(const RecurrentForwardArgs& a, const Row& row, float* slots, float* cell) {
  const int64_t hidden = row.hidden, columns = a.shape.gates() * hidden;
  const bool linear = a.shape.linear(), reset_first = a.shape.cell == RecurrentCell::kGru;
  float *q = slots + 3 * hidden, *last = slots + 4 * hidden;
  for (int64_t k = 0; k < hidden; k++) cell[k] = 0.0f;
  for (int64_t step = 0; step < row.steps; step++) {
    const int64_t t = row.time(step), before = step > 0 ? row.time(step - 1) : t;
    const auto h = [&](int64_t k) { return step > 0 ? *row.at(a.y, k, before) : 0.0f; };
    for (int64_t g = 0; g < columns; g++) {
      const bool of_n = g >= 2 * hidden && a.shape.is_gru();
      float sum = !a.bias ? 0.0f : of_n && linear ? a.bias[g] : a.bias[g] + a.bias_r[g];
      for (int64_t c = 0; c < a.x.channels; c++) sum = fused(a.weight[c * columns + g], *row.at(a.x, c, t), sum);
      slots[of_n && linear ? g + hidden : g] = of_n ? sum : product(a.weight_r, columns, g, hidden, sum, h);
      if (of_n && linear) slots[g] = product(a.weight_r, columns, g, hidden, a.bias ? a.bias_r[g] : 0.0f, h);
    }
    if (a.shape.is_gru()) {
      for (int64_t k = 0; k < 2 * hidden; k++) slots[k] = M::sigmoid(slots[k]);
      for (int64_t k = 0; k < hidden && reset_first; k++) q[k] = slots[hidden + k] * h(k);
      for (int64_t g = 2 * hidden; g < columns && reset_first; g++)
        slots[g] = product(a.weight_r, columns, g, hidden, slots[g], [&](int64_t k) { return q[k]; });
    }
    for (int64_t k = 0; k < hidden; k++) {
      float *s0 = slots + k, *s1 = s0 + hidden, *s2 = s1 + hidden, *s3 = s2 + hidden;
      if (a.shape.cell == RecurrentCell::kLstm) {
        *s0 = M::sigmoid(*s0), *s1 = M::sigmoid(*s1), *s2 = M::sigmoid(*s2), *s3 = M::tanh(*s3);
        last[k] = cell[k] = lstm_state<M>(*s0, *s2, *s3, cell[k]);
        *row.at(a.y, k, t) = *s1 * M::tanh(cell[k]);
      } else if (a.shape.is_gru()) {
        float* n = linear ? s3 : s2;
        *n = M::tanh(linear ? fused(*s1, *s2, *s3) : *s2);
        last[k] = gru_state<M>(*s0, *n, h(k));
      } else {
        *s0 = rnn_step<M>(a.shape.cell == RecurrentCell::kRnnRelu, *s0);
      }
    }
    const float* result = a.shape.is_gru() ? last : slots;
    for (int64_t k = 0; k < hidden && a.shape.cell != RecurrentCell::kLstm; k++) *row.at(a.y, k, t) = result[k];
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
  float* slots = static_cast<float*>(scratch);
  for_rows(a.y, a.shape, part, n_parts, [&](const Row& row) { forward_row(a, row, slots, slots + row.kept); });
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
  const int64_t hidden = a.y.channels, columns = a.shape.gates() * hidden;
  const auto sum_over = [&](auto add) {
    float sum = 0.0f;
    for (int64_t group = 0; group < a.y.groups; group++)
      for (int64_t t = 0; t < a.y.width; t++)
        for (int64_t l = 0; l < a.y.lanes; l++) sum = add(Row(a.y, a.shape, group * a.y.lanes + l), t, sum);
    return sum;
  };
  const Share of_x = share_of(a.x.channels, part, n_parts), of_h = share_of(hidden, part, n_parts),
              of_bias = share_of(columns, part, n_parts);
  for (int64_t i = of_x.begin * columns; i < of_x.end * columns && a.dweight; i++) {
    a.dweight[i] = sum_over([&](const Row& row, int64_t t, float sum) {
      return fused(*row.at(a.x, i / columns, t), a.gradients[row.kept_at(t) + slot(a.shape, hidden, i % columns)], sum);
    });
  }
  for (int64_t i = of_h.begin * columns; i < of_h.end * columns && a.dweight_r; i++) {
    const int64_t k = i / columns, g = i % columns;
    a.dweight_r[i] = sum_over([&](const Row& row, int64_t t, float sum) {
      const int64_t before = row.reverse ? t + 1 : t - 1;
      if (before < 0 || before >= row.steps) return sum;
      // With kGru what meets n's columns is r * h.
      const bool reset = a.shape.cell == RecurrentCell::kGru && g >= 2 * hidden;
      const float h = reset ? a.gradients[row.kept_at(t) + 3 * hidden + k] : *row.at(a.y, k, before);
      return fused(h, a.gradients[row.kept_at(t) + g], sum);
    });
  }
  for (int64_t g = of_bias.begin; g < of_bias.end; g++) {
    if (a.dbias)
      a.dbias[g] = sum_over([&](const Row& row, int64_t t, float sum) {
        return sum + a.gradients[row.kept_at(t) + slot(a.shape, hidden, g)];
      });
    if (a.dbias_r)
      a.dbias_r[g] =
          sum_over([&](const Row& row, int64_t t, float sum) { return sum + a.gradients[row.kept_at(t) + g]; });
  }
}

}  // namespace edgecl::reference
