// Sizes asked for other machines: what one level says of another is what a session takes there; long batches; refusals.
// Never here: other pointer widths than this build's being run (tests/test_target_sizes.py emulates them).
#include "kernels/kernels.h"
#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;

edgecl_sizes sizes_for(const Model& model, const edgecl_session_config& config, const char* level,
                       uint32_t pointer_bytes, edgecl_status expected = EDGECL_OK) {
  edgecl_target target = {};
  target.struct_size = sizeof target;
  target.level = level;
  target.pointer_bytes = pointer_bytes;
  edgecl_sizes sizes = {};
  sizes.struct_size = sizeof sizes;
  edgecl_error err = {};
  err.struct_size = sizeof err;
  const edgecl_status status = edgecl_session_sizes_for(model.model, &config, &target, &sizes, &err);
  CHECK_MESSAGE(status == expected, "%s: %s", level, err.message);
  return sizes;
}

struct Asked {
  size_t bytes = 0;
};
void* allocate(void* user, size_t bytes, size_t alignment) {
  static_cast<Asked*>(user)->bytes = bytes;
  return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
void release(void*, void* memory, size_t) {
  free(memory);
}

// What a session at `level`, which runs here, asks its allocator for.
size_t taken_at(const std::vector<uint8_t>& bundle, const char* level, uint32_t max_batch, uint32_t method) {
  setenv("EDGECL_SIMD", level, 1);
  const Model model(bundle);
  unsetenv("EDGECL_SIMD");
  CHECK(strcmp(edgecl_model_kernel_level(model.model), level) == 0);
  edgecl_session_config config = model.config();
  config.max_batch = max_batch;
  config.method = method;
  Asked asked;
  edgecl_allocator allocator = {};
  allocator.struct_size = sizeof allocator;
  allocator.allocate = allocate;
  allocator.release = release;
  allocator.user = &asked;
  edgecl_session_options options = {};
  options.struct_size = sizeof options;
  options.allocator = &allocator;
  edgecl_session* session = nullptr;
  CHECK(edgecl_session_create(model.model, &config, &options, &session, nullptr) == EDGECL_OK);
  edgecl_session_destroy(session);
  return asked.bytes;
}

}  // namespace

TEST(each_level_is_sized_by_every_other) {
  const char* levels[16];
  const int n = edgecl::kernel_levels(levels, 16);
  const std::vector<uint8_t> bundles[] = {encode(mlp(0.3f)), encode(residual_net()), encode(all_kinds_net())};
  for (const std::vector<uint8_t>& bundle : bundles) {
    const Model asked_at_best(bundle);
    for (const uint32_t method : {EDGECL_METHOD_ER, EDGECL_METHOD_DERPP}) {
      for (const uint32_t max_batch : {1u, 20u, 32u, 150u, 333u}) {
        edgecl_session_config config = asked_at_best.config();
        config.max_batch = max_batch;
        config.method = method;
        for (int i = 0; i < n; i++) {
          const edgecl_sizes sizes = sizes_for(asked_at_best, config, levels[i], sizeof(void*));
          CHECK_MESSAGE(sizes.arena_bytes == taken_at(bundle, levels[i], max_batch, method), "%s, batch %u", levels[i],
                        max_batch);
        }
      }
    }
  }
}

TEST(targets_differ_where_they_should) {
  const Model model(mlp());
  const edgecl_session_config config = model.config();
  const uint64_t wide = sizes_for(model, config, "reference", 8).arena_bytes,
                 narrow = sizes_for(model, config, "reference", 4).arena_bytes;
  CHECK(narrow < wide && narrow % 64 == 0);
  for (const char* level : {"x86-64-v1", "x86-64-v3", "x86-64-v4", "neon"})
    CHECK(sizes_for(model, config, level, 8).arena_bytes >= wide);
}

TEST(targets_that_do_not_exist) {
  const Model model(mlp());
  const edgecl_session_config config = model.config();
  sizes_for(model, config, "sse9", 8, EDGECL_E_ARGUMENT);
  sizes_for(model, config, nullptr, 8, EDGECL_E_ARGUMENT);
  sizes_for(model, config, "neon", 4, EDGECL_E_ARGUMENT);
  sizes_for(model, config, "reference", 16, EDGECL_E_ARGUMENT);
  edgecl_sizes here = {}, sizes = {};
  here.struct_size = sizes.struct_size = sizeof sizes;
  CHECK(edgecl_session_sizes(model.model, &config, &here, nullptr) == EDGECL_OK);
  CHECK(edgecl_session_sizes_for(model.model, &config, nullptr, &sizes, nullptr) == EDGECL_OK);
  CHECK(memcmp(&here, &sizes, sizeof here) == 0);
}

RUN_TESTS()
