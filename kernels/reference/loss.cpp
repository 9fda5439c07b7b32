// Softmax cross-entropy over the allowed classes, and mean squared error to stored logits: scalar reference.
// Never here: sums over rows (the caller adds loss_row in row order), and the choice of the weights.
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

int64_t logit_offset(const Tensor& t, int64_t row, int64_t c) {
  return offset_of(t, row / t.lanes, c, 0, 0, row % t.lanes);
}

}  // namespace

// Both losses split their rows: part p computes its share of [row_begin, row_end).
void cross_entropy(const CrossEntropyArgs& a, int part, int n_parts, void*) {
  const Share rows = share_of(a.row_end - a.row_begin, part, n_parts);
  for (int64_t row = a.row_begin + rows.begin; row < a.row_begin + rows.end; row++) {
    const auto z = [&](int64_t c) { return a.logits.data[logit_offset(a.logits, row, c)]; };
    const float label_logit = z(a.labels[row]);
    float largest = -__builtin_inff();
    for (int64_t c = 0; c < a.logits.channels; c++)
      if (a.allowed[c]) largest = larger(z(c), largest);
    float sum = 0.0f;
    for (int64_t c = 0; c < a.logits.channels; c++)
      if (a.allowed[c]) sum = sum + exp_scalar(z(c) - largest);
    a.loss_row[row] = a.weight * (log_scalar(sum) - (label_logit - largest));
    for (int64_t c = 0; c < a.logits.channels; c++) {
      float& d = a.dlogits.data[logit_offset(a.dlogits, row, c)];
      const float softmax = exp_scalar(z(c) - largest) / sum;
      d = !a.allowed[c] ? 0.0f : a.weight * (c == a.labels[row] ? softmax - 1.0f : softmax);
    }
  }
}

void logits_mse(const LogitsMseArgs& a, int part, int n_parts, void*) {
  const Share rows = share_of(a.row_end - a.row_begin, part, n_parts);
  for (int64_t row = a.row_begin + rows.begin; row < a.row_begin + rows.end; row++) {
    float sum = 0.0f;
    for (int64_t c = 0; c < a.logits.channels; c++) {
      const int64_t i = logit_offset(a.logits, row, c);
      const float d = a.logits.data[i] - a.target[row][c];
      if (a.allowed[c]) sum = fused(d, d, sum);
      a.dlogits.data[i] = a.allowed[c] ? (2.0f * a.weight) * d : 0.0f;
    }
    a.loss_row[row] = a.weight * sum;
  }
}

}  // namespace edgecl::reference
