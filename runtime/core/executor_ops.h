// One op of a plan as kernel calls, forward and backward: which kernels, which arguments. Internal to runtime/core.
// Never here: loops over the plan, memory layout.
#ifndef EDGECL_RUNTIME_CORE_EXECUTOR_OPS_H_
#define EDGECL_RUNTIME_CORE_EXECUTOR_OPS_H_

#include "runtime/core/executor.h"

namespace edgecl {

// A field of the kernel table, and the field with its scratch size.
template <class Args>
using KernelField = void (*KernelTable::*)(const Args& args, int part, int n_parts, void* scratch);
template <class Args>
using ScratchField = size_t (*KernelTable::*)(const Args& args);

// What a visit runs over. `params` null: only shapes count (the scratch measure); every pointer is then `unmapped()`,
// which is valid to compare with null and never read.
struct Pass {
  const Plan& plan;
  const Buffers& buffers;
  uint32_t rows;
  Mode mode;
  bool masked = false;  // measuring: as if every sparse layer had a gradient mask

  static float* unmapped() {
    alignas(64) static float nothing[16];
    return nothing;
  }
  bool measuring() const { return buffers.params == nullptr; }
  const format::OpRecord& op(uint32_t i) const { return plan.ops[i]; }

  Tensor tensor(uint32_t t) const {
    if (!measuring()) return plan_tensor(plan, buffers, t, rows, mode);
    const format::TensorRecord& record = plan.tensors[t];
    const BatchLayout layout = batch_layout(rows);
    return {unmapped(),
            layout.groups,
            static_cast<int32_t>(record.channels),
            static_cast<int32_t>(record.height),
            static_cast<int32_t>(record.width),
            layout.lanes};
  }
  Tensor tensor_or_null(uint32_t t, uint32_t shape_of) const {
    Tensor view = tensor(shape_of);
    view.data = t == format::kNone ? nullptr : tensor(t).data;
    return view;
  }
  float* value(uint32_t p) const {
    if (p == format::kNone) return nullptr;
    return measuring() ? unmapped() : buffers.params[p].value;
  }
  // Of params[slot] of the record's op, when it trains and does not rest.
  float* gradient(const format::BackwardRecord& record, uint32_t slot) const {
    if ((record.train_params >> slot & 1) == 0) return nullptr;
    if (measuring()) return unmapped();
    const ParamBuffers& param = buffers.params[plan.ops[record.op].params[slot]];
    return param.rests ? nullptr : param.gradient;
  }
  // Which entries of a sparse weight get a gradient; null: all.
  const uint8_t* selected(uint32_t p) const {
    static const uint8_t nothing = 0;
    if (measuring()) return masked ? &nothing : nullptr;
    return buffers.params[p].masked ? buffers.params[p].selection : nullptr;
  }
  bool skips_gradient(uint32_t p) const { return !measuring() && buffers.params[p].skip_gradient; }
  bool is_sparse(uint32_t p) const { return plan.params[p].storage == format::kStorageSparse; }
};

// The patterns of a sparse parameter without arrays: shape and blocks, and nnz at capacity.
SparsePattern pattern_shape(const format::ParamRecord& param);
SparsePattern transposed_pattern_shape(const format::ParamRecord& param);

// The second operand of an add or mul, as the kernels see it.
struct BroadcastOperand {
  const float* data;
  int64_t size, stride_g, stride_c, stride_h, stride_w, stride_l;
};
BroadcastOperand broadcast_operand(const Pass& pass, const format::OpRecord& op);

// Calls run(kernel field, scratch field, args) for each kernel of the op's forward pass, in order.
template <class Run>
void visit_forward(const Pass& pass, uint32_t index, Run&& run) {
  using T = KernelTable;
  const format::OpRecord& op = pass.op(index);
  const Tensor x = pass.tensor(op.inputs[0]), y = pass.tensor(op.output);
  const ConvShape shape = op_conv_shape(op);
  const ActivationSpec activation = op_activation(op);
  switch (op.kind) {
    case format::kOpConv: {
      const float *weight = pass.value(op.params[0]), *bias = pass.value(op.params[1]);
      if (pass.is_sparse(op.params[0])) {
        const SparsePattern pattern = pass.measuring() ? pattern_shape(pass.plan.params[op.params[0]])
                                                       : pass.buffers.params[op.params[0]].pattern;
        run(&T::sparse_conv_forward, &T::sparse_conv_forward_scratch_bytes,
            SparseConvForwardArgs{x, y, pattern, weight, bias, shape, activation});
      } else {
        run(&T::conv_forward, &T::conv_forward_scratch_bytes, ConvForwardArgs{x, y, weight, bias, shape, activation});
      }
      break;
    }
    case format::kOpLinear: {
      const float *weight = pass.value(op.params[0]), *bias = pass.value(op.params[1]);
      if (pass.is_sparse(op.params[0])) {
        const SparsePattern pattern = pass.measuring() ? pattern_shape(pass.plan.params[op.params[0]])
                                                       : pass.buffers.params[op.params[0]].pattern;
        run(&T::sparse_linear_forward, &T::sparse_linear_forward_scratch_bytes,
            SparseLinearForwardArgs{x, y, pattern, weight, bias, activation});
      } else {
        run(&T::linear_forward, &T::linear_forward_scratch_bytes, LinearForwardArgs{x, y, weight, bias, activation});
      }
      break;
    }
    case format::kOpBatchNorm: {
      BatchNormForwardArgs args = {};
      args.x = x;
      args.y = y;
      args.gamma = pass.value(op.params[0]);
      args.beta = pass.value(op.params[1]);
      if (pass.mode == Mode::kPredict || (op.flags & format::kOpFlagFrozen) != 0) {
        args.mean = pass.measuring() ? Pass::unmapped() : pass.buffers.norms[index].running_mean;
        args.rstd = pass.measuring() ? Pass::unmapped() : pass.buffers.norms[index].running_rstd;
      } else {
        args.batch_mean = pass.measuring() ? Pass::unmapped() : pass.buffers.norms[index].batch_mean;
        args.batch_rstd = pass.measuring() ? Pass::unmapped() : pass.buffers.norms[index].batch_rstd;
        args.batch_var_unbiased = pass.measuring() ? Pass::unmapped() : pass.buffers.norms[index].batch_var;
      }
      args.eps = op.epsilon;
      args.residual = op.n_inputs == 2 ? pass.tensor(op.inputs[1]).data : nullptr;
      args.activation = activation;
      run(&T::batch_norm_forward, &T::batch_norm_forward_scratch_bytes, args);
      break;
    }
    case format::kOpGroupNorm: {
      float* mean = pass.measuring() ? Pass::unmapped() : pass.buffers.norms[index].batch_mean;
      float* rstd = pass.measuring() ? Pass::unmapped() : pass.buffers.norms[index].batch_rstd;
      run(&T::group_norm_forward, &T::group_norm_forward_scratch_bytes,
          GroupNormForwardArgs{x, y, pass.value(op.params[0]), pass.value(op.params[1]), op.i[0], op.epsilon, mean,
                               rstd, activation});
      break;
    }
    case format::kOpActivation:
      run(&T::activation_forward, &T::activation_forward_scratch_bytes,
          ActivationForwardArgs{x.data, y.data, x.size(), activation});
      break;
    case format::kOpMaxPool:
      run(&T::max_pool_forward, &T::max_pool_forward_scratch_bytes, PoolArgs{x, y, shape, false});
      break;
    case format::kOpAveragePool:
      run(&T::average_pool_forward, &T::average_pool_forward_scratch_bytes, PoolArgs{x, y, shape, op.i[0] != 0});
      break;
    case format::kOpGlobalAveragePool:
      run(&T::global_average_pool_forward, &T::global_average_pool_forward_scratch_bytes, GlobalPoolArgs{x, y});
      break;
    case format::kOpAdd:
    case format::kOpMul: {
      const BroadcastOperand b = broadcast_operand(pass, op);
      run(&T::binary_forward, &T::binary_forward_scratch_bytes,
          BinaryArgs{x, y, b.data, b.stride_g, b.stride_c, b.stride_h, b.stride_w, b.stride_l,
                     op.kind == format::kOpAdd ? BinaryOp::kAdd : BinaryOp::kMul, activation});
      break;
    }
    case format::kOpConcat: {
      ConcatArgs args = {};
      for (uint32_t i = 0; i < op.n_inputs; i++) args.inputs[i] = pass.tensor(op.inputs[i]);
      args.n_inputs = static_cast<int32_t>(op.n_inputs);
      args.y = y;
      run(&T::concat_forward, &T::concat_forward_scratch_bytes, args);
      break;
    }
    default:  // reshape: the same memory
      break;
  }
}

// The same for one backward record. A fused activation of a layer is undone in place on the output gradient first.
template <class Run>
void visit_backward(const Pass& pass, const format::BackwardRecord& record, Run&& run) {
  using T = KernelTable;
  const format::OpRecord& op = pass.op(record.op);
  const Tensor x = pass.tensor(op.inputs[0]), y = pass.tensor(op.output);
  const Tensor dx = pass.tensor_or_null(record.input_gradient[0], op.inputs[0]);
  const Tensor dy = pass.tensor(record.output_gradient);
  const bool accumulate = (record.accumulate & 1) != 0;
  const ConvShape shape = op_conv_shape(op);
  const ActivationSpec activation = op_activation(op);

  const bool fused_elsewhere =
      op.kind == format::kOpBatchNorm || op.kind == format::kOpGroupNorm || op.kind == format::kOpActivation;
  if (activation.kind != Activation::kNone && !fused_elsewhere) {
    run(&T::activation_backward, &T::activation_backward_scratch_bytes,
        ActivationBackwardArgs{nullptr, y.data, dy.data, dy.data, dy.size(), false, activation});
  }

  switch (op.kind) {
    case format::kOpConv: {
      const uint32_t p = op.params[0];
      const bool skip = pass.skips_gradient(p);
      float* dweight = skip ? nullptr : pass.gradient(record, 0);
      float* dbias = skip ? nullptr : pass.gradient(record, 1);
      if (pass.is_sparse(p)) {
        const ParamBuffers* buffers = pass.measuring() ? nullptr : &pass.buffers.params[p];
        if (dx.data != nullptr) {
          run(&T::sparse_conv_backward_data, &T::sparse_conv_backward_data_scratch_bytes,
              SparseConvBackwardDataArgs{dy, dx,
                                         buffers ? buffers->transposed : transposed_pattern_shape(pass.plan.params[p]),
                                         buffers ? buffers->transposed_value : Pass::unmapped(), shape, accumulate});
        }
        if (dweight != nullptr) {
          run(&T::sparse_conv_backward_weight, &T::sparse_conv_backward_weight_scratch_bytes,
              SparseConvBackwardWeightArgs{x, dy, buffers ? buffers->pattern : pattern_shape(pass.plan.params[p]),
                                           pass.selected(p), dweight, dbias, shape});
        }
        break;
      }
      if (dx.data != nullptr) {
        run(&T::conv_backward_data, &T::conv_backward_data_scratch_bytes,
            ConvBackwardDataArgs{dy, dx, pass.value(p), shape, accumulate});
      }
      if (dweight != nullptr) {
        run(&T::conv_backward_weight, &T::conv_backward_weight_scratch_bytes,
            ConvBackwardWeightArgs{x, dy, dweight, dbias, shape});
      }
      break;
    }
    case format::kOpLinear: {
      const uint32_t p = op.params[0];
      const bool skip = pass.skips_gradient(p);
      float* dweight = skip ? nullptr : pass.gradient(record, 0);
      float* dbias = skip ? nullptr : pass.gradient(record, 1);
      if (pass.is_sparse(p)) {
        const ParamBuffers* buffers = pass.measuring() ? nullptr : &pass.buffers.params[p];
        if (dx.data != nullptr) {
          run(&T::sparse_linear_backward_data, &T::sparse_linear_backward_data_scratch_bytes,
              SparseLinearBackwardDataArgs{
                  dy, dx, buffers ? buffers->transposed : transposed_pattern_shape(pass.plan.params[p]),
                  buffers ? buffers->transposed_value : Pass::unmapped(), accumulate});
        }
        if (dweight != nullptr) {
          run(&T::sparse_linear_backward_weight, &T::sparse_linear_backward_weight_scratch_bytes,
              SparseLinearBackwardWeightArgs{x, dy, buffers ? buffers->pattern : pattern_shape(pass.plan.params[p]),
                                             pass.selected(p), dweight, dbias});
        }
        break;
      }
      if (dx.data != nullptr) {
        run(&T::linear_backward_data, &T::linear_backward_data_scratch_bytes,
            LinearBackwardDataArgs{dy, dx, pass.value(p), accumulate});
      }
      if (dweight != nullptr) {
        run(&T::linear_backward_weight, &T::linear_backward_weight_scratch_bytes,
            LinearBackwardWeightArgs{x, dy, dweight, dbias});
      }
      break;
    }
    case format::kOpBatchNorm: {
      BatchNormBackwardArgs args = {};
      args.x = x;
      args.y = y;
      args.dy = dy;
      args.dx = dx;
      args.gamma = pass.value(op.params[0]);
      args.frozen = (op.flags & format::kOpFlagFrozen) != 0;
      const NormBuffers* norm = pass.measuring() ? nullptr : &pass.buffers.norms[record.op];
      args.mean = norm ? (args.frozen ? norm->running_mean : norm->batch_mean) : Pass::unmapped();
      args.rstd = norm ? (args.frozen ? norm->running_rstd : norm->batch_rstd) : Pass::unmapped();
      args.dgamma = pass.gradient(record, 0);
      args.dbeta = pass.gradient(record, 1);
      args.accumulate_dx = accumulate;
      if (op.n_inputs == 2 && record.input_gradient[1] != format::kNone)
        args.dresidual = pass.tensor(record.input_gradient[1]).data;
      args.accumulate_residual = (record.accumulate & 2) != 0;
      args.activation = activation;
      run(&T::batch_norm_backward, &T::batch_norm_backward_scratch_bytes, args);
      break;
    }
    case format::kOpGroupNorm: {
      const NormBuffers* norm = pass.measuring() ? nullptr : &pass.buffers.norms[record.op];
      run(&T::group_norm_backward, &T::group_norm_backward_scratch_bytes,
          GroupNormBackwardArgs{x, y, dy, dx, pass.value(op.params[0]), op.i[0],
                                norm ? norm->batch_mean : Pass::unmapped(), norm ? norm->batch_rstd : Pass::unmapped(),
                                pass.gradient(record, 0), pass.gradient(record, 1), accumulate, activation});
      break;
    }
    case format::kOpActivation:
      run(&T::activation_backward, &T::activation_backward_scratch_bytes,
          ActivationBackwardArgs{x.data, y.data, dy.data, dx.data, dy.size(), accumulate, activation});
      break;
    case format::kOpMaxPool:
      run(&T::max_pool_backward, &T::max_pool_backward_scratch_bytes,
          PoolBackwardArgs{x, y, dy, dx, shape, false, accumulate});
      break;
    case format::kOpAveragePool:
      run(&T::average_pool_backward, &T::average_pool_backward_scratch_bytes,
          PoolBackwardArgs{x, y, dy, dx, shape, op.i[0] != 0, accumulate});
      break;
    case format::kOpGlobalAveragePool:
      run(&T::global_average_pool_backward, &T::global_average_pool_backward_scratch_bytes,
          GlobalPoolBackwardArgs{dy, dx, accumulate});
      break;
    case format::kOpAdd:
    case format::kOpMul: {
      const BroadcastOperand b = broadcast_operand(pass, op);
      float* db = nullptr;
      if (op.n_inputs == 1) {
        db = pass.gradient(record, 0);
      } else if (record.input_gradient[1] != format::kNone) {
        db = pass.tensor(record.input_gradient[1]).data;
      }
      run(&T::binary_backward, &T::binary_backward_scratch_bytes,
          BinaryBackwardArgs{x, dy, dx, b.data, db, b.size, b.stride_g, b.stride_c, b.stride_h, b.stride_w, b.stride_l,
                             op.kind == format::kOpAdd ? BinaryOp::kAdd : BinaryOp::kMul, accumulate,
                             op.n_inputs == 2 && (record.accumulate & 2) != 0});
      break;
    }
    case format::kOpConcat: {
      ConcatBackwardArgs args = {};
      for (uint32_t i = 0; i < op.n_inputs; i++) {
        args.dinputs[i] = pass.tensor_or_null(record.input_gradient[i], op.inputs[i]);
        args.accumulate[i] = (record.accumulate >> i & 1) != 0;
      }
      args.n_inputs = static_cast<int32_t>(op.n_inputs);
      args.dy = dy;
      run(&T::concat_backward, &T::concat_backward_scratch_bytes, args);
      break;
    }
    default:  // reshape
      if (pass.measuring() || dx.data != dy.data) {
        run(&T::accumulate, &T::accumulate_scratch_bytes, AccumulateArgs{dy.data, dx.data, dy.size(), accumulate});
      }
      break;
  }
}

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_EXECUTOR_OPS_H_
