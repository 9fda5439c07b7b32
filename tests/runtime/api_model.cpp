// Opening and describing models.
// Never here: damage of bundles (core_reader.cpp).
#include <stdlib.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;

edgecl_open_options fresh_options() {
  edgecl_open_options options = {};
  options.struct_size = sizeof options;
  return options;
}

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::vector<uint8_t>& bytes) {
    const char* folder = getenv("TMPDIR");
    path = std::string(folder ? folder : P_tmpdir) + "/edgecl_api_model_XXXXXX";
    const int file = mkstemp(path.data());
    CHECK(file >= 0 && write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    close(file);
  }
  ~TemporaryFile() { unlink(path.c_str()); }
  std::string path;
};

struct CountingAllocator {
  size_t n_live = 0, n_total = 0;
  bool refuse = false;
  edgecl_allocator hooks() { return {sizeof(edgecl_allocator), allocate, release, this}; }
  static void* allocate(void* user, size_t bytes, size_t alignment) {
    CountingAllocator* self = static_cast<CountingAllocator*>(user);
    if (self->refuse) return nullptr;
    self->n_live++;
    self->n_total++;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  }
  static void release(void* user, void* memory, size_t) {
    static_cast<CountingAllocator*>(user)->n_live--;
    free(memory);
  }
};

}  // namespace

TEST(open_from_a_file) {
  const std::vector<uint8_t> bytes = encode(image_net());
  const TemporaryFile file(bytes);
  edgecl_error err = fresh_error();
  edgecl_model* model = nullptr;
  CHECK_MESSAGE(edgecl_model_open_file(file.path.c_str(), nullptr, &model, &err) == EDGECL_OK, "%s", err.message);
  edgecl_session_config config = {};
  config.struct_size = sizeof config;
  CHECK(edgecl_session_config_init(model, &config) == EDGECL_OK);
  edgecl_session* session = nullptr;
  CHECK(edgecl_session_create(model, &config, nullptr, &session, &err) == EDGECL_OK);
  CHECK(edgecl_model_close(model) == EDGECL_E_SEQUENCE);
  edgecl_session_destroy(session);
  CHECK(edgecl_model_close(model) == EDGECL_OK);
}

TEST(files_that_cannot_be_opened) {
  edgecl_error err = fresh_error();
  edgecl_model* model = nullptr;
  CHECK(edgecl_model_open_file("no such file", nullptr, &model, &err) == EDGECL_E_IO);
  CHECK(strstr(err.message, "no such file") && strstr(err.message, "No such file or directory"));
  CHECK(edgecl_model_open_file(".", nullptr, &model, &err) == EDGECL_E_IO);
  const TemporaryFile empty({}), garbage(std::vector<uint8_t>(1000, 7));
  CHECK(edgecl_model_open_file(empty.path.c_str(), nullptr, &model, &err) == EDGECL_E_BUNDLE_CORRUPT);
  CHECK(edgecl_model_open_file(garbage.path.c_str(), nullptr, &model, &err) == EDGECL_E_BUNDLE_CORRUPT);
  CHECK(model == nullptr);
}

// A file that is cut or overwritten after it was opened changes nothing: the model has its own bytes.
TEST(a_read_file_may_change_afterwards) {
  const std::vector<uint8_t> bytes = encode(image_net());
  const TemporaryFile file(bytes);
  edgecl_error err = fresh_error();
  edgecl_model* model = nullptr;
  CHECK(edgecl_model_open_file(file.path.c_str(), nullptr, &model, &err) == EDGECL_OK);
  CHECK(truncate(file.path.c_str(), 0) == 0);
  edgecl_model_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_model_describe(model, &info) == EDGECL_OK && info.bundle_bytes == bytes.size());
  edgecl_session_config config = {};
  config.struct_size = sizeof config;
  CHECK(edgecl_session_config_init(model, &config) == EDGECL_OK);
  edgecl_session* session = nullptr;
  CHECK(edgecl_session_create(model, &config, nullptr, &session, &err) == EDGECL_OK);
  edgecl_session_destroy(session);
  CHECK(edgecl_model_close(model) == EDGECL_OK);
}

TEST(a_mapped_file_may_be_replaced_by_renaming) {
  const std::vector<uint8_t> bytes = encode(image_net());
  const TemporaryFile file(bytes), other(std::vector<uint8_t>(10, 1));
  edgecl_error err = fresh_error();
  edgecl_open_options options = fresh_options();
  options.placement = EDGECL_PLACEMENT_IN_PLACE;
  edgecl_model* model = nullptr;
  CHECK(edgecl_model_open_file(file.path.c_str(), &options, &model, &err) == EDGECL_OK);
  CHECK(rename(other.path.c_str(), file.path.c_str()) == 0);
  edgecl_model_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_model_describe(model, &info) == EDGECL_OK && strcmp(info.name, "net") == 0);
  CHECK(edgecl_model_close(model) == EDGECL_OK);
}

TEST(copied_bytes_may_go_and_need_no_alignment) {
  std::vector<uint8_t> bytes = encode(mlp());
  const size_t n = bytes.size();
  bytes.insert(bytes.begin(), 1);
  edgecl_error err = fresh_error();
  edgecl_open_options options = fresh_options();
  options.placement = EDGECL_PLACEMENT_COPY;
  size_t need = 0, in_place = 0;
  CHECK(edgecl_model_size(bytes.data() + 1, n, &options, &need, &err) == EDGECL_OK);
  CHECK(edgecl_model_size(bytes.data() + 1, n, nullptr, &in_place, &err) == EDGECL_OK && need == in_place + n);
  AlignedBytes memory(need);
  edgecl_model *model = nullptr, *other = nullptr;
  CHECK(edgecl_model_init(bytes.data() + 1, n, &options, memory.data(), need - 1, &model, &err) ==
        EDGECL_E_ARENA_TOO_SMALL);
  CHECK(edgecl_model_init(bytes.data() + 1, n, &options, memory.data(), need, &model, &err) == EDGECL_OK);
  CHECK(edgecl_model_open_memory(bytes.data() + 1, n, &options, &other, &err) == EDGECL_OK);
  memset(bytes.data(), 0, bytes.size());
  for (edgecl_model* m : {model, other}) {
    edgecl_class_info info = {};
    info.struct_size = sizeof info;
    CHECK(strcmp(edgecl_model_kernel_level(m), "") != 0 && edgecl_model_class(m, 0, &info) == EDGECL_E_NOT_FOUND);
    edgecl_param_info param = {};
    param.struct_size = sizeof param;
    CHECK(edgecl_model_param(m, 0, &param) == EDGECL_OK && param.rank == 2);
    CHECK(edgecl_model_close(m) == EDGECL_OK);
  }
}

// The name of the operator that is refused lies in bytes which are gone when the call returns.
TEST(refused_files_name_what_they_hold) {
  std::vector<uint8_t> bytes = encode(mlp());
  bytes[bytes.size() / 2] ^= 1;
  const TemporaryFile file(bytes);
  for (const uint32_t placement : {EDGECL_PLACEMENT_COPY, EDGECL_PLACEMENT_IN_PLACE}) {
    edgecl_error err = fresh_error();
    edgecl_open_options options = fresh_options();
    options.placement = placement;
    CountingAllocator counting;
    const edgecl_allocator allocator = counting.hooks();
    options.allocator = &allocator;
    edgecl_model* model = nullptr;
    CHECK(edgecl_model_open_file(file.path.c_str(), &options, &model, &err) == EDGECL_E_BUNDLE_CORRUPT);
    CHECK(model == nullptr && counting.n_total == 2 && counting.n_live == 0 && strstr(err.message, "expected"));
  }
}

TEST(open_options_are_checked) {
  AlignedBytes bytes(encode(mlp()));
  edgecl_error err = fresh_error();
  edgecl_model* model = nullptr;
  const auto open = [&](const edgecl_open_options& options) {
    return edgecl_model_open_memory(bytes.data(), bytes.size(), &options, &model, &err);
  };
  edgecl_open_options options = fresh_options();
  options.signature_policy = EDGECL_SIGNATURE_REQUIRED;
  CHECK(open(options) == EDGECL_E_BUNDLE_SIGNATURE && strstr(err.message, "0.1.0"));
  options.signature_policy = 2;
  CHECK(open(options) == EDGECL_E_ARGUMENT);
  options = fresh_options();
  options.placement = 3;
  CHECK(open(options) == EDGECL_E_ARGUMENT);
  options = fresh_options();
  options.level = "sse9";
  CHECK(open(options) == EDGECL_E_UNSUPPORTED && strstr(err.message, "edgecl_open_options.level"));
  CHECK(model == nullptr);
  options.level = "reference";
  CHECK(open(options) == EDGECL_OK && strcmp(edgecl_model_kernel_level(model), "reference") == 0);
  CHECK(edgecl_model_close(model) == EDGECL_OK);
  options = fresh_options();
  options.struct_size = offsetof(edgecl_open_options, level);  // a shorter one: every level will do
  options.level = "sse9";
  CHECK(open(options) == EDGECL_OK);
  CHECK(edgecl_model_close(model) == EDGECL_OK);
}

TEST(classes_of_a_bundle) {
  BundleSource source = mlp();
  source.classes = {{0, "zero"}, {2, "two"}};
  const Model model(source);
  edgecl_class_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_model_class(model.model, 1, &info) == EDGECL_OK && info.label == 2 && info.present == 1);
  CHECK(strcmp(info.name, "two") == 0 && info.samples_seen == 0);
  CHECK(edgecl_model_class(model.model, 2, &info) == EDGECL_E_NOT_FOUND);
}

TEST(open_in_the_callers_memory) {
  AlignedBytes bytes(encode(mlp()));
  edgecl_error err = fresh_error();
  size_t need = 0;
  CHECK(edgecl_model_size(bytes.data(), bytes.size(), nullptr, &need, &err) == EDGECL_OK && need > 0);
  AlignedBytes memory(need + 64);
  edgecl_model* model = nullptr;
  CHECK(edgecl_model_init(bytes.data(), bytes.size(), nullptr, memory.data(), need - 1, &model, &err) ==
        EDGECL_E_ARENA_TOO_SMALL);
  CHECK(edgecl_model_init(bytes.data(), bytes.size(), nullptr, memory.data() + 8, need, &model, &err) ==
        EDGECL_E_ARGUMENT);
  CHECK(edgecl_model_init(bytes.data() + 8, bytes.size() - 8, nullptr, memory.data(), need, &model, &err) != EDGECL_OK);
  CHECK(model == nullptr);
  CHECK_MESSAGE(edgecl_model_init(bytes.data(), bytes.size(), nullptr, memory.data(), need, &model, &err) == EDGECL_OK,
                "%s", err.message);
  CHECK(edgecl_model_close(model) == EDGECL_OK);
}

TEST(allocators_are_used_and_given_back) {
  AlignedBytes bytes(encode(mlp()));
  edgecl_error err = fresh_error();
  CountingAllocator counting;
  edgecl_allocator hooks = counting.hooks();
  edgecl_open_options open = fresh_options();
  open.allocator = &hooks;
  edgecl_session_options options = {};
  options.struct_size = sizeof options;
  options.allocator = &hooks;
  edgecl_model* model = nullptr;
  CHECK(edgecl_model_open_memory(bytes.data(), bytes.size(), &open, &model, &err) == EDGECL_OK && counting.n_live == 1);
  edgecl_session_config config = {};
  config.struct_size = sizeof config;
  CHECK(edgecl_session_config_init(model, &config) == EDGECL_OK);
  edgecl_session* session = nullptr;
  counting.refuse = true;
  CHECK(edgecl_session_create(model, &config, &options, &session, &err) == EDGECL_E_NO_MEMORY && session == nullptr);
  counting.refuse = false;
  CHECK(edgecl_session_create(model, &config, &options, &session, &err) == EDGECL_OK && counting.n_live == 2 &&
        counting.n_total == 3);  // with the scratch memory of the checks
  edgecl_session_destroy(session);
  CHECK(edgecl_model_close(model) == EDGECL_OK && counting.n_live == 0);
  hooks.release = nullptr;
  CHECK(edgecl_model_open_memory(bytes.data(), bytes.size(), &open, &model, &err) == EDGECL_E_ARGUMENT);
}

TEST(levels_are_chosen_by_the_environment) {
  AlignedBytes bytes(encode(mlp()));
  edgecl_error err = fresh_error();
  edgecl_model* model = nullptr;
  setenv("EDGECL_SIMD", "sse9", 1);
  CHECK(edgecl_model_open_memory(bytes.data(), bytes.size(), nullptr, &model, &err) == EDGECL_E_UNSUPPORTED &&
        model == nullptr);
  CHECK_MESSAGE(strstr(err.message, "sse9") && strstr(err.message, "reference"), "%s", err.message);
  const char* names[16];
  const int n = edgecl::kernel_levels(names, 16);
  for (int i = 0; i < n; i++) {
    CHECK(strstr(err.message, names[i]) != nullptr);
    setenv("EDGECL_SIMD", names[i], 1);
    CHECK(edgecl_model_open_memory(bytes.data(), bytes.size(), nullptr, &model, &err) == EDGECL_OK);
    CHECK(strcmp(edgecl_model_kernel_level(model), names[i]) == 0);
    CHECK(edgecl_model_close(model) == EDGECL_OK);
  }
  unsetenv("EDGECL_SIMD");
}

TEST(peek_and_verify) {
  const std::vector<uint8_t> source = encode(mlp());
  AlignedBytes bytes(source);
  edgecl_error err = fresh_error();
  edgecl_model_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_bundle_peek(bytes.data(), 64, &info, &err) == EDGECL_OK && info.bundle_bytes == source.size() &&
        info.format_version == 2);
  CHECK(edgecl_bundle_peek(bytes.data(), 10, &info, &err) == EDGECL_E_BUNDLE_CORRUPT);
  CHECK(edgecl_bundle_verify(bytes.data(), bytes.size(), nullptr, &err) == EDGECL_OK);
  const uint8_t key[32] = {1};
  edgecl_open_options options = fresh_options();
  options.public_key = key;
  CHECK(edgecl_bundle_verify(bytes.data(), bytes.size(), &options, &err) == EDGECL_E_BUNDLE_SIGNATURE);
  bytes.data()[bytes.size() - 1] ^= 1;
  CHECK(edgecl_bundle_verify(bytes.data(), bytes.size(), nullptr, &err) == EDGECL_E_BUNDLE_CORRUPT);
}

TEST(descriptions) {
  const Model model(mlp(0.5f));
  const edgecl_model_info& info = model.info;
  CHECK(strcmp(info.name, "net") == 0 && strcmp(info.producer, "test") == 0 && info.input_dtype == EDGECL_F32 &&
        info.input_rank == 1);
  CHECK(info.input_dims[0] == kFeatures && info.input_elements == kFeatures && info.embedding_dim == kHidden &&
        info.class_capacity == kColumns);
  CHECK(info.n_params == 4 && info.n_trainable_params == 4 && info.parity_rows == 0 && info.is_signed == 0);
  CHECK(info.weights_total == kFeatures * kHidden + kHidden + kHidden * kColumns + kColumns);
  CHECK(info.weights_stored < info.weights_total && info.weights_trainable == info.weights_total);
  CHECK(info.macs_forward == kFeatures * kHidden + kHidden * kColumns && info.macs_forward_sparse < info.macs_forward);
  edgecl_param_info layer = {};
  layer.struct_size = sizeof layer;
  CHECK(edgecl_model_param(model.model, 0, &layer) == EDGECL_OK && layer.sparse == 1 && layer.rank == 2 &&
        layer.trainable == 1);
  CHECK(layer.density == static_cast<float>(layer.stored) / (kFeatures * kHidden));
  CHECK(edgecl_model_param(model.model, 4, &layer) == EDGECL_E_NOT_FOUND);
  edgecl_op_info op = {};
  op.struct_size = sizeof op;
  uint64_t macs = 0;
  for (uint32_t i = 0; i < info.n_ops; i++) {
    CHECK(edgecl_model_op(model.model, i, &op) == EDGECL_OK && op.name && op.kind && op.output_bytes > 0);
    macs += op.macs_forward;
  }
  CHECK(macs == info.macs_forward_sparse);
  // The sparse layer: values and bias are weights, two bytes an entry are not.
  CHECK(edgecl_model_op(model.model, 0, &op) == EDGECL_OK && op.sparse == 1);
  CHECK(edgecl_model_param(model.model, 0, &layer) == EDGECL_OK);
  CHECK(op.index_bytes == 2 * layer.stored && op.weight_bytes == 4 * (layer.stored + kHidden));
  CHECK(edgecl_model_op(model.model, info.n_ops - 1, &op) == EDGECL_OK && op.sparse == 0 && op.index_bytes == 0);
  CHECK(edgecl_model_op(model.model, info.n_ops, &op) == EDGECL_E_NOT_FOUND);
  const Model images(image_net());
  CHECK(images.info.weights_total > images.info.weights_stored && images.info.embedding_dim == 4 &&
        images.info.input_dtype == EDGECL_U8);
  const Model kinds(encode(all_kinds_net()));
  const char* const named[] = {
      "quantize",  "int8_conv",  "int8_depthwise", "int8_add", "int8_max_pool", "int8_average_pool",
      "int8_mean", "dequantize", "dequantize",     "add",      "conv"};
  for (uint32_t i = 0; i < sizeof named / sizeof named[0]; i++)
    CHECK(edgecl_model_op(kinds.model, i, &op) == EDGECL_OK && strcmp(op.kind, named[i]) == 0);
  CHECK(edgecl_model_op(kinds.model, 1, &op) == EDGECL_OK && op.macs_forward == 9 * 3 * 5 * 81 &&
        op.weight_bytes == 7 * 64 + 4 * 64 && op.input_bytes == 3 * 81 && op.output_bytes == 5 * 81);
  CHECK(edgecl_model_op(kinds.model, 12, &op) == EDGECL_OK && strcmp(op.kind, "depthwise") == 0);
  CHECK(images.info.weights_total == 4 * 2 * 9 + 8 + 4 * 4 * 9 + 8 + 12 + 3);  // running statistics are not weights
}

RUN_TESTS()
