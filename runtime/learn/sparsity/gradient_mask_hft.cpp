// Half fine-tuning: in each task a random share of the weight tensors trains, the rest rests.
// Never here: choices inside a tensor.
// Hui, Zhang, Wang, Xu, Sun, Wu 2024, "HFT: half fine-tuning for large language models", carried over to convolutions
// and linear layers; the head and the normalisations always train.
#include <string.h>

#include "runtime/learn/session.h"
#include "runtime/learn/sparsity/gradient_mask.h"
#include "runtime/learn/streams.h"

namespace edgecl {
namespace {

bool takes_part(const Plan& plan, uint32_t op) {
  const uint32_t kind = plan.ops[op].kind;
  if (kind != format::kOpConv && kind != format::kOpLinear) return false;
  const uint32_t weight = plan.ops[op].params[0];
  return plan.params[weight].trainable && weight != plan.model->head_weight;
}

void rest(ParamBuffers* param) {
  if (param->gradient) memset(param->gradient, 0, param->capacity * sizeof(float));
}

// Seed and task number decide the choice, so it is not part of the state: the n-th of `left` candidates is taken with
// probability needed / left, which gives every subset of the wanted size the same chance.
void choose_tensors(Session* session) {
  const Plan& plan = *session->plan;
  uint32_t left = 0;
  for (uint32_t op = 0; op < plan.ops.n; op++) left += takes_part(plan, op);
  uint32_t needed = share_of(session->config.sparsity.gradient_keep, left);
  RandomStream random = step_stream(session->counters.seed, Purpose::kTensors, session->counters.tasks);
  for (uint32_t op = 0; op < plan.ops.n; op++) {
    if (!takes_part(plan, op)) continue;
    const bool trains = random.bounded(left) < needed;
    left--;
    needed -= trains;
    const uint32_t weight = plan.ops[op].params[0], bias = plan.ops[op].params[1];
    ParamBuffers& param = session->buffers.params[weight];
    param.skip_gradient = !trains;
    if (trains) continue;
    rest(&param);
    if (bias != format::kNone) rest(&session->buffers.params[bias]);
  }
}

// A change of structure uses the gradients' memory up.
void commit(Session* session) {
  for (uint32_t i = 0; i < session->structure.n_layers; i++) {
    ParamBuffers& param = session->buffers.params[session->structure.layers[i].param];
    if (param.skip_gradient) rest(&param);
  }
}

}  // namespace

const GradientPolicy kHft = {nullptr, nullptr, commit, choose_tensors, false};

}  // namespace edgecl
