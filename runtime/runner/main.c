// edgecl_run: opens a bundle on a device, describes it, predicts, or learns and prints what it measured as one JSON
// line. Never here: anything that the C API does not offer.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocation_count.h"
#include "edgecl/edgecl.h"
#include "measure.h"
#include "npy.h"
#include "options.h"
#include "replace_file.h"
#include "synthetic.h"
#include "thread_pool.h"

typedef struct Runner {
  Options options;
  edgecl_model* model;
  edgecl_session* session;
  ThreadPool* pool;
  edgecl_model_info info;
  edgecl_session_config config;
  int64_t main_ns;  // when main began
  // Samples: from files, or synthetic.
  NpyArray data, labels;
  Synthetic synthetic;
  int32_t* synthetic_labels;  // labels to draw from
  uint32_t n_synthetic_labels;
  uint64_t next_row;  // of the files; wraps around
  uint8_t* batch_samples;
  int32_t* batch_labels;
  // Measurements.
  int64_t *learn_ns, *predict_ns;
  int64_t first_step_at_ns;  // when the first learn step had ended; 0 = there was none
  uint64_t allocations_after_creation;
  edgecl_learn_report report;
} Runner;

static size_t sample_bytes(const Runner* r) {
  return (size_t)r->info.input_elements * (r->info.input_dtype == EDGECL_U8 ? 1 : 4);
}

// Every command gives one of these, the numbers that the command line `edgecl` has too.
enum ExitCode { kDone = 0, kNo = 1, kUsage = 2, kInput = 3, kInternal = 70 };

static int code_of(edgecl_status status) {
  switch (status) {
    case EDGECL_OK:
      return kDone;
    case EDGECL_E_BUNDLE_SIGNATURE:
      return kNo;
    case EDGECL_E_ARGUMENT:
    case EDGECL_E_SEQUENCE:
    case EDGECL_E_UNSUPPORTED:
      return kUsage;
    case EDGECL_E_NO_MEMORY:
    case EDGECL_E_ARENA_TOO_SMALL:
    case EDGECL_E_INTERNAL:
      return kInternal;
    default:
      return kInput;
  }
}

static int no_memory(const char* what) {
  fprintf(stderr, "edgecl_run: %s: expected memory; found none; ask for less\n", what);
  return kInternal;
}

static int library_failed(const char* what, edgecl_status status, const char* sentence) {
  fprintf(stderr, "edgecl_run: %s: %s: %s\n", what, edgecl_status_name(status), sentence);
  return code_of(status);
}

static int session_failed(const Runner* r, const char* what, edgecl_status status) {
  return library_failed(what, status, edgecl_session_error(r->session));
}

static int open_bundle(Runner* r) {
  edgecl_error err = {.struct_size = sizeof err};
  edgecl_status status = edgecl_model_open_file(r->options.bundle, NULL, &r->model, &err);
  if (status != EDGECL_OK) return library_failed("open", status, err.message);
  r->info.struct_size = sizeof r->info;
  status = edgecl_model_describe(r->model, &r->info);
  return status == EDGECL_OK ? kDone : library_failed("describe", status, "the bundle could not be described");
}

// A string of a bundle, which may hold anything, as JSON.
static void print_quoted(const char* text) {
  putchar('"');
  for (const unsigned char* c = (const unsigned char*)text; *c != '\0'; c++) {
    if (*c == '"' || *c == '\\')
      printf("\\%c", *c);
    else if (*c < 0x20)
      printf("\\u%04x", *c);
    else
      putchar(*c);
  }
  putchar('"');
}

static void print_info(const Runner* r) {
  const edgecl_model_info* m = &r->info;
  printf("{\"name\": ");
  print_quoted(m->name);
  printf(", \"producer\": ");
  print_quoted(m->producer);
  printf(", \"kernel_level\": \"%s\", \"bundle_bytes\": %" PRIu64 ", \"class_capacity\": %" PRIu32
         ", \"n_classes\": %" PRIu32 ", \"input_dtype\": \"%s\", \"input_elements\": %" PRIu64
         ", \"weights_total\": %" PRIu64 ", \"weights_trainable\": %" PRIu64 ", \"weights_stored\": %" PRIu64
         ", \"macs_forward_sparse\": %" PRIu64 ", \"macs_backward_sparse\": %" PRIu64 ", \"build\": \"%s\"}\n",
         edgecl_model_kernel_level(r->model), m->bundle_bytes, m->class_capacity, m->n_classes,
         m->input_dtype == EDGECL_U8 ? "u8" : "f32", m->input_elements, m->weights_total, m->weights_trainable,
         m->weights_stored, m->macs_forward_sparse, m->macs_backward_sparse, edgecl_build_info());
}

// One JSON line a method, as `edgecl methods --json` has them.
static void print_methods(void) {
  static const char* const kNeeds[] = {"replay", "sparse", "boundaries", "tail", "head"};  // bits of EDGECL_NEEDS_*
  for (uint32_t i = 0; i < edgecl_preset_count(); i++) {
    edgecl_preset_info info = {.struct_size = sizeof info};
    if (edgecl_preset_describe(i, &info) != EDGECL_OK) continue;
    printf("{\"name\": \"%s\", \"needs\": [", info.name);
    for (uint32_t bit = 0, n = 0; bit < sizeof kNeeds / sizeof kNeeds[0]; bit++) {
      if (info.needs >> bit & 1) printf("%s\"%s\"", n++ ? ", " : "", kNeeds[bit]);
    }
    printf("], \"title\": \"%s\", \"source\": \"%s\", \"compared\": \"%s\"}\n", info.title, info.source, info.compared);
  }
}

// A message of another device, before the first step; its report is a line of its own.
static int merge_message(Runner* r) {
  size_t n = 0;
  void* bytes = read_file(r->options.merge, &n);
  if (bytes == NULL) return kInput;
  edgecl_merge_report report = {.struct_size = sizeof report};
  const edgecl_status status = edgecl_merge(r->session, bytes, n, &report);
  free(bytes);
  if (status != EDGECL_OK) return session_failed(r, "merge", status);
  printf("{\"devices\": %" PRIu32 ", \"new\": %" PRIu32 ", \"newer\": %" PRIu32 ", \"known\": %" PRIu32
         ", \"classes_added\": %" PRIu32 ", \"classes_gone\": %" PRIu32 ", \"rows\": %" PRIu64 "}\n",
         report.n_devices, report.n_new, report.n_newer, report.n_known, report.n_classes_added, report.n_classes_gone,
         report.rows);
  return kDone;
}

static int import_state(Runner* r) {
  size_t n = 0;
  void* bytes = read_file(r->options.state_in, &n);
  if (bytes == NULL) return kInput;
  const edgecl_status status = edgecl_state_import(r->session, bytes, n);
  free(bytes);
  return status == EDGECL_OK ? kDone : session_failed(r, "state-in", status);
}

static int create_session(Runner* r) {
  edgecl_error err = {.struct_size = sizeof err};
  edgecl_session_config* c = &r->config;
  edgecl_hooks hooks = {.struct_size = sizeof hooks};
  const edgecl_session_options options = {.struct_size = sizeof options, .hooks = &hooks};
  c->struct_size = sizeof *c;
  edgecl_status status = edgecl_session_config_init(r->model, c);
  if (status != EDGECL_OK) return library_failed("recipe", status, "the bundle's recipe could not be read");
  if (r->options.batch > 0) c->max_batch = (uint32_t)r->options.batch;
  if (r->options.method != NULL) status = edgecl_session_config_preset(c, r->options.method, &err);
  if (status != EDGECL_OK) return library_failed("method", status, err.message), kUsage;
  if (r->options.capacity >= 0) c->replay_capacity = (uint32_t)r->options.capacity;
  if (r->options.merges >= 0) c->head_merges = (uint32_t)r->options.merges;
  if (r->options.command == kCommandPredict) c->predict_only = 1;
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
  const int code = r->options.state_in ? import_state(r) : kDone;
  if (code != kDone || r->options.device == 0) return code;
  status = edgecl_device_set(r->session, (uint64_t)r->options.device, 0);
  return status == EDGECL_OK ? kDone : session_failed(r, "device", status);
}

// The classes that are present; all columns when there are none yet.
static int choose_labels(Runner* r) {
  r->synthetic_labels = malloc(r->config.max_classes * sizeof(int32_t));
  if (r->synthetic_labels == NULL) return no_memory("labels");
  for (uint32_t label = 0; label < r->config.max_classes; label++) {
    edgecl_class_info info = {.struct_size = sizeof info};
    if (edgecl_class_describe(r->session, (int32_t)label, &info) == EDGECL_OK && info.present) {
      r->synthetic_labels[r->n_synthetic_labels++] = (int32_t)label;
    }
  }
  if (r->n_synthetic_labels > 0) return kDone;
  while (r->n_synthetic_labels < r->config.max_classes) {
    r->synthetic_labels[r->n_synthetic_labels] = (int32_t)r->n_synthetic_labels;
    r->n_synthetic_labels++;
  }
  return kDone;
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
          "edgecl_run: %s: expected %s, %s rows of %" PRIu64 " elements; found %s, %" PRIu64 " rows of %" PRIu64
          "; hand in an array that fits the bundle\n",
          path, type_name(type), wanted_rows, elements, type_name(array->type), array->rows, array->elements_per_row);
  return kInput;
}

static int load_data(Runner* r) {
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

static int prepare_samples(Runner* r) {
  const size_t bytes = sample_bytes(r);
  r->batch_samples = malloc(r->config.max_batch * bytes);
  r->batch_labels = malloc(r->config.max_batch * sizeof(int32_t));
  r->learn_ns = malloc(((size_t)r->options.learn_steps + 1) * sizeof(int64_t));
  r->predict_ns = malloc(((size_t)r->options.predict_steps + 1) * sizeof(int64_t));
  if (!r->batch_samples || !r->batch_labels || !r->learn_ns || !r->predict_ns) return no_memory("samples");
  r->synthetic.state = (uint64_t)r->options.seed + 1;
  r->synthetic.elements = r->info.input_elements;
  r->synthetic.is_u8 = r->info.input_dtype == EDGECL_U8;
  return r->options.data ? load_data(r) : choose_labels(r);
}

static edgecl_batch next_batch(Runner* r) {
  const size_t bytes = sample_bytes(r);
  if (r->options.data) {
    for (uint32_t i = 0; i < r->config.max_batch; i++) {
      memcpy(r->batch_samples + i * bytes, (const uint8_t*)r->data.data + r->next_row * bytes, bytes);
      if (r->labels.data) memcpy(&r->batch_labels[i], (const uint8_t*)r->labels.data + r->next_row * 4, 4);
      r->next_row = (r->next_row + 1) % r->data.rows;
    }
  } else {
    synthetic_rows(&r->synthetic, r->synthetic_labels, r->n_synthetic_labels, r->config.max_batch, r->batch_samples,
                   r->batch_labels);
  }
  const edgecl_batch batch = {
      sizeof batch, r->info.input_dtype, r->config.max_batch, 0, r->batch_samples, r->info.input_elements, NULL, NULL};
  return batch;
}

static int learn(Runner* r) {
  for (int64_t i = 0; i < r->options.learn_steps; i++) {
    const edgecl_batch batch = next_batch(r);
    r->report.struct_size = sizeof r->report;
    const int64_t begin = monotonic_ns();
    const edgecl_status status = edgecl_learn(r->session, &batch, r->batch_labels, &r->report);
    r->learn_ns[i] = monotonic_ns() - begin;
    if (status != EDGECL_OK) return session_failed(r, "learn", status);
    if (i == 0) r->first_step_at_ns = monotonic_ns();
  }
  return kDone;
}

static int predict(Runner* r, edgecl_prediction* out) {
  for (int64_t i = 0; i < r->options.predict_steps; i++) {
    const edgecl_batch batch = next_batch(r);
    const int64_t begin = monotonic_ns();
    const edgecl_status status = edgecl_predict(r->session, &batch, out, sizeof *out);
    r->predict_ns[i] = monotonic_ns() - begin;
    if (status != EDGECL_OK) return session_failed(r, "predict", status);
  }
  return kDone;
}

static int not_written(const char* path, const char* reason) {
  fprintf(stderr,
          "edgecl_run: expected to write \"%s\"; found: %s; name a file in a folder that can be written and has free "
          "space\n",
          path, reason);
  return kInput;
}

static int write_message(Runner* r) {
  size_t n = 0, written = 0;
  edgecl_status status = edgecl_delta_size(r->session, EDGECL_DELTA_OWN, &n);
  void* bytes = status == EDGECL_OK ? malloc(n) : NULL;
  if (status == EDGECL_OK && bytes == NULL) return no_memory("message-out");
  if (status == EDGECL_OK) status = edgecl_delta_export(r->session, EDGECL_DELTA_OWN, bytes, n, &written);
  const int code = status == EDGECL_OK ? kDone : session_failed(r, "message-out", status);
  const char* reason = code == kDone ? replace_file(r->options.message_out, bytes, written) : NULL;
  free(bytes);
  return reason == NULL ? code : not_written(r->options.message_out, reason);
}

static int write_state(Runner* r) {
  size_t n = 0, written = 0;
  edgecl_status status = edgecl_state_size(r->session, &n);
  void* bytes = status == EDGECL_OK ? malloc(n) : NULL;
  if (status == EDGECL_OK && bytes == NULL) return no_memory("state-out");
  if (status == EDGECL_OK) status = edgecl_state_export(r->session, bytes, n, &written);
  int code = status == EDGECL_OK ? kDone : session_failed(r, "state-out", status);
  const char* reason = code == kDone ? replace_file(r->options.state_out, bytes, written) : NULL;
  free(bytes);
  return reason == NULL ? code : not_written(r->options.state_out, reason);
}

static void print_times(const char* name, int64_t* ns, int64_t n) {
  printf(", \"%s_p50_ms\": %.4f, \"%s_p95_ms\": %.4f", name, (double)percentile(ns, n, 50) / 1e6, name,
         (double)percentile(ns, n, 95) / 1e6);
}

// From the start of the process to the end of the first learn step, by the launcher's clock or by what the kernel
// recorded.
static int64_t to_first_step_ns(const Runner* r, const char** reference) {
  if (r->options.spawned_ns >= 0) {
    *reference = "launcher";
    return r->first_step_at_ns - r->options.spawned_ns;
  }
  const int64_t since_start = since_process_start_ns(), since_main = monotonic_ns() - r->main_ns;
  *reference = since_start < 0 ? "main" : "kernel record, 10 ms steps";
  return (since_start < 0 ? 0 : since_start - since_main) + r->first_step_at_ns - r->main_ns;
}

static void print_measurements(Runner* r) {
  edgecl_stats stats = {.struct_size = sizeof stats};
  if (edgecl_session_stats(r->session, &stats) != EDGECL_OK) return;
  printf("{\"kernel_level\": \"%s\", \"threads\": %" PRIu32 ", \"batch\": %" PRIu32 ", \"learn_steps\": %" PRId64
         ", \"predict_steps\": %" PRId64,
         edgecl_model_kernel_level(r->model), r->config.n_threads, r->config.max_batch, r->options.learn_steps,
         r->options.predict_steps);
  printf(", \"peak_rss_bytes\": %" PRIu64 ", \"arena_bytes\": %" PRIu64 ", \"bundle_bytes\": %" PRIu64,
         peak_rss_bytes(), stats.arena_bytes, r->info.bundle_bytes);
  if (r->first_step_at_ns) {
    const char* reference = NULL;
    const double ms = (double)to_first_step_ns(r, &reference) / 1e6;
    printf(", \"ms_to_first_step\": %.3f, \"ms_to_first_step_from\": \"%s\"", ms, reference);
  }
  print_times("learn", r->learn_ns, r->options.learn_steps);
  print_times("predict", r->predict_ns, r->options.predict_steps);
  printf(", \"allocations_after_creation\": %" PRIu64 ", \"replay_fill\": %" PRIu32 ", \"macs_learn\": %" PRIu64
         ", \"loss\": %.9g",
         r->allocations_after_creation, stats.replay_fill, stats.macs_learn, (double)r->report.loss);
  if (r->options.print_sha) {
    uint8_t digest[32];
    if (edgecl_state_digest(r->session, digest) == EDGECL_OK) {
      printf(", \"state_sha256\": \"");
      for (int i = 0; i < 32; i++) printf("%02x", digest[i]);
      printf("\"");
    }
  }
  printf("}\n");
}

static int run(Runner* r) {
  const char* reason = r->options.state_out ? check_replaceable(r->options.state_out) : NULL;
  if (reason != NULL) return not_written(r->options.state_out, reason);
  reason = r->options.message_out ? check_replaceable(r->options.message_out) : NULL;
  if (reason != NULL) return not_written(r->options.message_out, reason);
  int code = create_session(r);
  if (code == kDone && r->options.merge) code = merge_message(r);
  if (code == kDone) code = prepare_samples(r);
  if (code != kDone) return code;
  edgecl_prediction* predictions = malloc(r->config.max_batch * sizeof *predictions);
  if (predictions == NULL) return no_memory("predict");
  const uint64_t before = allocation_count();
  code = learn(r);
  if (code == kDone) code = predict(r, predictions);
  r->allocations_after_creation = allocation_count() - before;
  free(predictions);
  if (code == kDone && r->options.state_out) code = write_state(r);
  if (code == kDone && r->options.message_out) code = write_message(r);
  if (code == kDone) print_measurements(r);
  return code;
}

static int predict_file(Runner* r) {
  int code = create_session(r);
  if (code == kDone) code = load_data(r);
  if (code != kDone) return code;
  edgecl_prediction* out = r->data.rows > UINT32_MAX ? NULL : malloc(r->data.rows * sizeof *out);
  if (out == NULL) return no_memory("predict");
  const edgecl_batch batch = {
      sizeof batch, r->info.input_dtype, (uint32_t)r->data.rows, 0, r->data.data, r->info.input_elements, NULL, NULL};
  const edgecl_status status = edgecl_predict(r->session, &batch, out, sizeof *out);
  for (uint64_t i = 0; status == EDGECL_OK && i < r->data.rows; i++) {
    printf("{\"row\": %" PRIu64 ", \"label\": %" PRId32 ", \"probability\": %.6f, \"margin\": %.6f}\n", i, out[i].label,
           (double)out[i].probability, (double)out[i].margin);
  }
  free(out);
  return status == EDGECL_OK ? kDone : session_failed(r, "predict", status);
}

static void release(Runner* r) {
  edgecl_session_destroy(r->session);
  if (edgecl_model_close(r->model) != EDGECL_OK) fputs("edgecl_run: the model is still in use\n", stderr);
  thread_pool_destroy(r->pool);
  free(r->data.file);
  free(r->labels.file);
  free(r->synthetic_labels);
  free(r->batch_samples);
  free(r->batch_labels);
  free(r->learn_ns);
  free(r->predict_ns);
}

// What was printed has arrived, or a line says that it has not (a full disk shows only here).
static int finish_output(void) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return kDone;
  fprintf(stderr, "edgecl_run: expected to write the output; found: %s; free space, or write it to another place\n",
          strerror(errno));
  return kInput;
}

int main(int argc, char** argv) {
  Runner r;
  memset(&r, 0, sizeof r);
  r.main_ns = monotonic_ns();
  if (!parse_options(argc, argv, &r.options)) return kUsage;
  int code = kDone;
  if (r.options.command == kCommandMethods) {
    print_methods();
  } else {
    code = open_bundle(&r);
    if (code == kDone && r.options.command == kCommandInfo) {
      print_info(&r);
    } else if (code == kDone) {
      code = r.options.command == kCommandPredict ? predict_file(&r) : run(&r);
    }
    release(&r);
  }
  const int output = finish_output();
  return code == kDone ? output : code;
}
