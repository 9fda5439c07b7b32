// Lifetimes and arena offsets: nothing alive overlaps, arenas are near their lower bound, wrong offsets are found.
// Never here: other checks of the reader.
#include "runtime/bundle/bundle_reader.h"
#include "runtime/bundle/bundle_writer_offsets.h"
#include "runtime/bundle/validate.h"
#include "runtime/core/planner.h"
#include "tests/runtime/check.h"
#include "tests/runtime/core_nets.h"
#include "tests/runtime/sentence.h"

using namespace edgecl;
using namespace edgecl_test;

TEST(offsets_of_random_intervals) {
  RandomStream random = {3, 0, 0};
  double worst = 1;
  for (int round = 0; round < 200; round++) {
    std::vector<ArenaItem> items(2 + random.bounded(60));
    for (ArenaItem& item : items) {
      item.size = 16 * (1 + random.bounded(40));
      item.lifetime.first = static_cast<uint16_t>(random.bounded(80));
      item.lifetime.last = static_cast<uint16_t>(item.lifetime.first + random.bounded(20));
    }
    const uint64_t arena = assign_offsets(&items);
    for (size_t i = 0; i < items.size(); i++) {
      CHECK(items[i].offset + items[i].size <= arena);
      for (size_t j = 0; j < i; j++) {
        if (!items[i].lifetime.meets(items[j].lifetime)) continue;
        CHECK(items[i].offset + items[i].size <= items[j].offset || items[j].offset + items[j].size <= items[i].offset);
      }
    }
    const uint64_t bound = arena_lower_bound(items);
    CHECK(arena >= bound);
    worst = std::max(worst, static_cast<double>(arena) / static_cast<double>(bound));
  }
  CHECK_MESSAGE(worst < 1.35, "worst arena is %.3f times its lower bound", worst);
}

// Step by step, with the members of alias groups taken as one: an independent statement of what check_offsets proves.
static void check_no_overlap(const Plan& plan, Mode mode) {
  std::vector<Lifetime> lifetimes(plan.tensors.n);
  tensor_lifetimes(plan, mode, lifetimes.data());
  const uint64_t arena = mode == Mode::kLearn ? plan.model->train_floats_per_row : plan.model->predict_floats_per_row;
  const uint32_t n_steps = 2 + plan.ops.n + plan.backward.n;
  for (uint32_t step = 0; step < n_steps; step++) {
    std::vector<int> user(arena / 16, -1);
    for (uint32_t t = 0; t < plan.tensors.n; t++) {
      if (lifetimes[t].first > step || lifetimes[t].last < step) continue;
      const uint64_t offset = mode == Mode::kLearn ? plan.tensors[t].train_offset : plan.tensors[t].predict_offset;
      const int root = static_cast<int>(alias_root(plan, t));
      for (uint64_t chunk = offset / 16; chunk < (offset + tensor_arena_floats(plan.tensors[t])) / 16; chunk++) {
        CHECK(user[chunk] == -1 || user[chunk] == root);
        user[chunk] = root;
      }
    }
  }
}

TEST(offsets_of_random_networks) {
  double worst = 1;
  for (uint64_t seed = 0; seed < 150; seed++) {
    std::string error;
    AlignedBytes bundle(write_bundle(random_net(seed), &error));
    CHECK_MESSAGE(error.empty(), "seed %llu: %s", static_cast<unsigned long long>(seed), error.c_str());
    Plan plan;
    if (!read_plan(&bundle, &plan).ok()) continue;
    for (Mode mode : {Mode::kPredict, Mode::kLearn}) {
      check_no_overlap(plan, mode);
      std::vector<Lifetime> lifetimes(plan.tensors.n);
      tensor_lifetimes(plan, mode, lifetimes.data());
      std::vector<ArenaItem> items;
      for (uint32_t t = 0; t < plan.tensors.n; t++) {
        if (lifetimes[t].lives() && plan.tensors[t].alias == format::kNone)
          items.push_back({tensor_arena_floats(plan.tensors[t]), lifetimes[t], 0});
      }
      const uint64_t arena =
          mode == Mode::kLearn ? plan.model->train_floats_per_row : plan.model->predict_floats_per_row;
      worst = std::max(worst, static_cast<double>(arena) / static_cast<double>(arena_lower_bound(items)));
    }
    CHECK(plan.model->predict_floats_per_row <= plan.model->train_floats_per_row);
  }
  CHECK_MESSAGE(worst < 1.35, "worst arena is %.3f times its lower bound", worst);
}

TEST(wrong_offsets_are_found) {
  std::string error;
  AlignedBytes bundle(write_bundle(residual_net(), &error));
  Plan plan;
  CHECK(read_plan(&bundle, &plan).ok());
  std::vector<format::TensorRecord> tensors(plan.tensors.begin(), plan.tensors.end());
  plan.tensors.data = tensors.data();
  std::vector<Lifetime> lifetimes(plan.tensors.n);
  CheckScratch scratch = {};
  scratch.lifetimes = lifetimes.data();
  CHECK(check_offsets(plan, scratch).ok());
  for (uint32_t t = 0; t < plan.tensors.n; t++) {
    const format::TensorRecord good = tensors[t];
    tensors[t].train_offset += 1;
    CHECK(!check_offsets(plan, scratch).ok());
    tensors[t].train_offset = plan.model->train_floats_per_row;
    CHECK(!check_offsets(plan, scratch).ok());
    tensors[t].train_offset = format::kNoOffset;
    CHECK(!check_offsets(plan, scratch).ok());
    tensors[t] = good;
    tensors[t].predict_offset = good.predict_offset == format::kNoOffset ? 0 : format::kNoOffset;
    CHECK(!check_offsets(plan, scratch).ok());
    tensors[t] = good;
  }
  // The output of the first op on top of its input.
  tensors[plan.ops[0].output].predict_offset = tensors[0].predict_offset;
  const Status overlap = check_offsets(plan, scratch);
  CHECK(!overlap.ok() && strstr(sentence(overlap).c_str(), "overlap") != nullptr);
}

RUN_TESTS()
