// Section CONFIG: everything of a configuration that decides results. A state only goes on under the same one.
// Never here: seed and learning rate, which a state brings along (counters_state.cpp); what decides no result
// (n_threads).
#include <stddef.h>
#include <string.h>

#include "runtime/core/recipe.h"
#include "runtime/core/text.h"
#include "runtime/learn/methods/method.h"
#include "runtime/learn/session_state.h"
#include "runtime/learn/sparsity/gradient_mask.h"

namespace edgecl {
namespace {

// Names of the section's first words in their order; all sessions must agree on the first three. One text in place of a
// table of pointers, which a shared library would have to relocate. The words of the recipe follow, after their count.
constexpr char kNames[] =
    "max_classes\0"
    "class_capacity\0"
    "head\0"
    "flags (1 learning, 2 momentum, 4 gradient mask, 8 latent replay)\0"
    "replay_capacity\0"
    "dtype of exemplars\0"
    "bytes per exemplar\0"
    "stored logits per exemplar";
constexpr uint32_t kShared = 3, kFlags = 3, kCapacity = 4, kDtype = 5, kBytes = 6, kLogits = 7, kRecipe = 8,
                   kWords = kRecipe + format::kRecipeFields;
// Fields of a recipe that every state has. Later ones are written up to the last that is in use: a session that uses
// none writes the bytes that it wrote before there were any, so golden states stay as they are.
constexpr uint32_t kFirstFields = 36;
static_assert(kFirstFields <= format::kRecipeFields, "fields are never taken away");

uint32_t fields_to_write(const SessionConfig& config) {
  uint32_t words[format::kRecipeFields], n = format::kRecipeFields;
  memcpy(words, static_cast<const format::RecipeRecord*>(&config), sizeof words);
  while (n > kFirstFields && (words[n - 1] == 0 || config.predict_only)) n--;
  return n;
}

void config_words(const Session& session, uint32_t* words) {
  SessionConfig c = session.config;
  memset(words, 0, kWords * sizeof *words);
  words[0] = session.classes.capacity;
  words[1] = session.classes.n_columns;
  words[2] = c.head;
  words[kFlags] = state_flags(c);
  words[kCapacity] = session.replay.capacity;
  words[kDtype] = exemplar_dtype(*session.plan, session.border.op != 0);
  words[kBytes] = static_cast<uint32_t>(session.replay.sample_bytes);  // below 2^27: kMaxRowFloats
  words[kLogits] = session.replay.logits_width;
  if (c.predict_only) return;
  c.learning_rate = 0;  // a state brings its own
  c.batch_size = session.step_rows;
  memcpy(words + kRecipe, static_cast<const format::RecipeRecord*>(&c), (kWords - kRecipe) * sizeof *words);
}

constexpr uint32_t kBatchSize = kRecipe + offsetof(format::RecipeRecord, batch_size) / sizeof(uint32_t),
                   kHeadMerges = kRecipe + offsetof(format::RecipeRecord, head_merges) / sizeof(uint32_t);

// A word as the sentence shows it.
unsigned long long shown(bool is_float, uint32_t word) {
  if (!is_float) return word;
  float x;
  memcpy(&x, &word, sizeof x);
  return x > 0 && x < 1e12f ? static_cast<unsigned long long>(static_cast<double>(x) * 1e6) : 0;
}

Status agree(const uint32_t* expected, const uint32_t* found, uint32_t end) {
  for (uint32_t i = 0; i < end; i++) {
    // Steps may have another size from now on, and more devices may be merged: section DEVICES says how many there are.
    if (expected[i] == found[i] || i == kBatchSize || i == kHeadMerges) continue;
    const char* name = kNames;
    bool is_float = false;
    if (i >= kRecipe) {
      const RecipeField& field = recipe_fields()[i - kRecipe];
      name = field.name;
      is_float = field.kind == RecipeField::kNumber;
    } else {
      for (uint32_t k = i; k > 0; k--) name += text_length(name) + 1;
    }
    return failure(EDGECL_E_STATE_MISMATCH,
                   "state: expected %s%s %llu as in this session; found %llu; make the session with the configuration "
                   "that the state came from",
                   name, is_float ? " (in millionths)" : "", shown(is_float, expected[i]), shown(is_float, found[i]));
  }
  return Status();
}

}  // namespace

uint32_t state_flags(const SessionConfig& config) {
  if (config.predict_only) return 0;
  const GradientPolicy* policy = gradient_policy(config);
  return kStateLearning * 1u | kStateVelocity * (config.momentum > 0) |
         kStateSelection * (policy && policy->keeps_selection) | kStateLatent * (config.latent_replay != 0);
}

uint32_t exemplar_dtype(const Plan& plan, bool latent) {
  return latent ? static_cast<uint32_t>(format::kInputF32) : plan.input->dtype;
}

void write_config(SectionWriter* out, const Session& session) {
  uint32_t words[kWords];
  config_words(session, words);
  const uint32_t n_fields = fields_to_write(session.config);
  out->bytes(words, kRecipe * sizeof *words);
  out->u32(n_fields);
  out->bytes(words + kRecipe, n_fields * sizeof *words);
}

uint64_t config_bytes_max(const Plan&, const SessionConfig& config) {
  return (kRecipe + 1 + fields_to_write(config)) * sizeof(uint32_t);
}

namespace {

// The words of a section, zero where it has none.
Status read_words(SectionReader* in, uint32_t found[kWords]) {
  memset(found, 0, kWords * sizeof *found);
  for (uint32_t i = 0; i < kRecipe; i++) found[i] = in->u32();
  // Fields that one side does not know yet mean nothing at zero.
  const uint32_t n_fields = in->u32();
  uint32_t beyond = 0;
  for (uint32_t i = 0; i < n_fields && !in->failed(); i++) {
    const uint32_t word = in->u32();
    (kRecipe + i < kWords ? found[kRecipe + i] : beyond) |= word;
  }
  if (in->failed()) return in->corrupt("another size");
  if (beyond != 0) {
    return failure(EDGECL_E_STATE_MISMATCH,
                   "state: expected a recipe of %u fields; found %u, and a later one in use; use a newer library",
                   kWords - kRecipe, n_fields);
  }
  return Status();
}

}  // namespace

Status read_config(SectionReader* in, StateImport* import) {
  const Session& s = *import->session;
  uint32_t found[kWords], expected[kWords];
  EDGECL_RETURN_IF_FAILED(read_words(in, found));
  config_words(s, expected);
  import->flags = found[kFlags];
  if (import->stores_learning()) import->session->step_rows = found[kBatchSize];
  import->replay_capacity = found[kCapacity];
  import->exemplar_dtype = found[kDtype];
  import->exemplar_bytes = found[kBytes];
  import->logits_width = found[kLogits];
  if (!s.config.predict_only) {
    if (found[kBatchSize] > format::kMaxRows) return in->corrupt("a batch size that no session has");
    return agree(expected, found, kWords);
  }

  // A session that only predicts learns here what it has to leave out.
  EDGECL_RETURN_IF_FAILED(agree(expected, found, kShared));
  const bool latent = import->says(kStateLatent);
  uint64_t bytes = s.sample_bytes;
  if (latent) {
    const Border border = find_border(*s.plan);
    if (border.op == 0) return in->corrupt("latent exemplars of a bundle without a frozen part");
    bytes = tensor_row_floats(s.plan->tensors[border.tensor]) * sizeof(float);
  }
  if (found[kFlags] > (kStateLearning | kStateVelocity | kStateSelection | kStateLatent) ||
      found[kCapacity] > format::kMaxReplayCapacity || (found[kLogits] != 0 && found[kLogits] != s.classes.n_columns) ||
      found[kDtype] != exemplar_dtype(*s.plan, latent) || found[kBytes] != bytes) {
    return in->corrupt("an impossible buffer");
  }
  return Status();
}

Status state_config(const Plan& plan, const uint8_t* bytes, size_t n, SessionConfig* config) {
  StateFile file;
  EDGECL_RETURN_IF_FAILED(open_state_of(plan, bytes, n, &file));
  *config = default_config(plan);
  bool learns = false;
  Counters counters = {};
  for (uint32_t i = 0; i < file.header().n_sections; i++) {
    const StateEntry entry = file.entry(i);
    SectionReader in = file.reader(entry);
    if (entry.id == kStateConfig) {
      uint32_t found[kWords];
      EDGECL_RETURN_IF_FAILED(read_words(&in, found));
      learns = (found[kFlags] & kStateLearning) != 0;
      config->max_classes = found[0];
      config->head = found[2];
      if (learns) {
        memcpy(static_cast<format::RecipeRecord*>(config), found + kRecipe, (kWords - kRecipe) * sizeof *found);
        if (config->batch_size == 0) config->batch_size = plan.recipe->batch_size;
        config->max_batch = config->batch_size;
      }
    } else if (entry.id == kStateCounters) {
      EDGECL_RETURN_IF_FAILED(read_counter_values(&in, learns, &counters));
    }
  }
  config->seed = counters.seed;
  config->predict_only = !learns;
  if (learns) config->learning_rate = counters.learning_rate;
  return check_config(plan, *config);
}

}  // namespace edgecl
