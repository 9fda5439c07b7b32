// One prediction and one learn step of a bundle between marks that the emulator's plugin counts at: which instructions
// belong to which operator (instruction_gate.py). Prints one JSON document. Never here: counting, times.
//
// usage: instruction_probe BUNDLE BATCH WHAT     WHAT: "both", with one of each before them, uncounted; "step": the
// learn step alone, which is the first
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/include/edgecl/edgecl.h"

enum { kMostEvents = 4096 };
static const char* const kStages[] = {"input", "loss", "update", "replay"};  // EDGECL_EVENT_INPUT and below

// The clock of the session: the number of the call, which is also the number of the plugin's mark.
uint64_t instruction_mark(void* user);
__attribute__((noinline)) uint64_t instruction_mark(void* user) {
  static uint64_t calls;
  (void)user;
  return calls++;
}

// Noise: floats in [-0.5, 0.5), or any bytes (a linear congruential generator, Knuth's MMIX constants).
static void fill(void* samples, size_t n, int is_u8) {
  uint64_t state = 1;
  for (size_t i = 0; i < n; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    if (is_u8) {
      ((uint8_t*)samples)[i] = (uint8_t)(state >> 56);
    } else {
      ((float*)samples)[i] = (float)(state >> 40) / 16777216.0f - 0.5f;
    }
  }
}

static void must(int good, const char* what) {
  if (good) return;
  fprintf(stderr, "instruction_probe: expected %s to succeed; found otherwise\n", what);
  exit(1);
}

typedef struct Probe {
  edgecl_session* session;
  edgecl_batch batch;
  int32_t* labels;
  edgecl_prediction* predictions;
} Probe;

static void predict(const Probe* p) {
  must(edgecl_predict(p->session, &p->batch, p->predictions, sizeof *p->predictions) == EDGECL_OK, "a prediction");
}

static void learn(const Probe* p) {
  edgecl_learn_report report = {.struct_size = sizeof report};
  must(edgecl_learn(p->session, &p->batch, p->labels, &report) == EDGECL_OK, "a learn step");
}

static void print_text(const char* text) {
  putchar('"');
  for (; *text; text++) printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
  putchar('"');
}

// The pass, and what it was made of: [operator, kind, first mark, last mark], ...
static void run(const Probe* p, const edgecl_model* model, const char* name, void (*call)(const Probe*)) {
  static edgecl_profile_event events[kMostEvents];
  size_t n = 0, dropped = 0;
  must(edgecl_profile_start(p->session, events, sizeof events[0], kMostEvents) == EDGECL_OK, "a profile");
  const uint64_t begin = instruction_mark(NULL);
  call(p);
  const uint64_t end = instruction_mark(NULL);
  must(edgecl_profile_stop(p->session, &n, &dropped) == EDGECL_OK && dropped == 0, "a whole profile");
  printf("\"%s\": {\"marks\": [%" PRIu64 ", %" PRIu64 "], \"parts\": [", name, begin, end);
  for (size_t i = 0; i < n; i++) {
    edgecl_op_info op = {.struct_size = sizeof op, .name = "", .kind = "stage"};
    const uint32_t stage = EDGECL_EVENT_INPUT - events[i].op;
    if (stage < sizeof kStages / sizeof kStages[0]) {
      op.name = kStages[stage];
    } else {
      must(edgecl_model_op(model, events[i].op, &op) == EDGECL_OK, "an operator's description");
    }
    printf(i ? ", [" : "[");
    print_text(op.name);
    printf(", \"%s\", %" PRIu64 ", %" PRIu64 "]", op.kind, events[i].begin_us, events[i].end_us);
  }
  printf("]}");
}

int main(int argc, char** argv) {
  must(argc == 4, "three arguments");
  const uint32_t rows = (uint32_t)strtoul(argv[2], NULL, 10);
  const int both = strcmp(argv[3], "both") == 0;
  edgecl_model* model = NULL;
  edgecl_error err = {.struct_size = sizeof err};
  must(edgecl_model_open_file(argv[1], NULL, &model, &err) == EDGECL_OK, "opening the bundle");
  edgecl_model_info info = {.struct_size = sizeof info};
  must(edgecl_model_describe(model, &info) == EDGECL_OK, "its description");

  edgecl_session_config config = {.struct_size = sizeof config};
  must(edgecl_session_config_init(model, &config) == EDGECL_OK, "its recipe");
  config.max_batch = rows;
  config.add_unseen_labels = 1;
  const edgecl_hooks hooks = {.struct_size = sizeof hooks, .now_us = instruction_mark};
  const edgecl_session_options options = {.struct_size = sizeof options, .hooks = &hooks};
  Probe p = {NULL, {0}, calloc(rows, sizeof(int32_t)), calloc(rows, sizeof(edgecl_prediction))};
  must(edgecl_session_create(model, &config, &options, &p.session, &err) == EDGECL_OK, "the session");

  const size_t bytes = (size_t)info.input_elements * (info.input_dtype == EDGECL_U8 ? 1 : 4);
  void* samples = malloc(rows * bytes);
  must(samples && p.labels && p.predictions, "memory");
  fill(samples, (size_t)rows * info.input_elements, info.input_dtype == EDGECL_U8);
  for (uint32_t i = 0; i < rows; i++) p.labels[i] = (int32_t)(i % config.max_classes);
  p.batch = (edgecl_batch){sizeof p.batch, info.input_dtype, rows, 0, samples, info.input_elements, NULL, NULL};

  printf("{");
  if (both) {
    learn(&p);
    predict(&p);
    run(&p, model, "predict", predict);
    printf(", ");
  }
  run(&p, model, "learn step", learn);
  printf("}\n");
  edgecl_session_destroy(p.session);
  return edgecl_model_close(model) == EDGECL_OK ? 0 : 1;
}
