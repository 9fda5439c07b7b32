// The command `run`: learn steps, then predicts, and one JSON line of what was measured.
// Never here: opening, sessions.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocation_count.h"
#include "failures.h"
#include "measure.h"
#include "merge_text.h"
#include "replace_file.h"
#include "runner.h"

static size_t sample_bytes(const Runner* r) {
  return (size_t)r->info.input_elements * (r->info.input_dtype == EDGECL_U8 ? 1 : 4);
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
  char text[kMergeTextBytes];
  merge_text(&report, text);
  puts(text);
  return kDone;
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

int command_run(Runner* r) {
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
