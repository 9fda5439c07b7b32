// What all operators have in common: indices, order, counts; then the check of each kind.
// Never here: shapes and attributes of a kind (runtime/core/ops), checks of the backward list.
#include <string.h>

#include "runtime/bundle/validate.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"
#include "runtime/core/subset.h"

namespace edgecl {
namespace {

using format::OpRecord;
using format::TensorRecord;

// Not more inputs and params than the kind takes, and an activation that it knows.
Status check_counts(const OpCheck& c, const OpRule& rule) {
  EDGECL_RETURN_IF_FAILED(c.range("n_inputs", c.op.n_inputs, rule.min_inputs, rule.max_inputs));
  for (uint32_t i = rule.max_params; i < 4; i++) {
    if (c.has_param(i))
      return corrupt("OPS", c.index, "params", "expected none in place %u of %s, found %u", i, op_kind_name(c.op.kind),
                     c.op.params[i]);
  }
  const int64_t most = rule.activation == OpActivation::kNone    ? 0
                       : rule.activation == OpActivation::kFused ? static_cast<int64_t>(Activation::kClip)
                                                                 : static_cast<int64_t>(kLastActivation);
  return c.range("activation", c.op.activation, rule.activation == OpActivation::kOwn ? 1 : 0, most);
}

// Indices and order: every input was written before, every tensor is written once, empty slots are empty.
Status check_indices(const Plan& plan, uint32_t i, const OpRule& rule, uint8_t* written) {
  const OpRecord& op = plan.ops[i];
  const char* const names[] = {"float32", "uint8", "int8", "int32"};
  if (op.n_inputs < 1 || op.n_inputs > 8) return corrupt("OPS", i, "n_inputs", "expected 1..8, found %u", op.n_inputs);
  for (uint32_t k = 0; k < 8; k++) {
    const uint32_t input = op.inputs[k];
    if (k >= op.n_inputs) {
      if (input != format::kNone) return corrupt("OPS", i, "inputs", "expected none in place %u, found %u", k, input);
      continue;
    }
    if (input >= plan.tensors.n)
      return corrupt("OPS", i, "inputs", "expected a tensor below %u, found %u", plan.tensors.n, input);
    if (!written[input])
      return corrupt("OPS", i, "inputs", "expected a tensor that an earlier op wrote, found %u", input);
    if (plan.tensors[input].dtype != static_cast<uint32_t>(rule.takes))
      return corrupt("OPS", i, "inputs", "expected a tensor of %s, found %u of another type", names[rule.takes], input);
  }
  if (op.output >= plan.tensors.n)
    return corrupt("OPS", i, "output", "expected a tensor below %u, found %u", plan.tensors.n, op.output);
  const TensorRecord& output = plan.tensors[op.output];
  if (written[op.output] || output.flags != 0) {
    return corrupt("OPS", i, "output", "expected a tensor that nothing else writes, found %u", op.output);
  }
  if (output.dtype != static_cast<uint32_t>(rule.gives))
    return corrupt("OPS", i, "output", "expected a tensor of %s, found %u of another type", names[rule.gives],
                   op.output);
  if (output.alias != format::kNone && !rule.aliases_input) {
    return corrupt("OPS", i, "output", "expected a tensor with memory of its own, found an alias");
  }
  for (uint32_t param : op.params) {
    if (param != format::kNone && param >= plan.params.n) {
      return corrupt("OPS", i, "params", "expected a parameter below %u, found %u", plan.params.n, param);
    }
  }
  if (op.flags > (rule.follows_batch ? uint32_t{format::kOpFlagFrozen} : 0u)) {
    return corrupt("OPS", i, "flags", "expected 0, or 1 for a frozen batch norm, found %u", op.flags);
  }
  if (op.activation > static_cast<uint32_t>(kLastActivation)) {
    return corrupt("OPS", i, "activation", "expected 0..%d, found %u", static_cast<int>(kLastActivation),
                   op.activation);
  }
  const float lo = op.activation_lo, hi = op.activation_hi;
  const bool ordered = op.activation != static_cast<uint32_t>(Activation::kClip) || lo <= hi;
  if (!(lo - lo == 0) || !(hi - hi == 0) || !ordered) {
    return corrupt("OPS", i, "activation_lo", "expected finite bounds, the lower one first, found others");
  }
  written[op.output] = 1;
  return Status();
}

}  // namespace

Status validate_ops(const Plan& plan, const CheckScratch& scratch) {
  uint8_t* written = scratch.marks;
  memset(written, 0, plan.tensors.n);
  written[0] = 1;
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    const OpRule* rule = op_rule(plan.ops[i].kind);
    if (rule == nullptr && plan.ops[i].kind - 1 < format::kOpKinds) {
      return failure(EDGECL_E_UNSUPPORTED,
                     "bundle section OPS, record %u '%s': expected an operator of this build (%s), found %s; build the "
                     "library with it (EDGECL_OPS)",
                     i, plan.string(plan.ops[i].name), EDGECL_BUILT_OPS, op_kind_name(plan.ops[i].kind));
    }
    if (rule == nullptr) {
      return failure(EDGECL_E_BUNDLE_OP,
                     "bundle section OPS, record %u '%s': expected an operator of this version (1..%u), found kind %u; "
                     "use a newer library or export for this one",
                     i, plan.string(plan.ops[i].name), format::kOpKinds, plan.ops[i].kind);
    }
    EDGECL_RETURN_IF_FAILED(check_indices(plan, i, *rule, written));
    EDGECL_RETURN_IF_FAILED(check_counts({plan, i, plan.ops[i]}, *rule));
    EDGECL_RETURN_IF_FAILED(rule->check({plan, i, plan.ops[i]}));
  }
  for (uint32_t t = 0; t < plan.tensors.n; t++) {
    if (plan.tensors[t].flags == 0 && !written[t])
      return corrupt("TENSORS", t, "name", "expected an op that writes the tensor, found none");
  }
  return Status();
}

}  // namespace edgecl
