// What the core knows of an operator: one OpRule each, found by the number of its kind.
// Never here: knowledge of a certain operator (ops/<name>.cpp), loops over a plan.
#ifndef EDGECL_RUNTIME_CORE_OPS_OP_RULE_H_
#define EDGECL_RUNTIME_CORE_OPS_OP_RULE_H_

#include <stdint.h>

#include "runtime/core/executor_ops.h"
#include "runtime/core/status.h"

namespace edgecl {

struct OpCheck;  // ops/op_check.h

// What the field `activation` of an operator's record may say.
enum class OpActivation : uint8_t {
  kNone,   // nothing
  kFused,  // none, relu or clip, applied to the output
  kOwn,    // the function that the operator is
};

constexpr uint32_t kReadsOutput = 1u << 8;  // behind one bit for each input

// Null functions and false are the common case, so that a new operator states what is special about it only.
struct OpRule {
  uint32_t min_inputs = 1, max_inputs = 1, max_params = 0;
  OpActivation activation = OpActivation::kNone;
  // The backward kernel undoes the activation; otherwise a kernel before it does so on the output gradient.
  bool undoes_activation = false;
  // The input gradient may take the memory of the output gradient: the backward kernels work in place.
  bool gradient_in_place = false;
  bool aliases_input = false;  // the output is the memory of the input
  bool follows_batch = false;  // unless the record is frozen, a learn step runs on other statistics than a predict
  bool layer = false;          // weight in params[0], bias or none in params[1]; may be sparse; may be the head
  bool reads_windows = false;  // reads kernel_h * kernel_w elements for each one that it writes, and counts no macs
  format::ElementType takes = format::kElementF32,
                      gives = format::kElementF32;  // elements of the inputs, of the output
  // Forward tensors that the backward kernels read: bit i is input i (of a layer: only where its weight trains);
  // kReadsOutput. What an activation reads comes by itself.
  uint32_t backward_reads = 0;

  // Shapes, parameters and attributes. Indices, counts and `activation` were checked before.
  Status (*check)(const OpCheck& c) = nullptr;
  // Names the kernels of a pass; null: the pass has none. Without a backward pass nothing before the operator may train.
  void (*forward)(const Pass& pass, uint32_t index, const KernelVisitor& visitor) = nullptr;
  void (*backward)(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) = nullptr;
  // Multiply-adds of one row, forward, as if dense or with the stored entries. Null: none that are counted.
  uint64_t (*macs)(const Plan& plan, const format::OpRecord& op, bool sparse) = nullptr;
  // Floats that the forward pass of a learn step leaves beside its output for the backward pass, per row. Null: none.
  uint64_t (*kept_floats)(const Plan& plan, const format::OpRecord& op) = nullptr;
  // The kind as reports and cost models tell it apart. Null: the name of the list.
  const char* (*shown_kind)(const Plan& plan, const format::OpRecord& op) = nullptr;
};

namespace ops {
#define EDGECL_OP(constant, number, name) extern const OpRule name;
#include "runtime/core/ops/ops.def"
}  // namespace ops

// Null for a kind that is not in the list.
const OpRule* op_rule(uint32_t kind);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_OPS_OP_RULE_H_
