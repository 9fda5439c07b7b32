/* On a host: bundles as C arrays, with the digests and predictions that a life without a power cut gives.
 * host_vectors OUT.c DIGESTS.txt BUNDLE.ecl...
 * DIGESTS.txt is committed: a line "name boot sha256" each. Exit status 1 where this machine finds another digest; with
 * an empty file it prints the lines. Never here: the life itself (learner.c). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "example.h"

static unsigned char memory[1 << 20] __attribute__((aligned(64)));
static unsigned char bundle[1 << 18] __attribute__((aligned(64)));
static char list[1 << 14];

static size_t read_all(const char* path, void* bytes, size_t capacity) {
  FILE* file = fopen(path, "rb");
  const size_t n = file != NULL ? fread(bytes, 1, capacity, file) : 0;
  if (file == NULL || ferror(file) || n == capacity) {
    fprintf(stderr, "host_vectors: expected a file of less than %zu bytes; found \"%s\"\n", capacity, path);
    exit(3);
  }
  fclose(file);
  return n;
}

/* "keyword_ncm" of "bundles/keyword_ncm.ecl". */
static void name_of(const char* path, char name[64]) {
  const char* slash = strrchr(path, '/');
  snprintf(name, 64, "%s", slash != NULL ? slash + 1 : path);
  name[strcspn(name, ".")] = '\0';
}

static void fail(const char* what, edgecl_status status, const char* message) {
  fprintf(stderr, "host_vectors: %s: %s %s\n", what, edgecl_status_name(status), message);
  exit(1);
}

static uint32_t chip_session_bytes(const learner* l) {
  const edgecl_target chip = {sizeof chip, 4, "reference"};
  edgecl_session_config config;
  edgecl_sizes sizes = {.struct_size = sizeof sizes};
  edgecl_status status = learner_config(l->model, &config);
  if (status == EDGECL_OK) status = edgecl_session_sizes_for(l->model, &config, &chip, &sizes, NULL);
  if (status != EDGECL_OK) fail("sizes", status, "");
  return (uint32_t)((sizes.arena_bytes + 63) / 64 * 64);
}

/* The digest as text and whether the committed list has it; an empty list has all. */
static int is_known(const char* name, int boot, const uint8_t digest[32]) {
  char line[160];
  int n = snprintf(line, sizeof line, "%s %d ", name, boot);
  for (int i = 0; i < 32; i++) n += snprintf(line + n, sizeof line - (size_t)n, "%02x", digest[i]);
  puts(line);
  if (*list == '\0' || strstr(list, line) != NULL) return 1;
  fprintf(stderr, "host_vectors: expected a digest of the committed list; found %s\n", line);
  return 0;
}

static int write_input(FILE* out, const char* path, char* table, size_t room) {
  static const char kHex[] = "0123456789abcdef";
  static learner l;
  char name[64];
  const size_t n_bytes = read_all(path, bundle, sizeof bundle);
  int good = 1;
  name_of(path, name);
  edgecl_status status = learner_open(&l, bundle, n_bytes, memory, sizeof memory);
  if (status != EDGECL_OK) fail(name, status, l.error.message);

  fprintf(out, "static const unsigned char bundle_%s[] __attribute__((aligned(64))) =", name);
  for (size_t i = 0; i < n_bytes; i++) {
    if (i % 32 == 0) fputs(i == 0 ? "\n  \"" : "\"\n  \"", out);
    fprintf(out, "\\x%c%c", kHex[bundle[i] >> 4], kHex[bundle[i] & 15]);
  }
  fputs("\";\n", out);
  size_t at = strlen(table);
  at += (size_t)snprintf(table + at, room - at, "  {\"%s\", bundle_%s, %zu, %u,\n   {", name, name, n_bytes,
                         chip_session_bytes(&l));
  for (int boot = 0; boot < EXAMPLE_BOOTS; boot++) {
    uint8_t digest[32];
    status = learner_steps(&l, (uint32_t)boot * EXAMPLE_STEPS, EXAMPLE_STEPS);
    if (status == EDGECL_OK) status = edgecl_state_digest(l.session, digest);
    if (status != EDGECL_OK) fail(name, status, edgecl_session_error(l.session));
    good &= is_known(name, boot, digest);
    at += (size_t)snprintf(table + at, room - at, "%s{", boot ? ", " : "");
    for (int i = 0; i < 32; i++) at += (size_t)snprintf(table + at, room - at, "%u,", digest[i]);
    at += (size_t)snprintf(table + at, room - at, "}");
  }
  edgecl_prediction predictions[LEARNER_PREDICTIONS];
  status = learner_predict(&l, predictions);
  if (status != EDGECL_OK) fail(name, status, edgecl_session_error(l.session));
  at += (size_t)snprintf(table + at, room - at, "},\n   {");
  for (int i = 0; i < LEARNER_PREDICTIONS; i++) {
    at += (size_t)snprintf(table + at, room - at, "{%d, %af, %af, 0}, ", predictions[i].label,
                           (double)predictions[i].probability, (double)predictions[i].margin);
  }
  snprintf(table + at, room - at, "}},\n");
  learner_close(&l);
  return good;
}

int main(int argc, char** argv) {
  static char table[1 << 16] = "";
  int good = 1;
  if (argc < 4) return fputs("usage: host_vectors OUT.c DIGESTS.txt BUNDLE.ecl...\n", stderr), 2;
  list[read_all(argv[2], list, sizeof list)] = '\0';
  FILE* out = fopen(argv[1], "w");
  if (out == NULL) return perror(argv[1]), 3;
  fputs("/* Written by devices/firmware/host_vectors.c. */\n#include \"devices/firmware/example.h\"\n", out);
  for (int i = 3; i < argc; i++) good &= write_input(out, argv[i], table, sizeof table);
  fprintf(out, "const example_input example_inputs[] = {\n%s};\nconst uint32_t n_example_inputs = %d;\n", table,
          argc - 3);
  return fclose(out) == 0 && good ? 0 : 1;
}
