// Plan: a bundle after every field of it was proven good; read-only views over its bytes.
// Never here: checks (bundle_reader.h), anything that changes, anything that a session owns.
#ifndef EDGECL_RUNTIME_CORE_PLAN_H_
#define EDGECL_RUNTIME_CORE_PLAN_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "runtime/core/plan_records.h"

namespace edgecl {

// n consecutive records that somebody else owns.
template <class T>
struct View {
  const T* data = nullptr;
  uint32_t n = 0;
  const T& operator[](uint32_t i) const { return data[i]; }
  const T* begin() const { return data; }
  const T* end() const { return data + n; }
};

// Samples that the bundle ships (plan_records.h, ExemplarsRecord); n 0: none.
struct Exemplars {
  uint32_t n = 0, dtype = 0;
  View<format::ExemplarClass> classes;
  const uint32_t* labels = nullptr;                 // [n]
  const float *scale = nullptr, *offset = nullptr;  // [channels of tensor 0]; null unless int8
  const uint8_t* samples = nullptr;                 // [n][row_bytes]
  uint64_t row_bytes = 0;
};

// A model file of another engine (plan_records.h, EncoderRecord); record null: none.
struct ExternalEncoder {
  const format::EncoderRecord* record = nullptr;
  const float *mean = nullptr, *inv_std = nullptr;  // [n_channels]
  const float* probe_outputs = nullptr;             // [n_probe][dim]
  const uint8_t* file = nullptr;                    // [file_bytes], 64-byte aligned
};

// Filled by read_bundle only. Every index, size and offset in it holds what FORMAT.md says; users check nothing again.
// Points into the bundle's bytes, which must outlive it. Copyable; shareable by threads.
struct Plan {
  const uint8_t* bytes = nullptr;
  uint64_t n_bytes = 0;
  uint32_t format_version = 0;
  uint8_t digest[32] = {};  // content digest: names the bundle; leaves the signature out

  const format::ModelRecord* model = nullptr;
  View<format::TensorRecord> tensors;
  View<format::OpRecord> ops;             // execution order
  View<format::BackwardRecord> backward;  // execution order: strictly descending op
  View<format::SharedRecord> shared;      // ascending op; empty: every parameter that trains has one use
  View<format::ParamRecord> params;
  const format::InputRecord* input = nullptr;
  const float* input_mean = nullptr;  // [channels of tensor 0], kReadSlack floats of room behind
  const float* input_inv_std = nullptr;
  const format::RecipeRecord* recipe = nullptr;
  View<format::ClassRecord> classes;                   // ascending labels
  const format::ParityRecord* parity = nullptr;        // null: none
  View<format::TapRecord> taps;                        // ascending tensors
  const format::SignatureRecord* signature = nullptr;  // null: none
  const char* notes = "";                              // zero-terminated UTF-8; empty: none
  Exemplars exemplars;
  ExternalEncoder external;
  // All ops before border_op are frozen (no parameter trains, every batch norm uses running statistics), and all that
  // later ops read of them, or of the input, is border_tensor. The last such place; border_op 0: there is none behind
  // the input.
  uint32_t border_op = 0, border_tensor = 0;

  const uint8_t* data_section = nullptr;
  const char* strings = nullptr;

  // Zero-terminated, valid UTF-8, at most 255 bytes; lives as long as the bundle's bytes.
  const char* string(format::StringRef ref) const { return strings + ref.offset; }

  // Parameter bytes in place, 64-byte aligned, kReadSlack floats of room behind.
  const float* dense_values(uint32_t param) const {
    return reinterpret_cast<const float*>(data_section + params[param].offset);
  }
  // The same of a frozen parameter of integers.
  template <class T>
  const T* dense_integers(uint32_t param) const {
    return reinterpret_cast<const T*>(data_section + params[param].offset);
  }
  const uint32_t* sparse_positions(uint32_t param) const {
    return reinterpret_cast<const uint32_t*>(data_section + params[param].offset);
  }
  const float* sparse_values(uint32_t param) const {
    const uint64_t positions = (static_cast<uint64_t>(params[param].nnz) * 4 + 63) / 64 * 64;
    return reinterpret_cast<const float*>(data_section + params[param].offset + positions);
  }

  // Backward record of an op, or null when the backward list does not visit it. O(log ops).
  const format::BackwardRecord* backward_of(uint32_t op) const;
  // Bit i: the gradient of params[i] of the op is added to that of the parameter's later uses. O(log ops).
  uint32_t added_gradients(uint32_t op) const;
  // The op's record is the one that writes the gradient of params[slot]; those of earlier uses add to it. Of the uses of a
  // parameter that trains it is the last.
  bool writes_gradient(uint32_t op, uint32_t slot) const;
  // The gradient tensor that the loss writes: output_gradient of the first backward record; kNone when nothing is
  // trained.
  uint32_t logits_gradient() const { return backward.n ? backward[0].output_gradient : format::kNone; }
};

// Product of the dims of a parameter (its dense-equivalent size).
uint64_t param_size(const format::ParamRecord& param);
// Scalars that are stored: the product of the dims, or nnz when sparse.
uint64_t param_stored(const format::ParamRecord& param);
// Scalars that there is room for: the same, or nnz_capacity.
uint64_t param_capacity(const format::ParamRecord& param);
// Of one element: ElementType.
uint64_t element_bytes(uint32_t dtype);
// Elements of one batch row.
uint64_t tensor_row_floats(const format::TensorRecord& tensor);
// Attributes of an op as the kernels take them.
ConvShape op_conv_shape(const format::OpRecord& op);
ActivationSpec op_activation(const format::OpRecord& op);
// "conv", "linear", ... of ops/ops.def; "?" for a kind that is not in the list.
const char* op_kind_name(uint32_t kind);
// The same as reports and cost models tell kinds apart: a convolution with one channel a group is "depthwise".
const char* op_shown_kind(const Plan& plan, uint32_t op);
bool same_shape(const format::TensorRecord& a, const format::TensorRecord& b);
bool param_is_vector(const format::ParamRecord& param, uint32_t n);  // dense [n]

// Multiply-adds per batch row, forward: convolutions and linear layers only (what the field counts); as if dense, or
// with stored entries.
uint64_t op_macs_forward(const Plan& plan, uint32_t op, bool sparse);
// The same for the backward record of the op (0 when there is none): input gradient if asked for, plus weight gradient
// if it trains.
uint64_t op_macs_backward(const Plan& plan, uint32_t op, bool sparse);
// Sums over the lists.
uint64_t plan_macs_forward(const Plan& plan, bool sparse);
uint64_t plan_macs_backward(const Plan& plan, bool sparse);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_PLAN_H_
