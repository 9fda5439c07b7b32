/* The calls of firmware_learn, in the order of a product's start-up.
 * Never here: a C library. */
#include "learn.h"

#include <string.h>

enum { kMaxElements = 1024, kBatch = 4, kLabels = 3 };

static uint32_t next_random(uint32_t* state) {
  *state = *state * 1664525u + 1013904223u; /* Numerical Recipes' generator: the test wants bytes, not quality */
  return *state >> 8;
}

static void fill_batch(const edgecl_model_info* info, uint32_t* random, void* samples, int32_t* labels) {
  const uint32_t n = (uint32_t)info->input_elements;
  for (uint32_t i = 0; i < kBatch; i++) {
    labels[i] = (int32_t)(next_random(random) % kLabels);
    for (uint32_t e = 0; e < n; e++) {
      const uint32_t word = next_random(random);
      if (info->input_dtype == EDGECL_U8) {
        ((uint8_t*)samples)[i * n + e] = (uint8_t)word;
      } else {
        ((float*)samples)[i * n + e] = (float)(word & 0xffff) * (1.0f / 65536) + (float)labels[i] * 0.25f;
      }
    }
  }
}

static edgecl_status learn_steps(edgecl_session* session, const edgecl_model_info* info) {
  static union {
    float floats[kBatch * kMaxElements];
    uint8_t bytes[kBatch * kMaxElements];
  } samples;
  int32_t labels[kBatch];
  edgecl_batch batch;
  edgecl_prediction predictions[kBatch];
  uint32_t random = 1;
  memset(&batch, 0, sizeof batch);
  batch.struct_size = sizeof batch;
  batch.dtype = info->input_dtype;
  batch.n_samples = kBatch;
  batch.data = &samples;
  batch.elements_per_sample = info->input_elements;
  for (int step = 0; step < FIRMWARE_STEPS; step++) {
    edgecl_status status;
    fill_batch(info, &random, &samples, labels);
    status = edgecl_learn(session, &batch, labels, NULL);
    if (status == EDGECL_OK) status = edgecl_predict(session, &batch, predictions, sizeof predictions[0]);
    if (status != EDGECL_OK) return status;
  }
  return EDGECL_OK;
}

static uint32_t up_to_64(size_t bytes) {
  return (uint32_t)((bytes + 63) / 64 * 64);
}

static edgecl_status fail(firmware_result* result, edgecl_status status, const char* message) {
  const size_t most = sizeof result->message - 1;
  size_t n = 0;
  while (n < most && message[n] != '\0') n++;
  memcpy(result->message, message, n);
  result->message[n] = '\0';
  return status;
}

edgecl_status firmware_config(const edgecl_model* model, edgecl_session_config* config) {
  edgecl_status status;
  memset(config, 0, sizeof *config);
  config->struct_size = sizeof *config;
  status = edgecl_session_config_init(model, config);
  config->max_batch = kBatch;
  config->add_unseen_labels = 1;
  config->seed = 3;
  return status;
}

edgecl_status firmware_learn(const void* bundle, size_t n_bytes, void* memory, size_t memory_bytes,
                             firmware_result* result) {
  edgecl_model* model;
  edgecl_session* session;
  edgecl_model_info info;
  edgecl_session_config config;
  edgecl_sizes sizes;
  static edgecl_error error;
  edgecl_status status;
  size_t model_bytes;

  memset(result, 0, sizeof *result);
  memset(&error, 0, sizeof error);
  error.struct_size = sizeof error;
  status = edgecl_model_size(bundle, n_bytes, NULL, &model_bytes, &error);
  if (status != EDGECL_OK) return fail(result, status, error.message);
  result->model_bytes = up_to_64(model_bytes);
  if (result->model_bytes > memory_bytes) return fail(result, EDGECL_E_NO_MEMORY, "no room for the model");
  status = edgecl_model_init(bundle, n_bytes, NULL, memory, result->model_bytes, &model, &error);
  if (status != EDGECL_OK) return fail(result, status, error.message);

  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  status = edgecl_model_describe(model, &info);
  if (status != EDGECL_OK || info.input_elements > kMaxElements) return fail(result, EDGECL_E_SHAPE, "describe");
  status = firmware_config(model, &config);
  if (status != EDGECL_OK) return fail(result, status, "config");

  memset(&sizes, 0, sizeof sizes);
  sizes.struct_size = sizeof sizes;
  status = edgecl_session_sizes(model, &config, &sizes, &error);
  if (status != EDGECL_OK) return fail(result, status, error.message);
  result->arena_bytes = (uint32_t)sizes.arena_bytes;
  if (result->arena_bytes > memory_bytes - result->model_bytes) {
    return fail(result, EDGECL_E_NO_MEMORY, "no room for the session");
  }
  status = edgecl_session_init(model, &config, NULL, (uint8_t*)memory + result->model_bytes, result->arena_bytes,
                               &session, &error);
  if (status != EDGECL_OK) return fail(result, status, error.message);

  status = learn_steps(session, &info);
  if (status == EDGECL_OK) status = edgecl_state_digest(session, result->digest);
  if (status != EDGECL_OK) fail(result, status, edgecl_session_error(session));
  edgecl_session_destroy(session);
  if (edgecl_model_close(model) != EDGECL_OK) return fail(result, EDGECL_E_SEQUENCE, "close");
  return status;
}
