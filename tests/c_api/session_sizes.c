/* session_sizes BUNDLE: the bytes that sessions really ask an allocator for on this machine, one line a configuration.
 * session_sizes BUNDLE LEVEL POINTER_BYTES: the same as edgecl_session_sizes_for says it of another machine.
 * Never here: which machines agree (tests/test_target_sizes.py compares the lines). */
#include <edgecl/edgecl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Room {
  size_t asked;
  void* block;
};

static void* allocate(void* user, size_t bytes, size_t alignment) {
  struct Room* room = user;
  room->asked = bytes;
  room->block = malloc(bytes + alignment);
  if (room->block == NULL) return NULL;
  return (unsigned char*)room->block + (alignment - (uintptr_t)room->block % alignment) % alignment;
}

static void release(void* user, void* memory, size_t bytes) {
  (void)memory;
  (void)bytes;
  free(((struct Room*)user)->block);
}

static int failed(const char* what, const edgecl_error* err) {
  fprintf(stderr, "%s: %s\n", what, err->message);
  return 1;
}

static int real_bytes(edgecl_model* model, const edgecl_session_config* config, edgecl_error* err, size_t* bytes) {
  struct Room room = {0, NULL};
  edgecl_session* session = NULL;
  edgecl_allocator allocator;
  edgecl_session_options options;
  memset(&allocator, 0, sizeof allocator);
  memset(&options, 0, sizeof options);
  allocator.struct_size = sizeof allocator;
  allocator.allocate = allocate;
  allocator.release = release;
  allocator.user = &room;
  options.struct_size = sizeof options;
  options.allocator = &allocator;
  if (edgecl_session_create(model, config, &options, &session, err) != EDGECL_OK) return failed("create", err);
  edgecl_session_destroy(session);
  *bytes = room.asked;
  return 0;
}

static int said_bytes(edgecl_model* model, const edgecl_session_config* config, const edgecl_target* target,
                      edgecl_error* err, size_t* bytes) {
  edgecl_sizes sizes;
  memset(&sizes, 0, sizeof sizes);
  sizes.struct_size = sizeof sizes;
  if (edgecl_session_sizes_for(model, config, target, &sizes, err) != EDGECL_OK) return failed("sizes", err);
  *bytes = (size_t)sizes.arena_bytes;
  return 0;
}

/* Turns on growth by gradient, where the bundle has sparse layers that learn. */
static int moves_structure(edgecl_model* model, edgecl_session_config* config) {
  const edgecl_session_config fixed = *config;
  edgecl_sizes sizes;
  memset(&sizes, 0, sizeof sizes);
  sizes.struct_size = sizeof sizes;
  config->structure = EDGECL_STRUCTURE_RIGL;
  config->structure_interval = 10;
  config->structure_updates = 5;
  config->structure_inter = 0.3f;
  config->structure_intra = 0.3f;
  config->gradient_mask = EDGECL_GRADIENT_DGM;
  config->gradient_interval = 5;
  config->gradient_keep = 0.5f;
  if (edgecl_session_sizes(model, config, &sizes, NULL) == EDGECL_OK) return 1;
  *config = fixed;
  return 0;
}

int main(int argc, char** argv) {
  static const uint32_t kBatches[] = {1, 10, 16, 33, 200};
  edgecl_error err;
  edgecl_model* model = NULL;
  edgecl_target target;
  size_t i;
  int bad = 0, moving = 0, learning;
  memset(&err, 0, sizeof err);
  err.struct_size = sizeof err;
  memset(&target, 0, sizeof target);
  target.struct_size = sizeof target;
  if (argc != 2 && argc != 4) return fprintf(stderr, "expected BUNDLE [LEVEL POINTER_BYTES]\n"), 2;
  if (argc == 4) {
    target.level = argv[2];
    target.pointer_bytes = (uint32_t)atoi(argv[3]);
  }
  if (edgecl_model_open_file(argv[1], NULL, &model, &err) != EDGECL_OK) return failed("open", &err);
  for (i = 0; i < sizeof kBatches / sizeof kBatches[0] && !bad; i++) {
    for (learning = 0; learning < 2 && !bad; learning++) {
      edgecl_session_config config;
      size_t bytes = 0;
      memset(&config, 0, sizeof config);
      config.struct_size = sizeof config;
      bad = edgecl_session_config_init(model, &config) != EDGECL_OK;
      config.max_batch = kBatches[i];
      config.n_threads = 1 + (uint32_t)(i % 3);
      config.predict_only = !learning;
      config.replay_capacity = learning ? 500 : 0;
      config.replay_batch = learning ? kBatches[i] : 0;
      config.method = EDGECL_METHOD_DERPP;
      config.momentum = 0.9f;
      if (learning && moves_structure(model, &config)) moving++;
      bad = bad ||
            (argc == 4 ? said_bytes(model, &config, &target, &err, &bytes) : real_bytes(model, &config, &err, &bytes));
      printf("batch %u %s: %lu\n", (unsigned)kBatches[i], learning ? "learning" : "predicting", (unsigned long)bytes);
    }
  }
  printf("%d with a moving structure\n", moving);
  return bad | (edgecl_model_close(model) != EDGECL_OK);
}
