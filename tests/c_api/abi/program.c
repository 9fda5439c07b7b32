/* A program that another version of the header compiled, against the library of today: a whole life of a session, with
 * each struct in a block of its exact size and a guard behind it. ABI_LONGER: structs have fields that the library does
 * not know. Never here: names that version 1 of the header does not have. */
#include <edgecl/edgecl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kGuard = 32, kMostBlocks = 64, kRows = 2 };

static struct {
  unsigned char* bytes;
  size_t n;
} blocks[kMostBlocks];
static int n_blocks, n_failures;

static void expect(int good, const char* what) {
  if (good) return;
  fprintf(stderr, "expected %s\n", what);
  n_failures++;
}

static void* guarded(size_t n) {
  unsigned char* bytes = malloc(n + kGuard);
  if (bytes == NULL || n_blocks == kMostBlocks) exit(2);
  memset(bytes, 0, n);
  memset(bytes + n, 0xa5, kGuard);
  blocks[n_blocks].bytes = bytes;
  blocks[n_blocks++].n = n;
  return bytes;
}

static void* sized(size_t n) {
  const uint32_t size = (uint32_t)n;
  void* block = guarded(n);
  memcpy(block, &size, sizeof size);
  return block;
}

static void check_guards(void) {
  for (int i = 0; i < n_blocks; i++) {
    for (int k = 0; k < kGuard; k++) expect(blocks[i].bytes[blocks[i].n + k] == 0xa5, "no write behind a struct");
    free(blocks[i].bytes);
  }
}

#define NEW(type, name) type* name = sized(sizeof(type))

/* `call` with a tail that is not zero is refused with E_ARGUMENT, and with a clean one it succeeds. */
#ifdef ABI_LONGER
#define WITH_TAIL(object, call)                                                              \
  do {                                                                                       \
    (object)->future_number = 1;                                                             \
    expect((call) == EDGECL_E_ARGUMENT, "E_ARGUMENT for a field that is not known: " #call); \
    (object)->future_number = 0;                                                             \
    expect((call) == EDGECL_OK && (object)->future_pointer == NULL, "success: " #call);      \
  } while (0)
#else
#define WITH_TAIL(object, call) expect((call) == EDGECL_OK, "success: " #call)
#endif

static void* allocate(void* user, size_t bytes, size_t alignment) {
  (void)user;
  return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
static void release(void* user, void* memory, size_t bytes) {
  (void)user;
  (void)bytes;
  free(memory);
}
static uint64_t now_us(void* user) {
  static uint64_t time;
  (void)user;
  return ++time;
}

static edgecl_status open_and_close(const char* path, const edgecl_open_options* options, edgecl_error* err) {
  edgecl_model* model = NULL;
  const edgecl_status status = edgecl_model_open_file(path, options, &model, err);
  return status == EDGECL_OK ? edgecl_model_close(model) : status;
}

static edgecl_status create_and_destroy(edgecl_model* model, const edgecl_session_config* config,
                                        const edgecl_session_options* options) {
  edgecl_session* session = NULL;
  const edgecl_status status = edgecl_session_create(model, config, options, &session, NULL);
  edgecl_session_destroy(session);
  return status;
}

static void learn_and_predict(edgecl_session* session, const edgecl_model_info* info) {
  NEW(edgecl_batch, batch);
  NEW(edgecl_learn_report, report);
  NEW(edgecl_class_info, class_info);
  NEW(edgecl_stats, stats);
  edgecl_prediction* predictions = guarded(kRows * sizeof *predictions);
  edgecl_profile_event* events = guarded(3 * sizeof *events);
  float* samples = guarded(kRows * (size_t)info->input_elements * sizeof *samples);
  const int32_t labels[kRows] = {0, 1};
  size_t n_events = 0, n_dropped = 0;
  int32_t label = -1;
  for (uint64_t i = 0; i < info->input_elements; i++) samples[i] = 1.0f, samples[info->input_elements + i] = -1.0f;
  expect(edgecl_class_add(session, "a", &label) == EDGECL_OK && edgecl_class_add(session, "b", &label) == EDGECL_OK,
         "two classes");
  batch->dtype = EDGECL_F32;
  batch->n_samples = kRows;
  batch->data = samples;
  batch->elements_per_sample = info->input_elements;
#ifndef ABI_SHORTER /* which can hand in no hooks */
  expect(edgecl_profile_start(session, events, sizeof *events, 3) == EDGECL_OK, "a profile");
#endif
  WITH_TAIL(batch, edgecl_learn(session, batch, labels, NULL));
  WITH_TAIL(report, edgecl_learn(session, batch, labels, report));
  expect(report->step == 2 && report->loss > 0, "a report of the second step");
#ifndef ABI_SHORTER
  expect(edgecl_profile_stop(session, &n_events, &n_dropped) == EDGECL_OK && n_events == 3 && n_dropped > 0,
         "three events");
  for (int i = 0; i < 3; i++) expect(events[i].end_us > events[i].begin_us, "events one behind the other");
#else
  expect(edgecl_profile_start(session, events, sizeof *events, 3) == EDGECL_E_UNSUPPORTED, "no clock");
  expect(edgecl_profile_stop(session, &n_events, &n_dropped) == EDGECL_E_SEQUENCE, "no profile");
#endif
  for (int i = 0; i < 100; i++) expect(edgecl_learn(session, batch, labels, NULL) == EDGECL_OK, "a step");
  expect(edgecl_predict(session, batch, predictions, sizeof *predictions) == EDGECL_OK, "predictions");
  for (int i = 0; i < kRows; i++)
    expect(predictions[i].label == labels[i] && predictions[i].probability > 0.5f, "what was learned");
  WITH_TAIL(class_info, edgecl_class_describe(session, 1, class_info));
  expect(strcmp(class_info->name, "b") == 0 && class_info->samples_seen == 102, "the second class");
  WITH_TAIL(stats, edgecl_session_stats(session, stats));
  expect(stats->steps == 102, "102 steps");
}

static void ask_for_methods(edgecl_session_config* config) {
  NEW(edgecl_preset_info, preset);
  NEW(edgecl_error, err);
  uint32_t n_remove = 0, n_steps = 0, last = edgecl_preset_count();
  float rate = 0;
  expect(edgecl_preset_describe(last, preset) == EDGECL_E_NOT_FOUND, "no preset behind the last");
  for (uint32_t i = 0; i < last; i++) {
    WITH_TAIL(preset, edgecl_preset_describe(i, preset));
    expect(edgecl_session_config_preset(config, preset->name, err) == EDGECL_OK, "a preset by its name");
  }
  WITH_TAIL(config, edgecl_session_config_preset(config, "sparcl_derpp", err));
  expect(config->method == EDGECL_METHOD_DERPP && config->class_mask == 1, "the settings of sparcl-derpp");
  expect(edgecl_session_config_preset(config, "magic", err) == EDGECL_E_NOT_FOUND && strstr(err->message, "magic"),
         "a sentence about the name");
  WITH_TAIL(config, edgecl_schedule_removal(config, 1000, 2, &n_remove, err));
  expect(n_remove == 100, "a third of 30 % of the examples");
  WITH_TAIL(config, edgecl_schedule_rehearsal(config, 10, &n_steps, err));
  config->replay_batch = 3;
  config->replay_capacity = 8;
  config->alpha = config->beta = 1;
  WITH_TAIL(config, edgecl_replay_rows(config, &n_steps, err));
  expect(n_steps == 6, "two draws of three rows");
  WITH_TAIL(config, edgecl_schedule_rehearsal(config, 10, &n_steps, err));
  config->rate_schedule = EDGECL_RATE_LINEAR;
  WITH_TAIL(config, edgecl_schedule_rate(config, 0.5, &rate, err));
  expect(rate == config->learning_rate / 2 && n_steps == 0, "half the rate in the middle of a task");
  config->rate_floor = 2;
  expect(edgecl_schedule_rate(config, 0.5, &rate, err) == EDGECL_E_ARGUMENT && strstr(err->message, "rate_floor"),
         "a sentence about the field");
}

static void use(edgecl_model* model) {
  NEW(edgecl_model_info, info);
  NEW(edgecl_param_info, param);
  NEW(edgecl_op_info, op);
  NEW(edgecl_session_config, config);
  NEW(edgecl_session_config, found);
  NEW(edgecl_sizes, sizes);
  NEW(edgecl_hooks, hooks);
  NEW(edgecl_session_options, options);
  edgecl_session* session = NULL;
  WITH_TAIL(info, edgecl_model_describe(model, info));
  WITH_TAIL(param, edgecl_model_param(model, 0, param));
  WITH_TAIL(op, edgecl_model_op(model, 0, op));
  WITH_TAIL(config, edgecl_session_config_init(model, config));
  expect(config->max_batch > 0 && config->learning_rate > 0, "the recipe");
  config->max_batch = kRows;
  WITH_TAIL(config, edgecl_session_sizes(model, config, sizes, NULL));
  WITH_TAIL(sizes, edgecl_session_sizes(model, config, sizes, NULL));
  hooks->now_us = now_us;
#ifndef ABI_SHORTER
  options->hooks = hooks;
  WITH_TAIL(hooks, create_and_destroy(model, config, options));
#endif
  WITH_TAIL(options, create_and_destroy(model, config, options));
  WITH_TAIL(config, create_and_destroy(model, config, options));
  expect(edgecl_session_create(model, config, options, &session, NULL) == EDGECL_OK, "a session");
  WITH_TAIL(found, edgecl_session_config_get(session, found));
  expect(found->learning_rate == config->learning_rate && found->max_batch == kRows, "the configuration in force");
  learn_and_predict(session, info);
  edgecl_session_destroy(session);
  ask_for_methods(config);
}

int main(int argc, char** argv) {
  NEW(edgecl_error, err);
  NEW(edgecl_allocator, allocator);
  NEW(edgecl_open_options, options);
  edgecl_model* model = NULL;
  if (argc != 2) return 2;
  allocator->allocate = allocate;
  allocator->release = release;
  options->allocator = allocator;
  WITH_TAIL(err, open_and_close(argv[1], NULL, err));
  WITH_TAIL(options, open_and_close(argv[1], options, err));
  WITH_TAIL(allocator, open_and_close(argv[1], options, err));
  expect(edgecl_model_open_file("no such file", options, &model, err) == EDGECL_E_IO && err->status == EDGECL_E_IO &&
             strstr(err->message, "no such file") != NULL,
         "a sentence");
  if (edgecl_model_open_file(argv[1], options, &model, err) != EDGECL_OK) {
    fprintf(stderr, "open: %s\n", err->message);
    return 1;
  }
  use(model);
  expect(edgecl_model_close(model) == EDGECL_OK, "a model without sessions");
  check_guards();
  return n_failures != 0;
}
