// Inference in int8: argument structs and the arithmetic, which is that of the TensorFlow Lite int8 specification
// ("TensorFlow Lite 8-bit quantization specification"; Jacob et al., CVPR 2018; rounding as in gemmlowp).
// Never here: floats, but for the two borders.
#ifndef EDGECL_KERNELS_INT8_H_
#define EDGECL_KERNELS_INT8_H_

#include <stddef.h>
#include <stdint.h>

// ---------------------------------------------------------------------------------------------------------------
// Memory. An int8 tensor of n batch rows is [n][height][width][channels], channels innermost, dense, for any n: a dot
// product then runs along memory, which is what the instructions for bytes want. value = (stored - zero_point) * scale.
// Weights are symmetric, -127..127 (so that two products fit into 16 bits), one scale an output channel:
//  * convolution: [O / 16][K / 4][16][4], K = (tap row, tap column, input channel) ascending; both O and K filled up with
//    zeros. Four neighbours of K are what one lane of a dot product instruction takes, 16 channels one register of 512
//    bits, two of 256 or four of 128. A linear layer is a convolution of one position;
//  * depthwise: [taps][channels up to a multiple of 16].
// Beside them a table int32 [4][channels up to a multiple of 16]: bias, sum of the channel's weights, multiplier, shift.
//
// Arithmetic, the same bits on every level. A convolution:
//   acc = bias + sum of w * (x - x.zero_point)    (taps in the border are left out)
//   y = clamp(requantize(acc, multiplier, shift) + y.zero_point, lo, hi)
// requantize: multiply by multiplier / 2^31 * 2^shift, multiplier 0..2^31-1, shift -31..30:
//   a = acc * 2^max(shift, 0)
//   b = (a * multiplier + 2^30) >> 31             the rounding doubling high product (ties upwards)
//   y = b / 2^max(-shift, 0), ties away from zero
// No input may bring a beyond kInt8Limit: whoever makes weights sees to it, and the reader of a bundle proves it.
// The parts, scratch and read slack are those of kernels.h.
// ---------------------------------------------------------------------------------------------------------------
namespace edgecl {

constexpr int kInt8Channels = 16;  // weights and tables of int8 layers are filled up to multiples of it
constexpr int kInt8Group = 4;      // the same for K
constexpr int32_t kInt8Limit = (1 << 30) - 1;
enum Int8Row { kInt8Bias = 0, kInt8Sum = 1, kInt8Multiplier = 2, kInt8Shift = 3, kInt8Rows = 4 };

struct Int8Tensor {  // [rows][height][width][channels]
  int8_t* data;
  int32_t rows, height, width, channels;
  int32_t zero_point;
  __attribute__((always_inline)) int64_t positions() const { return static_cast<int64_t>(rows) * height * width; }
  __attribute__((always_inline)) int64_t size() const { return positions() * channels; }
};

// The definition of requantize for one number.
__attribute__((always_inline)) inline int32_t requantize(int32_t acc, int32_t multiplier, int32_t shift) {
  const int32_t a = static_cast<int32_t>(static_cast<uint32_t>(acc) << (shift > 0 ? shift : 0));
  const int64_t product = static_cast<int64_t>(a) * multiplier;
  const int32_t b = static_cast<int32_t>((product + (int64_t{1} << 30)) >> 31);
  const int32_t down = shift < 0 ? -shift : 0;
  const int32_t remainder = static_cast<int32_t>(static_cast<uint32_t>(b) & ((uint32_t{1} << down) - 1));
  const int32_t half = static_cast<int32_t>(((uint32_t{1} << down) - 1) >> 1) + (b < 0 ? 1 : 0);
  return (b >> down) + (remainder > half ? 1 : 0);
}

}  // namespace edgecl

#endif  // EDGECL_KERNELS_INT8_H_
