// Taps: rows out of the grouped layout of activations, and back into it.
// Never here: kernels of operators.
#include "runtime/core/encoder.h"

#include <string.h>

namespace edgecl {
namespace {

// Calls copy(begin, end) for ranges of 0..elements, on all threads when there is enough to do.
template <class Copy>
void each_range(const Net& net, uint64_t elements, uint32_t rows, const Copy& copy) {
  const uint32_t n_parts = elements * rows < net.env.serial_work ? 1 : net.env.parallel.n_threads;
  auto body = [&](uint32_t part) { copy(elements * part / n_parts, elements * (part + 1) / n_parts); };
  if (n_parts == 1) return body(0);
  net.env.parallel.run(n_parts, body);
}

int64_t row_floats(const Tensor& tensor) {
  return static_cast<int64_t>(tensor.channels) * tensor.height * tensor.width;
}

// First value of a row; the next ones follow at steps of `lanes`.
float* row_values(const Tensor& tensor, uint32_t row) {
  const uint32_t lanes = static_cast<uint32_t>(tensor.lanes);
  return tensor.data + row / lanes * row_floats(tensor) * tensor.lanes + row % lanes;
}

void pool_rows(const Tensor& tensor, uint32_t rows, float* out) {
  const int64_t positions = static_cast<int64_t>(tensor.height) * tensor.width;
  for (uint32_t r = 0; r < rows; r++) {
    const float* x = row_values(tensor, r);
    for (int32_t c = 0; c < tensor.channels; c++) {
      float sum = 0;
      for (int64_t i = 0; i < positions; i++, x += tensor.lanes) sum += *x;
      *out++ = sum / static_cast<float>(positions);
    }
  }
}

}  // namespace

uint64_t tap_floats(const Plan& plan, uint32_t tensor, bool pooled) {
  return pooled ? plan.tensors[tensor].channels : tensor_row_floats(plan.tensors[tensor]);
}

void copy_rows_out(const Net& net, const Tensor& tensor, uint32_t rows, bool pooled, float* out) {
  if (pooled) return pool_rows(tensor, rows, out);
  const uint64_t elements = static_cast<uint64_t>(row_floats(tensor));
  const uint64_t lanes = static_cast<uint64_t>(tensor.lanes);
  each_range(net, elements, rows, [&](uint64_t begin, uint64_t end) {
    for (uint32_t r = 0; r < rows; r++) {
      const float* from = row_values(tensor, r);
      float* to = out + r * elements;
      if (lanes == 1) {
        memcpy(to + begin, from + begin, (end - begin) * sizeof *to);
        continue;
      }
      for (uint64_t e = begin; e < end; e++) to[e] = from[e * lanes];
    }
  });
}

void copy_rows_in(const Net& net, const float* const* rows_in, uint32_t rows, const Tensor& tensor) {
  const uint64_t lanes = static_cast<uint64_t>(tensor.lanes);
  each_range(net, static_cast<uint64_t>(row_floats(tensor)), rows, [&](uint64_t begin, uint64_t end) {
    for (uint32_t r = 0; r < rows; r++) {
      const float* from = rows_in[r];
      float* to = row_values(tensor, r);
      if (lanes == 1) {
        memcpy(to + begin, from + begin, (end - begin) * sizeof *to);
        continue;
      }
      for (uint64_t e = begin; e < end; e++) to[e * lanes] = from[e];
    }
  });
}

void encode(const Net& net, uint32_t rows, Mode mode, uint32_t begin, uint32_t end, const Tap* taps, uint32_t n_taps,
            const LayerProbe* probe) {
  const auto copy = [&](const Tap& tap) {
    copy_rows_out(net, plan_tensor(net, tap.tensor, rows, mode), rows, tap.pooled, tap.rows);
  };
  const auto written_here = [&](const Tap& tap) {
    for (uint32_t i = begin; i < end; i++) {
      if (net.plan.ops[i].output == tap.tensor) return true;
    }
    return false;
  };
  for (uint32_t t = 0; t < n_taps; t++) {
    if (!written_here(taps[t])) copy(taps[t]);
  }
  uint32_t done = begin;
  for (uint32_t i = begin; i < end && n_taps > 0; i++) {
    for (uint32_t t = 0; t < n_taps; t++) {
      if (net.plan.ops[i].output != taps[t].tensor) continue;
      if (done <= i) forward_ops(net, rows, mode, done, i + 1, probe);
      done = i + 1;
      copy(taps[t]);
    }
  }
  forward_ops(net, rows, mode, done, end, probe);
}

}  // namespace edgecl
