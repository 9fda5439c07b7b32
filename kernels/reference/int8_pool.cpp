// Max and average pooling over windows in int8: scalar reference.
// Never here: the mean over a whole map to another scale (int8_pointwise.cpp).
#include "kernels/reference/common.h"

namespace edgecl {

uint64_t ScratchTable::int8_max_pool_scratch_bytes(const Int8PoolArgs&) const {
  return 0;
}
uint64_t ScratchTable::int8_average_pool_scratch_bytes(const Int8PoolArgs&) const {
  return 0;
}

namespace reference {
namespace {

// Calls `take` with each cell of the window of an output that lies inside x.
template <class Take>
void for_cells(const Int8PoolArgs& a, int64_t output, Take take) {
  const ConvShape& s = a.shape;
  const int64_t channels = a.y.channels, c = output % channels, position = output / channels;
  const int64_t ow = position % a.y.width, oh = position / a.y.width % a.y.height,
                row = position / a.y.width / a.y.height;
  for (int ky = 0; ky < s.kernel_h; ky++)
    for (int kx = 0; kx < s.kernel_w; kx++) {
      const int64_t h = oh * s.stride_h - s.pad_top + static_cast<int64_t>(ky) * s.dilation_h;
      const int64_t w = ow * s.stride_w - s.pad_left + static_cast<int64_t>(kx) * s.dilation_w;
      if (h < 0 || h >= a.x.height || w < 0 || w >= a.x.width) continue;
      take(a.x.data[((row * a.x.height + h) * a.x.width + w) * channels + c]);
    }
}

int8_t clamped(int32_t y, const Int8PoolArgs& a) {
  return static_cast<int8_t>(y < a.lo ? a.lo : y > a.hi ? a.hi : y);
}

}  // namespace

void int8_max_pool(const Int8PoolArgs& a, int part, int n_parts, void*) {
  const Share outputs = share_of(a.y.size(), part, n_parts);
  for (int64_t i = outputs.begin; i < outputs.end; i++) {
    int32_t largest = -128;
    for_cells(a, i, [&](int8_t x) { largest = x > largest ? x : largest; });
    a.y.data[i] = clamped(largest, a);
  }
}

// Jacob et al. 2018; AveragePool of TensorFlow Lite's reference_integer_ops: division towards zero, after half of the
// divisor has been added away from zero.
void int8_average_pool(const Int8PoolArgs& a, int part, int n_parts, void*) {
  const Share outputs = share_of(a.y.size(), part, n_parts);
  for (int64_t i = outputs.begin; i < outputs.end; i++) {
    int32_t sum = 0, cells = 0;
    for_cells(a, i, [&](int8_t x) {
      sum += x;
      cells++;
    });
    if (cells == 0) cells = 1;
    a.y.data[i] = clamped((sum > 0 ? sum + cells / 2 : sum - cells / 2) / cells, a);
  }
}

}  // namespace reference
}  // namespace edgecl
