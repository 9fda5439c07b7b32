// Counting over the lists of a plan.
// Never here: the counters of a session.
#include "runtime/learn/step_cost.h"

namespace edgecl {
namespace {

// weights(p, of_gradient): scalars of parameter p that a pass meets.
template <class Weights>
RowMacs count(const Plan& plan, uint32_t border_op, uint32_t n_records, const Weights& weights) {
  RowMacs macs = {};
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    const format::OpRecord& op = plan.ops[i];
    const bool recurrent = op.kind == format::kOpRecurrent;  // two weights
    if (op.kind != format::kOpConv && op.kind != format::kOpLinear && !recurrent) continue;
    const format::TensorRecord& y = plan.tensors[op.output];
    const uint64_t positions = static_cast<uint64_t>(y.height) * y.width;
    const auto products = [&](bool of_gradient) {
      return (weights(op.params[0], of_gradient) + (recurrent ? weights(op.params[1], of_gradient) : 0)) * positions;
    };
    macs.forward += products(false);
    if (i < border_op) macs.below += products(false);
    const format::BackwardRecord* record = plan.backward_of(i);
    if (record == nullptr || record - plan.backward.data >= static_cast<int64_t>(n_records)) continue;
    if (record->input_gradient[0] != format::kNone) macs.input_gradient += products(false);
    if ((record->train_params & 1) != 0) macs.weight_gradient += products(true);
  }
  return macs;
}

}  // namespace

RowMacs row_macs(const Net& net, uint32_t border_op, uint32_t n_records) {
  return count(net.plan, border_op, n_records, [&](uint32_t p, bool of_gradient) {
    const ParamWeights& param = net.weights.params[p];
    return of_gradient ? entries_with_gradient(param, net.work.params[p].role) : param.n;
  });
}

uint64_t entries_with_gradient(const ParamWeights& param, Role role) {
  switch (role) {
    case Role::kTrains:
      return param.n;
    case Role::kSelected:
      return param.n_selected;
    default:
      return 0;
  }
}

RowMacs row_macs_dense(const Plan& plan, uint32_t border_op) {
  return count(plan, border_op, UINT32_MAX, [&](uint32_t p, bool) { return param_size(plan.params[p]); });
}

}  // namespace edgecl
