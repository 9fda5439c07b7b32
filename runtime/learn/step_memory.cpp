// Layout of a step's work arrays.
// Never here: what a step does (learner.cpp, learn_step.cpp).
#include "runtime/learn/step_memory.h"

#include "runtime/heads/head.h"
#include "runtime/learn/inference.h"
#include "runtime/learn/replay/latent_replay.h"

namespace edgecl {

void lay_out_step(Arena* arena, const Plan& plan, const SessionConfig& config, StepMemory* step) {
  const uint64_t rows = config_step_rows(config);
  const uint64_t columns = plan.model->class_capacity;
  const bool learning = !config.predict_only;
  const bool by_gradient = head_kind(config.head)->by_gradient;
  const bool augment = learning && (config.augment_crop > 0 || config.augment_flip);
  arena->begin_region("step");
  StepMemory memory = {};
  memory.samples = arena->take<const void*>(rows);
  if (learning) {
    memory.labels = arena->take<int32_t>(rows);
    memory.loss_rows = arena->take<float>(rows);
    const uint64_t draws = config_draws(config) > 0 ? config_draws(config) : 1;  // a rehearsal makes one
    memory.slots = arena->take<uint32_t>(draws * config_draw_rows(config));
    memory.present = arena->take<uint8_t>(columns);
    memory.batch_classes = arena->take<uint8_t>(columns);
    memory.correct = arena->take<uint8_t>(config.max_batch);
    if (!by_gradient) memory.embeddings = arena->take<float>(config.max_batch * embedding_size(plan));
  }
  if (augment) {
    memory.crop_y = arena->take<int8_t>(rows);
    memory.crop_x = arena->take<int8_t>(rows);
    memory.flip = arena->take<uint8_t>(rows);
  }
  if (config_stores_logits(config)) {
    memory.targets = arena->take<const float*>(rows);
    memory.logits = arena->take<float>(config.max_batch * columns);
  }
  const Border border = config_border(plan, config);
  if (border.op != 0)
    memory.latents = arena->take<float>(config.max_batch * tensor_row_floats(plan.tensors[border.tensor]));
  if (learning && plan.exemplars.dtype == format::kElementI8)
    memory.raw_row = arena->take<float>(sample_elements(plan));
  if (learning && config.method == format::kMethodUer) memory.cosine = lay_out_cosine(arena, config.max_batch, columns);
  if (learning && config.gradient_mask == format::kGradientMigu) {
    uint32_t most = 0;
    for (const format::ParamRecord& param : plan.params) {
      if (param.storage == format::kStorageSparse && param.dims[0] > most) most = param.dims[0];
    }
    memory.row_scores = arena->take<float>(most);
    memory.row_chosen = arena->take<uint8_t>(most);
  }
  *step = memory;
}

}  // namespace edgecl
