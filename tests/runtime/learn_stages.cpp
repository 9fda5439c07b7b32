// Learn steps in pieces: the same bits wherever a step stops and goes on, nothing that lasts before its commit, and
// predictions in between.
// Never here: what a step computes.
#include <memory>

#include "runtime/api/api_objects.h"
#include "runtime/learn/inference.h"
#include "runtime/learn/learn_step.h"
#include "runtime/learn/session_state.h"
#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;
using edgecl::Arena;
using edgecl::Batch;
using edgecl::SessionConfig;
using edgecl::Stage;
using edgecl::StepReport;

// A session of the core over an opened model.
class CoreSession {
 public:
  CoreSession(const Model& model, const SessionConfig& config) {
    edgecl::Environment env;
    env.kernels = model.model->kernels;
    Arena measuring;
    edgecl::Session unused;
    edgecl::lay_out_session(&measuring, model.model->plan, *env.kernels, env, config, &unused);
    bytes = measuring.used();
    memory_ = std::make_unique<AlignedBytes>(bytes);
    Arena arena(memory_->data(), bytes);
    edgecl::lay_out_session(&arena, model.model->plan, *env.kernels, env, config, &session);
    CHECK(!arena.exhausted() && arena.used() == bytes);
    edgecl::reset_session(&session);
  }
  std::string digest() const {
    uint8_t bytes_of[edgecl::kSha256Bytes];
    edgecl::state_digest(session, bytes_of);
    return std::string(reinterpret_cast<const char*>(bytes_of), sizeof bytes_of);
  }
  Batch batch(const Stream& stream) const {
    return {session.plan->input->dtype, static_cast<uint32_t>(stream.labels.size()), stream.data(),
            session.sample_elements, nullptr};
  }
  std::vector<float> scores(const Batch& batch) {
    std::vector<float> out(static_cast<size_t>(batch.n) * session.classes.n_columns);
    CHECK(edgecl::logits_rows(&session, batch, out.data()).ok());
    return out;
  }

  edgecl::Session session;
  size_t bytes = 0;

 private:
  std::unique_ptr<AlignedBytes> memory_;
};

SessionConfig config_of(const Model& model) {
  SessionConfig config = edgecl::default_config(model.model->plan);
  config.add_unseen_labels = true;
  config.momentum = 0.9f;
  config.max_batch = 4;
  config.latent_replay = edgecl::find_border(model.model->plan).op != 0;
  return config;
}

// One step, `units` units of work at a time; `between` is called where it stops.
template <class Between>
uint32_t learn_in_pieces(CoreSession* s, const Stream& stream, uint32_t units, const Between& between) {
  StepReport report = {};
  CHECK(edgecl::learn_step_begin(&s->session, s->batch(stream), stream.labels.data()).ok());
  uint32_t pieces = 0;
  while (s->session.step.stage != Stage::kIdle) {
    CHECK(edgecl::learn_step_advance(&s->session, units, &report).ok());
    if (s->session.step.stage != Stage::kIdle) between();
    CHECK(++pieces < 10000);
  }
  CHECK(report.step == s->session.counters.step && report.loss.total >= 0);
  return pieces;
}

}  // namespace

TEST(the_same_bits_wherever_a_step_stops) {
  for (const BundleSource& source : {mlp(), mlp(0.5f), image_net(), tail_net()}) {
    const Model model(source);
    for (const uint32_t units : {1u, 2u, 3u, 7u}) {
      CoreSession whole(model, config_of(model)), pieces(model, config_of(model));
      Stream stream(model.info, 5);
      for (int i = 0; i < 12; i++) {
        stream.next(1 + i % 4u, 0, 3);
        StepReport report = {};
        CHECK(edgecl::learn_step(&whole.session, whole.batch(stream), stream.labels.data(), UINT32_MAX, &report).ok());
        const std::string before = pieces.digest();
        const uint32_t n = learn_in_pieces(&pieces, stream, units, [&] { CHECK(pieces.digest() == before); });
        CHECK(units != 1 || n > model.model->plan.ops.n);
        CHECK(pieces.digest() == whole.digest());
      }
    }
  }
}

// Without a layer that is the head every operator is encoder, and the head has no record of the backward list.
TEST(a_model_without_a_head_learns_the_same) {
  BundleSource source = mlp(0.5f);
  source.classes = {{0, "a"}, {1, "b"}, {2, "c"}};
  const Model with(source);
  source.head_weight = source.head_bias = edgecl::format::kNone;
  source.embedding_tensor = edgecl::format::kNone;
  const Model without(source);
  CoreSession a(with, config_of(with)), b(without, config_of(without));
  Stream stream(with.info, 5);
  for (int i = 0; i < 6; i++) {
    stream.next(4, 0, 3);
    learn_in_pieces(&a, stream, 1, [] {});
    learn_in_pieces(&b, stream, 1, [] {});
    CHECK(a.scores(a.batch(stream)) == b.scores(b.batch(stream)));
  }
}

TEST(a_step_given_up_leaves_no_trace) {
  const Model model(image_net());
  CoreSession clean(model, config_of(model)), disturbed(model, config_of(model));
  Stream stream(model.info, 8), other(model.info, 9);
  for (uint32_t units = 1; units < 40; units++) {
    other.next(3, 0, 3);
    StepReport report = {};
    CHECK(edgecl::learn_step_begin(&disturbed.session, disturbed.batch(other), other.labels.data()).ok());
    const std::string before = disturbed.digest();
    CHECK(edgecl::learn_step_advance(&disturbed.session, units, &report).ok());
    if (disturbed.session.step.stage == Stage::kIdle) break;  // as many units as the step has
    CHECK(disturbed.digest() == before);
    stream.next(4, 0, 3);
    for (CoreSession* s : {&clean, &disturbed})
      CHECK(edgecl::learn_step(&s->session, s->batch(stream), stream.labels.data(), UINT32_MAX, &report).ok());
    CHECK(clean.digest() == disturbed.digest());
  }
}

TEST(predictions_between_the_pieces) {
  for (const BundleSource& source : {mlp(0.5f), image_net(), all_kinds_net()}) {
    const Model model(source);
    SessionConfig shared_config = config_of(model), separate_config = shared_config;
    separate_config.separate_predict = true;
    CoreSession shared(model, shared_config), separate(model, separate_config);
    CHECK(separate.bytes > shared.bytes);
    Stream stream(model.info, 5), asked(model.info, 6);
    asked.next(7);
    for (int i = 0; i < 5; i++) {
      stream.next(4, 0, 3);
      StepReport report = {};
      CHECK(edgecl::learn_step(&shared.session, shared.batch(stream), stream.labels.data(), UINT32_MAX, &report).ok());
      const std::vector<float> before = separate.scores(separate.batch(asked));
      learn_in_pieces(&separate, stream, 1, [&] {
        const std::vector<float> now = separate.scores(separate.batch(asked));
        CHECK(memcmp(now.data(), before.data(), now.size() * sizeof(float)) == 0);
      });
      CHECK(separate.digest() == shared.digest());
      CHECK(separate.scores(separate.batch(asked)) == shared.scores(shared.batch(asked)));
    }
  }
}

RUN_TESTS()
