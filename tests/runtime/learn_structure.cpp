// Changes of structure and gradient masks through the C API: same bits, states, refusals; and the edits against brute
// force. Never here: the rules' arithmetic against PyTorch (tests/test_structure_parity.py).
#include <math.h>
#include <stdlib.h>

#include <algorithm>
#include <map>
#include <thread>

#include "kernels/kernels.h"
#include "runtime/core/executor_ops.h"
#include "runtime/core/sha256.h"
#include "runtime/core/sparse_edit.h"
#include "runtime/learn/sparsity/drift.h"
#include "runtime/learn/sparsity/top_k.h"
#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;

// Room in every sparse layer, and a recipe whose structures move every third step.
BundleSource roomy(BundleSource source, uint32_t structure, uint32_t growth, uint32_t gradient_mask) {
  for (SourceParam& param : source.params) {
    if (param.sparse) {
      uint64_t size = 1;
      for (const uint32_t d : param.dims) size *= d;
      param.nnz_capacity = static_cast<uint32_t>(std::min<uint64_t>(
          size, param.positions.size() + static_cast<uint64_t>(ceil(0.1 * static_cast<double>(size)))));
    }
  }
  source.momentum = 0.5f;
  source.structure = structure;
  source.growth = growth;
  source.structure_interval = 3;
  source.structure_updates = 2;
  source.structure_inter = structure == EDGECL_STRUCTURE_TDM ? 0.1f : 0.0f;
  source.structure_intra = structure == EDGECL_STRUCTURE_TDM ? 0.1f : 0.4f;
  source.importance_current = 0.5f;
  source.importance_replay = 0.25f;
  source.gradient_mask = gradient_mask;
  source.gradient_interval = 4;
  source.gradient_keep = 0.5f;
  return source;
}

void run_on_threads(void*, uint32_t n, void (*body)(void*, uint32_t), void* context) {
  std::vector<std::thread> threads;
  for (uint32_t i = n; i-- > 0;) threads.emplace_back(body, context, i);
  for (std::thread& t : threads) t.join();
}

void learn(Session* session, Stream* stream, int steps, uint32_t batch = 4) {
  for (int step = 0; step < steps; step++) {
    stream->next(batch);
    CHECK(session->learn(stream->data(), stream->labels) == EDGECL_OK);
  }
}

void end_task(Session* session) {
  CHECK(edgecl_task_begin(session->session) == EDGECL_OK);
}

std::string two_tasks(const BundleSource& source, uint32_t n_threads, const char* level) {
  if (level) {
    setenv("EDGECL_SIMD", level, 1);
  } else {
    unsetenv("EDGECL_SIMD");
  }
  const Model model(source);
  unsetenv("EDGECL_SIMD");
  edgecl_session_config config = model.config();
  config.n_threads = n_threads;
  config.seed = 5;
  edgecl_hooks hooks = no_hooks();
  if (n_threads > 1) hooks.parallel_for = run_on_threads;
  Session session(model, config, &hooks);
  Stream stream(model.info, 3);
  learn(&session, &stream, 8);
  end_task(&session);
  learn(&session, &stream, 8);
  CHECK(session.stats().weights_grown > 0 || config.structure == EDGECL_STRUCTURE_STATIC);
  return session.digest();
}

const uint32_t kCases[][3] = {
    {EDGECL_STRUCTURE_TDM, EDGECL_GROWTH_RANDOM, EDGECL_GRADIENT_DGM},
    {EDGECL_STRUCTURE_TDM, EDGECL_GROWTH_IMPORTANCE, EDGECL_GRADIENT_ALL},
    {EDGECL_STRUCTURE_RIGL, EDGECL_GROWTH_RANDOM, EDGECL_GRADIENT_MIGU},
    {EDGECL_STRUCTURE_SET, EDGECL_GROWTH_RANDOM, EDGECL_GRADIENT_HFT},
};

}  // namespace

TEST(threads_and_levels_give_one_state) {
  const char* levels[16];
  const int n_levels = edgecl::kernel_levels(levels, 16);
  for (const auto& c : kCases) {
    for (const BundleSource& net : {mlp(0.5f), image_net()}) {
      const BundleSource source = roomy(net, c[0], c[1], c[2]);
      const std::string first = two_tasks(source, 1, nullptr);
      for (const uint32_t n_threads : {2u, 3u, 5u}) CHECK(two_tasks(source, n_threads, nullptr) == first);
      for (int i = 0; i < n_levels; i++) CHECK_MESSAGE(two_tasks(source, 1, levels[i]) == first, "%s", levels[i]);
    }
  }
}

TEST(a_state_goes_on_at_every_step) {
  for (const auto& c : kCases) {
    const Model model(roomy(image_net(), c[0], c[1], c[2]));
    Session one(model, model.config());
    Stream stream(model.info, 3);
    for (int step = 0; step < 14; step++) {
      Session other(model, model.config());
      const std::vector<uint8_t> state = one.state();
      CHECK(edgecl_state_import(other.session, state.data(), state.size()) == EDGECL_OK);
      CHECK(other.digest() == one.digest());
      stream.next(4);
      CHECK(one.learn(stream.data(), stream.labels) == EDGECL_OK);
      CHECK(other.learn(stream.data(), stream.labels) == EDGECL_OK);
      CHECK_MESSAGE(other.digest() == one.digest(), "step %d, structure %u", step, c[0]);
      if (step == 9) end_task(&one);
    }
  }
}

TEST(the_state_stays_below_its_bound) {
  const Model model(roomy(mlp(0.5f), EDGECL_STRUCTURE_TDM, EDGECL_GROWTH_GRADIENT, EDGECL_GRADIENT_DGM));
  Session session(model, model.config());
  edgecl_sizes sizes = {};
  sizes.struct_size = sizeof sizes;
  CHECK(edgecl_session_sizes(model.model, &session.config(), &sizes, nullptr) == EDGECL_OK);
  Stream stream(model.info, 3);
  for (int task = 0; task < 3; task++) {
    learn(&session, &stream, 10);
    CHECK(session.state().size() <= sizes.state_bytes_max);
    end_task(&session);
    CHECK(session.state().size() <= sizes.state_bytes_max);
  }
}

TEST(a_refused_step_leaves_structure_and_mask) {
  const Model model(roomy(mlp(0.5f), EDGECL_STRUCTURE_TDM, EDGECL_GROWTH_IMPORTANCE, EDGECL_GRADIENT_DGM));
  Session session(model, model.config());
  Stream stream(model.info, 3);
  int refused = 0;
  for (int step = 0; step < 12; step++) {
    const std::vector<uint8_t> before = session.state();
    stream.next(4);
    std::vector<float> bad = stream.floats;
    for (float& x : bad) x *= 1e11f;  // passes the input's check; most such steps would break the bound of weights
    if (session.learn(bad.data(), stream.labels) == EDGECL_E_NUMERIC) {
      refused++;
      CHECK_MESSAGE(session.state() == before, "step %d", step);
    } else {
      CHECK(edgecl_state_import(session.session, before.data(), before.size()) == EDGECL_OK);
    }
    CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  }
  CHECK(refused >= 6);
}

TEST(configurations_that_do_not_fit_are_told) {
  edgecl_sizes sizes = {};
  sizes.struct_size = sizeof sizes;
  const auto refused = [&](const BundleSource& source, void (*change)(edgecl_session_config*), edgecl_status expected,
                           const char* word) {
    const Model model(source);
    edgecl_session_config config = model.config();
    change(&config);
    edgecl_error err = {};
    err.struct_size = sizeof err;
    const edgecl_status status = edgecl_session_sizes(model.model, &config, &sizes, &err);
    CHECK_MESSAGE(status == expected && strstr(err.message, word), "%s: %d %s", word, status, err.message);
  };
  using S = edgecl_session_config;
  const BundleSource good = roomy(mlp(0.5f), EDGECL_STRUCTURE_TDM, EDGECL_GROWTH_RANDOM, EDGECL_GRADIENT_DGM);
  refused(good, [](S* s) { s->structure = 4; }, EDGECL_E_ARGUMENT, "structure");
  refused(good, [](S* s) { s->growth = 3; }, EDGECL_E_ARGUMENT, "growth");
  refused(good, [](S* s) { s->structure_interval = 0; }, EDGECL_E_ARGUMENT, "structure_interval");
  refused(good, [](S* s) { s->structure_updates = 0xffffffff; }, EDGECL_E_ARGUMENT, "structure_updates");
  refused(good, [](S* s) { s->structure_intra = 1.5f; }, EDGECL_E_ARGUMENT, "structure_intra");
  refused(good, [](S* s) { s->importance_current = NAN; }, EDGECL_E_ARGUMENT, "importance_current");
  refused(good, [](S* s) { s->gradient_mask = 9; }, EDGECL_E_ARGUMENT, "gradient_mask");
  refused(good, [](S* s) { s->gradient_keep = 0; }, EDGECL_E_ARGUMENT, "gradient_keep");
  const Model unmasked(mlp());
  edgecl_session_config no_share = unmasked.config();
  no_share.gradient_keep = 0;  // nothing without a mask
  CHECK(edgecl_session_sizes(unmasked.model, &no_share, &sizes, nullptr) == EDGECL_OK);
  refused(good, [](S* s) { s->boundary = 1; }, EDGECL_E_ARGUMENT, "drift_threshold");
  refused(good, [](S* s) { s->structure_inter = 0.4f; }, EDGECL_E_CAPACITY, "nnz_capacity");
  refused(mlp(), [](S* s) { s->structure = 2, s->structure_interval = 1; }, EDGECL_E_UNSUPPORTED, "sparse layers");
  refused(
      mlp(), [](S* s) { s->gradient_mask = 1, s->gradient_interval = 1, s->gradient_keep = 0.5f; },
      EDGECL_E_UNSUPPORTED, "sparse layers");
}

// A changed word of a state, with a digest that fits again.
TEST(states_with_impossible_structures_are_refused) {
  const Model model(roomy(mlp(0.5f), EDGECL_STRUCTURE_TDM, EDGECL_GROWTH_RANDOM, EDGECL_GRADIENT_DGM));
  Session source(model, model.config()), target(model, model.config());
  Stream stream(model.info, 3);
  learn(&source, &stream, 5);
  learn(&target, &stream, 3);
  const std::string before = target.digest();
  const std::vector<uint8_t> good = source.state();
  const DecodedState decoded = decode(source);
  const DecodedState::Param* sparse = nullptr;
  for (const DecodedState::Param& p : decoded.params) {
    if (p.storage == 1) sparse = &p;
  }
  CHECK(sparse && sparse->positions.size() > 3);
  std::vector<uint8_t> words(sparse->positions.size() * 4);
  memcpy(words.data(), sparse->positions.data(), words.size());
  const size_t at =
      static_cast<size_t>(std::search(good.begin(), good.end(), words.begin(), words.end()) - good.begin());
  CHECK(at < good.size());
  const auto import_with = [&](size_t place, uint32_t value) {
    std::vector<uint8_t> state = good;
    memcpy(state.data() + place, &value, 4);
    edgecl::sha256(state.data(), state.size() - 32, state.data() + state.size() - 32);
    return edgecl_state_import(target.session, state.data(), state.size());
  };
  CHECK(import_with(at, 0xfffffff0u) == EDGECL_E_STATE_CORRUPT);               // out of range
  CHECK(import_with(at + 4, sparse->positions[0]) == EDGECL_E_STATE_CORRUPT);  // twice
  CHECK(import_with(at, sparse->positions[2]) == EDGECL_E_STATE_CORRUPT);      // out of order
  CHECK(import_with(at - 8, 0) == EDGECL_E_STATE_CORRUPT);                     // no weight at all
  CHECK(import_with(at - 8, 1u << 20) == EDGECL_E_STATE_CORRUPT);              // more than the capacity
  CHECK(import_with(good.size() - 40, 2) == EDGECL_E_STATE_CORRUPT);           // mask_stale
  CHECK(target.digest() == before);
  CHECK(edgecl_state_import(target.session, good.data(), good.size()) == EDGECL_OK);
  CHECK(target.digest() == source.digest());
}

TEST(edits_agree_with_a_map) {
  edgecl::RandomStream random = {3, 0, 0};
  for (int round = 0; round < 60; round++) {
    const int32_t rows = 1 + static_cast<int32_t>(random.bounded(9)),
                  channels = 1 + static_cast<int32_t>(random.bounded(70));
    const int32_t taps = random.bounded(2) ? 9 : 1;
    edgecl::SparsePattern pattern = {};
    pattern.rows = rows;
    pattern.channels = channels;
    pattern.taps = taps;
    pattern.channel_block = edgecl::sparse_channel_block(channels, taps);
    pattern.n_blocks = (channels + pattern.channel_block - 1) / pattern.channel_block;
    const uint32_t size = static_cast<uint32_t>(rows * channels * taps);
    std::vector<uint32_t> starts(static_cast<size_t>(pattern.n_blocks * rows) + 1);
    std::vector<uint16_t> index(size + 1);
    std::vector<float> value(size + 1), velocity(size + 1);
    std::vector<uint32_t> flat;
    for (uint32_t p = 0; p < size; p++) {
      if (random.bounded(3) == 0) flat.push_back(p);
    }
    edgecl::sparse_build(flat.data(), static_cast<uint32_t>(flat.size()), rows, channels, taps, starts.data(),
                         index.data(), nullptr);
    pattern.nnz = static_cast<uint32_t>(flat.size());
    pattern.row_start = starts.data();
    pattern.index = index.data();
    edgecl::ParamWeights param = {};
    param.value = param.own = value.data();
    param.velocity = velocity.data();
    param.pattern = pattern;
    param.n = pattern.nnz;
    std::map<uint32_t, float> model;  // key -> value
    const auto each = [&](auto visit) {
      for (int64_t unit = 0; unit < pattern.n_blocks * rows; unit++) {
        for (uint32_t k = starts[static_cast<size_t>(unit)]; k < starts[static_cast<size_t>(unit) + 1]; k++)
          visit(static_cast<uint32_t>(unit) * edgecl::position_width(pattern) + index[k], k);
      }
    };
    each([&](uint32_t key, uint32_t k) {
      value[k] = 1.0f + random.next_float();
      velocity[k] = -value[k];
      model[key] = value[k];
    });
    std::vector<uint8_t> keep(size + 1);
    each([&](uint32_t key, uint32_t k) {
      keep[k] = static_cast<uint8_t>(random.bounded(2));
      if (!keep[k]) model.erase(key);
    });
    edgecl::drop_entries(&param, keep.data());
    std::vector<uint64_t> words(edgecl::position_words(pattern));
    for (uint32_t i = random.bounded(size); i > 0; i--) {
      const uint32_t key = edgecl::position_key(pattern, random.bounded(static_cast<uint32_t>(rows)),
                                                random.bounded(static_cast<uint32_t>(channels * taps)));
      CHECK(edgecl::stores_position(param.pattern, key) == (model.count(key) != 0 && model[key] != 0.0f));
      if (edgecl::stores_position(param.pattern, key)) continue;
      edgecl::add_position(words.data(), key);
      model.insert({key, 0.0f});
    }
    edgecl::grow_entries(&param, words.data());
    CHECK(param.n == model.size() && param.pattern.nnz == model.size());
    auto expected = model.begin();
    each([&](uint32_t key, uint32_t k) {
      CHECK(expected != model.end() && expected->first == key && expected->second == value[k] &&
            velocity[k] == -value[k]);
      ++expected;
    });
    CHECK(expected == model.end());
  }
}

TEST(marks_are_those_of_a_stable_sort) {
  edgecl::RandomStream random = {4, 0, 0};
  for (int round = 0; round < 200; round++) {
    const uint32_t n = 1 + random.bounded(300), k = random.bounded(n + 1);
    std::vector<float> scores(n);
    for (float& s : scores)
      s = static_cast<float>(static_cast<int>(random.bounded(40)) - 20) * (round % 3 ? 1e-3f : 1e30f);
    std::vector<uint32_t> order(n);
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return fabsf(scores[a]) > fabsf(scores[b]); });
    std::vector<uint8_t> expected(n), mark(n);
    for (uint32_t i = 0; i < k; i++) expected[order[i]] = 1;
    edgecl::mark_largest(scores.data(), n, k, mark.data());
    CHECK(mark == expected);
  }
}

TEST(drift_alarms_on_a_rise_only) {
  edgecl::DriftDetector detector;
  edgecl::RandomStream random = {6, 0, 0};
  for (int i = 0; i < 2000; i++) CHECK(!edgecl::drift_alarm(&detector, 1.0f + 0.2f * random.next_float(), 0.1f, 3.0f));
  for (int i = 0; i < 200; i++) CHECK(!edgecl::drift_alarm(&detector, 0.2f, 0.1f, 3.0f));
  int after = 0;
  while (!edgecl::drift_alarm(&detector, 2.0f, 0.1f, 3.0f) && after < 100) after++;
  CHECK(after < 10 && detector.n == 0);
}

RUN_TESTS()
