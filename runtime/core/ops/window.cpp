// Checks of windows.
// Never here: what is done with a window.
#include "runtime/core/ops/window.h"

namespace edgecl {

WindowAxis window_height(const OpCheck& c) {
  return {c.x().height, c.op.kernel_h, c.op.stride_h, c.op.dilation_h, c.op.pad_top, c.op.pad_bottom};
}

WindowAxis window_width(const OpCheck& c) {
  return {c.x().width, c.op.kernel_w, c.op.stride_w, c.op.dilation_w, c.op.pad_left, c.op.pad_right};
}

namespace {

Status check_axis(const OpCheck& c, const WindowAxis& axis, bool vertical) {
  EDGECL_RETURN_IF_FAILED(c.range(vertical ? "kernel_h" : "kernel_w", axis.kernel, 1, kMaxTaps));
  EDGECL_RETURN_IF_FAILED(c.range(vertical ? "stride_h" : "stride_w", axis.stride, 1, format::kMaxStride));
  EDGECL_RETURN_IF_FAILED(c.range(vertical ? "dilation_h" : "dilation_w", axis.dilation, 1, format::kMaxStride));
  EDGECL_RETURN_IF_FAILED(c.range(vertical ? "pad_top" : "pad_left", axis.pad_begin, 0, axis.extent() - 1));
  EDGECL_RETURN_IF_FAILED(c.range(vertical ? "pad_bottom" : "pad_right", axis.pad_end, 0, axis.extent() - 1));
  return c.range(vertical ? "height with padding" : "width with padding", axis.size + axis.pad_begin + axis.pad_end,
                 axis.extent(), INT32_MAX);
}

}  // namespace

Status check_window(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(check_axis(c, window_height(c), true));
  EDGECL_RETURN_IF_FAILED(check_axis(c, window_width(c), false));
  return c.range("kernel_h * kernel_w", static_cast<int64_t>(c.op.kernel_h) * c.op.kernel_w, 1, kMaxTaps);
}

int64_t window_positions(const WindowAxis& axis) {
  return (axis.size + axis.pad_begin + axis.pad_end - axis.extent()) / axis.stride + 1;
}

namespace {

// The first of `positions` windows without an input cell, or -1.
int64_t empty_window(const WindowAxis& axis, int64_t positions) {
  // Windows that begin at a cell or behind: the last one is the worst.
  const int64_t last = (positions - 1) * axis.stride - axis.pad_begin;
  if (last >= axis.size) return positions - 1;
  // Those that begin before the input: pads are below the extent, so some tap is not before it. The first such tap lies
  // at less than a dilation behind the border, and where that repeats every `dilation` windows at the latest.
  if (axis.dilation <= axis.size) return -1;
  const int64_t before = (axis.pad_begin + axis.stride - 1) / axis.stride;
  int64_t n = before < positions ? before : positions;
  if (n > axis.dilation) n = axis.dilation;
  for (int64_t i = 0; i < n; i++) {
    const int64_t missing = axis.pad_begin - i * axis.stride;  // cells before the input, at least 1
    if ((axis.dilation - missing % axis.dilation) % axis.dilation >= axis.size) return i;
  }
  return -1;
}

Status check_pool_axis(const OpCheck& c, const char* field, const WindowAxis& axis, int64_t out) {
  const int64_t floor_size = window_positions(axis);
  const int64_t free = axis.size + axis.pad_begin + axis.pad_end - axis.extent();
  int64_t ceil_size = (free + axis.stride - 1) / axis.stride + 1;
  if ((ceil_size - 1) * axis.stride >= axis.size + axis.pad_begin) ceil_size--;  // must not begin behind the input
  if (out != floor_size && out != ceil_size) {
    return corrupt("OPS", c.index, field, "expected %lld (floor) or %lld (ceil), found %lld",
                   static_cast<long long>(floor_size), static_cast<long long>(ceil_size), static_cast<long long>(out));
  }
  const int64_t empty = empty_window(axis, out);
  if (empty < 0) return Status();
  return corrupt("OPS", c.index, field, "expected an input cell in each window, found none in window %lld",
                 static_cast<long long>(empty));
}

}  // namespace

Status check_pool(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(check_window(c));
  EDGECL_RETURN_IF_FAILED(c.range("groups", c.op.groups, 1, 1));
  EDGECL_RETURN_IF_FAILED(c.output_shape(c.x().channels, c.y().height, c.y().width));
  EDGECL_RETURN_IF_FAILED(check_pool_axis(c, "output height", window_height(c), c.y().height));
  return check_pool_axis(c, "output width", window_width(c), c.y().width);
}

}  // namespace edgecl
