// Memory of domains, which of them is in place, and which one takes a row.
// Never here: fits of one domain (routing.cpp), the form in a state (domains_state.cpp).
#include "runtime/adapt/domains.h"

#include <string.h>

#include "runtime/core/text.h"
#include "runtime/core/weights.h"
#include "runtime/heads/statistics_head.h"

namespace edgecl {
namespace {

uint64_t values_of_domain(const Plan& plan) {
  uint64_t n = 0;
  for (uint32_t p = 0; p < plan.params.n; p++) n += adapts(plan, p) ? value_room(plan.params[p]) : 0;
  return n;
}

bool written_before(const Plan& plan, uint32_t tensor, uint32_t op) {
  for (uint32_t i = 0; i < op; i++) {
    if (plan.ops[i].output == tensor) return true;
  }
  return false;
}

// Taps, or the embedding in place of them.
uint32_t n_taps(const Plan& plan) {
  return plan.taps.n > 0 ? plan.taps.n : 1;
}
Tap tap_of(const Plan& plan, uint32_t i) {
  if (plan.taps.n == 0) return {plan.model->embedding_tensor, false, nullptr};
  return {plan.taps[i].tensor, (plan.taps[i].flags & format::kTapPooled) != 0, nullptr};
}

const char* refusal(const Plan& plan, const format::RecipeRecord& recipe) {
  const HeadKind* head = head_kind(recipe.head);
  if (head == nullptr || head->by_gradient) return "a head that keeps statistics (head = ncm, lda or ridge)";
  if (routing_features(plan) == 0) return "taps of at most 1024 features together, or an embedding of as many";
  for (uint32_t p = 0; p < plan.params.n; p++) {
    if (adapts(plan, p) && plan.params[p].storage == format::kStorageSparse)
      return "dense parameters that adapt; others are sparse";
  }
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    if (has_running_statistics(plan.ops[i])) return "batch norms that are frozen";
  }
  if (plan.border_op == 0 && values_of_domain(plan) > 0) return "an encoder that is frozen up to one tensor";
  for (uint32_t i = 0; i < n_taps(plan); i++) {
    if (!written_before(plan, tap_of(plan, i).tensor, domain_op(plan))) return "taps in front of what adapts";
  }
  return nullptr;
}

bool can_take_rows(const Domain& domain) {
  return domain.used != 0 && routing_has_rows(domain.routing);
}

Status nothing_learned() {
  return failure(EDGECL_E_SEQUENCE, "expected a domain that has learned rows; found none; learn some first");
}

}  // namespace

bool adapts(const Plan& plan, uint32_t param) {
  return plan.params[param].trainable != 0 && !is_of_last_layer(plan, param);
}

uint64_t value_room(const format::ParamRecord& param) {
  return (param_size(param) + 15) / 16 * 16;
}

uint32_t Domains::n_used() const {
  uint32_t n = 0;
  for (uint32_t d = 0; d < capacity; d++) n += list[d].used;
  return n;
}

uint32_t routing_features(const Plan& plan) {
  if (plan.taps.n == 0 && plan.model->embedding_tensor == format::kNone) return 0;
  uint64_t n = 0;
  for (uint32_t i = 0; i < n_taps(plan); i++) {
    const Tap tap = tap_of(plan, i);
    n += tap_floats(plan, tap.tensor, tap.pooled);
  }
  return n <= kMaxRoutingFeatures ? static_cast<uint32_t>(n) : 0;
}

uint32_t domain_op(const Plan& plan) {
  const uint32_t last = last_layer_op(plan);
  return plan.border_op > 0 && plan.border_op < last ? plan.border_op : last;
}

uint32_t domain_border(const Plan& plan) {
  return domain_op(plan) < last_layer_op(plan) ? plan.border_tensor : plan.model->embedding_tensor;
}

Status check_domains(const Plan& plan, const format::RecipeRecord& recipe) {
  if (!kHasDomains || recipe.max_domains == 0) return Status();
  const char* const expected = refusal(plan, recipe);
  if (expected == nullptr) return Status();
  return failure(EDGECL_E_UNSUPPORTED, "expected %s for max_domains; found otherwise in \"%s\"; set max_domains = 0",
                 expected, plan.string(plan.model->name));
}

void lay_out_domains(Arena* arena, const Plan& plan, const format::RecipeRecord& recipe, uint32_t max_batch,
                     Weights* weights, Domains* domains) {
  if (!kHasDomains || recipe.max_domains == 0) return;
  arena->begin_region("head");
  const HeadKind& head = *head_kind(recipe.head);
  const uint32_t dim = routing_features(plan), columns = plan.model->class_capacity;
  const uint64_t values = values_of_domain(plan), rows = max_batch;
  Domain* const list = arena->take<Domain>(recipe.max_domains);
  for (uint32_t d = 0; d < recipe.max_domains; d++) {
    Domain domain = {};
    domain.values = arena->take<float>(values + kReadSlack);
    domain.head.dim = static_cast<uint32_t>(tensor_row_floats(plan.tensors[plan.model->embedding_tensor]));
    domain.head.columns = columns;
    head.lay_out(arena, plan, recipe, weights, &domain.head);
    lay_out_routing(arena, dim, columns, recipe.head_merges, &domain.routing);
    if (arena->measuring() || arena->exhausted()) continue;
    list[d] = domain;
    DeviceTable* const devices = sums_of(list[0].head)->parts.devices;  // one for all
    sums_of(list[d].head)->parts.devices = devices;
    list[d].routing.statistics.parts.devices = devices;
  }
  lay_out_routing_work(arena, dim, recipe.head_merges, &domains->work);
  domains->taps = arena->take<float>(rows * dim);
  domains->features = arena->take<float>(rows * dim);
  domains->border = arena->take<float>(rows * tensor_row_floats(plan.tensors[domain_border(plan)]));
  domains->fits = arena->take<float>(2 * rows);
  domains->route = arena->take<int32_t>(rows);
  domains->held_fits = arena->take<float>(static_cast<uint64_t>(recipe.max_domains) * kHeldRows *
                                          (1 + static_cast<uint64_t>(recipe.head_merges)));
  domains->list = list;
  domains->capacity = recipe.max_domains;
  domains->dim = dim;
}

uint64_t domain_bytes(const Plan& plan, const format::RecipeRecord& recipe) {
  Arena arena;
  HeadMemory head;
  Weights weights;
  RoutingModel routing;
  arena.take<Domain>(1);
  arena.take<float>(values_of_domain(plan) + kReadSlack);
  head_kind(recipe.head)->lay_out(&arena, plan, recipe, &weights, &head);
  lay_out_routing(&arena, routing_features(plan), plan.model->class_capacity, recipe.head_merges, &routing);
  return arena.used();
}

uint64_t domain_rows_merged(const Domain& domain) {
  uint64_t n = 0;
  for (uint32_t part = 0; part < domain.routing.statistics.parts.fill(); part++) n += domain.routing.others[part].rows;
  return n;
}

uint64_t domains_scratch_bytes(const Plan& plan, const format::RecipeRecord& recipe, const ScratchTable& kernels) {
  if (!kHasDomains || recipe.max_domains == 0) return 0;
  return routing_scratch_bytes(routing_features(plan), plan.model->class_capacity, kernels);
}

void empty_domain(const Plan& plan, const HeadKind& head, Domain* domain) {
  uint64_t at = 0;
  for (uint32_t p = 0; p < plan.params.n; p++) {
    if (!adapts(plan, p)) continue;
    memset(domain->values + at, 0, value_room(plan.params[p]) * sizeof(float));
    memcpy(domain->values + at, plan.dense_values(p), param_size(plan.params[p]) * sizeof(float));
    at += value_room(plan.params[p]);
  }
  domain->rows = 0;
  domain->adapted = domain->merged = domain->zero = 0;
  head.reset(domain->head);
  clear_routing(&domain->routing);
}

void clear_domain(const Plan& plan, const HeadKind& head, Domain* domain) {
  empty_domain(plan, head, domain);
  memset(domain->name, 0, sizeof domain->name);
  domain->used = 0;
}

void reset_domains(const Plan& plan, const format::RecipeRecord& recipe, Domains* domains) {
  if (!domains->any()) return;
  const HeadKind& head = *head_kind(recipe.head);
  for (uint32_t d = 0; d < domains->capacity; d++) clear_domain(plan, head, &domains->list[d]);
  memcpy(domains->list[0].name, "base", 5);
  domains->list[0].used = 1;
  domains->selected = 0;
  domains->routes = true;
}

void place_domain(const Plan& plan, uint32_t which, const Weights& weights, Domains* domains, HeadMemory* head) {
  if (!domains->any()) return;
  const Domain& domain = domains->list[which];
  uint64_t at = 0;
  for (uint32_t p = 0; p < plan.params.n; p++) {
    if (!adapts(plan, p)) continue;
    weights.params[p].value = domain.values + at;
    at += value_room(plan.params[p]);
  }
  if (domain.head.own != nullptr) {
    weights.params[plan.model->head_weight].value = domain.head.own->weight;
    weights.params[plan.model->head_bias].value = domain.head.own->bias;
  }
  *head = domain.head;
}

Status add_domain(const char* name, Domains* domains, uint32_t* which) {
  size_t n = 0;
  while (n <= format::kMaxClassNameBytes && name[n] != 0) n++;
  if (n < 1 || n > format::kMaxClassNameBytes || !valid_utf8(reinterpret_cast<const uint8_t*>(name), n))
    return failure(EDGECL_E_ARGUMENT, "expected a name of 1..63 bytes of UTF-8; found another; shorten it");
  uint32_t free = domains->capacity;
  for (uint32_t d = domains->capacity; d-- > 0;) {
    if (!domains->list[d].used) free = d;
    if (domains->list[d].used && memcmp(domains->list[d].name, name, n + 1) == 0)
      return failure(EDGECL_E_ARGUMENT, "expected a new name of a domain; found \"%s\", which exists; choose another",
                     domains->list[d].name);
  }
  if (free == domains->capacity) {
    return failure(EDGECL_E_CAPACITY,
                   "expected room for one more domain; found all %u in use; make the session with a larger max_domains",
                   domains->capacity);
  }
  memcpy(domains->list[free].name, name, n + 1);
  domains->list[free].used = 1;
  *which = free;
  return Status();
}

Status check_domain(const Domains& domains, int32_t which) {
  if (which >= 0 && static_cast<uint32_t>(which) < domains.capacity && domains.list[which].used) return Status();
  return failure(EDGECL_E_NOT_FOUND,
                 "expected the number of a domain that exists; found %d; ask edgecl_domain_describe",
                 static_cast<int>(which));
}

void adapt_domain(const Plan& plan, const Weights& trained, Domain* domain) {
  uint64_t at = 0;
  for (uint32_t p = 0; p < plan.params.n; p++) {
    if (!adapts(plan, p)) continue;
    memcpy(domain->values + at, trained.params[p].value, param_size(plan.params[p]) * sizeof(float));
    at += value_room(plan.params[p]);
  }
  domain->adapted = 1;
}

void keep_taps(const Net& net, const Domains& domains, uint32_t op, uint32_t rows, uint32_t max_batch) {
  if (!domains.any() || op >= domain_op(net.plan)) return;
  uint64_t at = 0;
  for (uint32_t i = 0; i < n_taps(net.plan); i++) {
    const Tap tap = tap_of(net.plan, i);
    if (tap.tensor == net.plan.ops[op].output)
      copy_rows_out(net, plan_tensor(net, tap.tensor, rows, Mode::kPredict), rows, tap.pooled,
                    domains.taps + at * max_batch);
    at += tap_floats(net.plan, tap.tensor, tap.pooled);
  }
}

void gather_features(const Plan& plan, const Domains& domains, uint32_t rows, uint32_t max_batch) {
  uint64_t at = 0;
  for (uint32_t i = 0; i < n_taps(plan); i++) {
    const Tap tap = tap_of(plan, i);
    const uint64_t n = tap_floats(plan, tap.tensor, tap.pooled);
    for (uint64_t r = 0; r < rows; r++)
      memcpy(domains.features + r * domains.dim + at, domains.taps + at * max_batch + r * n, n * sizeof(float));
    at += n;
  }
}

Status route_rows(const Net& net, uint32_t rows, Domains* domains) {
  bool any = false;
  float* const best = domains->fits;
  float* const fits = domains->fits + rows;
  for (uint32_t d = 0; d < domains->capacity; d++) {
    Domain* const domain = &domains->list[d];
    if (!can_take_rows(*domain)) continue;
    EDGECL_RETURN_IF_FAILED(routing_prepare(net, domains->work, &domain->routing));
    routing_fits(net, domains->work, domain->routing, domains->features, rows, fits);
    for (uint32_t r = 0; r < rows; r++) {
      if (any && !(fits[r] < best[r])) continue;
      best[r] = fits[r];
      domains->route[r] = static_cast<int32_t>(d);
    }
    any = true;
  }
  return any ? Status() : nothing_learned();
}

Status fit_held_rows(const Net& net, Domains* domains, uint32_t* n) {
  *n = 0;
  for (uint32_t of = 0; of < domains->capacity; of++) {
    const Domain& source = domains->list[of];
    if (!can_take_rows(source)) continue;
    float* const best = domains->held_fits + *n;
    bool any = false;
    for (uint32_t d = 0; d < domains->capacity; d++) {
      Domain* const domain = &domains->list[d];
      if (!can_take_rows(*domain)) continue;
      EDGECL_RETURN_IF_FAILED(routing_prepare(net, domains->work, &domain->routing));
      routing_held_fits(net, domains->work, domain->routing, source.routing, domains->work.scores);
      for (uint32_t r = 0; r < routing_n_held(source.routing); r++) {
        if (!any || domains->work.scores[r] < best[r]) best[r] = domains->work.scores[r];
      }
      any = true;
    }
    *n += routing_n_held(source.routing);
  }
  return *n > 0 ? Status() : nothing_learned();
}

}  // namespace edgecl
