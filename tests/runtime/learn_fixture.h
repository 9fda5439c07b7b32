// Sessions over small bundles, deterministic samples, and an independent decoder of exported states.
// Never here: checks of one test file.
#ifndef EDGECL_TESTS_RUNTIME_LEARN_FIXTURE_H_
#define EDGECL_TESTS_RUNTIME_LEARN_FIXTURE_H_

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/include/edgecl/edgecl.h"
#include "tests/runtime/check.h"
#include "tests/runtime/core_nets.h"

namespace edgecl_test {

constexpr uint32_t kFeatures = 6, kHidden = 8, kColumns = 4;

// linear(6, 8) - relu - linear(8, 4) on float32 vectors; no class at first.
inline BundleSource mlp(float hidden_density = 1) {
  NetBuilder net(7);
  uint32_t x = net.input(kFeatures, 1, 1);
  net.source.input_dims = {kFeatures};
  x = net.linear(x, kHidden, hidden_density);
  x = net.activation(x, edgecl::Activation::kRelu);
  net.finish(net.linear(x, kColumns), x);
  net.source.classes.clear();
  net.source.momentum = 0;
  net.source.learning_rate = 0.05f;
  net.source.batch_size = 4;
  net.source.replay_batch = 3;
  net.source.replay_capacity = 8;
  net.source.alpha = 0.3f;
  net.source.beta = 0.5f;
  return net.source;
}

// The residual network of core_nets.h over uint8 images with crop and flip.
inline BundleSource image_net() {
  BundleSource source = residual_net(3);
  source.input_dtype = format::kInputU8;
  source.input_scale = 1.0f / 255;
  source.method = format::kMethodDerpp;
  source.replay_batch = 4;
  source.replay_capacity = 20;
  source.alpha = 0.2f;
  source.beta = 0.5f;
  source.learning_rate = 0.02f;
  source.augment_crop = 1;
  source.augment_flip = true;
  source.classes.clear();
  return source;
}

// conv - bn - relu - pool (frozen) - conv - bn - relu - gap - linear. `skip`: the frozen stem's output joins above the
// pool's successor too, so that two tensors cross there.
inline BundleSource tail_net(bool skip = false, bool follow = false) {
  NetBuilder net(6);
  uint32_t x = net.input(2, 6, 6);
  NetBuilder::ConvOptions frozen;
  frozen.trainable = false;
  x = net.conv(x, 4, frozen);
  x = net.batch_norm(x, edgecl::Activation::kRelu, format::kNone, !follow, false);
  x = net.pool(x, format::kOpMaxPool, 2, 2, 0);
  const uint32_t before = x;
  frozen.density = 0.6f;
  if (skip) x = net.conv(x, 4, frozen);
  NetBuilder::ConvOptions trained;
  trained.density = 0.5f;
  x = net.conv(x, 4, trained);
  x = net.batch_norm(x, edgecl::Activation::kRelu, skip ? before : format::kNone);
  x = net.global_pool(x);
  net.finish(net.linear(x, kColumns), x);
  BundleSource source = net.source;
  source.input_dtype = format::kInputU8;
  source.input_scale = 1.0f / 255;
  source.replay_batch = 5;
  source.replay_capacity = 12;
  source.alpha = 0.2f;
  source.beta = 0.5f;
  source.cosine_scale = 8;
  source.learning_rate = 0.03f;
  source.momentum = 0.9f;
  source.classes.clear();
  return source;
}

// conv (frozen, tapped) - relu - conv (of each domain) - mean - linear. Without `adapts` all but the last is frozen, and
// nothing tapped.
inline BundleSource domain_net(bool adapts = true) {
  NetBuilder net(5);
  uint32_t x = net.input(2, 4, 4);
  NetBuilder::ConvOptions frozen, own;
  frozen.trainable = false;
  x = net.conv(x, 5, frozen);
  x = net.activation(x, edgecl::Activation::kRelu);
  own.trainable = adapts;
  if (adapts) net.source.taps.push_back({x, true});
  x = net.conv(x, 6, own);
  x = net.activation(x, edgecl::Activation::kRelu);
  x = net.global_pool(x);
  net.finish(net.linear(x, kColumns), x);
  net.source.classes.clear();
  net.source.learning_rate = 0.05f;
  net.source.replay_batch = 3;
  net.source.replay_capacity = 12;
  return net.source;
}

// 6 samples of classes 0, 1, 2 in turn, of 60, 30 and 30 rows.
inline BundleSource with_exemplars(BundleSource source, uint32_t dtype) {
  constexpr uint32_t kSamples = 6;
  const uint32_t elements = source.tensors[0].channels * source.tensors[0].height * source.tensors[0].width;
  source.classes = {{0, "ant"}, {1, "bee"}, {2, "cat"}};
  source.exemplars.dtype = dtype;
  edgecl::RandomStream random = {5, 5, 0};
  for (uint32_t i = 0; i < kSamples; i++) {
    source.exemplars.labels.push_back(i % 3);
    for (uint32_t e = 0; e < elements; e++) {
      const uint32_t word = random.next_u32();
      const float x = static_cast<float>(word % 1000) / 500 - 1;
      const uint8_t* bytes = reinterpret_cast<const uint8_t*>(&x);
      if (dtype == format::kElementF32) {
        source.exemplars.samples.insert(source.exemplars.samples.end(), bytes, bytes + sizeof x);
      } else {
        source.exemplars.samples.push_back(static_cast<uint8_t>(word));
      }
    }
  }
  source.exemplars.rows = {{2, 30}, {0, 60}, {1, 30}};
  if (dtype == format::kElementI8) {
    source.exemplars.scale.assign(source.tensors[0].channels, 1.0f / 128);
    source.exemplars.offset.assign(source.tensors[0].channels, 0.5f);
  }
  return source;
}

// A file of 100 bytes that makes the samples of the source, [2][3][4] of uint8 with channels last.
inline BundleSource with_encoder(BundleSource source, uint32_t engine = format::kEngineOnnx) {
  edgecl::SourceEncoder& encoder = source.encoder;
  encoder.engine = engine;
  encoder.dtype = format::kInputU8;
  encoder.channels_last = true;
  encoder.dims = {2, 3, 4};
  encoder.scale = 1.0f / 255;
  encoder.mean.assign(4, 0.5f);
  encoder.inv_std.assign(4, 4.0f);
  encoder.n_probe = 3;
  for (uint32_t i = 0; i < 3 * source.tensors[0].channels; i++)
    encoder.probe_outputs.push_back(0.25f * static_cast<float>(i));
  for (uint32_t i = 0; i < 100; i++) encoder.file.push_back(static_cast<uint8_t>(i));
  return source;
}

inline std::vector<uint8_t> encode(const BundleSource& source) {
  std::string error;
  std::vector<uint8_t> bytes = edgecl::write_bundle(source, &error);
  CHECK_MESSAGE(!bytes.empty(), "%s", error.c_str());
  if (bytes.empty()) exit(1);
  return bytes;
}

inline edgecl_error fresh_error() {
  edgecl_error err = {};
  err.struct_size = sizeof err;
  return err;
}

// One model of a source; closes it at the end.
class Model {
 public:
  explicit Model(const BundleSource& source) : Model(encode(source)) {}
  explicit Model(const std::vector<uint8_t>& bundle) : bytes_(bundle) {
    edgecl_error err = fresh_error();
    const edgecl_status status = edgecl_model_open_memory(bytes_.data(), bytes_.size(), nullptr, &model, &err);
    CHECK_MESSAGE(status == EDGECL_OK, "%s", err.message);
    if (status != EDGECL_OK) exit(1);
    info.struct_size = sizeof info;
    CHECK(edgecl_model_describe(model, &info) == EDGECL_OK);
  }
  ~Model() { CHECK(edgecl_model_close(model) == EDGECL_OK); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  edgecl_session_config config() const {
    edgecl_session_config c = {};
    c.struct_size = sizeof c;
    CHECK(edgecl_session_config_init(model, &c) == EDGECL_OK);
    c.add_unseen_labels = 1;
    return c;
  }

  edgecl_model* model = nullptr;
  edgecl_model_info info = {};

 private:
  AlignedBytes bytes_;
};

// How a session of this configuration would come to be, and what it says.
inline edgecl_status create_status(const Model& model, const edgecl_session_config& config, std::string* message) {
  edgecl_session* session = nullptr;
  edgecl_error err = fresh_error();
  const edgecl_status status = edgecl_session_create(model.model, &config, nullptr, &session, &err);
  edgecl_session_destroy(session);
  *message = err.message;
  return status;
}

inline std::string digest_of(edgecl_session* session) {
  uint8_t digest[32];
  if (edgecl_state_digest(session, digest) != EDGECL_OK) return "none";
  char text[65];
  for (int i = 0; i < 32; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
  return text;
}

inline std::vector<uint8_t> export_of(edgecl_session* session) {
  size_t n = 0, written = 0;
  CHECK(edgecl_state_size(session, &n) == EDGECL_OK);
  std::vector<uint8_t> bytes(n);
  CHECK(edgecl_state_export(session, bytes.data(), n, &written) == EDGECL_OK && written == n);
  return bytes;
}

inline edgecl_hooks no_hooks() {
  edgecl_hooks hooks = {};
  hooks.struct_size = sizeof hooks;
  return hooks;
}

class Session {
 public:
  Session(const Model& model, const edgecl_session_config& config, const edgecl_hooks* hooks = nullptr)
      : model_(model), config_(config) {
    edgecl_session_options options = {};
    options.struct_size = sizeof options;
    options.hooks = hooks;
    edgecl_error err = {};
    err.struct_size = sizeof err;
    const edgecl_status status = edgecl_session_create(model.model, &config, &options, &session, &err);
    CHECK_MESSAGE(status == EDGECL_OK, "%s", err.message);
    if (status != EDGECL_OK) exit(1);
  }
  ~Session() { edgecl_session_destroy(session); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  edgecl_batch batch(const void* data, uint32_t n) const {
    return {sizeof(edgecl_batch), model_.info.input_dtype, n, 0, data, model_.info.input_elements, nullptr, nullptr};
  }
  edgecl_status learn(const void* data, const std::vector<int32_t>& labels, edgecl_learn_report* report = nullptr) {
    const edgecl_batch b = batch(data, static_cast<uint32_t>(labels.size()));
    return edgecl_learn(session, &b, labels.data(), report);
  }
  std::string digest() const { return digest_of(session); }
  std::vector<uint8_t> state() const { return export_of(session); }
  edgecl_stats stats() const {
    edgecl_stats s = {};
    s.struct_size = sizeof s;
    CHECK(edgecl_session_stats(session, &s) == EDGECL_OK);
    return s;
  }
  const edgecl_session_config& config() const { return config_; }

  edgecl_session* session = nullptr;

 private:
  const Model& model_;
  edgecl_session_config config_;
};

// Samples and labels of a stream that a seed fixes.
class Stream {
 public:
  Stream(const edgecl_model_info& info, uint64_t seed) : info_(info), random_{seed, 99, 0} {}
  // n samples whose labels are in [first, first + n_labels).
  void next(uint32_t n, uint32_t first = 0, uint32_t n_labels = 2) {
    labels.clear();
    floats.clear();
    bytes.clear();
    for (uint32_t i = 0; i < n; i++) {
      labels.push_back(static_cast<int32_t>(first + random_.bounded(n_labels)));
      for (uint64_t e = 0; e < info_.input_elements; e++) {
        bytes.push_back(static_cast<uint8_t>(random_.next_u32()));
        floats.push_back(2 * random_.next_float() - 1 + 0.3f * static_cast<float>(labels.back()));
      }
    }
  }
  const void* data() const {
    return info_.input_dtype == EDGECL_U8 ? static_cast<const void*>(bytes.data()) : floats.data();
  }

  std::vector<int32_t> labels;
  std::vector<float> floats;
  std::vector<uint8_t> bytes;

 private:
  edgecl_model_info info_;
  edgecl::RandomStream random_;
};

// What an exported state says, read by the layout of runtime/state/FORMAT.md without the library's code.
struct DecodedState {
  struct Param {
    uint32_t index = 0, storage = 0;
    std::vector<uint32_t> positions;
    std::vector<float> values, velocity;
    std::vector<uint8_t> selection;
  };
  struct Exemplar {
    int32_t label = 0;
    std::vector<uint8_t> sample;
    std::vector<float> logits;
  };
  uint32_t flags = 0, logits_width = 0;
  uint64_t sample_bytes = 0, seed = 0, step = 0, seen = 0, steps_in_task = 0, structure_updates = 0;
  uint32_t mask_stale = 0;
  std::vector<Param> params;
  std::vector<uint32_t> labels_present;
  std::vector<Exemplar> replay;
};

class StateDecoder {
 public:
  explicit StateDecoder(const std::vector<uint8_t>& bytes) : bytes_(bytes.data()) {}
  DecodedState decode() {
    DecodedState s;
    CHECK(memcmp(bytes_, "ECS2", 4) == 0);
    begin(1);
    p_ += 12;
    s.flags = u32();
    p_ += 8;
    s.sample_bytes = u32();
    s.logits_width = u32();
    begin(2);
    s.seed = u64();
    s.step = u64();
    begin(3);
    const uint32_t n_params = list();
    for (uint32_t i = 0; i < n_params; i++) {
      DecodedState::Param param;
      param.index = u32();
      param.storage = u32();
      const uint64_t n = u64();
      for (uint64_t k = 0; k < n && param.storage == 1; k++) param.positions.push_back(u32());
      param.values = floats(n);
      if (s.flags & 2) param.velocity = floats(n);
      if ((s.flags & 4) && param.storage == 1) {
        param.selection.assign(p_, p_ + n);
        p_ += n;
      }
      s.params.push_back(param);
    }
    begin(4);
    for (uint32_t i = list(); i > 0; i--) {
      p_ += 4;
      floats(2ull * u32());
    }
    begin(5);
    for (uint32_t i = list(); i > 0; i--) {
      const uint32_t label = u32();
      if (u32()) s.labels_present.push_back(label);
      p_ += 8;
      p_ += u32();
    }
    begin(6);
    s.seen = u64();
    p_ += 16;
    for (uint32_t i = list(); i > 0; i--) {
      DecodedState::Exemplar e;
      e.label = static_cast<int32_t>(u32());
      e.sample.assign(p_, p_ + s.sample_bytes);
      p_ += s.sample_bytes;
      e.logits = floats(s.logits_width);
      s.replay.push_back(e);
    }
    begin(7);
    s.steps_in_task = u64();
    s.structure_updates = u64();
    p_ += 56;
    s.mask_stale = u32();
    p_ += 4;
    CHECK(p_ == end_);
    return s;
  }

 private:
  // To the contents of a section; ids are places in the table, from 1.
  void begin(uint32_t id) {
    CHECK(id <= 3 || p_ == end_);  // of the first two only a part is decoded
    p_ = bytes_ + 64 * id;
    CHECK(u32() == id && u32() == 1);
    p_ += 8;
    const uint64_t offset = u64(), length = u64();
    p_ = bytes_ + offset;
    end_ = p_ + length;
  }
  uint32_t list() {
    const uint32_t n = u32();
    p_ += 4;
    return n;
  }
  uint32_t u32() {
    const uint32_t x = p_[0] | p_[1] << 8 | p_[2] << 16 | static_cast<uint32_t>(p_[3]) << 24;
    p_ += 4;
    return x;
  }
  uint64_t u64() {
    const uint64_t low = u32();
    return low | static_cast<uint64_t>(u32()) << 32;
  }
  std::vector<float> floats(uint64_t n) {
    std::vector<float> x(n);
    for (float& f : x) {
      const uint32_t b = u32();
      memcpy(&f, &b, 4);
    }
    return x;
  }
  const uint8_t* bytes_;
  const uint8_t* p_ = nullptr;
  const uint8_t* end_ = nullptr;
};

inline DecodedState decode(const Session& session) {
  const std::vector<uint8_t> bytes = session.state();
  return StateDecoder(bytes).decode();
}

}  // namespace edgecl_test

#endif  // EDGECL_TESTS_RUNTIME_LEARN_FIXTURE_H_
