/* The calls, in the order of a product's start-up.
 * Never here: a C library beyond memcpy and memset. */
#include "learner.h"

#include <string.h>

enum { kClasses = 3 };

static uint32_t next_random(uint32_t* state) {
  *state = *state * 1664525u + 1013904223u; /* Numerical Recipes' generator: noise, of no quality */
  return *state >> 8;
}

/* A batch of noise around a level that tells the class. */
static edgecl_batch read_sensor(const learner* l, uint32_t step, int32_t* labels) {
  static float samples[LEARNER_BATCH * LEARNER_MAX_ELEMENTS];
  const uint32_t n = (uint32_t)l->info.input_elements;
  uint32_t random = step + 1;
  edgecl_batch batch;
  for (uint32_t i = 0; i < LEARNER_BATCH; i++) {
    labels[i] = (int32_t)(next_random(&random) % kClasses);
    for (uint32_t e = 0; e < n; e++)
      samples[i * n + e] = (float)(next_random(&random) & 0xffff) * (1.0f / 65536) + (float)labels[i] * 0.5f;
  }
  memset(&batch, 0, sizeof batch);
  batch.struct_size = sizeof batch;
  batch.dtype = EDGECL_F32;
  batch.n_samples = LEARNER_BATCH;
  batch.data = samples;
  batch.elements_per_sample = n;
  return batch;
}

edgecl_status learner_config(const edgecl_model* model, edgecl_session_config* config) {
  memset(config, 0, sizeof *config);
  config->struct_size = sizeof *config;
  const edgecl_status status = edgecl_session_config_init(model, config);
  config->max_batch = LEARNER_BATCH;
  config->add_unseen_labels = 1;
  config->seed = 3;
  return status;
}

static uint32_t up_to_64(uint64_t bytes) {
  return (uint32_t)((bytes + 63) / 64 * 64);
}

edgecl_status learner_open(learner* l, const void* bundle, size_t n_bytes, void* memory, size_t memory_bytes) {
  edgecl_session_config config;
  edgecl_sizes sizes;
  edgecl_status status;
  size_t model_bytes = 0;

  memset(l, 0, sizeof *l);
  l->error.struct_size = sizeof l->error;
  status = edgecl_model_size(bundle, n_bytes, NULL, &model_bytes, &l->error);
  if (status != EDGECL_OK) return status;
  l->model_bytes = up_to_64(model_bytes);
  if (l->model_bytes > memory_bytes) return EDGECL_E_NO_MEMORY;
  status = edgecl_model_init(bundle, n_bytes, NULL, memory, l->model_bytes, &l->model, &l->error);
  if (status != EDGECL_OK) return status;

  l->info.struct_size = sizeof l->info;
  status = edgecl_model_describe(l->model, &l->info);
  if (status != EDGECL_OK) return status;
  if (l->info.input_dtype != EDGECL_F32 || l->info.input_elements > LEARNER_MAX_ELEMENTS) return EDGECL_E_SHAPE;
  status = learner_config(l->model, &config);
  if (status != EDGECL_OK) return status;

  memset(&sizes, 0, sizeof sizes);
  sizes.struct_size = sizeof sizes;
  status = edgecl_session_sizes(l->model, &config, &sizes, &l->error);
  if (status != EDGECL_OK) return status;
  l->session_bytes = up_to_64(sizes.arena_bytes);
  if (l->session_bytes > memory_bytes - l->model_bytes) return EDGECL_E_NO_MEMORY;
  return edgecl_session_init(l->model, &config, NULL, (uint8_t*)memory + l->model_bytes, l->session_bytes, &l->session,
                             &l->error);
}

void learner_close(learner* l) {
  edgecl_session_destroy(l->session);
  (void)!edgecl_model_close(l->model);
}

edgecl_status learner_steps(learner* l, uint32_t from, uint32_t n) {
  int32_t labels[LEARNER_BATCH];
  for (uint32_t step = from; step < from + n; step++) {
    const edgecl_batch batch = read_sensor(l, step, labels);
    const edgecl_status status = edgecl_learn(l->session, &batch, labels, NULL);
    if (status != EDGECL_OK) return status;
  }
  return EDGECL_OK;
}

edgecl_status learner_predict(learner* l, edgecl_prediction* predictions) {
  int32_t labels[LEARNER_BATCH];
  const edgecl_batch batch = read_sensor(l, 1000, labels);
  return edgecl_predict(l->session, &batch, predictions, sizeof *predictions);
}
