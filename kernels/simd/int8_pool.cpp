// Max and average pooling over windows in int8: channels are the lanes.
// Never here: the mean over a whole map to another scale (int8_mean.cpp).
// Built for size (-Os): waits for memory.
#include "kernels/simd/int8.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

typedef int8_t Row __attribute__((vector_size(EDGECL_VECTOR_BYTES)));
constexpr int kBytes = EDGECL_VECTOR_BYTES;

// Cells of a window along one axis that lie inside the input.
struct Cells {
  int64_t first, step, count;
};
EDGECL_INLINE Cells cells_inside(int64_t out, int stride, int pad, int dilation, int kernel, int64_t size) {
  int64_t begin = 0, end = kernel;
  const int64_t start = out * stride - pad;
  while (begin < end && start + begin * dilation < 0) begin++;
  while (end > begin && start + (end - 1) * dilation >= size) end--;
  return {start + begin * dilation, dilation, end - begin};
}

// Calls `window(first cell, rows, columns, output)` for the share's positions; cells are `columns.step` cells apart.
template <class Window>
EDGECL_INLINE void for_windows(const Int8PoolArgs& a, int part, int n_parts, Window window) {
  const ConvShape& s = a.shape;
  const int64_t channels = a.x.channels;
  int64_t i, end;
  share(static_cast<int64_t>(a.y.rows) * a.y.height, part, n_parts, &i, &end);
  for (; i < end; i++) {
    const int64_t row = i / a.y.height, oh = i % a.y.height;
    const Cells rows = cells_inside(oh, s.stride_h, s.pad_top, s.dilation_h, s.kernel_h, a.x.height);
    for (int64_t ow = 0; ow < a.y.width; ow++) {
      const Cells columns = cells_inside(ow, s.stride_w, s.pad_left, s.dilation_w, s.kernel_w, a.x.width);
      window(a.x.data + ((row * a.x.height + rows.first) * a.x.width + columns.first) * channels, rows, columns,
             a.y.data + (i * a.y.width + ow) * channels);
    }
  }
}

EDGECL_INLINE Row load_row(const int8_t* p) {
  Row v;
  memcpy(&v, p, sizeof v);
  return v;
}

}  // namespace

void int8_max_pool(const Int8PoolArgs& a, int part, int n_parts, void*) {
  const int64_t channels = a.x.channels, line = a.x.width * channels;
  const Row lo = static_cast<int8_t>(a.lo) - (Row){}, hi = static_cast<int8_t>(a.hi) - (Row){};
  for_windows(a, part, n_parts, [&](const int8_t* x, Cells rows, Cells columns, int8_t* y) EDGECL_INLINE_LAMBDA {
    for (int64_t c = 0; c < channels; c += kBytes) {
      Row largest = lo;  // the clamp from below
      for (int64_t h = 0; h < rows.count; h++)
        for (int64_t w = 0; w < columns.count; w++) {
          const Row v = load_row(x + h * rows.step * line + w * columns.step * channels + c);
          largest = v > largest ? v : largest;
        }
      largest = largest > hi ? hi : largest;
      const int64_t n = channels - c < kBytes ? channels - c : kBytes;
      memcpy(y + c, &largest, static_cast<size_t>(n));
    }
  });
}

// The division of integers is one of floats, which are exact here: a window has at most 1,024 cells, so the sum is below
// 2^18, and a quotient below the next integer lies further from it than half a step of a float.
void int8_average_pool(const Int8PoolArgs& a, int part, int n_parts, void*) {
  const int64_t channels = a.x.channels, line = a.x.width * channels;
  const ivec zero = {}, lo = iset(a.lo), hi = iset(a.hi);
  for_windows(a, part, n_parts, [&](const int8_t* x, Cells rows, Cells columns, int8_t* y) EDGECL_INLINE_LAMBDA {
    int32_t cells = static_cast<int32_t>(rows.count * columns.count);
    if (cells == 0) cells = 1;
    const ivec half = iset(cells / 2);
    const vec divisor = vset(static_cast<float>(cells));
    for (int64_t c = 0; c < channels; c += kVec) {
      ivec sum = zero;
      for (int64_t h = 0; h < rows.count; h++)
        for (int64_t w = 0; w < columns.count; w++)
          sum = sum + load_int8(x + h * rows.step * line + w * columns.step * channels + c);
      const ivec rounded = sum > zero ? sum + half : sum - half;
      const ivec mean = __builtin_convertvector(__builtin_convertvector(rounded, vec) / divisor, ivec);
      store_int8(y + c, clamp_int32(mean, lo, hi), static_cast<int>(channels - c < kVec ? channels - c : kVec));
    }
  });
}

}  // namespace edgecl::EDGECL_LEVEL
