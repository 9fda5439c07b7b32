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

bool may_rest(const Plan& plan, uint32_t op) {
  const uint32_t kind = plan.ops[op].kind;
  if (kind != format::kOpConv && kind != format::kOpLinear) return false;
  const uint32_t weight = plan.ops[op].params[0];
  return plan.params[weight].trainable && plan.writes_gradient(op, 0) && !is_of_last_layer(plan, weight);
}

void rest(const Session& session, uint32_t p) {
  const ParamWork& work = session.learn.params[p];
  if (work.gradient) memset(work.gradient, 0, session.weights.params[p].capacity * sizeof(float));
}

// Seed and task number decide the choice, so it is not part of the state: the n-th of `left` candidates is taken with
// probability needed / left, which gives every subset of the wanted size the same chance.
void begin_step(Session* session) {
  const Plan& plan = *session->plan;
  uint32_t left = 0;
  for (uint32_t op = 0; op < plan.ops.n; op++) left += may_rest(plan, op);
  uint32_t needed = share_of(session->config.gradient_keep, left);
  RandomStream random = step_stream(session->counters.seed, Purpose::kTensors, session->counters.tasks);
  for (uint32_t op = 0; op < plan.ops.n; op++) {
    if (!may_rest(plan, op)) continue;
    const bool trains = random.bounded(left) < needed;
    left--;
    needed -= trains;
    if (trains) continue;
    const uint32_t weight = plan.ops[op].params[0], bias = plan.ops[op].params[1];
    session->learn.params[weight].role = Role::kZero;
    rest(*session, weight);
    if (bias != format::kNone) rest(*session, bias);
  }
}

}  // namespace

const GradientPolicy kHft = {begin_step, nullptr, nullptr, false};

}  // namespace edgecl
