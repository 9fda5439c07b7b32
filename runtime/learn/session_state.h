// Export, import and digest of a session's state, and the sections that it is made of.
// Never here: storage, files; the frame of a state (runtime/state/state_file.h).
#ifndef EDGECL_RUNTIME_LEARN_SESSION_STATE_H_
#define EDGECL_RUNTIME_LEARN_SESSION_STATE_H_

#include <stddef.h>
#include <stdint.h>

#include "runtime/learn/session.h"
#include "runtime/state/state_file.h"

namespace edgecl {

// Bytes that an export needs now. O(classes + params).
uint64_t state_bytes(const Session& session);
// The largest that it can become under this configuration: every class named with 63 bytes, buffer full.
uint64_t state_bytes_max(const Plan& plan, const SessionConfig& config);

// Writes exactly state_bytes() bytes. One pass of SHA-256 over them.
void export_state(const Session& session, uint8_t* buffer);
// The last 32 bytes of what an export would write, without writing it.
void state_digest(const Session& session, uint8_t digest[kSha256Bytes]);

// All or nothing: every byte is checked before the session is touched, also against an attacker who made the digests
// fit. A predict-only session takes the state of a learning one and leaves out velocities and exemplars. Errors:
// E_STATE_CORRUPT (the message names the section), E_STATE_MISMATCH (other bundle, other configuration, newer format).
Status import_state(Session* session, const uint8_t* bytes, size_t n);

// The configuration that the state was made under: the recipe, max_classes, seed, learning rate and batch size in force;
// the rest as the bundle's recipe says. Errors: as import_state, and those of check_config.
Status state_config(const Plan& plan, const uint8_t* bytes, size_t n, SessionConfig* config);

// --- between the sections ---

// A state whose frame is sound and whose bundle is the plan's.
Status open_state_of(const Plan& plan, const uint8_t* bytes, size_t n, StateFile* file);

// One import: the session, and what sections that were read already say to later ones.
struct StateImport {
  Session* session;
  const StateFile* file;
  bool apply;  // false: check only
  // From CONFIG.
  uint32_t flags, replay_capacity, exemplar_dtype, logits_width;
  uint64_t exemplar_bytes;
  // From CLASSES: rows learned of all classes, and exemplars that each may still have. [columns]; null where exemplars
  // are left out.
  uint64_t class_rows;
  uint32_t* exemplars_left;
  // From DOMAINS: bit d: domain d exists.
  uint64_t domains;
  // From NOVELTY.
  Thresholds thresholds;

  bool says(uint32_t flag) const { return (flags & flag) != 0; }
  // Whether to store what only learning needs.
  bool stores_learning() const { return apply && !session->config.predict_only; }
};

// Flags of CONFIG.
enum StateFlags : uint32_t {
  kStateLearning = 1,   // of a session that learns (not predict_only)
  kStateVelocity = 2,   // momentum buffers are present
  kStateSelection = 4,  // gradient masks that outlive a step are present
  kStateLatent = 8,     // exemplars are activations where the frozen part of the network ends
};
uint32_t state_flags(const SessionConfig& config);
// What exemplars of a session are made of: format::InputDtype.
uint32_t exemplar_dtype(const Plan& plan, bool latent);

constexpr uint64_t kMaxStateCount = 1ull << 56;  // of steps, samples and rows: sums of a few never overflow

// One section's pair and its largest size. Each pair lies beside what it saves.
void write_config(SectionWriter* out, const Session& session);
Status read_config(SectionReader* in, StateImport* import);
uint64_t config_bytes_max(const Plan& plan, const SessionConfig& config);

void write_counters(SectionWriter* out, const Session& session);
Status read_counters(SectionReader* in, StateImport* import);
Status read_counter_values(SectionReader* in, bool learns, Counters* values);
uint64_t counters_bytes_max(const Plan& plan, const SessionConfig& config);

void write_params(SectionWriter* out, const Session& session);
Status read_params(SectionReader* in, StateImport* import);
uint64_t params_bytes_max(const Plan& plan, const SessionConfig& config);

void write_statistics(SectionWriter* out, const Session& session);
Status read_statistics(SectionReader* in, StateImport* import);
uint64_t statistics_bytes_max(const Plan& plan, const SessionConfig& config);

void write_classes(SectionWriter* out, const Session& session);
Status read_classes(SectionReader* in, StateImport* import);
uint64_t classes_bytes_max(const Plan& plan, const SessionConfig& config);

void write_replay(SectionWriter* out, const Session& session);
Status read_replay(SectionReader* in, StateImport* import);
uint64_t replay_bytes_max(const Plan& plan, const SessionConfig& config);

void write_sparsity(SectionWriter* out, const Session& session);
Status read_sparsity(SectionReader* in, StateImport* import);
uint64_t sparsity_bytes_max(const Plan& plan, const SessionConfig& config);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_SESSION_STATE_H_
