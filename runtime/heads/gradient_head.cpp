// The gradient head: the last layer of the plan, trained with the rest by the loss of a step.
// Never here: losses, the update.
#include "runtime/core/weights.h"
#include "runtime/heads/head.h"

namespace edgecl {
namespace {

Status check(const Plan&) {
  return Status();  // every plan makes logits
}

void score(const HeadMemory&, const Net& net, uint32_t rows, Mode mode, const LayerProbe* probe) {
  forward_ops(net, rows, mode, last_layer_op(net.plan), net.plan.ops.n, probe);
}

void backward(const HeadMemory&, const Net& net, uint32_t rows, uint32_t n_records, const LayerProbe* probe) {
  backward_records(net, rows, 0, n_records, probe);
}

// The head's column of one class: every stored entry that belongs to it, in values and velocities.
void zero_column(const format::ParamRecord& record, uint32_t label, ParamWeights* param) {
  const auto zero = [&](uint64_t i) {
    param->own[i] = 0.0f;
    if (param->velocity) param->velocity[i] = 0.0f;
  };
  if (param->sparse) {  // rows of the pattern are classes
    for (int32_t block = 0; block < param->pattern.n_blocks; block++) {
      const uint32_t* row = param->pattern.row_start + static_cast<int64_t>(block) * param->pattern.rows + label;
      for (uint32_t k = row[0]; k < row[1]; k++) zero(k);
    }
    return;
  }
  if (record.rank == 2) {  // linear, [I][O]
    for (uint64_t i = 0; i < record.dims[0]; i++) zero(i * record.dims[1] + label);
    return;
  }
  const uint64_t per_class = param->n / record.dims[0];  // bias [O], convolution [O][I][kh][kw]
  for (uint64_t i = 0; i < per_class; i++) zero(label * per_class + i);
}

void forget_class(const HeadMemory&, const Net& net, uint32_t label) {
  zero_class_column(net, label);
}

// Neither memory nor a state of its own.
constexpr HeadKind kind() {
  HeadKind kind = {};
  kind.name = "gradient";
  kind.by_gradient = true;
  kind.check = check;
  kind.score = score;
  kind.backward = backward;
  kind.forget_class = forget_class;
  return kind;
}

}  // namespace

void zero_class_column(const Net& net, uint32_t label) {
  const uint32_t head[] = {net.plan.model->head_weight, net.plan.model->head_bias};
  for (const uint32_t p : head) {
    // A frozen head holds nothing that was learned here; its column is merely never read again.
    if (p != format::kNone && net.plan.params[p].trainable != 0)
      zero_column(net.plan.params[p], label, &net.weights.params[p]);
  }
}

const HeadKind kGradientHead = kind();

}  // namespace edgecl
