// Latent replay: the same learner as with raw exemplars, at less work; the border; states; refusals.
// Never here: the buffer's own rules.
#include <thread>

#include "kernels/kernels.h"
#include "runtime/bundle/bundle_reader.h"
#include "runtime/learn/replay/latent_replay.h"
#include "tests/runtime/learn_oracle.h"

namespace {

using namespace edgecl_test;
using edgecl::Activation;

constexpr uint32_t kBorderFloats = 4 * 3 * 3;

edgecl_session_config latent_config(const Model& model, bool latent = true) {
  edgecl_session_config config = model.config();
  config.latent_replay = latent ? 1 : 0;
  config.method = EDGECL_METHOD_ER;
  config.max_batch = 6;
  config.seed = 2;
  return config;
}

void learn_some(Session* session, const Model& model, int steps, uint64_t seed = 4) {
  Stream stream(model.info, seed);
  for (int i = 0; i < steps; i++) {
    stream.next(session->config().max_batch, i % 2 ? 2 : 0);
    CHECK(session->learn(stream.data(), stream.labels) == EDGECL_OK);
  }
}

void run_on_threads(void*, uint32_t n, void (*body)(void*, uint32_t), void* context) {
  std::vector<std::thread> threads;
  for (uint32_t i = n; i-- > 0;) threads.emplace_back(body, context, i);
  for (std::thread& t : threads) t.join();
}

edgecl::Border border_of(const BundleSource& source) {
  const std::vector<uint8_t> bytes = encode(source);
  AlignedBytes aligned(bytes);
  edgecl::Plan plan;
  CHECK(read_plan(&aligned, &plan).ok());
  return edgecl::find_border(plan);
}

}  // namespace

// The frozen part gives a row the same bits in any batch, so weights, logits and rehearsals are those of raw replay.
TEST(learns_the_same_as_raw_replay) {
  for (const bool skip : {false, true}) {
    const Model model(tail_net(skip));
    for (const uint32_t method : {EDGECL_METHOD_FINETUNE, EDGECL_METHOD_ER, EDGECL_METHOD_DERPP, EDGECL_METHOD_ER_ACE,
                                  EDGECL_METHOD_UER, EDGECL_METHOD_FPF}) {
      edgecl_session_config config = latent_config(model);
      config.method = method;
      Session latent(model, config);
      config.latent_replay = 0;
      Session raw(model, config);
      for (Session* s : {&latent, &raw}) {
        learn_some(s, model, 8);
        CHECK(edgecl_rehearse(s->session, 3, nullptr) == EDGECL_OK);
        learn_some(s, model, 3, 9);
      }
      const DecodedState a = decode(latent), b = decode(raw);
      CHECK(a.params.size() == b.params.size() && a.replay.size() == 12 && b.replay.size() == 12);
      for (size_t p = 0; p < a.params.size(); p++)
        CHECK(a.params[p].values == b.params[p].values && a.params[p].velocity == b.params[p].velocity);
      for (size_t slot = 0; slot < a.replay.size(); slot++)
        CHECK(a.replay[slot].label == b.replay[slot].label && a.replay[slot].logits == b.replay[slot].logits);
      CHECK(a.sample_bytes == 4 * kBorderFloats && b.sample_bytes == 2 * 6 * 6);
      const edgecl_stats less = latent.stats(), more = raw.stats();
      CHECK(less.macs_learn < more.macs_learn || method == EDGECL_METHOD_FINETUNE);
    }
  }
}

TEST(work_and_memory_are_told_as_they_are) {
  const Model model(tail_net());
  edgecl_session_config config = latent_config(model);
  Session latent(model, config);
  config.latent_replay = 0;
  Session raw(model, config);
  learn_some(&latent, model, 2);
  learn_some(&raw, model, 2);
  edgecl_learn_report reports[2] = {};
  Stream stream(model.info, 5);
  stream.next(4);
  for (int i = 0; i < 2; i++) {
    reports[i].struct_size = sizeof reports[i];
    CHECK((i ? raw : latent).learn(stream.data(), stream.labels, &reports[i]) == EDGECL_OK);
  }
  const uint64_t below = 4 * 2 * 9 * 36;  // the frozen convolution
  CHECK(reports[0].n_replayed == 5 && reports[1].macs_forward - reports[0].macs_forward == 5 * below);
  CHECK(reports[1].macs_backward == reports[0].macs_backward);
  CHECK(reports[1].macs_paper - reports[0].macs_paper == 5 * below);
  edgecl_sizes sizes[2] = {};
  for (int i = 0; i < 2; i++) {
    sizes[i].struct_size = sizeof sizes[i];
    config.latent_replay = i ? 0 : 1;
    CHECK(edgecl_session_sizes(model.model, &config, &sizes[i], nullptr) == EDGECL_OK);
    CHECK(sizes[i].arena_bytes == (i ? raw : latent).stats().arena_bytes);
    CHECK(sizes[i].state_bytes_max >= (i ? raw : latent).state().size());
  }
  CHECK(sizes[0].replay_bytes >= 12 * 4 * kBorderFloats);
  CHECK(sizes[0].state_bytes_max - sizes[1].state_bytes_max == 12 * (4 * kBorderFloats - 72));
}

// What is stored is what the frozen part makes of the sample: checked through a bundle whose head reads the border.
TEST(exemplars_are_the_border) {
  NetBuilder net(12);
  uint32_t x = net.input(kFeatures, 1, 1);
  net.source.input_dims = {kFeatures};
  x = net.linear(x, kHidden);
  x = net.activation(x, Activation::kSigmoid);
  net.source.params[0].trainable = net.source.params[1].trainable = false;
  net.finish(net.linear(x, kColumns), x);
  net.source.classes.clear();
  net.source.replay_capacity = 8;
  const Model model(net.source);
  edgecl_session_config config = latent_config(model);
  config.method = EDGECL_METHOD_FINETUNE;
  Session session(model, config);
  Stream stream(model.info, 3);
  stream.next(6);
  float embeddings[6 * kHidden];
  const edgecl_batch batch = session.batch(stream.data(), 6);
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  CHECK(edgecl_embed(session.session, &batch, embeddings, 6 * kHidden) == EDGECL_OK);
  const DecodedState state = decode(session);
  CHECK(state.replay.size() == 6 && state.sample_bytes == 4 * kHidden);
  for (size_t slot = 0; slot < 6; slot++)
    CHECK(memcmp(state.replay[slot].sample.data(), embeddings + slot * kHidden, 4 * kHidden) == 0);
}

TEST(border) {
  CHECK(border_of(tail_net()).op == 3);
  CHECK(border_of(tail_net(true)).op == 3);         // the skip crosses behind the pool: the border stays before it
  CHECK(border_of(tail_net(false, true)).op == 1);  // a batch norm that follows the batch is no frozen part
  CHECK(border_of(mlp()).op == 0);
  BundleSource head = all_kinds_net();
  for (size_t p = 0; p < head.params.size(); p++)
    head.params[p].trainable = p == head.head_weight || p == head.head_bias;
  for (edgecl::SourceOp& op : head.ops) op.frozen = op.frozen || op.kind == format::kOpBatchNorm;
  while (head.backward.size() > 1) head.backward.pop_back();
  head.backward[0].input_gradients = {format::kNone};
  while (head.tensors.back().gradient && head.tensors.size() > head.backward[0].output_gradient + 1)
    head.tensors.pop_back();
  CHECK(border_of(head).op == head.ops.size() - 1 && border_of(head).tensor == head.embedding_tensor);
}

TEST(threads_and_levels_give_one_state) {
  const char* levels[16];
  const int n_levels = edgecl::kernel_levels(levels, 16);
  std::string first;
  for (int i = -1; i < n_levels; i++) {
    if (i >= 0) setenv("EDGECL_SIMD", levels[i], 1);
    const Model model(tail_net());
    unsetenv("EDGECL_SIMD");
    for (const uint32_t method : {EDGECL_METHOD_ER, EDGECL_METHOD_UER}) {
      std::string of_method;
      for (const uint32_t n_threads : {1u, 3u}) {
        edgecl_session_config config = latent_config(model);
        config.method = method;
        config.n_threads = n_threads;
        edgecl_hooks hooks = no_hooks();
        if (n_threads > 1) hooks.parallel_for = run_on_threads;
        Session session(model, config, &hooks);
        learn_some(&session, model, 5);
        CHECK(edgecl_rehearse(session.session, 2, nullptr) == EDGECL_OK);
        if (of_method.empty()) of_method = session.digest();
        CHECK(session.digest() == of_method);
      }
      if (method != EDGECL_METHOD_UER) continue;
      if (first.empty()) first = of_method;
      CHECK(of_method == first);
    }
  }
}

TEST(states) {
  const Model model(tail_net());
  edgecl_session_config config = latent_config(model);
  Session session(model, config), copy(model, config);
  learn_some(&session, model, 6);
  const std::vector<uint8_t> state = session.state();
  CHECK(edgecl_state_import(copy.session, state.data(), state.size()) == EDGECL_OK &&
        copy.digest() == session.digest());
  learn_some(&session, model, 3, 8);
  learn_some(&copy, model, 3, 8);
  CHECK(copy.digest() == session.digest());
  // Not into a learner that keeps samples, nor the other way round; but into one that only predicts.
  Session raw(model, latent_config(model, false));
  const std::string before = raw.digest();
  CHECK(edgecl_state_import(raw.session, state.data(), state.size()) == EDGECL_E_STATE_MISMATCH);
  CHECK(raw.digest() == before);
  const std::vector<uint8_t> of_raw = raw.state();
  CHECK(edgecl_state_import(copy.session, of_raw.data(), of_raw.size()) == EDGECL_E_STATE_MISMATCH);
  config.predict_only = 1;
  Session reader(model, config);
  CHECK(edgecl_state_import(reader.session, state.data(), state.size()) == EDGECL_OK);
  // Forgetting a class drops its activations.
  CHECK(edgecl_class_forget(session.session, 0) == EDGECL_OK);
  for (const DecodedState::Exemplar& e : decode(session).replay) CHECK(e.label != 0);
}

TEST(refusals) {
  std::string message;
  const Model plain(mlp());
  CHECK(create_status(plain, latent_config(plain), &message) == EDGECL_E_UNSUPPORTED);
  CHECK(message.find("trainable=\"tail\"") != std::string::npos);
  const Model model(tail_net());
  edgecl_session_config config = latent_config(model);
  config.augment_flip = 1;
  CHECK(create_status(model, config, &message) == EDGECL_E_ARGUMENT);
  CHECK(message.find("latent_replay") != std::string::npos);
  config.predict_only = 1;
  CHECK(create_status(model, config, &message) == EDGECL_OK);

  // A sample that the frozen part blows up is refused before it reaches the buffer.
  BundleSource source = tail_net();
  source.input_dtype = format::kInputF32;
  source.input_scale = 1;
  for (float& w : source.params[0].values) w *= 1e6f;
  const Model hot(source);
  Session session(hot, latent_config(hot));
  Stream stream(hot.info, 1);
  stream.next(3);
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  const std::string before = session.digest();
  for (float& x : stream.floats) x *= 1e9f;
  CHECK(session.learn(stream.data(), stream.labels) == EDGECL_E_NUMERIC);
  CHECK(strstr(edgecl_session_error(session.session), "activations of the frozen part") != nullptr);
  CHECK(session.digest() == before);
}

RUN_TESTS()
