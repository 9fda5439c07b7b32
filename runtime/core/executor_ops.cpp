// The kernel calls of each kind of op, forward and backward: which kernels, which arguments.
// Never here: what is done with a call (run: executor.cpp; measured: executor_scratch.cpp).
#include "runtime/core/executor_ops.h"

namespace edgecl {
namespace {

using T = KernelTable;

// The types behind a kernel call: fields of the kernel table, for the kernel and for its scratch size.
template <auto kKernel, auto kScratch, class Args>
struct Typed {
  static void run(const KernelTable& kernels, const void* args, int part, int n_parts, void* scratch) {
    (kernels.*kKernel)(*static_cast<const Args*>(args), part, n_parts, scratch);
  }
  static size_t scratch_bytes(const KernelTable& kernels, const void* args) {
    return (kernels.*kScratch)(*static_cast<const Args*>(args));
  }
};

template <auto kKernel, auto kScratch, class Args>
void emit(const KernelVisitor& visitor, const Args& args) {
  using Kernel = Typed<kKernel, kScratch, Args>;
  visitor.visit(visitor.user, {Kernel::run, Kernel::scratch_bytes, &args});
}

}  // namespace

void visit_forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  const Tensor x = pass.tensor(op.inputs[0]), y = pass.tensor(op.output);
  const ConvShape shape = op_conv_shape(op);
  const ActivationSpec activation = op_activation(op);
  switch (op.kind) {
    case format::kOpConv: {
      const float *weight = pass.value(op.params[0]), *bias = pass.value(op.params[1]);
      if (pass.is_sparse(op.params[0])) {
        const SparsePattern pattern = pass.pattern(op.params[0]);
        emit<&T::sparse_conv_forward, &T::sparse_conv_forward_scratch_bytes>(
            visitor, SparseConvForwardArgs{x, y, pattern, weight, bias, shape, activation});
      } else {
        emit<&T::conv_forward, &T::conv_forward_scratch_bytes>(visitor,
                                                               ConvForwardArgs{x, y, weight, bias, shape, activation});
      }
      break;
    }
    case format::kOpLinear: {
      const float *weight = pass.value(op.params[0]), *bias = pass.value(op.params[1]);
      if (pass.is_sparse(op.params[0])) {
        const SparsePattern pattern = pass.pattern(op.params[0]);
        emit<&T::sparse_linear_forward, &T::sparse_linear_forward_scratch_bytes>(
            visitor, SparseLinearForwardArgs{x, y, pattern, weight, bias, activation});
      } else {
        emit<&T::linear_forward, &T::linear_forward_scratch_bytes>(visitor,
                                                                   LinearForwardArgs{x, y, weight, bias, activation});
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
        args.mean = pass.running(index).running_mean;
        args.rstd = pass.running(index).running_rstd;
      } else {
        args.batch_mean = pass.batch(index).batch_mean;
        args.batch_rstd = pass.batch(index).batch_rstd;
        args.batch_var_unbiased = pass.batch(index).batch_var;
      }
      args.eps = op.epsilon;
      args.residual = op.n_inputs == 2 ? pass.tensor(op.inputs[1]).data : nullptr;
      args.activation = activation;
      emit<&T::batch_norm_forward, &T::batch_norm_forward_scratch_bytes>(visitor, args);
      break;
    }
    case format::kOpGroupNorm: {
      float* mean = pass.batch(index).batch_mean;
      float* rstd = pass.batch(index).batch_rstd;
      emit<&T::group_norm_forward, &T::group_norm_forward_scratch_bytes>(
          visitor, GroupNormForwardArgs{x, y, pass.value(op.params[0]), pass.value(op.params[1]), op.i[0], op.epsilon,
                                        mean, rstd, activation});
      break;
    }
    case format::kOpActivation:
      emit<&T::activation_forward, &T::activation_forward_scratch_bytes>(
          visitor, ActivationForwardArgs{x.data, y.data, x.size(), activation});
      break;
    case format::kOpMaxPool:
      emit<&T::max_pool_forward, &T::max_pool_forward_scratch_bytes>(visitor, PoolArgs{x, y, shape, false});
      break;
    case format::kOpAveragePool:
      emit<&T::average_pool_forward, &T::average_pool_forward_scratch_bytes>(visitor,
                                                                             PoolArgs{x, y, shape, op.i[0] != 0});
      break;
    case format::kOpGlobalAveragePool:
      emit<&T::global_average_pool_forward, &T::global_average_pool_forward_scratch_bytes>(visitor,
                                                                                           GlobalPoolArgs{x, y});
      break;
    case format::kOpAdd:
    case format::kOpMul: {
      const BroadcastOperand b = broadcast_operand(pass, op);
      emit<&T::binary_forward, &T::binary_forward_scratch_bytes>(
          visitor, BinaryArgs{x, y, b.data, b.stride_g, b.stride_c, b.stride_h, b.stride_w, b.stride_l,
                              op.kind == format::kOpAdd ? BinaryOp::kAdd : BinaryOp::kMul, activation});
      break;
    }
    case format::kOpConcat: {
      ConcatArgs args = {};
      for (uint32_t i = 0; i < op.n_inputs; i++) args.inputs[i] = pass.tensor(op.inputs[i]);
      args.n_inputs = static_cast<int32_t>(op.n_inputs);
      args.y = y;
      emit<&T::concat_forward, &T::concat_forward_scratch_bytes>(visitor, args);
      break;
    }
    default:  // reshape: the same memory
      break;
  }
}

void visit_backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
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
    emit<&T::activation_backward, &T::activation_backward_scratch_bytes>(
        visitor, ActivationBackwardArgs{nullptr, y.data, dy.data, dy.data, dy.size(), false, activation});
  }

  switch (op.kind) {
    case format::kOpConv: {
      const uint32_t p = op.params[0];
      const bool skip = pass.skips_gradient(p);
      float* dweight = skip ? nullptr : pass.gradient(record, 0);
      float* dbias = skip ? nullptr : pass.gradient(record, 1);
      if (pass.is_sparse(p)) {
        if (dx.data != nullptr) {
          emit<&T::sparse_conv_backward_data, &T::sparse_conv_backward_data_scratch_bytes>(
              visitor,
              SparseConvBackwardDataArgs{dy, dx, pass.transposed(p), pass.transposed_value(p), shape, accumulate});
        }
        if (dweight != nullptr) {
          emit<&T::sparse_conv_backward_weight, &T::sparse_conv_backward_weight_scratch_bytes>(
              visitor, SparseConvBackwardWeightArgs{x, dy, pass.pattern(p), pass.selected(p), dweight, dbias, shape});
        }
        break;
      }
      if (dx.data != nullptr) {
        emit<&T::conv_backward_data, &T::conv_backward_data_scratch_bytes>(
            visitor, ConvBackwardDataArgs{dy, dx, pass.value(p), shape, accumulate});
      }
      if (dweight != nullptr) {
        emit<&T::conv_backward_weight, &T::conv_backward_weight_scratch_bytes>(
            visitor, ConvBackwardWeightArgs{x, dy, dweight, dbias, shape});
      }
      break;
    }
    case format::kOpLinear: {
      const uint32_t p = op.params[0];
      const bool skip = pass.skips_gradient(p);
      float* dweight = skip ? nullptr : pass.gradient(record, 0);
      float* dbias = skip ? nullptr : pass.gradient(record, 1);
      if (pass.is_sparse(p)) {
        if (dx.data != nullptr) {
          emit<&T::sparse_linear_backward_data, &T::sparse_linear_backward_data_scratch_bytes>(
              visitor, SparseLinearBackwardDataArgs{dy, dx, pass.transposed(p), pass.transposed_value(p), accumulate});
        }
        if (dweight != nullptr) {
          emit<&T::sparse_linear_backward_weight, &T::sparse_linear_backward_weight_scratch_bytes>(
              visitor, SparseLinearBackwardWeightArgs{x, dy, pass.pattern(p), pass.selected(p), dweight, dbias});
        }
        break;
      }
      if (dx.data != nullptr) {
        emit<&T::linear_backward_data, &T::linear_backward_data_scratch_bytes>(
            visitor, LinearBackwardDataArgs{dy, dx, pass.value(p), accumulate});
      }
      if (dweight != nullptr) {
        emit<&T::linear_backward_weight, &T::linear_backward_weight_scratch_bytes>(
            visitor, LinearBackwardWeightArgs{x, dy, dweight, dbias});
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
      args.beta = op.n_inputs == 1 ? pass.value(op.params[1]) : nullptr;
      args.frozen = (op.flags & format::kOpFlagFrozen) != 0;
      args.mean = args.frozen ? pass.running(record.op).running_mean : pass.batch(record.op).batch_mean;
      args.rstd = args.frozen ? pass.running(record.op).running_rstd : pass.batch(record.op).batch_rstd;
      args.dgamma = pass.gradient(record, 0);
      args.dbeta = pass.gradient(record, 1);
      args.accumulate_dx = accumulate;
      if (op.n_inputs == 2 && record.input_gradient[1] != format::kNone)
        args.dresidual = pass.tensor(record.input_gradient[1]).data;
      args.accumulate_residual = (record.accumulate & 2) != 0;
      args.activation = activation;
      emit<&T::batch_norm_backward, &T::batch_norm_backward_scratch_bytes>(visitor, args);
      break;
    }
    case format::kOpGroupNorm: {
      const NormWork norm = pass.batch(record.op);
      emit<&T::group_norm_backward, &T::group_norm_backward_scratch_bytes>(
          visitor,
          GroupNormBackwardArgs{x, y, dy, dx, pass.value(op.params[0]), op.i[0], norm.batch_mean, norm.batch_rstd,
                                pass.gradient(record, 0), pass.gradient(record, 1), accumulate, activation});
      break;
    }
    case format::kOpActivation:
      emit<&T::activation_backward, &T::activation_backward_scratch_bytes>(
          visitor, ActivationBackwardArgs{x.data, y.data, dy.data, dx.data, dy.size(), accumulate, activation});
      break;
    case format::kOpMaxPool:
      emit<&T::max_pool_backward, &T::max_pool_backward_scratch_bytes>(
          visitor, PoolBackwardArgs{x, y, dy, dx, shape, false, accumulate});
      break;
    case format::kOpAveragePool:
      emit<&T::average_pool_backward, &T::average_pool_backward_scratch_bytes>(
          visitor, PoolBackwardArgs{x, y, dy, dx, shape, op.i[0] != 0, accumulate});
      break;
    case format::kOpGlobalAveragePool:
      emit<&T::global_average_pool_backward, &T::global_average_pool_backward_scratch_bytes>(
          visitor, GlobalPoolBackwardArgs{dy, dx, accumulate});
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
      emit<&T::binary_backward, &T::binary_backward_scratch_bytes>(
          visitor, BinaryBackwardArgs{x, dy, dx, b.data, db, b.size, b.stride_g, b.stride_c, b.stride_h, b.stride_w,
                                      b.stride_l, op.kind == format::kOpAdd ? BinaryOp::kAdd : BinaryOp::kMul,
                                      accumulate, op.n_inputs == 2 && (record.accumulate & 2) != 0});
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
      emit<&T::concat_backward, &T::concat_backward_scratch_bytes>(visitor, args);
      break;
    }
    default:  // reshape
      if (pass.measuring() || dx.data != dy.data) {
        emit<&T::accumulate, &T::accumulate_scratch_bytes>(visitor,
                                                           AccumulateArgs{dy.data, dx.data, dy.size(), accumulate});
      }
      break;
  }
}

}  // namespace edgecl
