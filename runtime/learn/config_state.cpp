// Section CONFIG: everything of a configuration that decides results. A state only goes on under the same one.
// Never here: seed and learning rate, which a state brings along (counters_state.cpp); limits that decide no result
// (max_batch, n_threads).
#include <string.h>

#include "runtime/core/text.h"
#include "runtime/learn/methods/method.h"
#include "runtime/learn/session_state.h"
#include "runtime/learn/sparsity/gradient_mask.h"

namespace edgecl {
namespace {

// Names of the section's words in their order; the float ones are shown in millionths. All sessions must agree on the
// first three. One text in place of a table of pointers, which a shared library would have to relocate.
constexpr char kNames[] =
    "max_classes\0"
    "class_capacity\0"
    "head\0"
    "flags (1 learning, 2 momentum, 4 gradient mask, 8 latent replay)\0"
    "replay_capacity\0"
    "dtype of exemplars\0"
    "bytes per exemplar\0"
    "stored logits per exemplar\0"
    "method\0"
    "replay_batch\0"
    "class_mask\0"
    "augment_crop\0"
    "augment_flip\0"
    "momentum (in millionths)\0"
    "weight_decay (in millionths)\0"
    "alpha (in millionths)\0"
    "beta (in millionths)\0"
    "cosine_scale (in millionths)\0"
    "structure\0"
    "growth\0"
    "structure_interval\0"
    "structure_updates\0"
    "structure_inter (in millionths)\0"
    "structure_intra (in millionths)\0"
    "importance_current (in millionths)\0"
    "importance_replay (in millionths)\0"
    "gradient_mask\0"
    "gradient_interval\0"
    "gradient_keep (in millionths)\0"
    "boundary\0"
    "drift_delta (in millionths)\0"
    "drift_threshold (in millionths)\0"
    "reserved\0"
    "reserved";
constexpr uint32_t kShared = 3, kFlags = 3, kCapacity = 4, kDtype = 5, kBytes = 6, kLogits = 7, kMethod = 8,
                   kMomentum = 13, kSparsity = 18, kWords = 34;
static_assert(kSparsity * 4 + sizeof(format::SparsityRecord) == kWords * 4, "a name for each word");

const char* name_of(uint32_t i) {
  const char* name = kNames;
  for (; i > 0; i--) name += text_length(name) + 1;
  return name;
}

void config_words(const Session& session, uint32_t* words) {
  const SessionConfig& c = session.config;
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
  const uint32_t counts[] = {c.method, c.replay_batch, c.class_mask, c.augment_crop, c.augment_flip};
  const float numbers[] = {c.momentum, c.weight_decay, c.alpha, c.beta, c.cosine_scale};
  memcpy(words + kMethod, counts, sizeof counts);
  memcpy(words + kMomentum, numbers, sizeof numbers);
  memcpy(words + kSparsity, &c.sparsity, sizeof c.sparsity);
}

// A word as the sentence shows it.
unsigned long long shown(const char* name, uint32_t word) {
  if (name[text_length(name) - 1] != ')' || name[0] == 'f') return word;
  float x;
  memcpy(&x, &word, sizeof x);
  return x > 0 && x < 1e12f ? static_cast<unsigned long long>(static_cast<double>(x) * 1e6) : 0;
}

Status agree(const uint32_t* expected, const uint32_t* found, uint32_t begin, uint32_t end) {
  for (uint32_t i = begin; i < end; i++) {
    if (expected[i] == found[i]) continue;
    const char* name = name_of(i);
    return failure(EDGECL_E_STATE_MISMATCH,
                   "state: expected %s %llu as in this session; found %llu; make the session with the configuration "
                   "that the state came from",
                   name, shown(name, expected[i]), shown(name, found[i]));
  }
  return Status();
}

}  // namespace

uint32_t state_flags(const SessionConfig& config) {
  if (config.predict_only) return 0;
  const GradientPolicy* policy = gradient_policy(config);
  return static_cast<uint32_t>(kStateLearning) | (config.momentum > 0 ? kStateVelocity : 0u) |
         (policy && policy->keeps_selection ? kStateSelection : 0u) | (config.latent_replay ? kStateLatent : 0u);
}

uint32_t exemplar_dtype(const Plan& plan, bool latent) {
  return latent ? static_cast<uint32_t>(format::kInputF32) : plan.input->dtype;
}

void write_config(SectionWriter* out, const Session& session) {
  uint32_t words[kWords];
  config_words(session, words);
  out->bytes(words, sizeof words);
}

uint64_t config_bytes_max(const Plan&, const SessionConfig&) {
  return kWords * sizeof(uint32_t);
}

Status read_config(SectionReader* in, StateImport* import) {
  const Session& s = *import->session;
  uint32_t found[kWords], expected[kWords];
  for (uint32_t& word : found) word = in->u32();
  if (in->failed()) return in->corrupt("another size");
  config_words(s, expected);
  import->flags = found[kFlags];
  import->replay_capacity = found[kCapacity];
  import->exemplar_dtype = found[kDtype];
  import->exemplar_bytes = found[kBytes];
  import->logits_width = found[kLogits];
  if (!s.config.predict_only) return agree(expected, found, 0, kWords);

  // A session that only predicts learns here what it has to leave out.
  EDGECL_RETURN_IF_FAILED(agree(expected, found, 0, kShared));
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

}  // namespace edgecl
