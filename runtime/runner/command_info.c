// The commands `info` and `methods`: what a bundle holds, and the methods by name.
// Never here: sessions.
#include <inttypes.h>
#include <stdio.h>

#include "failures.h"
#include "quoted.h"
#include "runner.h"

int command_info(Runner* r) {
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
  return kDone;
}

// One JSON line a method, as `edgecl methods --json` has them.
int command_methods(void) {
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
  return kDone;
}
