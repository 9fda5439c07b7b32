// The encoder pass: ops of a plan with taps, tensors whose values are copied out on the way.
// Never here: what is done with the values (heads, latent replay), backward passes.
#ifndef EDGECL_RUNTIME_CORE_ENCODER_H_
#define EDGECL_RUNTIME_CORE_ENCODER_H_

#include <stdint.h>

#include "runtime/core/executor.h"

namespace edgecl {

// A tensor of a pass, copied out as rows: right after the op that writes it, since later ops may reuse its memory.
struct Tap {
  uint32_t tensor;
  bool pooled;  // false: all values, [C][H][W]; true: the mean over H and W of each channel, [C]
  float* rows;  // receives [rows][tap_floats]
};
// Floats of one row of a tap.
uint64_t tap_floats(const Plan& plan, uint32_t tensor, bool pooled);

// The values of a tensor as rows of [C][H][W], or of channel means (one chain over the positions in ascending order,
// then one division); and back. Cut into pieces over the threads where there is enough to do.
void copy_rows_out(const Net& net, const Tensor& tensor, uint32_t rows, bool pooled, float* out);
void copy_rows_in(const Net& net, const float* const* rows_in, uint32_t rows, const Tensor& tensor);

// forward_ops with taps. A tap of a tensor that is in place before op `begin` (the input, or the border of latent
// replay) is copied first.
void encode(const Net& net, uint32_t rows, Mode mode, uint32_t begin, uint32_t end, const Tap* taps, uint32_t n_taps,
            const LayerProbe* probe = nullptr);

// Where one element of a tensor lies: flat position `at` of `channel` of a batch row.
inline float* tensor_place(const Tensor& t, uint32_t row, int32_t channel, int64_t at) {
  const int64_t group = row / static_cast<uint32_t>(t.lanes), lane = row % static_cast<uint32_t>(t.lanes);
  return t.data + (group * t.channels + channel) * t.plane() + at * t.lanes + lane;
}
inline float tensor_element(const Tensor& t, uint32_t row, int32_t channel, int64_t at) {
  return *tensor_place(t, row, channel, at);
}

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_ENCODER_H_
