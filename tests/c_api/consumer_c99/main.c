/* A program of a user, in strict C99: opens a bundle, learns from it, predicts, saves and restores what it learned.
 * Never here: anything but edgecl.h and the C library. */
#include <edgecl/edgecl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kBatch = 4, kSteps = 40 };

static int failed(const char* what, edgecl_status status, const char* sentence) {
  fprintf(stderr, "%s: %s: %s\n", what, edgecl_status_name(status), sentence);
  return 1;
}

/* Two kinds of samples that differ in their mean. */
static void make_batch(unsigned* state, uint64_t elements, float* samples, int32_t* labels) {
  uint32_t row;
  uint64_t i;
  for (row = 0; row < kBatch; row++) {
    *state = *state * 1103515245u + 12345u;
    labels[row] = (int32_t)(*state >> 16 & 1);
    for (i = 0; i < elements; i++) {
      *state = *state * 1103515245u + 12345u;
      samples[row * elements + i] = (float)(*state >> 16 & 0xff) / 255.0f + (labels[row] ? 1.0f : -1.0f);
    }
  }
}

static int learn(edgecl_session* session, const edgecl_batch* batch, const edgecl_model_info* info, float* samples) {
  unsigned state = 1;
  int32_t labels[kBatch];
  float first = 0, last = 0;
  int step;
  for (step = 0; step < kSteps; step++) {
    edgecl_learn_report report;
    edgecl_status status;
    memset(&report, 0, sizeof report);
    report.struct_size = sizeof report;
    make_batch(&state, info->input_elements, samples, labels);
    status = edgecl_learn(session, batch, labels, &report);
    if (status != EDGECL_OK) return failed("learn", status, edgecl_session_error(session));
    if (step == 0) first = report.loss_current;
    last = report.loss_current;
  }
  printf("loss of the current rows: %f, then %f\n", (double)first, (double)last);
  return last < 0.5f * first ? 0 : failed("learn", EDGECL_E_INTERNAL, "the loss did not fall");
}

static int predict(edgecl_session* session, const edgecl_batch* batch, const edgecl_model_info* info, float* samples) {
  unsigned state = 77;
  int32_t labels[kBatch];
  edgecl_prediction out[kBatch];
  edgecl_status status;
  int row, right = 0;
  make_batch(&state, info->input_elements, samples, labels);
  status = edgecl_predict(session, batch, out, sizeof out[0]);
  if (status != EDGECL_OK) return failed("predict", status, edgecl_session_error(session));
  for (row = 0; row < kBatch; row++) right += out[row].label == labels[row];
  printf("%d of %d right\n", right, kBatch);
  return right == kBatch ? 0 : failed("predict", EDGECL_E_INTERNAL, "a label that was learned is wrong");
}

static int save_and_restore(edgecl_session* session) {
  uint8_t before[32], after[32];
  size_t bytes = 0, written = 0;
  void* state = NULL;
  int good = edgecl_state_size(session, &bytes) == EDGECL_OK && (state = malloc(bytes)) != NULL;
  good = good && edgecl_state_export(session, state, bytes, &written) == EDGECL_OK && written == bytes;
  good = good && edgecl_state_digest(session, before) == EDGECL_OK;
  good = good && edgecl_session_reset(session) == EDGECL_OK;
  good = good && edgecl_state_import(session, state, written) == EDGECL_OK;
  good = good && edgecl_state_digest(session, after) == EDGECL_OK && memcmp(before, after, sizeof before) == 0;
  free(state);
  return good ? 0 : failed("state", EDGECL_E_INTERNAL, edgecl_session_error(session));
}

static int use_session(edgecl_session* session, const edgecl_model_info* info) {
  int32_t label = -1;
  int bad = 0;
  edgecl_batch batch;
  float* samples = malloc(kBatch * (size_t)info->input_elements * sizeof *samples);
  if (samples == NULL) return 1;
  memset(&batch, 0, sizeof batch);
  batch.struct_size = sizeof batch;
  batch.dtype = EDGECL_F32;
  batch.n_samples = kBatch;
  batch.data = samples;
  batch.elements_per_sample = info->input_elements;
  bad = edgecl_class_add(session, "low", &label) != EDGECL_OK ||
        edgecl_class_add(session, "high", &label) != EDGECL_OK || label != 1;
  bad = bad || learn(session, &batch, info, samples) || predict(session, &batch, info, samples) ||
        save_and_restore(session);
  free(samples);
  return bad;
}

/* The session in a block of the program's own, as firmware does it. */
static int use_model(edgecl_model* model, edgecl_error* err) {
  edgecl_model_info info;
  edgecl_session_config config;
  edgecl_sizes sizes;
  edgecl_session* session = NULL;
  edgecl_status status;
  unsigned char *block, *arena;
  int bad = 1;
  memset(&info, 0, sizeof info);
  memset(&config, 0, sizeof config);
  memset(&sizes, 0, sizeof sizes);
  info.struct_size = sizeof info;
  config.struct_size = sizeof config;
  sizes.struct_size = sizeof sizes;
  if (edgecl_model_describe(model, &info) != EDGECL_OK || edgecl_session_config_init(model, &config) != EDGECL_OK)
    return 1;
  config.max_batch = kBatch;
  config.method = EDGECL_METHOD_ER;
  status = edgecl_session_sizes(model, &config, &sizes, err);
  if (status != EDGECL_OK) return failed("sizes", status, err->message);
  block = malloc((size_t)sizes.arena_bytes + sizes.arena_alignment);
  if (block == NULL) return 1;
  arena = block + (sizes.arena_alignment - (uintptr_t)block % sizes.arena_alignment) % sizes.arena_alignment;
  status = edgecl_session_init(model, &config, NULL, arena, (size_t)sizes.arena_bytes, &session, err);
  if (status != EDGECL_OK) {
    failed("session", status, err->message);
  } else {
    bad = use_session(session, &info);
    edgecl_session_destroy(session);
  }
  free(block);
  return bad;
}

int main(int argc, char** argv) {
  edgecl_error err;
  edgecl_model* model = NULL;
  edgecl_status status;
  int bad;
  memset(&err, 0, sizeof err);
  err.struct_size = sizeof err;
  puts(edgecl_build_info());
  if (argc != 2) return 2;
  if (edgecl_version_number() != EDGECL_VERSION_NUMBER) return 3;
  status = edgecl_model_open_file(argv[1], NULL, &model, &err);
  if (status != EDGECL_OK) return failed("open", status, err.message);
  bad = use_model(model, &err);
  return edgecl_model_close(model) != EDGECL_OK || bad;
}
