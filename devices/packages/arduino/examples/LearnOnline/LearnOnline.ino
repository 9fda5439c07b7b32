// Learns online: each line on the serial port is LABEL,x1,x2,... (or ?,x1,... to predict only).
// Write model.h beside this file: edgecl export MODEL -o model.ecl --c-array model.h
#include <edgecl.h>

#include "model.h"

static uint8_t memory[96 * 1024] __attribute__((aligned(64)));
static float sample[512];
static edgecl_session* session;
static edgecl_model_info info;

static void stop(const char* what, edgecl_status status) {
  Serial.print(what);
  Serial.print(": ");
  Serial.println(edgecl_status_name(status));
  for (;;) delay(1000);
}

void setup() {
  Serial.begin(115200);
  edgecl_model* opened = nullptr;
  size_t model_bytes = 0;
  edgecl_status status = edgecl_model_size(model, sizeof model, nullptr, &model_bytes, nullptr);
  if (status != EDGECL_OK) stop("model", status);
  model_bytes = (model_bytes + 63) / 64 * 64;
  status = edgecl_model_init(model, sizeof model, nullptr, memory, model_bytes, &opened, nullptr);
  if (status != EDGECL_OK) stop("model", status);
  info.struct_size = sizeof info;
  status = edgecl_model_describe(opened, &info);
  if (status != EDGECL_OK || info.input_elements > sizeof sample / sizeof sample[0]) stop("sample", status);
  edgecl_session_config config = {};
  config.struct_size = sizeof config;
  status = edgecl_session_config_init(opened, &config);
  config.max_batch = 1;
  config.add_unseen_labels = 1;
  if (status == EDGECL_OK)
    status = edgecl_session_init(opened, &config, nullptr, memory + model_bytes, sizeof memory - model_bytes, &session,
                                 nullptr);
  if (status != EDGECL_OK) stop("session", status);
  Serial.println("ready");
}

void loop() {
  if (!Serial.available()) return;
  const bool labelled = Serial.peek() != '?';
  const int32_t label = labelled ? Serial.parseInt() : (Serial.read(), -1);
  for (uint64_t i = 0; i < info.input_elements; i++) sample[i] = Serial.parseFloat();
  edgecl_batch batch = {};
  batch.struct_size = sizeof batch;
  batch.dtype = EDGECL_F32;
  batch.n_samples = 1;
  batch.data = sample;
  batch.elements_per_sample = info.input_elements;
  edgecl_prediction prediction;
  edgecl_status status = edgecl_predict(session, &batch, &prediction, sizeof prediction);
  if (status == EDGECL_OK && labelled) status = edgecl_learn(session, &batch, &label, nullptr);
  if (status != EDGECL_OK) Serial.println(edgecl_status_name(status));
  Serial.print(prediction.label);
  Serial.print(',');
  Serial.println(prediction.probability, 4);
}
