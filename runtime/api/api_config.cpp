// The configuration of a session between the C API's struct and the learner's.
// Never here: limits (runtime/learn/config.cpp), fields of the recipe (runtime/core/recipe_fields.def).
#include "runtime/api/api_objects.h"

namespace edgecl::api {
namespace {

// The recipe's fields are one block in both structs, in the same order.
constexpr size_t kRecipeBytes = format::kRecipeFields * sizeof(uint32_t);
constexpr size_t kRecipeAt = offsetof(edgecl_session_config, method);
// An odd number of fields has a reserved word behind it.
constexpr size_t kTailWords = (sizeof(edgecl_session_config) - kRecipeAt - kRecipeBytes) / sizeof(uint32_t);
static_assert(kTailWords == format::kRecipeFields % 2, "edgecl.h has the fields of the recipe");
#define FIELD(name)                                                                                          \
  static_assert(offsetof(edgecl_session_config, name) - kRecipeAt == offsetof(format::RecipeRecord, name) && \
                    sizeof(edgecl_session_config::name) == sizeof(format::RecipeRecord::name),               \
                "edgecl.h has the fields of the recipe in its order");
#define CHOICE(name, names) FIELD(name)
#define FLAG(name) FIELD(name)
#define COUNT(name, low, high) FIELD(name)
#define EPOCHS(name) FIELD(name)
#define NUMBER(name, low, high, range) FIELD(name)
#include "runtime/core/recipe_fields.def"
#undef CHOICE
#undef FLAG
#undef COUNT
#undef EPOCHS
#undef NUMBER
#undef FIELD

Status check_flag(const char* field, uint32_t value) {
  if (value <= 1) return Status();
  return failure(EDGECL_E_ARGUMENT, "expected %s to be 0 or 1; found %u; set one of these", field, value);
}

Status check_reserved(const uint32_t* words, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (words[i] != 0)
      return failure(EDGECL_E_ARGUMENT, "expected edgecl_session_config.reserved to be 0; found %u; clear it",
                     words[i]);
  }
  return Status();
}

}  // namespace

format::RecipeRecord recipe_of(const edgecl_session_config& config) {
  format::RecipeRecord recipe;
  memset(&recipe, 0, sizeof recipe);
  memcpy(&recipe, reinterpret_cast<const uint8_t*>(&config) + kRecipeAt, kRecipeBytes);
  return recipe;
}

void set_recipe(const format::RecipeRecord& recipe, edgecl_session_config* config) {
  memcpy(reinterpret_cast<uint8_t*>(config) + kRecipeAt, &recipe, kRecipeBytes);
}

Status read_config(const edgecl_model& model, const edgecl_session_config* from, const edgecl_hooks* hooks,
                   SessionConfig* to, Environment* env) {
  EDGECL_RETURN_IF_FAILED(check_struct(from, "edgecl_session_config"));
  edgecl_hooks h;
  EDGECL_RETURN_IF_FAILED(read_optional(hooks, "edgecl_hooks", &h));
  *to = default_config(model.plan);
  edgecl_session_config c = write_config(*to);  // what a shorter struct lacks is as the bundle says
  read_over(from, &c);
  EDGECL_RETURN_IF_FAILED(check_flag("predict_only", c.predict_only));
  EDGECL_RETURN_IF_FAILED(check_flag("add_unseen_labels", c.add_unseen_labels));
  EDGECL_RETURN_IF_FAILED(check_flag("separate_predict", c.separate_predict));
  EDGECL_RETURN_IF_FAILED(check_reserved(c.reserved, sizeof c.reserved / sizeof c.reserved[0]));
  EDGECL_RETURN_IF_FAILED(check_reserved(&c.method + format::kRecipeFields, kTailWords));
  to->max_batch = c.max_batch;
  to->n_threads = c.n_threads;
  to->max_classes = c.max_classes;
  to->predict_only = c.predict_only != 0;
  to->add_unseen_labels = c.add_unseen_labels != 0;
  to->separate_predict = c.separate_predict != 0;
  to->seed = c.seed;
  static_cast<format::RecipeRecord&>(*to) = recipe_of(c);
  *env = Environment();
  env->kernels = model.kernels;
  env->hook_user = h.user;
  env->now_us = h.now_us;
  env->log = h.log;
  env->parallel.n_threads = c.n_threads;
  env->parallel.user = h.user;
  env->parallel.parallel_for = h.parallel_for;
  return check_config(model.plan, *to);
}

edgecl_session_config write_config(const SessionConfig& from) {
  edgecl_session_config c;
  memset(&c, 0, sizeof c);
  c.struct_size = sizeof c;
  c.max_batch = from.max_batch;
  c.n_threads = from.n_threads;
  c.max_classes = from.max_classes;
  c.predict_only = from.predict_only;
  c.add_unseen_labels = from.add_unseen_labels;
  c.separate_predict = from.separate_predict;
  c.seed = from.seed;
  set_recipe(from, &c);
  return c;
}

}  // namespace edgecl::api
