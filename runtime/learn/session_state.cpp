// The list of a session's sections, and export, import and digest over it.
// Never here: what a section holds (its owner's file).
#include "runtime/learn/session_state.h"

#include <string.h>

#include "runtime/core/sparse_edit.h"
#include "runtime/core/weights.h"
#include "runtime/learn/inference.h"
#include "runtime/learn/merge.h"
#include "runtime/learn/session_domains.h"
#include "runtime/learn/sparsity/gradient_mask.h"

namespace edgecl {
namespace {

template <void (*write)(SectionWriter*, const Session&)>
void write_section(SectionWriter* out, const void* owner) {
  write(out, *static_cast<const Session*>(owner));
}
template <Status (*read)(SectionReader*, StateImport*)>
Status read_section(SectionReader* in, void* import) {
  return read(in, static_cast<StateImport*>(import));
}

// The head's own, where it keeps something beside parameters.
void write_head(SectionWriter* out, const Session& session) {
  const Domains& domains = session.domains;
  if (domains.any()) return session.head->write_state(out, domains.list[0].head, Whose::kOwn);
  session.head->write_state(out, session.head_memory, Whose::kAll);
}
Status read_head(SectionReader* in, StateImport* import) {
  const Session& session = *import->session;
  const Domains& domains = session.domains;
  return session.head->read_state(in, domains.any() ? domains.list[0].head : session.head_memory, import->apply);
}

void write_novelty(SectionWriter* out, const Session& session) {
  write_thresholds(out, session.thresholds);
}
Status read_novelty(SectionReader* in, StateImport* import) {
  EDGECL_RETURN_IF_FAILED(read_thresholds(in, &import->thresholds));
  if (import->apply) import->session->thresholds = import->thresholds;
  return Status();
}

void write_drift(SectionWriter* out, const Session& session) {
  write_window(out, session.thresholds, own_novelty(session), session.window);
}
Status read_drift(SectionReader* in, StateImport* import) {
  Session* const session = import->session;
  EDGECL_RETURN_IF_FAILED(read_window(in, own_novelty(*session), import->apply, &import->thresholds, &session->window));
  if (import->apply) session->thresholds = import->thresholds;
  return Status();
}

void write_domain_list(SectionWriter* out, const Session& session) {
  write_domains(out, *session.plan, *session.head, session.domains);
}
Status read_domain_list(SectionReader* in, StateImport* import) {
  Session* const session = import->session;
  return read_domains(in, *session->plan, *session->head, &session->domains, import->apply, &import->domains);
}

// Nothing for a part that this build leaves out, whose section no list has.
template <bool kBuilt, class Function>
constexpr Function* built(Function* function) {
  return kBuilt ? function : nullptr;
}

// Ascending ids. Each may rely on what those before it proved. The first seven are in every state.
constexpr StateSection kSections[] = {
    {kStateConfig, 1, 0, write_section<write_config>, read_section<read_config>},
    {kStateCounters, 1, 0, write_section<write_counters>, read_section<read_counters>},
    {kStateParams, 1, 0, write_section<write_params>, read_section<read_params>},
    {kStateStatistics, 1, 0, write_section<write_statistics>, read_section<read_statistics>},
    {kStateClasses, 1, 0, write_section<write_classes>, read_section<read_classes>},
    {kStateReplay, 1, 0, write_section<write_replay>, read_section<read_replay>},
    {kStateSparsity, 1, 0, write_section<write_sparsity>, read_section<read_sparsity>},
    {kStateHead, 1, 0, write_section<write_head>, read_section<read_head>},
    {kStateNovelty, 1, 0, built<kHasNovelty>(write_section<write_novelty>),
     built<kHasNovelty>(read_section<read_novelty>)},
    {kStateDevices, 1, 0, built<kHasStatistics>(write_section<write_devices>),
     built<kHasStatistics>(read_section<read_devices>)},
    {kStateDomains, 1, 0, built<kHasDomains>(write_section<write_domain_list>),
     built<kHasDomains>(read_section<read_domain_list>)},
    {kStateDrift, 1, kStateOptional, built<kHasNovelty>(write_section<write_drift>),
     built<kHasNovelty>(read_section<read_drift>)},
    {kStateDomainDevices, 1, 0, built<kHasDomains>(write_section<write_domain_devices>),
     built<kHasDomains>(read_section<read_domain_devices>)},
};
constexpr uint64_t (*kBytesMax[])(const Plan&, const SessionConfig&) = {
    config_bytes_max,  counters_bytes_max, params_bytes_max,   statistics_bytes_max,
    classes_bytes_max, replay_bytes_max,   sparsity_bytes_max,
};
constexpr uint32_t kAlways = sizeof kBytesMax / sizeof kBytesMax[0];
constexpr uint32_t kAll = sizeof kSections / sizeof kSections[0];
static_assert(kAll == kAlways + 6, "one bound a section, but those of head, novelty, devices, domains and drift");

// What a state may lack: the section of the head where it keeps nothing, and those of which there is nothing to say.
struct Sections {
  bool thresholds, devices, domains, drift;
};

struct SectionList {
  SectionList(const HeadKind& head, const Sections& has) {
    for (uint32_t i = 0; i < kAlways; i++) list[n++] = kSections[i];
    if (head.write_state != nullptr) list[n++] = kSections[kAlways];
    if (kHasNovelty && has.thresholds) list[n++] = kSections[kAlways + 1];
    if (has.devices && !has.domains) list[n++] = kSections[kAlways + 2];
    if (has.domains) list[n++] = kSections[kAlways + 3];
    if (kHasNovelty && has.drift) list[n++] = kSections[kAlways + 4];
    if (has.devices && has.domains) list[n++] = kSections[kAlways + 5];
  }
  explicit SectionList(const Session& session)
      : SectionList(*session.head, {session.thresholds.any(), kHasStatistics && knows_devices(session),
                                    session.domains.any(), session.thresholds.any_ranked()}) {}

  StateSection list[kAll];
  uint32_t n = 0;
};

}  // namespace

uint64_t state_bytes(const Session& session) {
  const SectionList sections(session);
  return state_file_bytes(sections.list, sections.n, &session);
}

uint64_t state_bytes_max(const Plan& plan, const SessionConfig& config) {
  const HeadKind& head = *head_kind(config.head);
  uint64_t bytes = state_frame_bytes(kAlways + 2 + 2 * (head.write_state != nullptr) + (config.max_domains > 0)) +
                   kThresholdBytesMax + domains_bytes_max(plan, config) + window_bytes_max(config);
  if (head.write_state != nullptr) bytes += head.section_bytes_max(plan, config);
  if (kHasStatistics && !head.by_gradient) bytes += devices_bytes_max(plan, config);
  for (const auto bound : kBytesMax) bytes += bound(plan, config);
  return bytes;
}

void export_state(const Session& session, uint8_t* buffer) {
  uint8_t digest[kSha256Bytes];
  const SectionList sections(session);
  write_state_file(kStateMagic, session.plan->digest, sections.list, sections.n, &session, buffer, digest);
}

void state_digest(const Session& session, uint8_t digest[kSha256Bytes]) {
  const SectionList sections(session);
  write_state_file(kStateMagic, session.plan->digest, sections.list, sections.n, &session, nullptr, digest);
}

Status open_state_of(const Plan& plan, const uint8_t* bytes, size_t n, StateFile* file) {
  EDGECL_RETURN_IF_FAILED(file->open(bytes, n));
  if (memcmp(file->header().bundle_digest, plan.digest, sizeof plan.digest) == 0) return Status();
  return failure(EDGECL_E_STATE_MISMATCH,
                 "expected a state of the bundle \"%s\"; found one of another bundle; open the bundle it was made with",
                 plan.string(plan.model->name));
}

Status import_state(Session* session, const uint8_t* bytes, size_t n) {
  StateFile file;
  const Plan& plan = *session->plan;
  EDGECL_RETURN_IF_FAILED(open_state_of(plan, bytes, n, &file));
  StateImport import = {};
  import.session = session;
  // Activations mean nothing between steps, and a row of logits is one number a column.
  import.exemplars_left =
      session->config.predict_only ? nullptr : reinterpret_cast<uint32_t*>(session->learn.activations);
  import.file = &file;
  const bool domains = session->domains.any();
  const bool devices =
      kHasStatistics && devices_of(*session) != nullptr && file.has(domains ? kStateDomainDevices : kStateDevices);
  const SectionList sections(*session->head, {file.has(kStateNovelty), devices, domains, file.has(kStateDrift)});
  EDGECL_RETURN_IF_FAILED(read_state_sections(file, sections.list, sections.n, &import));

  replay_clear(&session->replay);  // wipes exemplars that the new state has no slot for
  uint32_t* const exemplars_left = import.exemplars_left;
  import = {};
  import.session = session;
  import.file = &file;
  import.exemplars_left = exemplars_left;
  import.apply = true;
  session->thresholds.clear();
  restart_window({}, &session->window);
  forget_devices(session, true);
  const Status stored = read_state_sections(file, sections.list, sections.n, &import);
  novelty_stale(session->novelty);
  place_selected(session);
  for (uint32_t p = 0; p < plan.params.n; p++) rebuild_transposed(&session->weights.params[p]);
  refresh_statistics(plan, session->weights);
  session->bounds = UpdateBounds();
  if (!session->config.predict_only) choose_roles(session);
  return stored;
}

}  // namespace edgecl
