// Greedy best-fit placement of tensors by lifetime.
// Never here: knowledge of ops.
#include "runtime/bundle/bundle_writer_offsets.h"

#include <algorithm>
#include <numeric>

namespace edgecl {
namespace {

// Places item `i` in the tightest gap between the already placed items that it meets in time (or behind them all).
uint64_t best_fit(const std::vector<ArenaItem>& items, const std::vector<size_t>& placed, size_t i) {
  std::vector<std::pair<uint64_t, uint64_t>> taken;  // (begin, end)
  for (size_t other : placed) {
    if (items[other].lifetime.meets(items[i].lifetime))
      taken.emplace_back(items[other].offset, items[other].offset + items[other].size);
  }
  std::sort(taken.begin(), taken.end());
  uint64_t end = 0, best = ~0ull, best_gap = ~0ull;
  for (const auto& piece : taken) {
    if (piece.first > end && piece.first - end >= items[i].size && piece.first - end < best_gap) {
      best = end;
      best_gap = piece.first - end;
    }
    end = std::max(end, piece.second);
  }
  return best == ~0ull ? end : best;
}

uint64_t place_in_order(std::vector<ArenaItem>* items, const std::vector<size_t>& order) {
  std::vector<size_t> placed;
  placed.reserve(order.size());
  uint64_t arena = 0;
  for (size_t i : order) {
    ArenaItem& item = (*items)[i];
    item.offset = best_fit(*items, placed, i);
    arena = std::max(arena, item.offset + item.size);
    placed.push_back(i);
  }
  return arena;
}

}  // namespace

uint64_t assign_offsets(std::vector<ArenaItem>* items) {
  const std::vector<ArenaItem>& all = *items;
  auto duration = [&](size_t i) { return static_cast<uint64_t>(all[i].lifetime.last - all[i].lifetime.first) + 1; };
  auto by = [&](auto key) {  // descending key, then index
    std::vector<size_t> order(all.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) > key(b); });
    return order;
  };
  const std::vector<std::vector<size_t>> orders = {
      by([&](size_t i) { return all[i].size; }),
      by([&](size_t i) { return all[i].size * duration(i); }),
      by([&](size_t i) { return std::make_pair(duration(i), all[i].size); }),
      by([&](size_t i) { return std::make_pair(0xffffu - all[i].lifetime.first, all[i].size); }),
  };
  std::vector<ArenaItem> best;
  uint64_t best_arena = ~0ull;
  const uint64_t bound = arena_lower_bound(all);
  for (const std::vector<size_t>& order : orders) {
    std::vector<ArenaItem> trial = all;
    const uint64_t arena = place_in_order(&trial, order);
    if (arena < best_arena) {
      best_arena = arena;
      best = std::move(trial);
    }
    if (best_arena == bound) break;
  }
  *items = std::move(best);
  return best_arena;
}

uint64_t arena_lower_bound(const std::vector<ArenaItem>& items) {
  uint64_t bound = 0;
  for (const ArenaItem& at : items) {  // a new maximum can only begin where some item begins
    uint64_t sum = 0;
    for (const ArenaItem& item : items) {
      if (item.lifetime.first <= at.lifetime.first && at.lifetime.first <= item.lifetime.last) sum += item.size;
    }
    bound = std::max(bound, sum);
  }
  return bound;
}

}  // namespace edgecl
