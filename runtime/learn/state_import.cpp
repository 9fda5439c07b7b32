// Reads a state: everything is checked in a first pass that touches nothing, then the same code runs again and stores.
// Never here: writing of states.
#include <float.h>
#include <string.h>

#include "runtime/core/sparse_edit.h"
#include "runtime/learn/state.h"
#include "runtime/learn/state_layout.h"

namespace edgecl {

namespace sf = state_format;

namespace {

constexpr uint64_t kMaxCount = 1ull << 56;  // of steps, samples and rows: sums of a few never overflow

uint32_t load_u32(const uint8_t* p) {
  return static_cast<uint32_t>(p[0]) | static_cast<uint32_t>(p[1]) << 8 | static_cast<uint32_t>(p[2]) << 16 |
         static_cast<uint32_t>(p[3]) << 24;
}

// Bytes from front to back; reading past the end gives zeros and `failed`.
class StateReader {
 public:
  StateReader(const uint8_t* bytes, uint64_t n) : at_(bytes), left_(n) {}

  bool failed() const { return failed_; }
  uint64_t left() const { return left_; }

  const uint8_t* bytes(uint64_t n) {
    if (n > left_) {
      failed_ = true;
      return nullptr;
    }
    const uint8_t* p = at_;
    at_ += n;
    left_ -= n;
    return p;
  }
  uint32_t u32() {
    const uint8_t* p = bytes(4);
    return p ? load_u32(p) : 0;
  }
  uint64_t u64() {
    const uint64_t low = u32();
    return low | static_cast<uint64_t>(u32()) << 32;
  }
  // n floats into `to`, or nowhere when it is null. False when one is not finite or the bytes end.
  bool floats(uint64_t n, float* to) {
    if (n > left_ / 4) failed_ = true;
    for (float chunk[256]; n > 0 && !failed_;) {
      const size_t count = n < 256 ? static_cast<size_t>(n) : 256;
      const uint8_t* p = bytes(4 * count);
      for (size_t i = 0; i < count; i++) {
        const uint32_t b = load_u32(p + 4 * i);
        memcpy(&chunk[i], &b, sizeof b);
      }
      if (!all_finite(chunk, static_cast<int64_t>(count))) return false;
      if (to) {
        memcpy(to, chunk, count * sizeof(float));
        to += count;
      }
      n -= count;
    }
    return !failed_;
  }

 private:
  const uint8_t* at_;
  uint64_t left_;
  bool failed_ = false;
};

Status corrupt(const char* section, const char* what) {
  return failure(EDGECL_E_STATE_CORRUPT, "state section %s: expected a sound section; found %s; use an older export",
                 section, what);
}

Status mismatch(const char* field, uint64_t expected, uint64_t found) {
  return failure(EDGECL_E_STATE_MISMATCH,
                 "state: expected %s %llu as in this session; found %llu; make the session with the configuration that "
                 "the state came from",
                 field, static_cast<unsigned long long>(expected), static_cast<unsigned long long>(found));
}

// One reading of a state. `apply` false: checks only.
class Import {
 public:
  Import(Session* session, const uint8_t* bytes, uint64_t n, bool apply)
      : session_(session), in_(bytes, n), apply_(apply) {}

  Status run() {
    EDGECL_RETURN_IF_FAILED(config());
    EDGECL_RETURN_IF_FAILED(counters());
    EDGECL_RETURN_IF_FAILED(params());
    EDGECL_RETURN_IF_FAILED(statistics());
    EDGECL_RETURN_IF_FAILED(classes());
    EDGECL_RETURN_IF_FAILED(replay());
    EDGECL_RETURN_IF_FAILED(sparsity());
    if (in_.left() != 0) return corrupt("SPARSITY", "bytes after it");
    return Status();
  }

 private:
  // Whether parts that only learning needs are stored.
  bool keeps_learning() const { return !session_->config.predict_only; }

  Status section(const char* name, sf::SectionType type, uint64_t* bytes) {
    const uint32_t found = in_.u32(), zero = in_.u32();
    *bytes = in_.u64();
    if (in_.failed() || found != static_cast<uint32_t>(type) || zero != 0 || *bytes > in_.left())
      return corrupt(name, "a bad section header");
    return Status();
  }

  Status config() {
    uint64_t bytes;
    EDGECL_RETURN_IF_FAILED(section("CONFIG", sf::kSectionConfig, &bytes));
    if (bytes != sf::kConfigBytes) return corrupt("CONFIG", "another size");
    flags_ = in_.u32();
    const uint32_t max_classes = in_.u32(), columns = in_.u32();
    capacity_ = in_.u32();
    dtype_ = in_.u32();
    logits_width_ = in_.u32();
    exemplar_bytes_ = in_.u64();
    const Session& s = *session_;
    if (flags_ & ~(sf::kStateLearning | sf::kStateVelocity | sf::kStateSelection | sf::kStateLatent))
      return corrupt("CONFIG", "unknown flags");
    if (max_classes != s.classes.capacity) return mismatch("max_classes", s.classes.capacity, max_classes);
    if (columns != s.classes.n_columns) return mismatch("class_capacity", s.classes.n_columns, columns);
    if (!keeps_learning()) {
      if (capacity_ > format::kMaxReplayCapacity || (logits_width_ != 0 && logits_width_ != columns))
        return corrupt("CONFIG", "an impossible buffer");
      return exemplars();
    }
    if (flags_ != state_flags(s.config))
      return mismatch("flags (1 learning, 2 momentum, 4 gradient mask, 8 latent replay)", state_flags(s.config),
                      flags_);
    if (capacity_ != s.replay.capacity) return mismatch("replay_capacity", s.replay.capacity, capacity_);
    if (logits_width_ != s.replay.logits_width)
      return mismatch("stored logits per exemplar", s.replay.logits_width, logits_width_);
    return exemplars();
  }

  // What exemplars are, as flags and bundle say; a predict-only session knows it of latent ones, too.
  Status exemplars() {
    const Plan& plan = *session_->plan;
    uint32_t dtype = plan.input->dtype;
    uint64_t bytes = session_->sample_bytes;
    if ((flags_ & sf::kStateLatent) != 0) {
      const Border border = find_border(plan);
      if (border.op == 0) return corrupt("CONFIG", "latent exemplars of a bundle without a frozen part");
      dtype = format::kInputF32;
      bytes = tensor_row_floats(plan.tensors[border.tensor]) * sizeof(float);
    }
    if (dtype_ != dtype) return mismatch("dtype of exemplars", dtype, dtype_);
    if (exemplar_bytes_ != bytes) return mismatch("bytes per exemplar", bytes, exemplar_bytes_);
    return Status();
  }

  Status counters() {
    uint64_t bytes;
    EDGECL_RETURN_IF_FAILED(section("COUNTERS", sf::kSectionCounters, &bytes));
    if (bytes != sf::kCountersBytes) return corrupt("COUNTERS", "another size");
    Counters c = {};
    c.seed = in_.u64();
    uint64_t* const counts[] = {&c.step,       &c.samples_learned,  &c.tasks, &c.macs_learn,    &c.macs_learn_dense,
                                &c.macs_paper, &c.macs_paper_dense, &seen_,   &missing_inside_, &missing_outside_};
    for (uint64_t* count : counts) *count = in_.u64();
    const bool finite = in_.floats(1, &c.learning_rate);
    const uint32_t zero = in_.u32();
    const bool learning = (flags_ & sf::kStateLearning) != 0;
    if (zero != 0 || c.step >= kMaxCount || seen_ >= kMaxCount || missing_inside_ >= kMaxCount ||
        missing_outside_ >= kMaxCount) {
      return corrupt("COUNTERS", "a counter out of range");
    }
    if (!finite || (learning && !(c.learning_rate >= FLT_MIN)))
      return corrupt("COUNTERS", "a learning rate that is not above 0");
    if (apply_) session_->counters = c;
    return Status();
  }

  Status params() {
    uint64_t bytes;
    EDGECL_RETURN_IF_FAILED(section("PARAMS", sf::kSectionParams, &bytes));
    const uint64_t end = in_.left() - bytes;
    const Plan& plan = *session_->plan;
    const uint32_t n = in_.u32(), zero = in_.u32();
    if (n != state_params_count(plan) || zero != 0) return corrupt("PARAMS", "another number of parameters");
    for (uint32_t p = 0; p < plan.params.n; p++) {
      ParamWeights& param = session_->weights.params[p];
      if (!plan.params[p].trainable) continue;
      const uint32_t index = in_.u32(), storage = in_.u32();
      const uint64_t count = in_.u64();
      const bool fits = param.sparse ? count >= 1 && count <= param.capacity : count == param.n;
      if (index != p || storage != plan.params[p].storage || !fits)
        return corrupt("PARAMS", "a parameter of another shape");
      if (in_.left() < end + state_param_bytes(param.sparse, count, flags_) - sf::kParamBytes)
        return corrupt("PARAMS", "another size");
      if (param.sparse && !positions(&param, static_cast<uint32_t>(count)))
        return corrupt("PARAMS", "sparse positions out of order or range");
      if (!in_.floats(count, apply_ ? param.own : nullptr)) return corrupt("PARAMS", "a weight that is not finite");
      const bool keep = apply_ && keeps_learning();
      if ((flags_ & sf::kStateVelocity) && !in_.floats(count, keep ? param.velocity : nullptr))
        return corrupt("PARAMS", "a velocity that is not finite");
      if (param.sparse && (flags_ & sf::kStateSelection) && !selection(&param, count, keep))
        return corrupt("PARAMS", "a gradient mask of other values than 0 and 1");
    }
    if (in_.left() != end) return corrupt("PARAMS", "another size");
    return Status();
  }

  // Positions in stored order; they become the parameter's structure.
  bool positions(ParamWeights* param, uint32_t n) {
    SparsePattern& pattern = param->pattern;
    const uint32_t columns = static_cast<uint32_t>(pattern.channels) * static_cast<uint32_t>(pattern.taps);
    const uint64_t size = static_cast<uint64_t>(pattern.rows) * columns;
    uint64_t next_key = 0;
    StructureWriter writer(param);
    for (uint32_t k = 0; k < n; k++) {
      const uint32_t position = in_.u32();
      if (position >= size) return false;
      const uint32_t key = position_key(pattern, position / columns, position % columns);
      if (key < next_key) return false;
      next_key = key + 1ull;
      if (apply_) writer.add(key);
    }
    if (apply_) writer.finish();
    return true;
  }

  bool selection(ParamWeights* param, uint64_t n, bool keep) {
    const uint8_t* bytes = in_.bytes(n);
    if (bytes == nullptr) return false;
    uint64_t chosen = 0;
    for (uint64_t k = 0; k < n; k++) {
      if (bytes[k] > 1) return false;
      chosen += bytes[k];
    }
    if (!keep) return true;
    memcpy(param->selection, bytes, n);
    param->n_selected = chosen;
    return true;
  }

  Status statistics() {
    uint64_t bytes;
    EDGECL_RETURN_IF_FAILED(section("STATISTICS", sf::kSectionStatistics, &bytes));
    const Plan& plan = *session_->plan;
    if (bytes != state_statistics_bytes(plan)) return corrupt("STATISTICS", "another size");
    const uint32_t n = in_.u32(), zero = in_.u32();
    if (n != state_statistics_count(plan) || zero != 0) return corrupt("STATISTICS", "another number of entries");
    for (uint32_t i = 0; i < plan.ops.n; i++) {
      if (!has_running_statistics(plan.ops[i])) continue;
      const NormWeights& norm = session_->weights.norms[i];
      const uint32_t channels = plan.tensors[plan.ops[i].output].channels;
      const uint32_t op = in_.u32(), found = in_.u32();
      if (op != i || found != channels) return corrupt("STATISTICS", "another operator");
      if (!in_.floats(channels, apply_ ? norm.own_mean : nullptr))
        return corrupt("STATISTICS", "a mean that is not finite");
      for (uint32_t c = 0; c < channels; c++) {
        float variance = 0;
        if (!in_.floats(1, &variance) || !(variance >= 0))
          return corrupt("STATISTICS", "a variance that is negative or not finite");
        if (apply_) norm.own_var[c] = variance;
      }
    }
    return Status();
  }

  Status classes() {
    uint64_t bytes;
    EDGECL_RETURN_IF_FAILED(section("CLASSES", sf::kSectionClasses, &bytes));
    const uint64_t end = in_.left() - bytes;
    const uint32_t n = in_.u32(), zero = in_.u32();
    if (zero != 0 || n > session_->classes.capacity) return corrupt("CLASSES", "more classes than max_classes");
    if (apply_) clear_classes();
    // The step memory's class set is free between steps; a predict-only session has none and keeps no exemplars to
    // check either.
    uint8_t* present_labels = session_->step.present;
    if (present_labels) memset(present_labels, 0, session_->classes.n_columns);
    uint32_t next_label = 0;
    uint64_t rows = 0;
    for (uint32_t i = 0; i < n; i++) {
      const uint32_t label = in_.u32(), present = in_.u32();
      const uint64_t samples_seen = in_.u64();
      const uint32_t name_bytes = in_.u32();
      const uint8_t* name = in_.bytes(name_bytes);
      if (in_.failed() || in_.left() < end) return corrupt("CLASSES", "a truncated entry");
      if (label < next_label || label >= session_->classes.capacity)
        return corrupt("CLASSES", "labels out of order or range");
      const bool sound = present == 1 ? valid_class_name(name, name_bytes) && samples_seen < kMaxCount
                                      : present == 0 && name_bytes == 0 && samples_seen == 0;
      if (!sound) return corrupt("CLASSES", "a bad name, count or presence");
      next_label = label + 1;
      rows += samples_seen;
      if (rows >= kMaxCount) return corrupt("CLASSES", "a count out of range");
      if (present_labels) present_labels[label] = static_cast<uint8_t>(present);
      if (apply_) store_class(label, present == 1, samples_seen, name, name_bytes);
    }
    if (in_.left() != end) return corrupt("CLASSES", "another size");
    if ((flags_ & sf::kStateLearning) && rows != seen_)
      return corrupt("CLASSES", "counts that do not add up to the rows seen");
    return Status();
  }

  void clear_classes() {
    ClassTable& table = session_->classes;
    memset(static_cast<void*>(table.entries), 0, table.capacity * sizeof(ClassEntry));
    memset(table.present, 0, table.n_columns);
    table.n_present = 0;
  }

  void store_class(uint32_t label, bool present, uint64_t samples_seen, const uint8_t* name, uint32_t name_bytes) {
    ClassTable& table = session_->classes;
    ClassEntry& entry = table.entries[label];
    entry.issued = 1;
    if (!present) return;
    memcpy(entry.name, name, name_bytes);
    entry.samples_seen = samples_seen;
    table.present[label] = 1;
    table.n_present++;
  }

  Status replay() {
    uint64_t bytes;
    EDGECL_RETURN_IF_FAILED(section("REPLAY", sf::kSectionReplay, &bytes));
    const uint32_t fill = in_.u32(), zero = in_.u32();
    if (in_.failed() || zero != 0 || fill > capacity_) return corrupt("REPLAY", "more exemplars than replay_capacity");
    if (bytes != sf::kListBytes + fill * state_exemplar_bytes(exemplar_bytes_, logits_width_))
      return corrupt("REPLAY", "another size");
    // What the buffer held or should hold again never exceeds what it was shown (replay.h, random pairing).
    const uint64_t shown = seen_ + missing_inside_ + missing_outside_;
    if (fill + missing_inside_ != (shown < capacity_ ? shown : capacity_))
      return corrupt("REPLAY", "a fill that does not follow from the counters");
    for (uint32_t slot = 0; slot < fill; slot++) EDGECL_RETURN_IF_FAILED(exemplar(slot));
    if (!apply_ || !keeps_learning()) return Status();
    session_->replay.fill = fill;
    session_->replay.seen = seen_;
    session_->replay.missing_inside = missing_inside_;
    session_->replay.missing_outside = missing_outside_;
    return Status();
  }

  Status sparsity() {
    uint64_t bytes;
    EDGECL_RETURN_IF_FAILED(section("SPARSITY", sf::kSectionSparsity, &bytes));
    if (bytes != sf::kSparsityBytes) return corrupt("SPARSITY", "another size");
    Counters c = {};
    uint64_t* const counts[] = {&c.steps_in_task, &c.structure_updates, &c.weights_dropped,
                                &c.weights_grown, &c.rehearsals,        &c.drift.n};
    bool sound = true;
    for (uint64_t* count : counts) {
      *count = in_.u64();
      sound = sound && *count < kMaxCount;
    }
    double* const drift[] = {&c.drift.mean, &c.drift.sum, &c.drift.least};
    for (double* value : drift) {
      const uint64_t word = in_.u64();
      memcpy(value, &word, sizeof word);
      sound = sound && *value - *value == 0;  // finite
    }
    c.mask_stale = in_.u32();
    const uint32_t zero = in_.u32();
    if (!sound || c.mask_stale > 1 || zero != 0) return corrupt("SPARSITY", "a counter out of range");
    if (!apply_) return Status();
    Counters& to = session_->counters;
    to.steps_in_task = c.steps_in_task;
    to.structure_updates = c.structure_updates;
    to.weights_dropped = c.weights_dropped;
    to.weights_grown = c.weights_grown;
    to.rehearsals = c.rehearsals;
    to.drift = c.drift;
    to.mask_stale = c.mask_stale;
    return Status();
  }

  Status exemplar(uint32_t slot) {
    Replay& replay = session_->replay;
    const bool store = apply_ && keeps_learning();
    const uint32_t label = in_.u32();
    if (label >= session_->classes.capacity) return corrupt("REPLAY", "a label out of range");
    if (session_->step.present && !session_->step.present[label])
      return corrupt("REPLAY", "an exemplar of a class that is not present");
    if (store) replay.labels[slot] = static_cast<int32_t>(label);
    if (dtype_ == format::kInputU8) {
      const uint8_t* sample = in_.bytes(exemplar_bytes_);
      if (sample == nullptr) return corrupt("REPLAY", "a truncated exemplar");
      if (store) memcpy(replay.sample(slot), sample, exemplar_bytes_);
    } else if (!in_.floats(exemplar_bytes_ / sizeof(float),
                           store ? reinterpret_cast<float*>(replay.sample(slot)) : nullptr)) {
      return corrupt("REPLAY", "a sample that is not finite");
    }
    if (logits_width_ && !in_.floats(logits_width_, store ? replay.slot_logits(slot) : nullptr)) {
      return corrupt("REPLAY", "a logit that is not finite");
    }
    return Status();
  }

  Session* session_;
  StateReader in_;
  bool apply_;
  uint32_t flags_ = 0, capacity_ = 0, logits_width_ = 0, dtype_ = 0;
  uint64_t exemplar_bytes_ = 0;
  uint64_t seen_ = 0, missing_inside_ = 0, missing_outside_ = 0;
};

Status check_envelope(const Session& session, const uint8_t* bytes, uint64_t n) {
  if (n < sf::kHeaderBytes + sf::kTrailerBytes || load_u32(bytes) != sf::kMagic) {
    return failure(EDGECL_E_STATE_CORRUPT,
                   "expected a state that begins with ECS1; found other or too few bytes; hand in what "
                   "edgecl_state_export wrote");
  }
  const uint32_t version = load_u32(bytes + 4);
  if (version == 0 || version > sf::kVersion) {
    return failure(EDGECL_E_STATE_MISMATCH, "expected a state of format version 1..%u; found %u; use a newer library",
                   sf::kVersion, version);
  }
  const uint64_t total = load_u32(bytes + 8) | static_cast<uint64_t>(load_u32(bytes + 12)) << 32;
  uint8_t digest[kSha256Bytes];
  if (total == n) sha256(bytes, static_cast<size_t>(n - sf::kTrailerBytes), digest);
  if (total != n || memcmp(digest, bytes + n - sf::kTrailerBytes, sizeof digest) != 0) {
    return failure(EDGECL_E_STATE_CORRUPT,
                   "expected %llu bytes that match their SHA-256; found %llu that do not; the state is truncated or "
                   "damaged, use an older export",
                   static_cast<unsigned long long>(total), static_cast<unsigned long long>(n));
  }
  if (memcmp(bytes + 16, session.plan->digest, sizeof session.plan->digest) != 0) {
    return failure(
        EDGECL_E_STATE_MISMATCH,
        "expected a state of the bundle \"%s\"; found one of another bundle; open the bundle it was made with",
        session.plan->string(session.plan->model->name));
  }
  return Status();
}

}  // namespace

Status import_state(Session* session, const uint8_t* bytes, size_t n) {
  EDGECL_RETURN_IF_FAILED(check_envelope(*session, bytes, n));
  const uint8_t* sections = bytes + sf::kHeaderBytes;
  const uint64_t section_bytes = n - sf::kHeaderBytes - sf::kTrailerBytes;
  EDGECL_RETURN_IF_FAILED(Import(session, sections, section_bytes, false).run());

  replay_clear(&session->replay);  // wipes exemplars that the new state has no slot for
  Status stored = Import(session, sections, section_bytes, true).run();
  for (uint32_t p = 0; p < session->plan->params.n; p++) rebuild_transposed(&session->weights.params[p]);
  refresh_statistics(*session->plan, session->weights);
  session->bounds = UpdateBounds();
  if (!session->config.predict_only) choose_roles(session);
  return stored;
}

}  // namespace edgecl
