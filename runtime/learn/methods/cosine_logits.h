// Cosine logits of the current rows: s * cos(w_c, h) in place of <w_c, h> + b_c, and their exact gradient.
// Never here: which rows learn by cosine (method_uer.cpp), the cross-entropy itself.
#ifndef EDGECL_RUNTIME_LEARN_METHODS_COSINE_LOGITS_H_
#define EDGECL_RUNTIME_LEARN_METHODS_COSINE_LOGITS_H_

#include <stdint.h>

#include "runtime/core/arena.h"
#include "runtime/core/executor.h"
#include "runtime/core/status.h"

namespace edgecl {

struct Session;

// With n_c = sqrt(|w_c|^2 + kCosineFloor), m_r = sqrt(|h_r|^2 + kCosineFloor), d = <w_c, h_r>: the logit is
// z = s * d / (n_c * m_r). Its gradients: dz/dd = s / (n_c * m_r), and with d held fixed dz/dw_c = -z * w_c / n_c^2,
// dz/dh_r = -z * h_r / m_r^2. Exact for z as written, so there is no special case: a zero vector has cosine 0 with all
// others, and what pulls it is bounded (its norm counts as 1e-3).
constexpr float kCosineFloor = 1e-6f;

// Work arrays of a step; null unless the method has a cosine term.
struct CosineMemory {
  float *row_rnorm, *class_rnorm;            // 1 / m_r [rows], 1 / n_c [columns]
  float *row_projection, *class_projection;  // sums of dL/dz * z over classes / m_r^2, over rows / n_c^2
};
CosineMemory lay_out_cosine(Arena* arena, uint64_t rows, uint64_t columns);

// The linear op that makes the logits by the dense trainable head weight and without an activation; kNone when there is
// no such op.
uint32_t cosine_head(const Plan& plan);
// E_UNSUPPORTED without one.
Status check_cosine_head(const Plan& plan);

// Replaces the current rows' logits of the last forward(kLearn). O((rows + columns) * embedding).
void write_cosine_logits(const Session& session);
// Turns their gradient, dL/dz as the loss wrote it, into dL/dd, from which the head's backward record makes its part of
// the gradients.
void scale_cosine_gradient(const Session& session);
// After the head's backward record (LayerProbe::after_backward; does nothing at others): adds the parts that pass
// through the norms, and takes the current rows out of the bias gradient. O((rows + columns) * embedding).
void add_norm_gradients(Session* session, const format::BackwardRecord& record);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_METHODS_COSINE_LOGITS_H_
