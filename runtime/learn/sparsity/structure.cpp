// Schedule, pruning by importance and random growth; the same for every rule.
// Never here: a rule's numbers.
#include "runtime/learn/sparsity/structure.h"

#include <math.h>
#include <string.h>

#include "runtime/core/executor_ops.h"
#include "runtime/core/recipe.h"
#include "runtime/core/sparse_edit.h"
#include "runtime/learn/session.h"
#include "runtime/learn/sparsity/top_k.h"
#include "runtime/learn/streams.h"

namespace edgecl {
namespace {

bool is_dynamic(const format::ParamRecord& param) {
  return param.storage == format::kStorageSparse && param.trainable != 0;
}

// Which update of the task follows the s-th step; 0: none.
uint32_t update_after(const format::RecipeRecord& recipe, uint64_t steps) {
  if (steps == 0 || steps % recipe.structure_interval != 0) return 0;
  const uint64_t update = steps / recipe.structure_interval;
  return update <= recipe.structure_updates + 1ull ? static_cast<uint32_t>(update) : 0;
}

// Writes |w| + a |g| (or |w| + a |g current| + b |g replayed|) over the gradient, which nobody needs any more.
void write_importance(const SessionConfig& config, const StructureRule& rule, const ParamWeights& param, float* g,
                      const float* current) {
  const float a = config.importance_current, b = config.importance_replay;
  const float* value = param.value;
  if (!rule.importance_reads_gradient) {
    for (uint64_t k = 0; k < param.n; k++) g[k] = fabsf(value[k]);
  } else if (current) {
    for (uint64_t k = 0; k < param.n; k++)
      g[k] = fabsf(value[k]) + a * fabsf(current[k]) + b * fabsf(g[k] - current[k]);
  } else {
    for (uint64_t k = 0; k < param.n; k++) g[k] = fabsf(value[k]) + a * fabsf(g[k]);
  }
}

// The words of a RandomStream, which makes four at once, one after the other.
class RandomWords {
 public:
  explicit RandomWords(const RandomStream& stream) : stream_(stream) {}
  uint32_t bounded(uint32_t bound) {
    return bounded_of(bound, [this] { return next(); });
  }

 private:
  uint32_t next() {
    const uint32_t at = static_cast<uint32_t>(stream_.position & 3);
    if (at == 0) refill();
    stream_.position++;
    return words_[at];
  }
  __attribute__((noinline)) void refill() { stream_.block(words_); }

  RandomStream stream_;  // from its first word on
  uint32_t words_[4];
};

// Adds n random positions that neither `words` nor the pattern has: uniform over all sets of n. Precondition: there are
// as many.
void add_random(const SparsePattern& pattern, const RandomStream& stream, uint32_t n, uint64_t* words) {
  const uint32_t rows = static_cast<uint32_t>(pattern.rows);
  const uint32_t columns = static_cast<uint32_t>(pattern.channels) * static_cast<uint32_t>(pattern.taps);
  RandomWords random(stream);
  while (n > 0) {
    const uint32_t row = random.bounded(rows);
    const uint32_t key = position_key(pattern, row, random.bounded(columns));
    if (has_position(words, key) || stores_position(pattern, key)) continue;
    add_position(words, key);
    n--;
  }
}

void grow(Session* session, const StructureLayer& layer, uint32_t total, bool by_score) {
  ParamWeights& param = session->weights.params[layer.param];
  uint64_t* words = session->structure.words;
  if (total > layer.size) total = layer.size;
  if (total <= param.n) return;
  uint32_t missing = total - static_cast<uint32_t>(param.n);
  session->counters.weights_grown += missing;
  memset(words, 0, static_cast<size_t>(position_words(param.pattern)) * sizeof(uint64_t));
  if (by_score) {
    for (uint32_t i = 0; i < layer.growth.n && missing > 0; i++, missing--) add_position(words, layer.growth.keys[i]);
  }
  const RandomStream random =
      step_stream(session->counters.seed, Purpose::kGrowth, session->counters.structure_updates << 12 | layer.param);
  add_random(param.pattern, random, missing, words);
  grow_entries(&param, words);
}

void prune(Session* session, const StructureLayer& layer, uint32_t keep, const float* importance) {
  ParamWeights& param = session->weights.params[layer.param];
  if (keep >= param.n) return;
  session->counters.weights_dropped += param.n - keep;
  mark_largest(importance, static_cast<uint32_t>(param.n), keep, session->structure.keep);
  drop_entries(&param, session->structure.keep);
}

}  // namespace

Exchange replace_share(const format::RecipeRecord& s, uint32_t update, const StructureLayer&, uint32_t n) {
  if (update > s.structure_updates) return {n, n};
  const uint64_t whole = share_of(s.structure_intra, n);
  const uint32_t replaced =
      static_cast<uint32_t>(whole * (s.structure_updates + 1 - update) / (s.structure_updates + 1));
  return {n > replaced ? n - replaced : 1, n};
}

uint32_t keep_structure(const format::RecipeRecord&, const StructureLayer&, uint32_t n) {
  return n;
}

uint64_t keep_target(const format::RecipeRecord&, uint64_t, uint64_t target) {
  return target;
}

const StructureRule* structure_rule(const SessionConfig& config) {
  if (!kHasStructure) return nullptr;
  switch (learns_by_gradient(config) ? config.structure : format::kStructureStatic) {
    case format::kStructureTdm:
      return &kTdm;
    case format::kStructureSet:
      return &kSet;
    case format::kStructureRigl:
      return &kRigl;
    default:
      return nullptr;
  }
}

uint32_t growth_of(const SessionConfig& config) {
  if (config.structure == format::kStructureSet) return format::kGrowthRandom;
  if (config.structure == format::kStructureRigl) return format::kGrowthGradient;
  return config.growth;
}

bool splits_importance(const SessionConfig& config) {
  const StructureRule* rule = structure_rule(config);
  return rule && rule->importance_reads_gradient &&
         (config.importance_current != config.importance_replay || growth_of(config) == format::kGrowthImportance);
}

uint32_t share_of(float share, uint64_t size) {
  const double exact = static_cast<double>(share) * static_cast<double>(size);
  const uint32_t whole = static_cast<uint32_t>(exact);
  return whole + (exact - whole >= 0.5 ? 1 : 0);
}

Status check_structure(const Plan& plan, const SessionConfig& config) {
  if (!kHasStructure) return Status();
  const StructureRule* rule = structure_rule(config);
  const bool masks_entries =
      config.gradient_mask == format::kGradientDgm || config.gradient_mask == format::kGradientMigu;
  if (rule == nullptr && !masks_entries) return Status();
  uint32_t n_layers = 0;
  for (const format::ParamRecord& param : plan.params) {
    if (!is_dynamic(param)) continue;
    n_layers++;
    const uint64_t most = rule ? rule->most(config, param_size(param), param.nnz) : 0;
    if (most > param.nnz_capacity) {
      return failure(EDGECL_E_CAPACITY,
                     "expected room for %llu weights in \"%s\"; found nnz_capacity %u; export the bundle with a recipe "
                     "of this structure, or lower structure_inter",
                     static_cast<unsigned long long>(most), plan.string(param.name), param.nnz_capacity);
    }
  }
  if (rule && (growth_of(config) != format::kGrowthRandom || splits_importance(config))) {
    for (const format::SharedRecord& shared : plan.shared) {
      const uint32_t p = plan.ops[shared.op].params[0];
      if ((shared.params & 1) == 0 || !is_dynamic(plan.params[p])) continue;
      return failure(
          EDGECL_E_UNSUPPORTED,
          "expected a sparse layer with one use, for growth by gradient or importance by rows; found \"%s\", "
          "which several operators use; take growth at random (structure set), or export that layer dense",
          plan.string(plan.params[p].name));
    }
  }
  if (n_layers > 0) return Status();
  return failure(EDGECL_E_UNSUPPORTED,
                 "expected sparse layers that train, for structure and gradient_mask; found none in \"%s\"; export it "
                 "with a density below 1",
                 plan.string(plan.model->name));
}

void lay_out_structure(Arena* arena, const Plan& plan, const SessionConfig& config, StructureMemory* memory) {
  const StructureRule* rule = structure_rule(config);
  if (!kHasStructure || (rule == nullptr && config.gradient_mask == format::kGradientAll)) return;
  arena->begin_region("structure");
  // One loop says which layers there are; the one below meets the same.
  auto dynamic_param = [&](uint32_t op) {
    const format::OpRecord& record = plan.ops[op];
    const bool layer = record.kind == format::kOpConv || record.kind == format::kOpLinear;
    const bool dynamic = layer && is_dynamic(plan.params[record.params[0]]) && plan.writes_gradient(op, 0);
    return dynamic ? record.params[0] : format::kNone;
  };
  uint32_t n_layers = 0;
  uint64_t capacity = 0, words = 0;
  for (uint32_t op = 0; op < plan.ops.n; op++) {
    if (dynamic_param(op) == format::kNone) continue;
    const format::ParamRecord& param = plan.params[dynamic_param(op)];
    n_layers++;
    const uint64_t own = position_words(pattern_shape(param));
    if (param.nnz_capacity > capacity) capacity = param.nnz_capacity;
    if (own > words) words = own;
  }
  StructureMemory taken;
  taken.n_layers = n_layers;
  taken.layers = arena->take<StructureLayer>(n_layers);
  const bool hand_out = !arena->measuring() && !arena->exhausted();
  uint32_t at = 0;
  for (uint32_t op = 0; op < plan.ops.n; op++) {
    const uint32_t p = dynamic_param(op);
    if (p == format::kNone) continue;
    StructureLayer layer = {};
    layer.param = p;
    layer.op = op;
    layer.size = static_cast<uint32_t>(param_size(plan.params[p]));
    layer.target = plan.params[p].nnz;
    if (rule && growth_of(config) != format::kGrowthRandom) {
      layer.growth.capacity =
          layer.target - rule->exchange(config, 1, layer, layer.target).keep;  // the first exchange is largest
      layer.growth.keys = arena->take<uint32_t>(layer.growth.capacity);
    }
    if (splits_importance(config)) layer.current_gradient = arena->take<float>(plan.params[p].nnz_capacity);
    if (hand_out) taken.layers[at] = layer;
    at++;
  }
  if (rule) {
    taken.keep = arena->take<uint8_t>(capacity);
    taken.words = arena->take<uint64_t>(words);
    lay_out_growth_scores(arena, plan, config, &taken);
  }
  if (hand_out) *memory = taken;
}

uint64_t structure_scratch_bytes(const Plan& plan, const ScratchTable& kernels, const SessionConfig& config) {
  return kHasStructure ? growth_scratch_bytes(plan, kernels, config) : 0;
}

void structure_begin_task(Session* session) {
  const StructureRule* rule = structure_rule(session->config);
  if (rule == nullptr) return;
  const StructureMemory& memory = session->structure;
  for (uint32_t i = 0; i < memory.n_layers; i++) {
    const StructureLayer& layer = memory.layers[i];
    ParamWeights& param = session->weights.params[layer.param];
    // A task that ended early left more than the target; by magnitude, as no gradient is at hand.
    const uint32_t n = static_cast<uint32_t>(param.n);
    const uint32_t settled = rule->exchange(session->config, session->config.structure_updates + 1, layer, n).total;
    prune(session, layer, settled, param.value);
    grow(session, layer, rule->task_start(session->config, layer, static_cast<uint32_t>(param.n)), false);
    rebuild_transposed(&param);
  }
  session->counters.structure_updates++;
}

bool structure_due(const Session& session) {
  return structure_rule(session.config) != nullptr &&
         update_after(session.config, session.counters.steps_in_task + 1) != 0;
}

uint32_t structure_growth(const Session& session, const StructureLayer& layer) {
  const format::RecipeRecord& recipe = session.config;
  const uint32_t n = static_cast<uint32_t>(session.weights.params[layer.param].n);
  const uint32_t update = update_after(recipe, session.counters.steps_in_task + 1);
  const Exchange exchange = structure_rule(session.config)->exchange(recipe, update, layer, n);
  const uint32_t kept = exchange.keep < n ? exchange.keep : n;
  return exchange.total > kept ? exchange.total - kept : 0;
}

bool structure_after_step(Session* session) {
  const StructureRule* rule = structure_rule(session->config);
  if (rule == nullptr) return false;
  const format::RecipeRecord& recipe = session->config;
  const uint32_t update = update_after(recipe, session->counters.steps_in_task);
  if (update == 0) return false;
  const bool by_score = growth_of(session->config) != format::kGrowthRandom;
  bool changed = false;
  for (uint32_t i = 0; i < session->structure.n_layers; i++) {
    const StructureLayer& layer = session->structure.layers[i];
    ParamWeights& param = session->weights.params[layer.param];
    const uint32_t n = static_cast<uint32_t>(param.n);
    const Exchange exchange = rule->exchange(recipe, update, layer, n);
    if (exchange.keep >= n && exchange.total <= n) continue;
    changed = true;
    float* const gradient = session->learn.params[layer.param].gradient;
    write_importance(session->config, *rule, param, gradient, layer.current_gradient);
    prune(session, layer, exchange.keep, gradient);
    grow(session, layer, exchange.total, by_score);
    rebuild_transposed(&param);
  }
  if (changed) session->counters.structure_updates++;
  return changed;
}

}  // namespace edgecl
