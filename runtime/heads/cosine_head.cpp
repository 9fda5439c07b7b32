// The gradient head by cosines: scores are scale * cos(w_c, z), without a bias, trained by the loss of a step like any
// last layer (Gidaris and Komodakis 2018, "Dynamic few-shot visual learning without forgetting"; Hou et al. 2019,
// "Learning a unified classifier incrementally via rebalancing"). So new classes do not win by longer columns.
// Never here: losses, the update; cosines of current rows alone (learn/methods/cosine_logits.h).
//
// With n_c = sqrt(|w_c|^2 + floor), m_r = sqrt(|z_r|^2 + floor), d = <w_c, z_r> the score is s = scale * d / (n_c * m_r).
// The layer's own backward record is fed g * scale / (n_c * m_r), g the gradient of s, and gives D_r and E_c, what passes
// through d. Through the norms come -<D_r, z_r> / m_r^2 * z_r and -(sum over r of g * s) / n_c^2 * w_c. Exact for s as
// written, so a vector of zeros is no special case.
#include <string.h>

#include "kernels/arithmetic.h"
#include "runtime/core/rng.h"
#include "runtime/core/weights.h"
#include "runtime/heads/head.h"

namespace edgecl {

struct CosineHead {
  float scale = 0;
  float* class_rnorm = nullptr;       // [columns] 1 / n_c
  float* class_projection = nullptr;  // [columns] sum over the rows of g * s, then over n_c^2
};
EDGECL_TARGET_BYTES(CosineHead, 12, 24);

namespace {

constexpr float kDefaultScale = 16, kFloor = 1e-6f;
constexpr int32_t kPiece = 16;  // rows at a time

Status check(const Plan& plan) {
  const uint32_t index = last_layer_op(plan);
  const bool fits = index < plan.ops.n && plan.ops[index].kind == format::kOpLinear &&
                    plan.ops[index].output == plan.model->logits_tensor &&
                    plan.ops[index].activation == static_cast<uint32_t>(Activation::kNone);
  if (fits) return Status();
  return failure(
      EDGECL_E_UNSUPPORTED,
      "expected a bundle whose last layer is linear and makes the scores, for the head cosine; found another "
      "one in \"%s\"; export it with such a layer, or choose the head gradient",
      plan.string(plan.model->name));
}

void lay_out(Arena* arena, const Plan& plan, const format::RecipeRecord& recipe, Weights*, HeadMemory* memory) {
  arena->begin_region("head");
  CosineHead* const own = arena->take<CosineHead>(1);
  CosineHead head;
  head.scale = recipe.cosine_scale > 0 ? recipe.cosine_scale : kDefaultScale;
  head.class_rnorm = arena->take<float>(plan.model->class_capacity);
  head.class_projection = arena->take<float>(plan.model->class_capacity);
  if (arena->measuring() || arena->exhausted()) return;
  *own = head;
  memory->cosine = own;
}

// The last layer in a pass.
struct Layer {
  uint32_t param, bias;  // bias: kNone without
  Tensor z, scores;

  Layer(const Net& net, uint32_t rows, Mode mode) {
    const format::OpRecord& op = net.plan.ops[last_layer_op(net.plan)];
    param = op.params[0];
    bias = op.params[1];
    z = plan_tensor(net, op.inputs[0], rows, mode);
    scores = plan_tensor(net, op.output, rows, mode);
  }
};

// Calls visit(entry, class) for each stored entry of the weight.
template <class Visit>
void each_entry(const ParamWeights& weight, uint32_t inputs, uint32_t classes, const Visit& visit) {
  if (!weight.sparse) {  // [inputs][classes]
    for (uint32_t i = 0; i < inputs; i++) {
      for (uint32_t c = 0; c < classes; c++) visit(static_cast<uint64_t>(i) * classes + c, c);
    }
    return;
  }
  const SparsePattern& pattern = weight.pattern;  // rows are classes
  for (int32_t block = 0; block < pattern.n_blocks; block++) {
    const uint32_t* const start = pattern.row_start + static_cast<int64_t>(block) * pattern.rows;
    for (uint32_t c = 0; c < classes; c++) {
      for (uint32_t k = start[c]; k < start[c + 1]; k++) visit(k, c);
    }
  }
}

// The lanes of channel c in a group.
float* lanes_of(const Tensor& t, int32_t group, int32_t c) {
  return t.data + (static_cast<int64_t>(group) * t.channels + c) * t.lanes;
}

// Calls visit(group, first lane, lanes) for pieces of all rows.
template <class Visit>
void each_piece(const Tensor& t, uint32_t rows, const Visit& visit) {
  const int32_t groups = static_cast<int32_t>(rows) / t.lanes;
  for (int32_t group = 0; group < groups; group++) {
    for (int32_t lane = 0; lane < t.lanes; lane += kPiece)
      visit(group, lane, t.lanes - lane < kPiece ? t.lanes - lane : kPiece);
  }
}

void reciprocal_roots(float* x, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) x[i] = 1.0f / square_root(x[i] + kFloor);
}

// 1 / m_r of a piece of rows.
void row_rnorms(const Tensor& z, int32_t group, int32_t lane, int32_t n, float* rnorm) {
  for (int32_t l = 0; l < n; l++) rnorm[l] = 0;
  for (int32_t i = 0; i < z.channels; i++) {
    const float* const from = lanes_of(z, group, i) + lane;
    for (int32_t l = 0; l < n; l++) rnorm[l] += from[l] * from[l];
  }
  reciprocal_roots(rnorm, static_cast<uint32_t>(n));
}

void score(const HeadMemory& memory, const Net& net, uint32_t rows, Mode mode, const LayerProbe* probe) {
  forward_ops(net, rows, mode, last_layer_op(net.plan), net.plan.ops.n, probe);
  const CosineHead& head = *memory.cosine;
  const Layer layer(net, rows, mode);
  const ParamWeights& weight = net.weights.params[layer.param];
  const uint32_t classes = static_cast<uint32_t>(layer.scores.channels);
  memset(head.class_rnorm, 0, classes * sizeof(float));
  each_entry(weight, static_cast<uint32_t>(layer.z.channels), classes,
             [&](uint64_t k, uint32_t c) { head.class_rnorm[c] += weight.value[k] * weight.value[k]; });
  reciprocal_roots(head.class_rnorm, classes);
  const float* const bias = layer.bias == format::kNone ? nullptr : net.weights.params[layer.bias].value;
  each_piece(layer.z, rows, [&](int32_t group, int32_t lane, int32_t n) {
    float rnorm[kPiece];
    row_rnorms(layer.z, group, lane, n, rnorm);
    for (int32_t c = 0; c < layer.scores.channels; c++) {
      float* const s = lanes_of(layer.scores, group, c) + lane;
      const float factor = head.scale * head.class_rnorm[c], b = bias == nullptr ? 0 : bias[c];
      for (int32_t l = 0; l < n; l++) s[l] = (s[l] - b) * (factor * rnorm[l]);
    }
  });
}

// Gradients of scores to those of products, and what passes through the classes' norms.
void scale_gradients(const CosineHead& head, const Layer& layer, const Tensor& gradient, uint32_t rows) {
  memset(head.class_projection, 0, static_cast<size_t>(layer.scores.channels) * sizeof(float));
  each_piece(layer.z, rows, [&](int32_t group, int32_t lane, int32_t n) {
    float rnorm[kPiece];
    row_rnorms(layer.z, group, lane, n, rnorm);
    for (int32_t c = 0; c < layer.scores.channels; c++) {
      const float* const s = lanes_of(layer.scores, group, c) + lane;
      float* const g = lanes_of(gradient, group, c) + lane;
      const float factor = head.scale * head.class_rnorm[c];
      float sum = head.class_projection[c];
      for (int32_t l = 0; l < n; l++) {
        sum += g[l] * s[l];
        g[l] *= factor * rnorm[l];
      }
      head.class_projection[c] = sum;
    }
  });
  for (int32_t c = 0; c < layer.scores.channels; c++)
    head.class_projection[c] *= head.class_rnorm[c] * head.class_rnorm[c];
}

void project_weight_gradient(const CosineHead& head, const Net& net, const Layer& layer) {
  const ParamWork& work = net.work.params[layer.param];
  const ParamWeights& weight = net.weights.params[layer.param];
  if (work.role == Role::kTrains || work.role == Role::kSelected) {
    const uint8_t* const selection = work.role == Role::kSelected ? weight.selection : nullptr;
    each_entry(weight, static_cast<uint32_t>(layer.z.channels), static_cast<uint32_t>(layer.scores.channels),
               [&](uint64_t k, uint32_t c) {
                 if (selection == nullptr || selection[k] != 0)
                   work.gradient[k] -= head.class_projection[c] * weight.value[k];
               });
  }
  if (layer.bias == format::kNone || net.work.params[layer.bias].gradient == nullptr) return;
  memset(net.work.params[layer.bias].gradient, 0, static_cast<size_t>(layer.scores.channels) * sizeof(float));
}

// D_r less its part along z_r, but for the floor.
void project_input_gradient(const Layer& layer, const Tensor& gradient, uint32_t rows) {
  each_piece(layer.z, rows, [&](int32_t group, int32_t lane, int32_t n) {
    float rnorm[kPiece], product[kPiece] = {};
    row_rnorms(layer.z, group, lane, n, rnorm);
    for (int32_t i = 0; i < layer.z.channels; i++) {
      const float *const z = lanes_of(layer.z, group, i) + lane, *const d = lanes_of(gradient, group, i) + lane;
      for (int32_t l = 0; l < n; l++) product[l] += d[l] * z[l];
    }
    for (int32_t l = 0; l < n; l++) product[l] *= rnorm[l] * rnorm[l];
    for (int32_t i = 0; i < layer.z.channels; i++) {
      const float* const z = lanes_of(layer.z, group, i) + lane;
      float* const d = lanes_of(gradient, group, i) + lane;
      for (int32_t l = 0; l < n; l++) d[l] -= product[l] * z[l];
    }
  });
}

// Who looks at a layer's gradients sees them whole. The head is the last op, so its input's gradient is its own still.
void backward(const HeadMemory& memory, const Net& net, uint32_t rows, uint32_t n_records, const LayerProbe* probe) {
  if (n_records == 0) return;
  const CosineHead& head = *memory.cosine;
  const Layer layer(net, rows, Mode::kLearn);
  scale_gradients(head, layer, plan_tensor(net, net.plan.logits_gradient(), rows, Mode::kLearn), rows);
  for (uint32_t i = 0; i < n_records; i++) {
    const format::BackwardRecord& record = net.plan.backward[i];
    backward_records(net, rows, i, i + 1, nullptr);
    if (record.op == last_layer_op(net.plan)) {
      project_weight_gradient(head, net, layer);
      if (record.input_gradient[0] != format::kNone)
        project_input_gradient(layer, plan_tensor(net, record.input_gradient[0], rows, Mode::kLearn), rows);
    }
    if (probe && probe->after_backward) probe->after_backward(probe->user, record);
  }
}

// A column of zeros has no direction, and its first step would be as long as its length is small: it gets a random
// one of length 1, named by the label.
void forget_class(const HeadMemory&, const Net& net, uint32_t label) {
  zero_class_column(net, label);
  const Layer layer(net, 1, Mode::kPredict);
  ParamWeights* const weight = &net.weights.params[layer.param];
  if (weight->own == nullptr) return;
  const uint32_t inputs = static_cast<uint32_t>(layer.z.channels), classes = net.plan.model->class_capacity;
  uint64_t n = 0;
  each_entry(*weight, inputs, classes, [&](uint64_t, uint32_t c) { n += c == label; });
  if (n == 0) return;
  const float length = 1.0f / square_root(static_cast<float>(n));
  RandomStream random = {label, 0, 0};
  each_entry(*weight, inputs, classes, [&](uint64_t k, uint32_t c) {
    if (c == label) weight->own[k] = random.bounded(2) == 0 ? length : -length;
  });
}

// Its weights are parameters of the plan: no section of a state.
constexpr HeadKind kind() {
  HeadKind kind = {};
  kind.name = "cosine";
  kind.by_gradient = true;
  kind.check = check;
  kind.lay_out = lay_out;
  kind.score = score;
  kind.backward = backward;
  kind.forget_class = forget_class;
  return kind;
}

}  // namespace

const HeadKind kCosineHead = kind();

}  // namespace edgecl
