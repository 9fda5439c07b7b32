// The C API as the fuzz targets use it: sessions in guarded memory, configurations from bytes, steps with labels and
// samples from bytes. What an entry point looks like stands here alone.
// Never here: what a target looks for.
#ifndef EDGECL_TESTS_FUZZ_FUZZ_SESSION_H_
#define EDGECL_TESTS_FUZZ_FUZZ_SESSION_H_

#include <array>

#include "runtime/include/edgecl/edgecl.h"
#include "tests/fuzz/fuzz_common.h"

namespace edgecl_fuzz {

constexpr uint64_t kMostArena = 640u << 10;  // bytes: larger sessions are sized, not made
constexpr uint64_t kMostMacs = 1u << 19;     // multiply-adds a row: larger networks are opened, not run
constexpr uint32_t kMostRows = 8;

template <class T>
T sized() {
  T record = {};
  record.struct_size = sizeof record;
  return record;
}

// A failed call has a code that has a name, and a sentence.
inline void require_failure(edgecl_status status, const char* message) {
  REQUIRE(status < 0 && status != EDGECL_E_INTERNAL, "status %d", static_cast<int>(status));
  REQUIRE(strncmp(edgecl_status_name(status), "EDGECL_E_", 9) == 0, "status %d", static_cast<int>(status));
  require_sentence(message);
}

// Opens a bundle in `memory`; null when it is refused.
inline edgecl_model* open_model(const uint8_t* bytes, size_t n, Block* memory) {
  edgecl_error error = sized<edgecl_error>();
  size_t model_bytes = 0;
  edgecl_model* model = nullptr;
  edgecl_status status = edgecl_model_size(bytes, n, nullptr, &model_bytes, &error);
  if (status == EDGECL_OK) {
    REQUIRE(model_bytes <= memory->capacity(), "%zu bytes", model_bytes);
    status = edgecl_model_init(bytes, n, nullptr, memory->use(model_bytes), model_bytes, &model, &error);
  }
  REQUIRE((status == EDGECL_OK) == (model != nullptr));
  if (status != EDGECL_OK) require_failure(status, error.message);
  return model;
}

inline edgecl_status verify(const uint8_t* bytes, size_t n) {
  edgecl_error error = sized<edgecl_error>();
  const edgecl_status status = edgecl_bundle_verify(bytes, n, nullptr, &error);
  if (status != EDGECL_OK) require_failure(status, error.message);
  return status;
}

// A head that keeps statistics, in place of gradients.
inline void statistics_head(edgecl_session_config* config, uint32_t head, uint32_t bank, uint32_t novelty) {
  config->head = head;
  config->head_bank = bank;
  config->novelty = novelty;
  config->feature_range = 8;
  config->head_merges = bank % 4;
  config->hd_bits = 64 + 64 * (bank % 3);
  config->feature_root = head == EDGECL_HEAD_FECAM ? bank % 2 : 0;
}

// The bundle's recipe, here and there another word; small enough to run.
inline edgecl_session_config config_from(Input* in, const edgecl_model* model) {
  edgecl_session_config config = sized<edgecl_session_config>();
  REQUIRE(edgecl_session_config_init(model, &config) == EDGECL_OK);
  const uint32_t change = in->u16();
  if (config.max_batch > kMostRows || (change & 1) != 0) config.max_batch = 1 + in->below(kMostRows);
  if (config.replay_batch > kMostRows || (change & 1) != 0) config.replay_batch = in->below(kMostRows);
  if (config.replay_capacity > 24 || (change & 1) != 0) config.replay_capacity = in->below(24);
  if ((change & 2) != 0) config.method = in->below(6);
  if ((change & 4) != 0) {
    config.structure = in->below(4);
    config.growth = in->below(3);
    config.structure_interval = 1 + in->below(3);
    config.structure_updates = in->below(4);
    config.structure_inter = static_cast<float>(in->below(6)) / 10;
    config.structure_intra = static_cast<float>(in->below(11)) / 10;
    config.importance_current = static_cast<float>(in->below(3));
    config.importance_replay = static_cast<float>(in->below(3));
  }
  if ((change & 8) != 0) {
    config.gradient_mask = in->below(4);
    config.gradient_interval = 1 + in->below(3);
    config.gradient_keep = static_cast<float>(1 + in->below(10)) / 10;
  }
  if ((change & 16) != 0 && in->below(3) == 0) config.latent_replay = 1;
  if ((change & 32) != 0) config.momentum = (change & 0x100) != 0 ? 0.9f : 0;
  if ((change & 64) != 0) config.class_mask ^= 1;
  if ((change & 128) != 0) {
    config.boundary = 1;
    config.drift_delta = 0;
    config.drift_threshold = 0.01f;
  }
  if ((change & 0x200) != 0 && in->below(4) == 0) config.predict_only = 1;
  if ((change & 0x400) != 0) config.augment_crop = config.augment_flip = 0;
  if ((change & 0x800) != 0) config.max_classes = 1 + in->below(config.max_classes < 16 ? config.max_classes : 16);
  if ((change & 0x1000) != 0) config.n_threads = 1 + in->below(3);
  if ((change & 0x2000) != 0) config.learning_rate = 0.01f;
  if ((change & 0x4000) != 0) config.cosine_scale = 4;
  if ((change & 0x180) == 0x180) config.replay_policy = EDGECL_REPLAY_CLASS_BALANCED;
  if ((change & 0x6000) == 0x6000) {
    statistics_head(&config, in->below(8), in->below(12), in->below(6));
    if (in->below(3) == 0) {
      config.max_domains = in->below(4);
      if (in->below(2) != 0) config.head_merges = 0;
    }
  }
  config.add_unseen_labels = (change & 0x8000) == 0;
  if (in->below(4) == 0) config.separate_predict = 1;
  if (in->below(4) == 0) config.novelty_window = in->below(12);
  config.seed = change >> 4;
  return config;
}

// A session of the sizes that were asked for, in memory that ends there; null when it is refused or too large to run.
inline edgecl_session* make_session(edgecl_model* model, const edgecl_session_config& config, Block* arena) {
  edgecl_error error = sized<edgecl_error>();
  edgecl_sizes sizes = sized<edgecl_sizes>();
  edgecl_session* session = nullptr;
  edgecl_status status = edgecl_session_sizes(model, &config, &sizes, &error);
  if (status == EDGECL_OK) {
    if (sizes.arena_bytes > kMostArena || sizes.arena_bytes > arena->capacity()) return nullptr;
    const size_t bytes = static_cast<size_t>(sizes.arena_bytes);
    status = edgecl_session_init(model, &config, nullptr, arena->use(bytes), bytes, &session, &error);
    REQUIRE(status == EDGECL_OK, "%s", error.message);
  } else {
    require_failure(status, error.message);
  }
  return session;
}

inline void require_status(const edgecl_session* session, edgecl_status status) {
  if (status != EDGECL_OK) require_failure(status, edgecl_session_error(session));
}

using Digest = std::array<uint8_t, 32>;
inline Digest digest_of(const edgecl_session* session) {
  Digest digest;
  REQUIRE(edgecl_state_digest(session, digest.data()) == EDGECL_OK);
  return digest;
}

// The state as bytes in `room`; 0 when it does not fit.
inline size_t export_to(edgecl_session* session, Block* room) {
  size_t bytes = 0, written = 0;
  REQUIRE(edgecl_state_size(session, &bytes) == EDGECL_OK);
  if (bytes > room->capacity()) return 0;
  REQUIRE(edgecl_state_export(session, room->use(bytes), bytes, &written) == EDGECL_OK && written == bytes);
  return bytes;
}

// Samples of a model with dtype and shape as its bundle has them; some values are not ordinary.
class Rows {
 public:
  Rows(const edgecl_model* model, Block* room) : info_(sized<edgecl_model_info>()), room_(room) {
    REQUIRE(edgecl_model_describe(model, &info_) == EDGECL_OK);
  }
  const edgecl_model_info& info() const { return info_; }
  size_t sample_bytes() const {
    return static_cast<size_t>(info_.input_elements) * (info_.input_dtype == EDGECL_U8 ? 1 : sizeof(float));
  }
  // n samples; `tame`: none that a step refuses.
  edgecl_batch next(Input* in, uint32_t n, bool tame) {
    const size_t elements = static_cast<size_t>(n * info_.input_elements);
    uint8_t* memory = room_->use(n * sample_bytes());
    RandomStream random = {in->u8(), 17, 0};
    if (info_.input_dtype == EDGECL_U8) {
      for (size_t i = 0; i < elements; i++) memory[i] = static_cast<uint8_t>(random.next_u32());
    } else {
      float* x = reinterpret_cast<float*>(memory);
      for (size_t i = 0; i < elements; i++) x[i] = 2 * random.next_float() - 1;
      if (!tame && elements > 0) x[in->u8() % elements] = in->real();
    }
    edgecl_batch batch = sized<edgecl_batch>();
    batch.dtype = info_.input_dtype;
    batch.n_samples = n;
    batch.data = memory;
    batch.elements_per_sample = info_.input_elements;
    return batch;
  }

 private:
  edgecl_model_info info_;
  Block* room_;
};

inline edgecl_status learn_rows(edgecl_session* session, const edgecl_session_config& config, Rows* rows, Input* in,
                                bool tame) {
  uint32_t n = 1 + in->below(kMostRows);
  if (n > config.max_batch) n = config.max_batch;
  edgecl_batch batch = rows->next(in, n, tame);
  int32_t labels[kMostRows];
  for (uint32_t i = 0; i < n; i++) labels[i] = static_cast<int32_t>(in->below(4));
  float weights[kMostRows];
  if (in->below(4) == 0) {
    for (uint32_t i = 0; i < n; i++) weights[i] = tame ? static_cast<float>(in->below(4)) / 2 : in->real();
    batch.weights = weights;
  }
  uint8_t correct[kMostRows];
  float loss[kMostRows];
  edgecl_learn_report report = sized<edgecl_learn_report>();
  report.row_correct = correct;
  report.row_loss = loss;
  const edgecl_status status = edgecl_learn(session, &batch, labels, &report);
  require_status(session, status);
  if (status == EDGECL_OK) REQUIRE(report.loss - report.loss == 0, "loss of a step that was done");
  return status;
}

inline edgecl_status remember_rows(edgecl_session* session, const edgecl_session_config& config, Rows* rows, Input* in,
                                   bool tame) {
  uint32_t n = 1 + in->below(kMostRows);
  if (n > config.max_batch) n = config.max_batch;
  const edgecl_batch batch = rows->next(in, n, tame);
  int32_t labels[kMostRows];
  for (uint32_t i = 0; i < n; i++) labels[i] = static_cast<int32_t>(in->below(4));
  const edgecl_status status = edgecl_remember(session, &batch, labels);
  require_status(session, status);
  return status;
}

// Rows that may have been learned go out of the statistics of a head.
inline edgecl_status unlearn_rows(edgecl_session* session, const edgecl_session_config& config, Rows* rows, Input* in,
                                  bool tame) {
  uint32_t n = 1 + in->below(kMostRows);
  if (n > config.max_batch) n = config.max_batch;
  const edgecl_batch batch = rows->next(in, n, tame);
  int32_t labels[kMostRows];
  for (uint32_t i = 0; i < n; i++) labels[i] = static_cast<int32_t>(in->below(4));
  return edgecl_unlearn(session, &batch, labels);
}

// Scores, thresholds from them, and decisions.
inline edgecl_status judge_rows(edgecl_session* session, Rows* rows, Input* in, bool tame) {
  const uint32_t n = 1 + in->below(kMostRows), score = in->below(7);
  const edgecl_batch batch = rows->next(in, n, tame);
  float scores[kMostRows];
  edgecl_status status = edgecl_novelty_scores(session, &batch, score, scores, kMostRows);
  if (status != EDGECL_OK) return status;
  status = edgecl_novelty_calibrate(session, score, scores, n, 0.5 + in->below(5) / 10.0, 0.95);
  require_status(session, status);
  int32_t decisions[kMostRows];
  status = edgecl_decide(session, &batch, decisions, kMostRows);
  for (uint32_t i = 0; status == EDGECL_OK && i < n; i++)
    REQUIRE(decisions[i] >= EDGECL_ACCEPT && decisions[i] <= EDGECL_NOVEL);
  return status;
}

// Rows of a stream, and the alarm.
inline edgecl_status observe_rows(edgecl_session* session, Rows* rows, Input* in, bool tame) {
  for (uint32_t round = in->below(6) + 1; round > 0; round--) {
    const uint32_t n = 1 + in->below(kMostRows);
    const edgecl_batch batch = rows->next(in, n, tame);
    int32_t decisions[kMostRows];
    const edgecl_status status = edgecl_observe(session, &batch, decisions, kMostRows);
    if (status != EDGECL_OK) return status;
    for (uint32_t i = 0; i < n; i++) REQUIRE(decisions[i] >= EDGECL_ACCEPT && decisions[i] <= EDGECL_NOVEL);
  }
  edgecl_drift_info info = sized<edgecl_drift_info>();
  const edgecl_status status = edgecl_drift(session, &info);
  REQUIRE(status == EDGECL_OK);
  REQUIRE(info.filled <= info.window && info.alarms <= info.observed && info.alarm <= 1);
  REQUIRE(info.unknown >= 0 && info.unknown <= 1 && info.unusual >= info.unknown && info.unusual <= 1);
  REQUIRE(info.chance >= 0 && info.chance <= 1);
  return status;
}

inline edgecl_status predict_rows(edgecl_session* session, Rows* rows, Input* in, bool tame) {
  const uint32_t n = 1 + in->below(kMostRows);
  const edgecl_batch batch = rows->next(in, n, tame);
  edgecl_prediction predictions[kMostRows];
  const edgecl_status status = edgecl_predict(session, &batch, predictions, sizeof predictions[0]);
  require_status(session, status);
  return status;
}

// Domains come, go, are chosen and judged; `select` and the like fail where there are none.
inline edgecl_status change_domains(edgecl_session* session, Rows* rows, Input* in, bool tame) {
  static const char* const kNames[] = {"a", "b", "base", ""};
  int32_t domain = static_cast<int32_t>(in->below(4)) - 1;
  edgecl_domain_info info = sized<edgecl_domain_info>();
  switch (in->below(6)) {
    case 0:
      return edgecl_domain_add(session, kNames[in->below(4)], &domain);
    case 1:
      return edgecl_domain_select(session, domain);
    case 2:
      return edgecl_domain_remove(session, domain);
    case 3:
      return edgecl_domain_describe(session, domain, &info);
    case 4:
      return edgecl_domain_calibrate(session, 0.5 + in->below(64) / 128.0, 0.5 + in->below(65) / 128.0);
    default:
      break;
  }
  const uint32_t n = 1 + in->below(kMostRows);
  const edgecl_batch batch = rows->next(in, n, tame);
  edgecl_route_result routes[kMostRows];
  const edgecl_status status = edgecl_route(session, &batch, routes, sizeof routes[0]);
  for (uint32_t i = 0; status == EDGECL_OK && i < n; i++)
    REQUIRE(edgecl_domain_describe(session, routes[i].domain, &info) == EDGECL_OK &&
            routes[i].fit - routes[i].fit == 0);
  return status;
}

inline Block message_room(256u << 10);

// Numbers of devices, and messages to oneself, which change nothing.
inline edgecl_status device_call(edgecl_session* session, Input* in) {
  edgecl_device_info info = sized<edgecl_device_info>();
  const uint32_t which = in->below(2);
  size_t bytes = 0, written = 0;
  switch (in->below(6)) {
    case 0:
      return edgecl_device_set(session, in->below(4), in->below(8) == 0 ? in->u64() : in->below(4));
    case 1:
      return edgecl_unmerge(session, in->below(4));
    case 2:
      return edgecl_device_describe(session, in->below(4), &info);
    default:
      break;
  }
  edgecl_status status = edgecl_delta_size(session, which, &bytes);
  if (status != EDGECL_OK || bytes > message_room.capacity()) return status;
  uint8_t* const message = message_room.use(bytes);
  REQUIRE(edgecl_delta_export(session, which, message, bytes, &written) == EDGECL_OK && written == bytes);
  const Digest before = digest_of(session);
  edgecl_merge_report report = sized<edgecl_merge_report>();
  status = edgecl_merge(session, message, bytes, &report);
  REQUIRE(status != EDGECL_OK || (report.n_known == report.n_devices && report.rows == report.rows_before));
  REQUIRE(digest_of(session) == before, "a message to oneself changed the session");
  return status;
}

inline edgecl_status begin_task(edgecl_session* session) {
  return edgecl_task_begin(session);
}
inline edgecl_status forget_class(edgecl_session* session, int32_t label) {
  return edgecl_class_forget(session, label);
}

// Learns, predicts and changes classes as the bytes say.
inline void live(edgecl_session* session, const edgecl_session_config& config, Rows* rows, Input* in, bool tame,
                 uint32_t most_calls) {
  for (uint32_t call = 0; call < most_calls && (in->left() > 0 || call < 3); call++) {
    edgecl_status status = EDGECL_OK;
    if (config.head_merges > 0 && in->below(4) == 0) require_status(session, device_call(session, in));
    switch (in->below(19)) {
      default:
        status = learn_rows(session, config, rows, in, tame);
        break;
      case 6:
      case 7:
        status = predict_rows(session, rows, in, tame);
        break;
      case 8:
        status = begin_task(session);
        break;
      case 9: {
        edgecl_rehearse_report report = sized<edgecl_rehearse_report>();
        status = edgecl_rehearse(session, in->below(3), &report);
        break;
      }
      case 10:
        status = forget_class(session, static_cast<int32_t>(in->below(4)));
        break;
      case 11: {
        int32_t label = 0;
        status = edgecl_class_add(session, nullptr, &label);
        break;
      }
      case 12:
        status = remember_rows(session, config, rows, in, tame);
        break;
      case 13:
        status = edgecl_class_weight_set(session, static_cast<int32_t>(in->below(4)),
                                         tame ? static_cast<float>(in->below(5)) / 2 : in->real());
        break;
      case 14:
        status = edgecl_label_kind_set(session, in->below(6));
        break;
      case 15:
        status = unlearn_rows(session, config, rows, in, tame);
        break;
      case 16:
        status = judge_rows(session, rows, in, tame);
        break;
      case 17:
        status = change_domains(session, rows, in, tame);
        break;
      case 18:
        status = observe_rows(session, rows, in, tame);
        break;
    }
    require_status(session, status);
  }
}

}  // namespace edgecl_fuzz

#endif  // EDGECL_TESTS_FUZZ_FUZZ_SESSION_H_
