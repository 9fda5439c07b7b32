// Domains: beside one frozen encoder, for each domain an adaptor, a head and a routing model, in memory that is there
// from the start.
// Never here: passes, learn steps, routing scores (routing.h).
//
// After the Encoder-Adaptor-Reconfigurator framework (Daniels et al. 2023, "Efficient model adaptation for continual
// learning at the edge"): the encoder stays, a new domain gets an adaptor and a head, and samples are routed by novelty
// of frozen features. Which domain is in place is a matter of pointers: passes read ParamWeights::value, heads their
// HeadMemory.
#ifndef EDGECL_RUNTIME_ADAPT_DOMAINS_H_
#define EDGECL_RUNTIME_ADAPT_DOMAINS_H_

#include "runtime/adapt/routing.h"
#include "runtime/core/encoder.h"
#include "runtime/core/subset.h"
#include "runtime/heads/head.h"

namespace edgecl {

constexpr int32_t kRouteByFit = -1;

struct Domain {
  char name[format::kMaxClassNameBytes + 1];
  uint64_t rows;     // that this device learned and did not take back
  uint32_t used;     // 1: the domain exists
  uint32_t adapted;  // 1: values are no longer those of the bundle
  uint32_t merged;   // 1: only other devices' rows made it, and it goes with the last of them
  uint32_t zero;
  float* values;  // of the parameters that adapt, one after another, each from a multiple of 16 floats
  HeadMemory head;
  RoutingModel routing;
};
EDGECL_TARGET_BYTES(Domain, 264, 360);

struct Domains {
  uint32_t capacity = 0;   // see any()
  uint32_t selected = 0;   // where learn steps go
  bool routes = true;      // predictions go where they fit; false: to `selected`
  uint32_t dim = 0;        // routing features
  Domain* list = nullptr;  // [capacity]
  RoutingWork work;
  float* taps = nullptr;       // [max_batch * dim] one tap after another, each [rows][floats]
  float* features = nullptr;   // [max_batch][dim]
  float* border = nullptr;     // [max_batch][border] activations in front of the first layer that adapts
  float* fits = nullptr;       // [max_batch] best fit; then [max_batch] of one domain
  int32_t* route = nullptr;    // [max_batch]
  float* held_fits = nullptr;  // [capacity * kHeldRows * (1 + parts)]

  bool any() const { return kHasDomains && capacity > 0; }  // the session has domains
  uint32_t n_used() const;
};

// Whether a parameter has a value of its own in each domain; floats that it takes in Domain::values.
bool adapts(const Plan& plan, uint32_t param);
uint64_t value_room(const format::ParamRecord& param);

// Features that routing compares: the bundle's taps or, where it has none, the embedding. 0: more than
// kMaxRoutingFeatures, or none.
uint32_t routing_features(const Plan& plan);
// Whether a session may have domains: dense parameters that adapt, frozen taps, a head that keeps statistics.
// E_UNSUPPORTED.
Status check_domains(const Plan& plan, const format::RecipeRecord& recipe);
// The first op that reads something of a domain; every op before it gives the same for all.
uint32_t domain_op(const Plan& plan);
uint32_t domain_border(const Plan& plan);  // the tensor that crosses there

void lay_out_domains(Arena* arena, const Plan& plan, const format::RecipeRecord& recipe, uint32_t max_batch,
                     Weights* weights, Domains* domains);
// Rows that other devices have in it.
uint64_t domain_rows_merged(const Domain& domain);
uint64_t domain_bytes(const Plan& plan, const format::RecipeRecord& recipe);  // memory of one domain
uint64_t domains_scratch_bytes(const Plan& plan, const format::RecipeRecord& recipe, const ScratchTable& kernels);
// One domain, named "base", with the bundle's values; no other devices.
void reset_domains(const Plan& plan, const format::RecipeRecord& recipe, Domains* domains);
// Nothing learned, and the bundle's adaptor; the name stays.
void empty_domain(const Plan& plan, const HeadKind& head, Domain* domain);
// As a domain that does not exist.
void clear_domain(const Plan& plan, const HeadKind& head, Domain* domain);
// The lowest free number. E_ARGUMENT (the name), E_CAPACITY.
Status add_domain(const char* name, Domains* domains, uint32_t* which);
// E_NOT_FOUND unless the domain exists.
Status check_domain(const Domains& domains, int32_t which);
// Takes the parameters that adapt from weights that were trained on the same plan.
void adapt_domain(const Plan& plan, const Weights& trained, Domain* domain);

// Makes the passes see a domain; `head` is the session's.
void place_domain(const Plan& plan, uint32_t which, const Weights& weights, Domains* domains, HeadMemory* head);

// Copies what a tap needs of an op that has just run, if it does; and puts the taps of `rows` rows side by side.
void keep_taps(const Net& net, const Domains& domains, uint32_t op, uint32_t rows, uint32_t max_batch);
void gather_features(const Plan& plan, const Domains& domains, uint32_t rows, uint32_t max_batch);

// Best domain and fit of each of the `rows` rows in domains.features. A fit above the domain's bound is unknown.
// E_SEQUENCE: no domain has rows; E_NUMERIC.
Status route_rows(const Net& net, uint32_t rows, Domains* domains);

// Best fits of the held-out rows of all domains, one domain after another, in domains.held_fits; their number in *n.
// Errors: route_rows.
Status fit_held_rows(const Net& net, Domains* domains, uint32_t* n);

// Section DOMAINS (runtime/adapt/domains_state.cpp). The head of domain 0 is in the section HEAD.
uint64_t domains_bytes_max(const Plan& plan, const format::RecipeRecord& recipe);
void write_domains(SectionWriter* out, const Plan& plan, const HeadKind& head, const Domains& domains);
// `found`: bit d: domain d is in it.
Status read_domains(SectionReader* in, const Plan& plan, const HeadKind& head, Domains* domains, bool apply,
                    uint64_t* found);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_ADAPT_DOMAINS_H_
