// Recurrent layers (RNN, GRU, LSTM): argument structs, part of the contract of kernels.h.
// Never here: the cells' formulas (kernels/recurrent_formulas.h).
#ifndef EDGECL_KERNELS_RECURRENT_H_
#define EDGECL_KERNELS_RECURRENT_H_

#include "kernels/tensor.h"

namespace edgecl {

// One layer in one direction, from states of zeros. x is [I][1][T], y [H][1][T] of a batch row: T steps, in ascending
// order of the width, or in descending order where `reverse`; y holds the state h after each step.
//
// Gates of a cell, and the columns of its weights, H each, in ONNX's order:
//   RNN   h = tanh(a) or max(a, 0)
//   GRU   z, r, n: z = sigmoid(a_z), r = sigmoid(a_r); kGru: n = tanh(a_n) with r * h in place of h; kGruLinear:
//         n = tanh(b_n + r * q) with b_n, q the two halves of a_n; h' = n + z * (h - n)
//   LSTM  i, o, f, g: i, o, f by sigmoid, g = tanh(a_g); c' = f * c + i * g; h' = o * tanh(c')
// a = bias + bias_r + x W + h R is one fma chain: from bias + bias_r, over the inputs, then over the states, each
// ascending. kGruLinear: b_n is a chain from bias over the inputs, q one from bias_r over the states.
enum class RecurrentCell : int32_t { kRnnTanh = 0, kRnnRelu = 1, kGru = 2, kGruLinear = 3, kLstm = 4 };
constexpr int32_t kRecurrentCells = 5;

struct RecurrentShape {
  RecurrentCell cell;
  bool reverse;
  EDGECL_ALWAYS_INLINE constexpr bool is_gru() const {
    return cell == RecurrentCell::kGru || cell == RecurrentCell::kGruLinear;
  }
  EDGECL_ALWAYS_INLINE constexpr int32_t gates() const { return cell == RecurrentCell::kLstm ? 4 : is_gru() ? 3 : 1; }
  // What a step leaves for the gradients, H numbers each. RNN: h. kGru: z, r, n, r * h, h. kGruLinear: z, r, q, n, h, so
  // that what meets weight_r lies together. LSTM: i, o, f, g, c.
  EDGECL_ALWAYS_INLINE constexpr int32_t kept() const { return gates() == 1 ? 1 : 5; }
  EDGECL_ALWAYS_INLINE constexpr bool linear() const { return cell == RecurrentCell::kGruLinear; }
  // Columns whose gradients of the product with the inputs lie together from the first one on; n of kGruLinear behind.
  EDGECL_ALWAYS_INLINE constexpr int32_t together() const { return linear() ? 2 : gates(); }
};

struct RecurrentForwardArgs {
  Tensor x, y;
  const float *weight, *weight_r;  // [I][gates * H], [H][gates * H]
  const float *bias, *bias_r;      // [gates * H] each, or both null
  RecurrentShape shape;
  float* kept;  // written, [G][T][L][kept * H], or null
};
// Back through time, in the reverse order of the steps. With dh the gradient of h' (that of y at this step plus what the
// step after it left, one addition) the gradient of h is one chain over the gates' columns, ascending, from +0 (GRU: from
// dh * z); kGru: a chain over n's columns from +0 gives s, the gradient of r * h, then fma(s, r, dh * z) is where the
// chain over z and r starts.
struct RecurrentStepsBackwardArgs {
  Tensor y, dy;  // y: its shape alone
  const float* weight_r;
  RecurrentShape shape;
  float* kept;  // of the forward pass; gates become gradients of their sums, kGruLinear's q the gradient of q
};
struct RecurrentDataBackwardArgs {  // dx = gradient of a times W: one chain over the columns, ascending, from +0
  Tensor y, dx;                     // y: its shape alone
  const float* weight;
  RecurrentShape shape;
  const float* gradients;  // what recurrent_steps_backward left
  bool accumulate;
};
// One chain each over the batch rows' groups, then the width, then the lanes, all ascending, from +0. States before the
// first step are left out.
struct RecurrentWeightBackwardArgs {
  Tensor x, y;
  RecurrentShape shape;
  const float* gradients;                        // what recurrent_steps_backward left
  float *dweight, *dweight_r, *dbias, *dbias_r;  // overwritten; each may be null
};

}  // namespace edgecl

#endif  // EDGECL_KERNELS_RECURRENT_H_
