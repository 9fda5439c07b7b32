// Operands of kernels that are more than one array: sparse weights, broadcast operands, statistics of groups; for
// module.cpp.
// Never here: functions of single kernels.
#ifndef EDGECL_TOOLS_KERNELS_MODULE_OPERANDS_H_
#define EDGECL_TOOLS_KERNELS_MODULE_OPERANDS_H_

#include <algorithm>

#include "tools/kernels_module/arrays.h"

namespace edgecl::binding {

// A sparse weight from a dense one and a boolean pattern of the same shape.
struct SparseWeight {
  SparsePattern pattern, transposed;
  float *value, *value_transposed;
  uint32_t* order;  // place of the k-th flat position in the pattern's order

  // weight may be absent (weight gradients need the pattern alone).
  SparseWeight(Memory& m, const BoolArray& mask, const FloatArray* weight) {
    if ((mask.ndim() != 2 && mask.ndim() != 4) || mask.size() == 0)
      refuse("pattern of shape (out, in, kernel height, kernel width) or (out, in)", shape_text(mask),
             "pass the mask of the whole weight");
    if (weight &&
        (weight->ndim() != mask.ndim() || !std::equal(mask.shape(), mask.shape() + mask.ndim(), weight->shape())))
      refuse("pattern of the weight's shape " + shape_text(*weight), shape_text(mask), "pass one boolean per weight");
    const int32_t rows = static_cast<int32_t>(mask.shape(0)), channels = static_cast<int32_t>(mask.shape(1));
    const int32_t taps = static_cast<int32_t>(mask.size() / mask.shape(0) / mask.shape(1));
    std::vector<uint32_t> flat;
    for (py::ssize_t i = 0; i < mask.size(); i++)
      if (mask.data()[i]) flat.push_back(static_cast<uint32_t>(i));
    const uint32_t nnz = static_cast<uint32_t>(flat.size());
    order = m.allocate<uint32_t>(nnz);
    allocate(m, &pattern, rows, channels, taps, nnz);
    allocate(m, &transposed, channels, rows, taps, nnz);
    uint32_t* source = m.allocate<uint32_t>(nnz);
    transposed.source = source;
    sparse_build(flat.data(), nnz, rows, channels, taps, const_cast<uint32_t*>(pattern.row_start),
                 const_cast<uint16_t*>(pattern.index), order);
    sparse_transpose(pattern, const_cast<uint32_t*>(transposed.row_start), const_cast<uint16_t*>(transposed.index),
                     source);
    value = m.floats(nnz);
    value_transposed = m.floats(nnz);
    for (uint32_t k = 0; weight && k < nnz; k++) value[order[k]] = weight->data()[flat[k]];
    sparse_gather(value, source, nnz, value_transposed);
  }

  static void allocate(Memory& m, SparsePattern* p, int32_t rows, int32_t channels, int32_t taps, uint32_t nnz) {
    const int32_t block = sparse_channel_block(channels, taps);
    *p = {rows,   channels, taps, block, (channels + block - 1) / block, nnz, nullptr, m.allocate<uint16_t>(nnz),
          nullptr};
    p->row_start = m.allocate<uint32_t>(static_cast<int64_t>(p->n_blocks) * rows + 1);
  }

  const uint8_t* selection(Memory& m, const std::optional<BoolArray>& selected) const {
    if (!selected) return nullptr;
    require_shape(*selected, "selected", {static_cast<py::ssize_t>(pattern.nnz)});
    uint8_t* s = m.allocate<uint8_t>(pattern.nnz);
    for (uint32_t k = 0; k < pattern.nnz; k++) s[order[k]] = selected->data()[k];
    return s;
  }
  FloatArray flat_order(const float* values) const {
    FloatArray a(static_cast<py::ssize_t>(pattern.nnz));
    for (uint32_t k = 0; k < pattern.nnz; k++) a.mutable_data()[k] = values[order[k]];
    return a;
  }
};

// The second operand of a binary operation, packed, and its strides: 0 along the axes over which it is broadcast.
struct Operand {
  Tensor t;
  int64_t stride_g, stride_c, stride_h, stride_w, stride_l;

  Operand(Memory& m, const FloatArray& b, const Tensor& a) {
    t = m.pack(b, "b");
    const bool fits = (t.rows() == 1 || t.rows() == a.rows()) && (t.channels == 1 || t.channels == a.channels) &&
                      (t.height == 1 || t.height == a.height) && (t.width == 1 || t.width == a.width);
    if (!fits)
      refuse("b that broadcasts over " + Memory::describe(a), Memory::describe(t),
             "give each axis of b the extent of a or 1");
    const bool per_row = t.rows() > 1;
    stride_l = per_row ? 1 : 0;
    stride_w = t.width > 1 ? t.lanes : 0;
    stride_h = t.height > 1 ? static_cast<int64_t>(t.width) * t.lanes : 0;
    stride_c = t.channels > 1 ? t.plane() : 0;
    stride_g = per_row && t.groups > 1 ? t.channels * t.plane() : 0;
  }
};

// Statistics lie as [n_groups][rows]; arrays have (rows, n_groups).
inline FloatArray statistics_array(const float* p, int64_t rows, int64_t n_groups) {
  FloatArray a({rows, n_groups});
  for (int64_t r = 0; r < rows; r++)
    for (int64_t k = 0; k < n_groups; k++) a.mutable_at(r, k) = p[k * rows + r];
  return a;
}
inline float* statistics_memory(Memory& m, const FloatArray& a, const char* name, int64_t rows, int64_t n_groups) {
  require_shape(a, name, {rows, n_groups});
  float* p = m.floats(rows * n_groups);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t k = 0; k < n_groups; k++) p[k * rows + r] = a.at(r, k);
  return p;
}

}  // namespace edgecl::binding

#endif  // EDGECL_TOOLS_KERNELS_MODULE_OPERANDS_H_
