/* A robot's control loop: one thread predicts at 100 Hz, another learns as fast as samples come.
 * control_loop BUNDLE [SECONDS]
 *
 * Each thread has a session of its own on one model. The learner exports its state into a buffer now and then and swaps
 * it into a mailbox; the control loop takes what is there, if anything, and never waits: while the learner holds the
 * lock, it goes on with the weights that it has. Importing costs time of a period, which is measured too.
 * Here the sensor is noise around a level of each class. Never here: real-time priorities, which are the system's. */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "common.h"

enum { kBatch = 8, kClasses = 3, kStepsAnExport = 16, kPeriodNs = 10 * 1000 * 1000 };

typedef struct Mailbox {
  pthread_mutex_t lock;
  void* state; /* the newest export; swapped, never copied, under the lock */
  size_t n_bytes;
  uint64_t version; /* 0: nothing yet */
  int stop;
} Mailbox;

typedef struct Shared {
  edgecl_model* model;
  edgecl_model_info info;
  Mailbox mailbox;
  uint64_t learn_steps;
  float first_loss, last_loss;
} Shared;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void read_sensor(uint32_t* random, uint64_t elements, float* sample, int32_t* label) {
  *random = *random * 1664525u + 1013904223u;
  *label = (int32_t)((*random >> 8) % kClasses);
  for (uint64_t i = 0; i < elements; i++) {
    *random = *random * 1664525u + 1013904223u;
    sample[i] = (float)(*random >> 16) / 65536.0f + (float)*label;
  }
}

/* The newest state for the loop, in exchange for the buffer that it had. */
static void publish(Mailbox* box, void** buffer, size_t n_bytes) {
  pthread_mutex_lock(&box->lock);
  void* const old = box->state;
  box->state = *buffer;
  box->n_bytes = n_bytes;
  box->version++;
  pthread_mutex_unlock(&box->lock);
  *buffer = old;
}

static void* learn(void* user) {
  Shared* const shared = user;
  edgecl_session* const session = make_session(shared->model, kBatch, 0);
  const uint64_t elements = shared->info.input_elements;
  float* const samples = malloc(kBatch * elements * sizeof *samples);
  int32_t labels[kBatch];
  uint32_t random = 1;
  void* buffer = NULL; /* grows with the state: a buffer of replayed samples fills */
  int stop = samples == NULL;
  while (!stop) {
    edgecl_learn_report report;
    memset(&report, 0, sizeof report);
    report.struct_size = sizeof report;
    for (uint32_t i = 0; i < kBatch; i++) read_sensor(&random, elements, samples + i * elements, &labels[i]);
    const edgecl_batch batch = batch_of(samples, kBatch, elements);
    must("learn", edgecl_learn(session, &batch, labels, &report), edgecl_session_error(session));
    if (shared->learn_steps++ == 0) shared->first_loss = report.loss_current;
    shared->last_loss = report.loss_current;
    if (shared->learn_steps % kStepsAnExport == 0) {
      size_t n = 0;
      must("state", edgecl_state_size(session, &n), "");
      void* const grown = realloc(buffer, n);
      if (grown == NULL) break;
      buffer = grown;
      must("state", edgecl_state_export(session, buffer, n, &n), edgecl_session_error(session));
      publish(&shared->mailbox, &buffer, n);
    }
    pthread_mutex_lock(&shared->mailbox.lock);
    stop = shared->mailbox.stop;
    pthread_mutex_unlock(&shared->mailbox.lock);
  }
  free(buffer);
  free(samples);
  edgecl_session_destroy(session);
  return NULL;
}

/* Takes a newer state if the lock is free. Returns the version that `session` has now. */
static uint64_t take_newest(Mailbox* box, edgecl_session* session, uint64_t version) {
  if (pthread_mutex_trylock(&box->lock) != 0) return version;
  if (box->version != version) {
    must("import", edgecl_state_import(session, box->state, box->n_bytes), edgecl_session_error(session));
    version = box->version;
  }
  pthread_mutex_unlock(&box->lock);
  return version;
}

static int by_value(const void* a, const void* b) {
  const int64_t x = *(const int64_t*)a, y = *(const int64_t*)b;
  return (x > y) - (x < y);
}

int main(int argc, char** argv) {
  static Shared shared;
  pthread_t learner;
  uint64_t version = 0;
  int right = 0, judged = 0, late = 0;
  if (argc < 2 || argc > 3) return fputs("usage: control_loop BUNDLE [SECONDS]\n", stderr), 2;
  const int periods = (int)(100 * (argc > 2 ? atof(argv[2]) : 3));
  if (periods < 1 || periods > 100 * 3600) return fputs("expected SECONDS in 0.01..3600\n", stderr), 2;
  edgecl_model* const model = open_model(argv[1], &shared.info);
  shared.model = model;
  pthread_mutex_init(&shared.mailbox.lock, NULL);
  edgecl_session* const session = make_session(model, 1, 1);
  const uint64_t elements = shared.info.input_elements;
  float* const sample = malloc(elements * sizeof *sample);
  int64_t* const spent = malloc((size_t)periods * sizeof *spent);
  if (sample == NULL || spent == NULL) return 70;
  if (pthread_create(&learner, NULL, learn, &shared) != 0) return 70;

  uint32_t random = 99;
  int64_t due = now_ns();
  for (int i = 0; i < periods; i++) {
    int32_t label = 0;
    edgecl_prediction prediction;
    const int64_t begin = now_ns();
    late += begin - due > kPeriodNs;
    version = take_newest(&shared.mailbox, session, version);
    read_sensor(&random, elements, sample, &label);
    const edgecl_batch batch = batch_of(sample, 1, elements);
    must("predict", edgecl_predict(session, &batch, &prediction, sizeof prediction), edgecl_session_error(session));
    spent[i] = now_ns() - begin; /* a motor would move here, by prediction.label */
    if (2 * i >= periods) judged++, right += prediction.label == label;
    due += kPeriodNs;
    const struct timespec until = {(time_t)(due / 1000000000), (long)(due % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
  }
  pthread_mutex_lock(&shared.mailbox.lock);
  shared.mailbox.stop = 1;
  pthread_mutex_unlock(&shared.mailbox.lock);
  pthread_join(learner, NULL);

  qsort(spent, (size_t)periods, sizeof *spent, by_value);
  printf("%d periods of 10 ms: p50 %.3f ms, p99 %.3f ms, longest %.3f ms; %d late\n", periods,
         (double)spent[periods / 2] / 1e6, (double)spent[periods * 99LL / 100] / 1e6, (double)spent[periods - 1] / 1e6,
         late);
  printf("learned %llu steps beside it, loss %.3f then %.3f; the loop took state %llu\n",
         (unsigned long long)shared.learn_steps, (double)shared.first_loss, (double)shared.last_loss,
         (unsigned long long)version);
  printf("right in the second half: %d of %d\n", right, judged);
  free(shared.mailbox.state);
  free(spent);
  free(sample);
  edgecl_session_destroy(session);
  pthread_mutex_destroy(&shared.mailbox.lock);
  return edgecl_model_close(model) == EDGECL_OK ? 0 : 70;
}
