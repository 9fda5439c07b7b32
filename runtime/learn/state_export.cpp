// Writes a state: into a buffer, or into the digest alone.
// Never here: checks of a state that comes in (state_import.cpp).
#include <string.h>

#include "runtime/core/text.h"
#include "runtime/learn/methods/method.h"
#include "runtime/learn/state.h"
#include "runtime/learn/state_layout.h"

namespace edgecl {

namespace sf = state_format;

uint32_t state_params_count(const Plan& plan) {
  uint32_t n = 0;
  for (const format::ParamRecord& param : plan.params) n += param.trainable != 0;
  return n;
}

uint32_t state_statistics_count(const Plan& plan) {
  uint32_t n = 0;
  for (const format::OpRecord& op : plan.ops) n += has_running_statistics(op);
  return n;
}

uint64_t state_param_bytes(bool sparse, uint64_t n, uint32_t flags) {
  const uint64_t arrays = 1 + sparse + ((flags & sf::kStateVelocity) != 0);
  return sf::kParamBytes + n * (4 * arrays + (sparse && (flags & sf::kStateSelection) != 0));
}

uint64_t state_statistics_bytes(const Plan& plan) {
  uint64_t bytes = sf::kListBytes;
  for (const format::OpRecord& op : plan.ops) {
    if (has_running_statistics(op)) bytes += sf::kStatisticsBytes + plan.tensors[op.output].channels * 8ull;
  }
  return bytes;
}

uint64_t state_exemplar_bytes(uint64_t sample_bytes, uint32_t logits_width) {
  return 4 + sample_bytes + logits_width * 4ull;
}

namespace {

uint32_t exemplar_dtype(const Session& session) {
  return session.border.op != 0 ? static_cast<uint32_t>(format::kInputF32) : session.plan->input->dtype;
}

// Little-endian bytes into the digest and, where there is one, a buffer.
class StateWriter {
 public:
  explicit StateWriter(uint8_t* buffer) : to_(buffer) {}

  void bytes(const void* data, size_t n) {
    sha_.update(data, n);
    if (to_ == nullptr) return;
    memcpy(to_, data, n);
    to_ += n;
  }
  void u32(uint32_t x) {
    const uint8_t b[4] = {static_cast<uint8_t>(x), static_cast<uint8_t>(x >> 8), static_cast<uint8_t>(x >> 16),
                          static_cast<uint8_t>(x >> 24)};
    bytes(b, sizeof b);
  }
  void u64(uint64_t x) {
    u32(static_cast<uint32_t>(x));
    u32(static_cast<uint32_t>(x >> 32));
  }
  void floats(const float* x, uint64_t n) {
    uint8_t chunk[1024];
    while (n > 0) {
      const size_t count = n < sizeof chunk / 4 ? static_cast<size_t>(n) : sizeof chunk / 4;
      for (size_t i = 0; i < count; i++) {
        uint32_t b;
        memcpy(&b, x + i, sizeof b);
        for (size_t k = 0; k < 4; k++) chunk[4 * i + k] = static_cast<uint8_t>(b >> (8 * k));
      }
      bytes(chunk, 4 * count);
      x += count;
      n -= count;
    }
  }
  // An exemplar: bytes, or floats that have to be put in order.
  void sample(const Session& session, const uint8_t* x) {
    if (exemplar_dtype(session) == format::kInputU8) {
      bytes(x, session.replay.sample_bytes);
    } else {
      floats(reinterpret_cast<const float*>(x), session.replay.sample_bytes / sizeof(float));
    }
  }
  // A mask that is not valid any more is written as zeros: what it held does not matter.
  void selection(const Session& session, const ParamWeights& param) {
    const uint8_t none = 0;
    for (uint64_t k = 0; k < param.n; k++) bytes(session.counters.mask_stale ? &none : param.selection + k, 1);
  }
  void section(sf::SectionType type, uint64_t n) {
    u32(type);
    u32(0);
    u64(n);
  }
  void list(uint32_t n) {
    u32(n);
    u32(0);
  }
  void finish(uint8_t digest[kSha256Bytes]) { sha_.finish(digest); }

 private:
  uint8_t* to_;
  Sha256 sha_;
};

uint64_t classes_bytes(uint64_t n_issued, uint64_t name_bytes) {
  return sf::kListBytes + n_issued * sf::kClassBytes + name_bytes;
}

uint64_t classes_bytes(const ClassTable& classes) {
  uint64_t n_issued = 0, name_bytes = 0;
  for (uint32_t label = 0; label < classes.capacity; label++) {
    if (!classes.entries[label].issued) continue;
    n_issued++;
    name_bytes += text_length(classes.entries[label].name);
  }
  return classes_bytes(n_issued, name_bytes);
}

uint64_t replay_bytes(const Replay& replay) {
  return sf::kListBytes + replay.fill * state_exemplar_bytes(replay.sample_bytes, replay.logits_width);
}

// As they are now, and at their largest.
uint64_t params_bytes(const Session& session) {
  const uint32_t flags = state_flags(session.config);
  uint64_t bytes = sf::kListBytes;
  for (uint32_t p = 0; p < session.plan->params.n; p++) {
    const ParamWeights& param = session.weights.params[p];
    if (session.plan->params[p].trainable) bytes += state_param_bytes(param.sparse, param.n, flags);
  }
  return bytes;
}
uint64_t params_bytes_max(const Plan& plan, uint32_t flags) {
  uint64_t bytes = sf::kListBytes;
  for (const format::ParamRecord& param : plan.params) {
    const bool sparse = param.storage == format::kStorageSparse;
    if (param.trainable) bytes += state_param_bytes(sparse, sparse ? param.nnz_capacity : param_size(param), flags);
  }
  return bytes;
}

uint64_t total_bytes(const Plan& plan, uint64_t params, uint64_t classes, uint64_t replay) {
  return sf::kHeaderBytes + 7 * sf::kSectionHeaderBytes + sf::kConfigBytes + sf::kCountersBytes + params +
         state_statistics_bytes(plan) + classes + replay + sf::kSparsityBytes + sf::kTrailerBytes;
}

void write_config(StateWriter* out, const Session& session) {
  out->section(sf::kSectionConfig, sf::kConfigBytes);
  out->u32(state_flags(session.config));
  out->u32(session.classes.capacity);
  out->u32(session.classes.n_columns);
  out->u32(session.replay.capacity);
  out->u32(exemplar_dtype(session));
  out->u32(session.replay.logits_width);
  out->u64(session.replay.sample_bytes);
}

void write_counters(StateWriter* out, const Session& session) {
  const Counters& c = session.counters;
  out->section(sf::kSectionCounters, sf::kCountersBytes);
  const uint64_t values[] = {c.seed,
                             c.step,
                             c.samples_learned,
                             c.tasks,
                             c.macs_learn,
                             c.macs_learn_dense,
                             c.macs_paper,
                             c.macs_paper_dense,
                             session.replay.seen,
                             session.replay.missing_inside,
                             session.replay.missing_outside};
  for (const uint64_t value : values) out->u64(value);
  out->floats(&c.learning_rate, 1);
  out->u32(0);
}

void write_params(StateWriter* out, const Session& session) {
  const Plan& plan = *session.plan;
  const uint32_t flags = state_flags(session.config);
  out->section(sf::kSectionParams, params_bytes(session));
  out->list(state_params_count(plan));
  for (uint32_t p = 0; p < plan.params.n; p++) {
    const ParamWeights& param = session.weights.params[p];
    if (!plan.params[p].trainable) continue;
    out->u32(p);
    out->u32(plan.params[p].storage);
    out->u64(param.n);
    if (param.sparse) {
      each_position(param.pattern, [&](uint32_t position) {
        out->u32(position);
        return true;
      });
    }
    out->floats(param.value, param.n);
    if (flags & sf::kStateVelocity) out->floats(param.velocity, param.n);
    if (param.sparse && (flags & sf::kStateSelection)) out->selection(session, param);
  }
}

void write_statistics(StateWriter* out, const Session& session) {
  const Plan& plan = *session.plan;
  out->section(sf::kSectionStatistics, state_statistics_bytes(plan));
  out->list(state_statistics_count(plan));
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    if (!has_running_statistics(plan.ops[i])) continue;
    const uint32_t channels = plan.tensors[plan.ops[i].output].channels;
    out->u32(i);
    out->u32(channels);
    out->floats(session.weights.norms[i].running_mean, channels);
    out->floats(session.weights.norms[i].running_var, channels);
  }
}

void write_classes(StateWriter* out, const ClassTable& classes) {
  uint32_t n_issued = 0;
  for (uint32_t label = 0; label < classes.capacity; label++) n_issued += classes.entries[label].issued;
  out->section(sf::kSectionClasses, classes_bytes(classes));
  out->list(n_issued);
  for (uint32_t label = 0; label < classes.capacity; label++) {
    const ClassEntry& entry = classes.entries[label];
    if (!entry.issued) continue;
    const size_t name_bytes = text_length(entry.name);
    out->u32(label);
    out->u32(classes.present[label]);
    out->u64(entry.samples_seen);
    out->u32(static_cast<uint32_t>(name_bytes));
    out->bytes(entry.name, name_bytes);
  }
}

void write_replay(StateWriter* out, const Session& session) {
  const Replay& replay = session.replay;
  out->section(sf::kSectionReplay, replay_bytes(replay));
  out->list(replay.fill);
  for (uint32_t slot = 0; slot < replay.fill; slot++) {
    out->u32(static_cast<uint32_t>(replay.labels[slot]));
    out->sample(session, replay.sample(slot));
    if (replay.logits_width) out->floats(replay.slot_logits(slot), replay.logits_width);
  }
}

void write_sparsity(StateWriter* out, const Session& session) {
  const Counters& c = session.counters;
  out->section(sf::kSectionSparsity, sf::kSparsityBytes);
  const uint64_t counts[] = {c.steps_in_task, c.structure_updates, c.weights_dropped,
                             c.weights_grown, c.rehearsals,        c.drift.n};
  for (const uint64_t count : counts) out->u64(count);
  const double drift[] = {c.drift.mean, c.drift.sum, c.drift.least};
  for (const double value : drift) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    out->u64(bits);
  }
  out->u32(c.mask_stale);
  out->u32(0);
}

void write_state(StateWriter* out, const Session& session) {
  out->u32(sf::kMagic);
  out->u32(sf::kVersion);
  out->u64(state_bytes(session));
  out->bytes(session.plan->digest, sizeof session.plan->digest);
  write_config(out, session);
  write_counters(out, session);
  write_params(out, session);
  write_statistics(out, session);
  write_classes(out, session.classes);
  write_replay(out, session);
  write_sparsity(out, session);
}

}  // namespace

uint64_t state_bytes(const Session& session) {
  return total_bytes(*session.plan, params_bytes(session), classes_bytes(session.classes),
                     replay_bytes(session.replay));
}

uint64_t state_bytes_max(const Plan& plan, const SessionConfig& config) {
  const uint64_t capacity = config.predict_only ? 0 : config.replay_capacity;
  const uint32_t logits_width = config_stores_logits(config) ? plan.model->class_capacity : 0;
  return total_bytes(plan, params_bytes_max(plan, state_flags(config)),
                     classes_bytes(config.max_classes, config.max_classes * static_cast<uint64_t>(kMaxClassNameBytes)),
                     sf::kListBytes + capacity * state_exemplar_bytes(exemplar_bytes(plan, config), logits_width));
}

void export_state(const Session& session, uint8_t* buffer) {
  StateWriter out(buffer);
  write_state(&out, session);
  out.finish(buffer + state_bytes(session) - sf::kTrailerBytes);
}

void state_digest(const Session& session, uint8_t digest[kSha256Bytes]) {
  StateWriter out(nullptr);
  write_state(&out, session);
  out.finish(digest);
}

}  // namespace edgecl
