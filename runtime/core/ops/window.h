// Windows that slide over height and width: attributes and sizes that convolution and pooling share.
// Never here: what is done with a window.
#ifndef EDGECL_RUNTIME_CORE_OPS_WINDOW_H_
#define EDGECL_RUNTIME_CORE_OPS_WINDOW_H_

#include "runtime/core/ops/op_check.h"

namespace edgecl {

// One axis of a window.
struct WindowAxis {
  int64_t size, kernel, stride, dilation, pad_begin, pad_end;
  int64_t extent() const { return (kernel - 1) * dilation + 1; }
};
WindowAxis window_height(const OpCheck& c);
WindowAxis window_width(const OpCheck& c);

// After this no window arithmetic can overflow or divide by zero, pads are below the extent, and a window fits.
Status check_window(const OpCheck& c);

// Positions of the window, by floor.
int64_t window_positions(const WindowAxis& axis);

// A pooling op: the output size is that of floor or of ceil mode, and each window holds at least one input cell, so
// that no maximum is empty and no average divides by zero. At most kMaxStride steps an axis.
Status check_pool(const OpCheck& c);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_OPS_WINDOW_H_
