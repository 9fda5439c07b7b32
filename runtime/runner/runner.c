// Opening, the session, the arrays.
// Never here: what a command does with them.
#include "runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "failures.h"

int session_failed(const Runner* r, const char* what, edgecl_status status) {
  return library_failed(what, status, edgecl_session_error(r->session));
}

int open_bundle(Runner* r) {
  edgecl_error err = {.struct_size = sizeof err};
  edgecl_status status = edgecl_model_open_file(r->options.bundle, NULL, &r->model, &err);
  if (status != EDGECL_OK) return library_failed("open", status, err.message);
  r->info.struct_size = sizeof r->info;
  status = edgecl_model_describe(r->model, &r->info);
  return status == EDGECL_OK ? kDone : library_failed("describe", status, "the bundle could not be described");
}

static int import_state(Runner* r, const void* bytes, size_t n_bytes) {
  const edgecl_status status = edgecl_state_import(r->session, bytes, n_bytes);
  return status == EDGECL_OK ? kDone : session_failed(r, "state-in", status);
}

static int create_with_state(Runner* r, const void* state, size_t n_bytes) {
  edgecl_error err = {.struct_size = sizeof err};
  edgecl_session_config* c = &r->config;
  edgecl_hooks hooks = {.struct_size = sizeof hooks};
  const edgecl_session_options options = {.struct_size = sizeof options, .hooks = &hooks};
  c->struct_size = sizeof *c;
  edgecl_status status = edgecl_session_config_init(r->model, c);
  if (status != EDGECL_OK) return library_failed("recipe", status, "the bundle's recipe could not be read");
  // Domains are made on the device: no recipe knows how many there are.
  if (r->options.command == kCommandRoute && state != NULL) {
    status = edgecl_session_config_from_state(r->model, state, n_bytes, c, &err);
    if (status != EDGECL_OK) return library_failed("state-in", status, err.message);
  }
  if (r->options.batch > 0) c->max_batch = (uint32_t)r->options.batch;
  if (r->options.method != NULL) status = edgecl_session_config_preset(c, r->options.method, &err);
  if (status != EDGECL_OK) return library_failed("method", status, err.message), kUsage;
  if (r->options.capacity >= 0) c->replay_capacity = (uint32_t)r->options.capacity;
  if (r->options.merges >= 0) c->head_merges = (uint32_t)r->options.merges;
  if (r->options.command == kCommandPredict || r->options.command == kCommandRoute) c->predict_only = 1;
  c->add_unseen_labels = 1;
  c->seed = (uint64_t)r->options.seed;
  c->n_threads = (uint32_t)r->options.threads;
  if (c->n_threads > 1) {
    r->pool = thread_pool_create(c->n_threads);
    if (r->pool == NULL) return no_memory("threads");
    hooks.parallel_for = thread_pool_run;
    hooks.user = r->pool;
  }
  status = edgecl_session_create(r->model, c, &options, &r->session, &err);
  if (status != EDGECL_OK) return library_failed("session", status, err.message);
  const int code = state != NULL ? import_state(r, state, n_bytes) : kDone;
  if (code != kDone || r->options.device == 0) return code;
  status = edgecl_device_set(r->session, (uint64_t)r->options.device, 0);
  return status == EDGECL_OK ? kDone : session_failed(r, "device", status);
}

int create_session(Runner* r) {
  if (r->options.state_in == NULL) return create_with_state(r, NULL, 0);
  size_t n = 0;
  void* bytes = read_file(r->options.state_in, &n);
  if (bytes == NULL) return kInput;
  const int code = create_with_state(r, bytes, n);
  free(bytes);
  return code;
}

static const char* type_name(NpyType type) {
  return type == kNpyU8 ? "uint8" : type == kNpyF32 ? "float32" : "int32";
}

// An array with the wanted type, rows (0 = any number but none) and elements a row.
static int read_array(const char* path, NpyType type, uint64_t rows, uint64_t elements, NpyArray* array) {
  if (!read_npy(path, array)) return kInput;
  if (array->type == type && array->elements_per_row == elements && array->rows > 0 &&
      (rows == 0 || array->rows == rows)) {
    return kDone;
  }
  char wanted_rows[24] = "1 or more";
  if (rows != 0) snprintf(wanted_rows, sizeof wanted_rows, "%" PRIu64, rows);
  fprintf(stderr,
          "edgecl-run: %s: expected %s, %s rows of %" PRIu64 " elements; found %s, %" PRIu64 " rows of %" PRIu64
          "; hand in an array that fits the bundle\n",
          path, type_name(type), wanted_rows, elements, type_name(array->type), array->rows, array->elements_per_row);
  return kInput;
}

int load_data(Runner* r) {
  const NpyType type = r->info.input_dtype == EDGECL_U8 ? kNpyU8 : kNpyF32;
  edgecl_encoder_info encoder = {.struct_size = sizeof encoder};
  if (edgecl_model_encoder(r->model, &encoder) == EDGECL_OK) {
    fprintf(stderr,
            "note: this bundle has an encoder of another engine, which this program does not run; '%s' must hold "
            "its embeddings\n",
            r->options.data);
  }
  const int code = read_array(r->options.data, type, 0, r->info.input_elements, &r->data);
  if (code != kDone || r->options.labels == NULL) return code;
  return read_array(r->options.labels, kNpyI32, r->data.rows, 1, &r->labels);
}

void release(Runner* r) {
  edgecl_session_destroy(r->session);
  if (edgecl_model_close(r->model) != EDGECL_OK) fputs("edgecl-run: the model is still in use\n", stderr);
  thread_pool_destroy(r->pool);
  free(r->data.file);
  free(r->labels.file);
  free(r->synthetic_labels);
  free(r->batch_samples);
  free(r->batch_labels);
  free(r->learn_ns);
  free(r->predict_ns);
}
