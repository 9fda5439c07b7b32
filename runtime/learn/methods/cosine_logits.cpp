// Norms, cosine logits and the gradient through the norms. One thread: some thousand multiply-adds a row.
// Never here: tensors of other layers than the head.
#include "runtime/learn/methods/cosine_logits.h"

#include <string.h>

#include "kernels/arithmetic.h"
#include "runtime/heads/head.h"
#include "runtime/learn/session.h"

namespace edgecl {
namespace {

// The head of a learn step's pass.
struct Head {
  const format::OpRecord& op;
  Tensor h, z, dz;
  const float* weight;  // [inputs][classes]
  float* dweight;
  int32_t inputs, classes;

  // Start of the lanes of channel c in the group that row r lies in.
  static int64_t lanes_of(const Tensor& t, int32_t group, int32_t c) {
    return (static_cast<int64_t>(group) * t.channels + c) * t.lanes;
  }
};

Head head_of(const Session& session) {
  const Plan& plan = *session.plan;
  const format::OpRecord& op = plan.ops[cosine_head(plan)];
  const uint32_t rows = session.step.n_rows;
  const auto tensor = [&](uint32_t t) { return plan_tensor(session.learning(), t, rows, Mode::kLearn); };
  const format::ParamRecord& weight = plan.params[op.params[0]];
  return {op,
          tensor(op.inputs[0]),
          tensor(op.output),
          tensor(plan.logits_gradient()),
          session.weights.params[op.params[0]].value,
          session.learn.params[op.params[0]].gradient,
          static_cast<int32_t>(weight.dims[0]),
          static_cast<int32_t>(weight.dims[1])};
}

// Calls visit(group, first row, lanes that hold current rows) for each group with some.
template <class Visit>
void each_group(const Session& session, int32_t lanes, const Visit& visit) {
  const int32_t n = static_cast<int32_t>(session.step.n_current);
  for (int32_t group = 0; group * lanes < n; group++) {
    const int32_t left = n - group * lanes;
    visit(group, group * lanes, left < lanes ? left : lanes);
  }
}

void reciprocal_roots(float* x, int32_t n) {
  for (int32_t i = 0; i < n; i++) x[i] = 1.0f / square_root(x[i] + kCosineFloor);
}

}  // namespace

CosineMemory lay_out_cosine(Arena* arena, uint64_t rows, uint64_t columns) {
  CosineMemory memory;
  memory.row_rnorm = arena->take<float>(rows);
  memory.row_projection = arena->take<float>(rows);
  memory.class_rnorm = arena->take<float>(columns);
  memory.class_projection = arena->take<float>(columns);
  return memory;
}

uint32_t cosine_head(const Plan& plan) {
  for (uint32_t i = plan.ops.n; i-- > 0;) {
    const format::OpRecord& op = plan.ops[i];
    if (op.kind != format::kOpLinear || op.output != plan.model->logits_tensor) continue;
    const format::ParamRecord& weight = plan.params[op.params[0]];
    const bool fits = is_of_last_layer(plan, op.params[0]) && weight.storage == format::kStorageDense &&
                      weight.trainable != 0 && op.activation == static_cast<uint32_t>(Activation::kNone);
    return fits ? i : format::kNone;
  }
  return format::kNone;
}

Status check_cosine_head(const Plan& plan) {
  if (cosine_head(plan) != format::kNone) return Status();
  return failure(
      EDGECL_E_UNSUPPORTED,
      "expected a dense, trainable linear head for the method uer; found none in \"%s\"; export it with such "
      "a head, or choose another method",
      plan.string(plan.model->name));
}

void write_cosine_logits(const Session& session) {
  const Head head = head_of(session);
  const CosineMemory& memory = session.step.cosine;
  memset(memory.class_rnorm, 0, static_cast<size_t>(head.classes) * sizeof(float));
  for (int32_t i = 0; i < head.inputs; i++) {
    const float* w = head.weight + static_cast<int64_t>(i) * head.classes;
    for (int32_t c = 0; c < head.classes; c++) memory.class_rnorm[c] += w[c] * w[c];
  }
  reciprocal_roots(memory.class_rnorm, head.classes);

  const uint32_t bias = head.op.params[1];
  const float scale = session.config.cosine_scale;
  each_group(session, head.h.lanes, [&](int32_t group, int32_t first, int32_t n) {
    float* rnorm = memory.row_rnorm + first;
    memset(rnorm, 0, static_cast<size_t>(n) * sizeof(float));
    for (int32_t i = 0; i < head.inputs; i++) {
      const float* h = head.h.data + Head::lanes_of(head.h, group, i);
      for (int32_t l = 0; l < n; l++) rnorm[l] += h[l] * h[l];
    }
    reciprocal_roots(rnorm, n);
    for (int32_t c = 0; c < head.classes; c++) {
      float* z = head.z.data + Head::lanes_of(head.z, group, c);
      const float b = bias == format::kNone ? 0.0f : session.weights.params[bias].value[c];
      const float factor = scale * memory.class_rnorm[c];
      for (int32_t l = 0; l < n; l++) z[l] = (z[l] - b) * (factor * rnorm[l]);
    }
  });
}

void scale_cosine_gradient(const Session& session) {
  const Head head = head_of(session);
  const CosineMemory& memory = session.step.cosine;
  const float scale = session.config.cosine_scale;
  memset(memory.row_projection, 0, session.step.n_current * sizeof(float));
  memset(memory.class_projection, 0, static_cast<size_t>(head.classes) * sizeof(float));
  each_group(session, head.h.lanes, [&](int32_t group, int32_t first, int32_t n) {
    const float* rnorm = memory.row_rnorm + first;
    for (int32_t c = 0; c < head.classes; c++) {
      if (!session.step.present[c]) continue;  // no gradient, and what the logit is does not matter
      const float* z = head.z.data + Head::lanes_of(head.z, group, c);
      float* dz = head.dz.data + Head::lanes_of(head.dz, group, c);
      const float factor = scale * memory.class_rnorm[c];
      float of_class = memory.class_projection[c];
      for (int32_t l = 0; l < n; l++) {
        const float product = dz[l] * z[l];
        memory.row_projection[first + l] += product;
        of_class += product;
        dz[l] *= factor * rnorm[l];
      }
      memory.class_projection[c] = of_class;
    }
    for (int32_t l = 0; l < n; l++) memory.row_projection[first + l] *= rnorm[l] * rnorm[l];
  });
  for (int32_t c = 0; c < head.classes; c++)
    memory.class_projection[c] *= memory.class_rnorm[c] * memory.class_rnorm[c];
}

void add_norm_gradients(Session* session, const format::BackwardRecord& record) {
  const Plan& plan = *session->plan;
  if (record.op != cosine_head(plan)) return;
  const Head head = head_of(*session);
  const CosineMemory& memory = session->step.cosine;
  float* dw = head.dweight;
  for (int32_t i = 0; i < head.inputs; i++) {
    const int64_t row = static_cast<int64_t>(i) * head.classes;
    for (int32_t c = 0; c < head.classes; c++) dw[row + c] -= memory.class_projection[c] * head.weight[row + c];
  }
  if (record.input_gradient[0] != format::kNone) {
    const Tensor dh = plan_tensor(session->learning(), record.input_gradient[0], session->step.n_rows, Mode::kLearn);
    each_group(*session, dh.lanes, [&](int32_t group, int32_t first, int32_t n) {
      const float* projection = memory.row_projection + first;
      for (int32_t i = 0; i < head.inputs; i++) {
        const float* h = head.h.data + Head::lanes_of(head.h, group, i);
        float* d = dh.data + Head::lanes_of(dh, group, i);
        for (int32_t l = 0; l < n; l++) d[l] -= projection[l] * h[l];
      }
    });
  }
  const uint32_t bias = head.op.params[1];
  if (bias == format::kNone || session->learn.params[bias].gradient == nullptr) return;
  for (int32_t c = 0; c < head.classes; c++) {
    float sum = 0;
    for (int32_t r = static_cast<int32_t>(session->step.n_current); r < static_cast<int32_t>(session->step.n_rows); r++)
      sum += head.dz.data[Head::lanes_of(head.dz, r / head.dz.lanes, c) + r % head.dz.lanes];
    session->learn.params[bias].gradient[c] = sum;
  }
}

}  // namespace edgecl
