// The command `selftest`: opens a bundle in this process, compares the canary bit for bit, takes a state over, and
// measures time and memory, as one JSON line.
// Never here: what is too slow or too much (the caller knows what it allows).
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "canary.h"
#include "commands.h"
#include "failures.h"
#include "learned_state.h"
#include "measure.h"
#include "signature.h"
#include "synthetic.h"

typedef struct SelfTest {
  const char *canary_path, *score_path, *state_path, *from_path, *state_out, *key_text;
  int64_t n_predicts, seed;
  CheckedBundle bundle, from;
  Canary canary;  // with score_path alone: its samples and labels, which may be those of another bundle
  LearnedState state;
  edgecl_session* session;
  edgecl_session_config config;
  const char* came;  // what became of the state
  int64_t correct;   // rows of the canary, by the session with the state
  int64_t* ns;
} SelfTest;

// The bundle as it was shipped gives the host's bits.
static int compare_shipped(SelfTest* t, const SessionChoice* choice, Reason* reason) {
  int code = session_from_state(&t->bundle, NULL, choice, &t->session, &t->config, reason);
  if (code == kDone && t->canary_path != NULL) code = canary_compare(t->session, &t->canary, reason);
  return code;
}

// What was learned comes along, and the session that has it still answers.
static int take_state(SelfTest* t, const SessionChoice* choice, Reason* reason) {
  if (t->state_path == NULL) return kDone;
  int code = state_read(t->state_path, &t->state, reason);
  if (code != kDone || t->state.bytes == NULL) return code;
  if (t->from.model != NULL) code = state_carry(&t->from, &t->bundle, &t->state, reason);
  if (code != kDone) return code;
  edgecl_session_destroy(t->session);
  code = session_from_state(&t->bundle, &t->state, choice, &t->session, &t->config, reason);
  t->came = t->state.migrated ? "migrated" : "kept";
  if (code != kDone || t->state_out == NULL) return code;
  state_release(&t->state);
  code = state_of_session(t->session, &t->state, reason);
  return code == kDone ? state_write(t->state_out, &t->state, reason) : code;
}

static int measure(SelfTest* t, Reason* reason) {
  const int synthetic = t->canary.file == NULL;
  uint8_t* sample = malloc(t->bundle.sample_bytes);
  t->ns = malloc((size_t)t->n_predicts * sizeof *t->ns);
  if (sample == NULL || t->ns == NULL) return free(sample), say(reason, "expected memory; found none"), kInternal;
  Synthetic source = {1, t->bundle.info.input_elements, t->bundle.info.input_dtype == EDGECL_U8};
  int code = kDone;
  for (int64_t i = 0; i < t->n_predicts && code == kDone; i++) {
    const int32_t label = 0;
    int32_t drawn;
    edgecl_batch batch = {sizeof batch, t->bundle.info.input_dtype,    1,    0,
                          sample,       t->bundle.info.input_elements, NULL, NULL};
    if (synthetic) {
      synthetic_rows(&source, &label, 1, 1, sample, &drawn);
    } else {
      batch = canary_row(&t->canary, (uint32_t)(i % t->canary.rows));
    }
    edgecl_prediction out;
    const int64_t begin = monotonic_ns();
    const edgecl_status status = edgecl_predict(t->session, &batch, &out, sizeof out);
    t->ns[i] = monotonic_ns() - begin;
    if (status != EDGECL_OK) {
      say(reason, "predict: %s: %s", edgecl_status_name(status), edgecl_session_error(t->session));
      code = kNo;
    }
  }
  free(sample);
  return code;
}

static int test(SelfTest* t, const char* path, Reason* reason) {
  const SessionChoice choice = {NULL, 1, (uint64_t)t->seed, 0, 0};
  uint8_t key[SIGNATURE_KEY_BYTES];
  const char* why = t->key_text == NULL ? NULL : signature_read_key(t->key_text, key);
  if (why != NULL) return say(reason, "expected an Ed25519 public key after --key; found %s; correct it", why), kUsage;
  int code = checked_bundle_open(path, t->key_text == NULL ? NULL : key, &t->bundle, reason);
  if (code == kDone && t->from_path != NULL) code = checked_bundle_open(t->from_path, NULL, &t->from, reason);
  if (code == kDone && t->canary_path != NULL) code = canary_read(t->canary_path, &t->bundle, 1, &t->canary, reason);
  if (code == kDone && t->canary_path == NULL && t->score_path != NULL) {
    code = canary_read(t->score_path, &t->bundle, 0, &t->canary, reason);
  }
  if (code == kDone) code = compare_shipped(t, &choice, reason);
  if (code == kDone) code = take_state(t, &choice, reason);
  if (code == kDone) code = measure(t, reason);
  if (code == kDone && t->canary.file != NULL) t->correct = canary_count_correct(t->session, &t->canary);
  return code;
}

static void print_result(SelfTest* t) {
  const size_t n = (size_t)t->n_predicts;
  printf("{\"digest\": \"%s\", \"release\": %" PRIu64 ", \"kernel_level\": \"%s\", \"canary_rows\": %" PRIu32
         ", \"canary_labels\": %s, \"canary_correct\": %" PRId64
         ", \"state\": \"%s\", \"predict_p50_ms\": %.4f, "
         "\"predict_p95_ms\": %.4f, \"peak_rss_bytes\": %" PRIu64 "}\n",
         t->bundle.digest, t->bundle.release, edgecl_model_kernel_level(t->bundle.model), t->canary.rows,
         t->canary.labels ? "true" : "false", t->correct, t->came, (double)percentile(t->ns, n, 50) / 1e6,
         (double)percentile(t->ns, n, 95) / 1e6, peak_rss_bytes());
}

int command_selftest(int argc, char** argv) {
  SelfTest t;
  memset(&t, 0, sizeof t);
  t.n_predicts = 200;
  t.came = "none";
  const Argument known[] = {
      {"--canary", kText, &t.canary_path, 0, 0},         {"--score", kText, &t.score_path, 0, 0},
      {"--state", kText, &t.state_path, 0, 0},           {"--from", kText, &t.from_path, 0, 0},
      {"--state-out", kText, &t.state_out, 0, 0},        {"--key", kText, &t.key_text, 0, 0},
      {"--predict", kNumber, &t.n_predicts, 1, 1000000}, {"--seed", kNumber, &t.seed, 0, INT64_MAX}};
  if (!parse_arguments(argc, argv, 3, known, sizeof known / sizeof *known)) return kUsage;
  Reason reason = {""};
  const int code = test(&t, argv[1], &reason);
  if (code == kDone) {
    print_result(&t);
  } else {
    fprintf(stderr, "edgecl-run: %s\n", reason.text);
  }
  edgecl_session_destroy(t.session);
  checked_bundle_close(&t.bundle);
  checked_bundle_close(&t.from);
  canary_release(&t.canary);
  state_release(&t.state);
  free(t.ns);
  return code;
}
