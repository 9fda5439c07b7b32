// Data removal against a plain model with a sort; bad input; the caller's memory.
// Never here: learning.
#include <math.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "runtime/core/rng.h"
#include "runtime/include/edgecl/edgecl.h"
#include "tests/runtime/check.h"

namespace {

// The rule in plain words, with a sort.
struct Plain {
  struct Example {
    uint32_t shown = 0, wrong = 0, forgotten = 0;
    bool was_right = false, ever_right = false, kept = true;
    float loss = 0;
  };
  std::vector<Example> examples;
  uint32_t score;

  void record(uint32_t id, bool right, float loss) {
    Example& e = examples[id];
    e.shown++;
    e.loss += loss;
    e.wrong += !right;
    e.forgotten += !right && e.was_right;
    e.was_right = right;
    e.ever_right |= right;
  }
  void stage(uint32_t n) {
    std::vector<std::tuple<uint32_t, float, uint32_t>> order;
    for (uint32_t id = 0; id < examples.size(); id++) {
      const Example& e = examples[id];
      if (!e.kept) continue;
      uint32_t s = score == EDGECL_REMOVAL_FORGETTING ? (e.ever_right ? e.forgotten : 65535) : e.wrong;
      if (e.shown == 0) s = 65535;
      order.emplace_back(s, e.shown ? e.loss / static_cast<float>(e.shown) : 0.0f, id);
    }
    std::sort(order.begin(), order.end());
    for (uint32_t i = 0; i < n; i++) examples[std::get<2>(order[i])].kept = false;
    for (Example& e : examples) {
      const bool kept = e.kept;
      e = Example();
      e.kept = kept;
    }
  }
  std::vector<uint32_t> kept() const {
    std::vector<uint32_t> ids;
    for (uint32_t id = 0; id < examples.size(); id++) {
      if (examples[id].kept) ids.push_back(id);
    }
    return ids;
  }
};

struct Table {
  std::vector<uint64_t> memory;
  edgecl_removal* removal = nullptr;
  Table(uint32_t n, uint32_t score) : memory((edgecl_removal_size(n) + 7) / 8) {
    CHECK(edgecl_removal_init(n, score, memory.data(), edgecl_removal_size(n), &removal, nullptr) == EDGECL_OK);
  }
  std::vector<uint32_t> kept() const {
    std::vector<uint32_t> ids(edgecl_removal_count(removal));
    CHECK(edgecl_removal_kept(removal, ids.data(), static_cast<uint32_t>(ids.size()), nullptr) == EDGECL_OK);
    return ids;
  }
};

std::string message_of(edgecl_status expected, edgecl_status (*call)(edgecl_removal*, edgecl_error*), Table* table) {
  edgecl_error err = {};
  err.struct_size = sizeof err;
  const std::vector<uint64_t> before = table->memory;
  CHECK(call(table->removal, &err) == expected && err.status == expected);
  CHECK(table->memory == before);
  return err.message;
}

}  // namespace

TEST(stages_match_a_sort) {
  for (const uint32_t score : {EDGECL_REMOVAL_MISCLASSIFIED, EDGECL_REMOVAL_FORGETTING}) {
    for (const uint32_t n : {1u, 7u, 300u}) {
      Table table(n, score);
      Plain plain = {std::vector<Plain::Example>(n), score};
      edgecl::RandomStream random = {score, n, 0};
      for (int stage = 0; stage < 4; stage++) {
        for (int epoch = 0; epoch < 3; epoch++) {
          for (const uint32_t id : plain.kept()) {
            if (random.bounded(10) == 0) continue;  // an incomplete last batch
            const uint8_t right = random.bounded(3) != 0;
            const float loss = static_cast<float>(random.bounded(4)) * 0.25f - (id == 3 ? 0.1f : 0.0f);  // many ties
            plain.record(id, right != 0, loss);
            CHECK(edgecl_removal_record(table.removal, &id, &right, &loss, 1, nullptr) == EDGECL_OK);
          }
        }
        const uint32_t remove = static_cast<uint32_t>(plain.kept().size()) / 4;
        plain.stage(remove);
        CHECK(edgecl_removal_stage(table.removal, remove, nullptr) == EDGECL_OK);
        CHECK(table.kept() == plain.kept());
      }
    }
  }
}

TEST(never_right_and_never_shown_stay) {
  Table table(4, EDGECL_REMOVAL_FORGETTING);
  // 0 always wrong, 1 forgotten once, 2 never forgotten, 3 never shown.
  const uint32_t ids[] = {0, 1, 2, 0, 1, 2};
  const uint8_t right[] = {0, 1, 0, 0, 0, 1};
  const float loss[] = {0, 9, 9, 0, 9, 9};
  CHECK(edgecl_removal_record(table.removal, ids, right, loss, 6, nullptr) == EDGECL_OK);
  CHECK(edgecl_removal_stage(table.removal, 2, nullptr) == EDGECL_OK);
  CHECK((table.kept() == std::vector<uint32_t>{0, 3}));
}

TEST(counts_stop_at_their_limit) {
  Table table(2, EDGECL_REMOVAL_MISCLASSIFIED);
  const std::vector<uint32_t> ids(70000, 0);
  const std::vector<uint8_t> wrong(70000, 0);
  const std::vector<float> loss(70000, 1.0f);
  CHECK(edgecl_removal_record(table.removal, ids.data(), wrong.data(), loss.data(), 70000, nullptr) == EDGECL_OK);
  const uint32_t other = 1;
  CHECK(edgecl_removal_record(table.removal, &other, wrong.data(), loss.data(), 1, nullptr) == EDGECL_OK);
  CHECK(edgecl_removal_stage(table.removal, 1, nullptr) == EDGECL_OK);
  CHECK((table.kept() == std::vector<uint32_t>{0}));
}

TEST(bad_input_changes_nothing) {
  Table table(5, EDGECL_REMOVAL_MISCLASSIFIED);
  const std::string range = message_of(
      EDGECL_E_ARGUMENT,
      [](edgecl_removal* removal, edgecl_error* err) {
        const uint32_t ids[] = {1, 5};
        const uint8_t right[] = {1, 1};
        const float loss[] = {1, 1};
        return edgecl_removal_record(removal, ids, right, loss, 2, err);
      },
      &table);
  CHECK(range == "expected ids of kept examples below 5; found 5 at place 1; take them from the kept list");
  message_of(
      EDGECL_E_ARGUMENT,
      [](edgecl_removal* removal, edgecl_error* err) {
        const uint32_t id = 0;
        const uint8_t right = 1;
        const float loss = NAN;
        return edgecl_removal_record(removal, &id, &right, &loss, 1, err);
      },
      &table);
  message_of(
      EDGECL_E_ARGUMENT,
      [](edgecl_removal* removal, edgecl_error* err) { return edgecl_removal_stage(removal, 5, err); }, &table);
  message_of(
      EDGECL_E_SHAPE,
      [](edgecl_removal* removal, edgecl_error* err) {
        uint32_t ids[4];
        return edgecl_removal_kept(removal, ids, 4, err);
      },
      &table);
  message_of(
      EDGECL_E_ARGUMENT,
      [](edgecl_removal* removal, edgecl_error* err) {
        return edgecl_removal_record(removal, nullptr, nullptr, nullptr, 1, err);
      },
      &table);
  CHECK(edgecl_removal_stage(table.removal, 4, nullptr) == EDGECL_OK);
  CHECK((table.kept() == std::vector<uint32_t>{4}));
  const uint32_t removed = 2;
  const uint8_t right = 1;
  const float loss = 0;
  CHECK(edgecl_removal_record(table.removal, &removed, &right, &loss, 1, nullptr) == EDGECL_E_ARGUMENT);

  edgecl_removal* none = nullptr;
  uint64_t memory[64];
  CHECK(edgecl_removal_init(0, 0, memory, sizeof memory, &none, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_removal_init(4, 2, memory, sizeof memory, &none, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_removal_init(4, 0, memory, edgecl_removal_size(4) - 1, &none, nullptr) == EDGECL_E_ARENA_TOO_SMALL);
  CHECK(edgecl_removal_init(4, 0, reinterpret_cast<uint8_t*>(memory) + 1, 400, &none, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_removal_init(4, 0, nullptr, 400, &none, nullptr) == EDGECL_E_ARGUMENT && none == nullptr);
  CHECK(edgecl_removal_count(nullptr) == 0 && edgecl_removal_stage(nullptr, 0, nullptr) == EDGECL_E_ARGUMENT);
  CHECK(edgecl_removal_size(1000) - edgecl_removal_size(0) == 12 * 1000);
}

RUN_TESTS()
