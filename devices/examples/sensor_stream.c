/* A stream of sensor readings on standard input, one sample a line: LABEL,x1,x2,... or ?,x1,x2,...
 * sensor_stream BUNDLE [STATE]
 *
 * Every line is predicted and printed; one with a label (a number of a class) is learned afterwards, so that the share
 * of right predictions at the end is of samples that were new. With STATE: goes on from that file if it is there, and
 * writes it at the end, beside and renamed, so that a power cut leaves the old one or the new one.
 * Never here: how samples come to be (for example: rtl_433, a serial port, a ROS bridge). */
#include <unistd.h>

#include "common.h"

static void read_state(edgecl_session* session, const char* path) {
  FILE* const file = fopen(path, "rb");
  if (file == NULL) return; /* the first run */
  long n = -1;
  void* bytes = NULL;
  if (fseek(file, 0, SEEK_END) == 0 && (n = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0)
    bytes = malloc((size_t)n);
  const int whole = bytes != NULL && fread(bytes, 1, (size_t)n, file) == (size_t)n;
  fclose(file);
  must(path, whole ? edgecl_state_import(session, bytes, (size_t)n) : EDGECL_E_STATE_CORRUPT,
       whole ? edgecl_session_error(session) : "expected a state that can be read");
  free(bytes);
}

static int write_state(const edgecl_session* session, const char* path) {
  char beside[4096];
  size_t n = 0;
  must("state", edgecl_state_size(session, &n), "");
  void* const bytes = malloc(n);
  if (bytes == NULL || snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside) return 70;
  must("state", edgecl_state_export(session, bytes, n, &n), edgecl_session_error(session));
  FILE* const file = fopen(beside, "wb");
  int good = file != NULL && fwrite(bytes, 1, n, file) == n && fflush(file) == 0 && fsync(fileno(file)) == 0;
  if (file != NULL) good = fclose(file) == 0 && good;
  free(bytes);
  if (!good || rename(beside, path) != 0) return perror(path), 3;
  return 0;
}

/* The numbers behind the first comma; 0: not as many as a sample has, or others behind them. */
static int read_numbers(char* at, uint64_t elements, float* sample) {
  for (uint64_t i = 0; i < elements; i++) {
    char* end;
    if (*at != ',') return 0;
    sample[i] = strtof(at + 1, &end);
    if (end == at + 1) return 0;
    at = end;
  }
  return *at == '\n' || *at == '\r' || *at == '\0';
}

int main(int argc, char** argv) {
  edgecl_model_info info;
  char* line = NULL;
  size_t room = 0;
  unsigned long row = 0, judged = 0, right = 0;
  if (argc < 2 || argc > 3) return fputs("usage: sensor_stream BUNDLE [STATE] < samples.csv\n", stderr), 2;
  edgecl_model* const model = open_model(argv[1], &info);
  edgecl_session* const session = make_session(model, 1, 0);
  float* const sample = malloc(info.input_elements * sizeof *sample);
  if (sample == NULL) return 70;
  if (argc > 2) read_state(session, argv[2]);
  while (getline(&line, &room, stdin) > 0) {
    char* rest;
    edgecl_prediction prediction;
    const long label = line[0] == '?' ? -1 : strtol(line, &rest, 10);
    if (line[0] == '?') rest = line + 1;
    row++;
    if (rest == line || label < -1 || label > INT32_MAX || !read_numbers(rest, info.input_elements, sample)) {
      fprintf(stderr, "line %lu: expected a label or ?, and %llu numbers behind commas; the line is left out\n", row,
              (unsigned long long)info.input_elements);
      continue;
    }
    const edgecl_batch batch = batch_of(sample, 1, info.input_elements);
    must("predict", edgecl_predict(session, &batch, &prediction, sizeof prediction), edgecl_session_error(session));
    printf("%d,%.4f\n", prediction.label, (double)prediction.probability);
    if (label < 0) continue;
    const int32_t known = (int32_t)label;
    judged++;
    right += prediction.label == known;
    must("learn", edgecl_learn(session, &batch, &known, NULL), edgecl_session_error(session));
  }
  fprintf(stderr, "%lu samples; predicted before they were learned: %lu of %lu right\n", row, right, judged);
  const int code = argc > 2 ? write_state(session, argv[2]) : 0;
  free(line);
  free(sample);
  edgecl_session_destroy(session);
  return edgecl_model_close(model) == EDGECL_OK ? code : 70;
}
