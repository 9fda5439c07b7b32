// Fuzz target: sequences of calls of the C API, with structs of other sizes, wrong shapes, missing pointers, failing
// allocators. A failed call leaves the state's digest as it was; sizes hold; no call on a session allocates.
// Never here: hostile files (fuzz_bundle, fuzz_state); pointers that do not hold what the caller says they hold.
// These are many lines because every function of the API is called in one place.
#include <memory>

#include "tests/fuzz/fuzz_session.h"

namespace {

using namespace edgecl_fuzz;

constexpr uint32_t kModels = 3, kSessions = 3, kMostCalls = 16;
constexpr uint32_t kBundles = 10;

Block in_block(4096), out_block(512u << 10), rows_block(64u << 10), label_block(4096), extra_block(64u << 10),
    state_block(256u << 10), removal_block(4096), weights_block(4096);

// --- memory ---

uint32_t allocations_allowed = 0;  // by the allocator below; then it refuses
int64_t bytes_taken = 0;
void* take(void*, size_t bytes, size_t alignment) {
  if (allocations_allowed == 0) return nullptr;
  allocations_allowed--;
  bytes_taken += static_cast<int64_t>(bytes);
  return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
void give_back(void*, void* memory, size_t bytes) {
  bytes_taken -= static_cast<int64_t>(bytes);
  free(memory);
}
const edgecl_allocator kAllocator = {sizeof(edgecl_allocator), take, give_back, nullptr};

// While one lives, nothing may allocate.
bool heap_is_closed = false;
size_t bytes_allocated = 0;
struct ClosedHeap {
  ClosedHeap() { heap_is_closed = true; }
  ~ClosedHeap() {
    heap_is_closed = false;
    REQUIRE(bytes_allocated == 0, "a call on a session allocated %zu bytes", bytes_allocated);
  }
};
#ifdef EDGECL_FUZZ_ASAN
void on_malloc(const volatile void*, size_t bytes) {
  if (heap_is_closed) bytes_allocated += bytes;
}
void on_free(const volatile void*) {}
#endif

// --- structs of another version's size ---

// `full` as a caller has it whose struct is as long as ours, shorter, or longer with a tail that is zero or not. No
// version of a struct ends inside a field.
template <class T>
T* shaped(Input* in, Block* room, const T& full) {
  size_t size = sizeof(T), tail = 0;
  uint8_t fill = 0;
  const uint8_t kind = in->u8();
  if (kind >= 230) {
    size = in->below(sizeof(T) / 8 + 1) * 8;
  } else if (kind >= 200) {
    tail = 4 * (1 + in->below(8));
    fill = kind >= 220 ? in->u8() : 0;
  }
  const size_t held = size + tail < sizeof(uint32_t) ? sizeof(uint32_t) : size + tail;
  uint8_t* memory = room->use(held);
  memset(memory, fill, held);
  memcpy(memory, &full, size);
  const uint32_t says = static_cast<uint32_t>(size + tail);
  memcpy(memory, &says, sizeof says);
  return reinterpret_cast<T*>(memory);
}

// --- what exists ---

struct OpenModel {
  edgecl_model* model = nullptr;
  std::unique_ptr<Block> memory;  // of models that the caller keeps
  uint32_t n_sessions = 0;
};
struct OpenSession {
  edgecl_session* session = nullptr;
  uint32_t model = 0;
  edgecl_session_config config = {};
  bool profiled = false;
};
OpenModel models[kModels];
OpenSession sessions[kSessions];
Block* arenas[kSessions];
edgecl_profile_event events[8];
edgecl_removal* removal = nullptr;
edgecl_session* in_call = nullptr;

const uint8_t* bundle_at(uint32_t choice, size_t* n) {
  const uint32_t i = choice < 7 ? choice : 13 + choice;  // those with exemplars too
  static Block* blocks[kSeeds];
  const std::vector<uint8_t>& bytes = seed_bundle(i);
  if (blocks[i] == nullptr) {
    blocks[i] = new Block(bytes.size());
    blocks[i]->copy(bytes.data(), bytes.size());
  }
  *n = bytes.size();
  return blocks[i]->use(bytes.size());
}

// --- hooks ---

void backwards(void*, uint32_t n, void (*body)(void*, uint32_t), void* context) {
  if (in_call != nullptr) {  // a call from inside a call
    uint8_t digest[32];
    REQUIRE(edgecl_state_digest(in_call, digest) == EDGECL_E_BUSY);
  }
  for (uint32_t i = n; i-- > 0;) body(context, i);
}
uint64_t clock_us(void*) {
  static uint64_t now = 0;
  return ++now;
}
void listen(void*, int32_t, const char* text) {
  REQUIRE(text != nullptr && text[0] != 0);
}
const edgecl_hooks kHooks = {sizeof(edgecl_hooks), nullptr, backwards, clock_us, listen};

// --- calls on models ---

void check_call(edgecl_status status, const edgecl_error& error) {
  if (status != EDGECL_OK) {
    require_failure(status, error.message);
    REQUIRE(error.status == status);
  }
}

void open_one(Input* in) {
  OpenModel& at = models[in->below(kModels)];
  if (at.model != nullptr) return;
  size_t n = 0;
  const uint8_t* bytes = bundle_at(in->below(kBundles), &n);
  edgecl_open_options options = sized<edgecl_open_options>();
  static const char* const kLevels[] = {nullptr, "reference", "x86-64-v3", "neon", "", "fast"};
  static const uint8_t kKey[32] = {1};
  const uint8_t kind = in->u8();
  options.placement = kind % 4 == 3 ? in->number() : kind % 3;
  options.signature_policy = kind < 240 ? 0 : in->number();
  options.public_key = kind % 32 == 31 ? kKey : nullptr;
  options.level = kLevels[in->below(24) < 18 ? in->below(2) : in->below(6)];
  options.allocator = kind % 8 == 7 ? nullptr : &kAllocator;
  allocations_allowed = in->below(8) == 0 ? 0 : 4;
  edgecl_error error = sized<edgecl_error>();
  const edgecl_open_options* given = in->below(8) == 0 ? nullptr : shaped(in, &in_block, options);
  const size_t cut = in->below(16) == 0 ? n - 1 - in->below(static_cast<uint32_t>(n)) : n;
  edgecl_status status;
  if (in->below(2) == 0) {
    status = edgecl_model_open_memory(bytes, cut, given, &at.model, &error);
  } else {
    size_t model_bytes = 0;
    status = edgecl_model_size(bytes, cut, given, &model_bytes, &error);
    if (status == EDGECL_OK) {
      REQUIRE(model_bytes > 0 && model_bytes < (1u << 20));
      if (in->below(16) == 0) model_bytes -= 1 + in->below(static_cast<uint32_t>(model_bytes));
      at.memory = std::make_unique<Block>(model_bytes);
      status = edgecl_model_init(bytes, cut, given, at.memory->use(model_bytes), model_bytes, &at.model, &error);
    }
  }
  check_call(status, error);
  REQUIRE((status == EDGECL_OK) == (at.model != nullptr));
}

void close_one(Input* in) {
  OpenModel& at = models[in->below(kModels)];
  const edgecl_status status = edgecl_model_close(at.model);
  REQUIRE(status == (at.n_sessions > 0 ? EDGECL_E_SEQUENCE : EDGECL_OK));
  if (status == EDGECL_OK) at = OpenModel();
}

void describe_one(Input* in) {
  edgecl_model* model = models[in->below(kModels)].model;
  const uint32_t index = in->number();
  edgecl_status status = EDGECL_OK;
  switch (in->below(5)) {
    case 0:
      status = edgecl_model_describe(model, shaped(in, &out_block, sized<edgecl_model_info>()));
      break;
    case 1:
      status = edgecl_model_param(model, index, shaped(in, &out_block, sized<edgecl_param_info>()));
      break;
    case 2:
      status = edgecl_model_op(model, index, shaped(in, &out_block, sized<edgecl_op_info>()));
      break;
    case 3:
      status = edgecl_model_class(model, index, shaped(in, &out_block, sized<edgecl_class_info>()));
      break;
    default: {
      size_t n = 0;
      const uint8_t* bytes = bundle_at(in->below(kBundles), &n);
      edgecl_error error = sized<edgecl_error>();
      status = edgecl_bundle_peek(bytes, in->below(4) == 0 ? in->below(static_cast<uint32_t>(n)) : n,
                                  shaped(in, &out_block, sized<edgecl_model_info>()), &error);
      check_call(status, error);
    }
  }
  REQUIRE(status <= 0 && status != EDGECL_E_INTERNAL);
  REQUIRE(edgecl_model_kernel_level(model) != nullptr);
}

// --- making and ending sessions ---

void wild_config(Input* in, edgecl_session_config* config) {
  uint32_t* words = reinterpret_cast<uint32_t*>(config);
  const uint32_t n_words = sizeof *config / sizeof *words;
  for (uint32_t change = in->below(3); change > 0; change--) {
    const uint32_t at = 1 + in->below(n_words - 1);
    if (in->below(2) == 0) {
      words[at] = in->number();
    } else {
      const float x = in->real();
      memcpy(&words[at], &x, sizeof x);
    }
  }
}

void make_one(Input* in) {
  const uint32_t slot = in->below(kSessions), m = in->below(kModels);
  OpenSession& at = sessions[slot];
  OpenModel& of = models[m];
  if (at.session != nullptr || of.model == nullptr) return;
  edgecl_session_config config = config_from(in, of.model);
  wild_config(in, &config);
  config.struct_size = sizeof config;
  const edgecl_session_config* given = in->below(16) == 0 ? nullptr : shaped(in, &in_block, config);
  edgecl_error error = sized<edgecl_error>();
  edgecl_sizes sizes = sized<edgecl_sizes>();
  edgecl_status status = edgecl_session_sizes(of.model, given, &sizes, &error);
  check_call(status, error);
  const bool sound = status == EDGECL_OK;
  if (sound && sizes.arena_bytes > kMostArena) return;
  edgecl_session_options options = sized<edgecl_session_options>();
  options.allocator = &kAllocator;
  options.hooks = in->below(8) == 0 ? nullptr : &kHooks;
  const edgecl_session_options* given_options = shaped(in, &extra_block, options);
  allocations_allowed = in->below(8) == 0 ? 0 : 1;
  if (in->below(2) == 0) {
    status = edgecl_session_create(of.model, given, given_options, &at.session, &error);
  } else {
    size_t bytes = static_cast<size_t>(sizes.arena_bytes);
    if (sound && in->below(16) == 0) bytes -= 1 + in->below(static_cast<uint32_t>(bytes));
    ClosedHeap closed;
    status = edgecl_session_init(of.model, given, given_options, arenas[slot]->use(bytes), bytes, &at.session, &error);
  }
  check_call(status, error);
  REQUIRE(sound || status != EDGECL_OK);
  REQUIRE((status == EDGECL_OK) == (at.session != nullptr));
  if (status != EDGECL_OK) return;
  at.model = m;
  of.n_sessions++;
  at.config = sized<edgecl_session_config>();
  REQUIRE(edgecl_session_config_get(at.session, &at.config) == EDGECL_OK);
  at.profiled = false;
}

void destroy(OpenSession* at) {
  if (at->session != nullptr) models[at->model].n_sessions--;
  edgecl_session_destroy(at->session);
  at->session = nullptr;
}

// --- calls on sessions ---

// A batch as a caller might get it wrong; `data` always holds what it says.
const edgecl_batch* some_batch(Input* in, edgecl_session* session, uint32_t model, uint32_t* n_samples) {
  Rows rows(models[model].model, &rows_block);
  const uint32_t n = in->below(24) == 0 ? 0 : 1 + in->below(in->below(8) == 0 ? 20 : 4);
  const size_t bytes = n * rows.sample_bytes();
  if (session == nullptr || bytes > rows_block.capacity()) return nullptr;
  edgecl_batch batch = rows.next(in, n, in->below(4) != 0);
  if (in->below(24) == 0) batch.dtype = in->number();
  if (in->below(24) == 0) batch.elements_per_sample = in->number();
  if (in->below(32) == 0) batch.reserved = in->number();
  if (in->below(32) == 0) batch.data = nullptr;
  if (in->below(8) == 0) {
    float* weights = reinterpret_cast<float*>(weights_block.use(n * sizeof(float) + 4));
    for (uint32_t i = 0; i < n; i++) weights[i] = in->below(8) == 0 ? in->real() : 0.5f;
    batch.weights = weights;
  }
  *n_samples = n;
  return in->below(32) == 0 ? nullptr : shaped(in, &in_block, batch);
}

edgecl_status infer(Input* in, const OpenSession& at) {
  uint32_t n = 0;
  const edgecl_batch* batch = some_batch(in, at.session, at.model, &n);
  const uint8_t kind = in->u8();
  if (kind % 4 == 0) {
    const size_t stride = kind < 200 ? sizeof(edgecl_prediction) : 4 * in->below(12);
    return edgecl_predict(at.session, batch, reinterpret_cast<edgecl_prediction*>(out_block.use(n * stride + 16)),
                          stride);
  }
  const size_t capacity = kind < 230 ? 20 * 64 : in->number() % 4096;
  float* out = reinterpret_cast<float*>(out_block.use(capacity * sizeof(float)));
  if (kind % 4 == 1) return edgecl_embed(at.session, batch, out, capacity);
  return kind % 4 == 2 ? edgecl_logits(at.session, batch, out, capacity)
                       : edgecl_probabilities(at.session, batch, out, capacity);
}

edgecl_status judge(Input* in, const OpenSession& at) {
  uint32_t n = 0;
  const uint32_t what = in->below(5), capacity = in->below(16) == 0 ? in->below(20) : 20;
  uint8_t* const out = extra_block.use(capacity * sizeof(float) + 4);
  if (what == 0) {
    float scores[4];
    for (float& score : scores) score = in->below(8) == 0 ? in->real() : static_cast<float>(in->u8()) - 128;
    const double accepted = in->below(8) / 10.0;
    return edgecl_novelty_calibrate(at.session, in->below(8), in->below(32) == 0 ? nullptr : scores, in->below(5),
                                    accepted, 0.95);
  }
  if (what == 1) {
    edgecl_drift_info* const info = shaped(in, &out_block, sized<edgecl_drift_info>());
    return edgecl_drift(at.session, in->below(32) == 0 ? nullptr : info);
  }
  const edgecl_batch* batch = some_batch(in, at.session, at.model, &n);
  if (what == 2) return edgecl_novelty_scores(at.session, batch, in->below(8), reinterpret_cast<float*>(out), capacity);
  return (what == 3 ? edgecl_decide : edgecl_observe)(at.session, batch, reinterpret_cast<int32_t*>(out), capacity);
}

edgecl_status learn(Input* in, const OpenSession& at) {
  uint32_t n = 0;
  const edgecl_batch* batch = some_batch(in, at.session, at.model, &n);
  int32_t* labels = reinterpret_cast<int32_t*>(label_block.use(n * sizeof(int32_t) + 4));
  for (uint32_t i = 0; i < n; i++) labels[i] = static_cast<int32_t>(in->below(16) == 0 ? in->number() : in->below(4));
  const uint32_t n_slots = in->below(20);
  uint8_t* extra = extra_block.use(n_slots * 4 + n * 4 + n);  // the slots, the losses, the flags
  edgecl_learn_report report = sized<edgecl_learn_report>();
  if (in->below(4) == 0) {
    report.replay_slots = reinterpret_cast<uint32_t*>(extra);
    report.replay_slots_capacity = n_slots;
  }
  if (in->below(8) == 0) return edgecl_remember(at.session, batch, in->below(32) == 0 ? nullptr : labels);
  report.row_loss = reinterpret_cast<float*>(extra + n_slots * 4);
  report.row_correct = extra + n_slots * 4 + n * 4;
  return edgecl_learn(at.session, batch, in->below(32) == 0 ? nullptr : labels,
                      in->below(8) == 0 ? nullptr : shaped(in, &out_block, report));
}

edgecl_status classes(Input* in, const OpenSession& at) {
  int32_t label = 0;
  uint8_t text[80];
  uint32_t length = 0;
  const uint32_t most = in->below(16) == 0 ? 79 : 3;
  while (length < most) {
    const uint8_t c = in->u8();
    text[length] = c % 8 == 0 ? c : static_cast<uint8_t>('0' + c % 4);
    if (text[length] == 0) break;
    length++;
  }
  text[length] = 0;
  const char* name = reinterpret_cast<const char*>(extra_block.copy(text, length + 1));
  switch (in->below(8)) {
    case 4:
      return edgecl_class_weight_set(at.session, static_cast<int32_t>(in->below(6)),
                                     in->below(4) == 0 ? in->real() : 1.5f);
    case 5: {
      float weight = 0;
      return edgecl_class_weight_get(at.session, static_cast<int32_t>(in->below(6)),
                                     in->below(16) == 0 ? nullptr : &weight);
    }
    case 6:
      return edgecl_label_kind_set(at.session, in->below(7));
    case 7: {
      uint32_t kind = 0;
      return edgecl_label_kind_get(at.session, in->below(16) == 0 ? nullptr : &kind);
    }
    case 0:
      return edgecl_class_add(at.session, in->below(2) == 0 ? nullptr : name, &label);
    case 1:
      return edgecl_class_forget(at.session, static_cast<int32_t>(in->number()));
    case 2:
      return edgecl_class_describe(at.session, static_cast<int32_t>(in->number()),
                                   shaped(in, &out_block, sized<edgecl_class_info>()));
    default:
      return edgecl_class_find(at.session, name, &label);
  }
}

edgecl_status state(Input* in, const OpenSession& at) {
  static size_t saved = 0;  // bytes of the last export that fit
  size_t bytes = 0, written = 0;
  if (in->below(2) == 0 && saved > 0) return edgecl_state_import(at.session, state_block.use(saved), saved);
  if (at.config.head_merges > 0 && in->below(2) == 0) return device_call(at.session, in);
  const edgecl_status status = edgecl_state_size(at.session, &bytes);
  if (status != EDGECL_OK || bytes > state_block.capacity()) return status;
  edgecl_sizes sizes = sized<edgecl_sizes>();
  REQUIRE(edgecl_session_sizes(models[at.model].model, &at.config, &sizes, nullptr) == EDGECL_OK);
  REQUIRE(bytes <= sizes.state_bytes_max, "%zu of %llu bytes", bytes,
          static_cast<unsigned long long>(sizes.state_bytes_max));
  if (in->below(16) == 0) {
    const size_t less = bytes - 1 - in->below(static_cast<uint32_t>(bytes));
    saved = 0;
    return edgecl_state_export(at.session, state_block.use(less), less, &written);
  }
  const edgecl_status done = edgecl_state_export(at.session, state_block.use(bytes), bytes, &written);
  saved = done == EDGECL_OK ? written : 0;
  return done;
}

edgecl_status measure(Input* in, OpenSession* at) {
  size_t n = 0, dropped = 0;
  edgecl_status status;
  switch (in->below(4)) {
    case 0: {
      const size_t stride = in->below(8) == 0 ? 8 * in->below(8) : sizeof(edgecl_profile_event);
      status = edgecl_profile_start(at->session, events, stride,
                                    stride >= sizeof(edgecl_profile_event) ? sizeof events / stride : 1);
      at->profiled = at->profiled || status == EDGECL_OK;
      return status;
    }
    case 1:
      status = edgecl_profile_stop(at->session, &n, &dropped);
      REQUIRE(status == (at->profiled ? EDGECL_OK : EDGECL_E_SEQUENCE));
      at->profiled = false;
      return status;
    case 2:
      return edgecl_session_stats(at->session, shaped(in, &out_block, sized<edgecl_stats>()));
    default:
      return edgecl_session_config_get(at->session, shaped(in, &out_block, sized<edgecl_session_config>()));
  }
}

edgecl_status weights(Input* in, const OpenSession& at) {
  const size_t capacity = in->below(4) == 0 ? in->number() % 4096 : 4096;
  return edgecl_weights_read(at.session, in->below(16), reinterpret_cast<float*>(out_block.use(capacity * 4)),
                             capacity);
}

edgecl_status rehearse(Input* in, const OpenSession& at) {
  const uint32_t n_steps = in->below(16) == 0 ? (1u << 20) + 1 + in->number() % 1000 : in->below(4);
  return edgecl_rehearse(at.session, n_steps,
                         in->below(4) == 0 ? nullptr : shaped(in, &out_block, sized<edgecl_rehearse_report>()));
}

// One call on a session: nothing allocates, and a failure changes nothing.
void call_session(Input* in) {
  OpenSession& at = sessions[in->below(kSessions)];
  if (at.session == nullptr) return;
  const Digest before = digest_of(at.session);
  const uint32_t kind = in->below(16);
  edgecl_status status = EDGECL_OK;
  float rate = 0;
  in_call = at.session;
  switch (kind) {
    case 0:
    case 1: {
      ClosedHeap closed;
      status = infer(in, at);
      break;
    }
    case 2: {
      ClosedHeap closed;
      status = classes(in, at);
      break;
    }
    case 3: {
      ClosedHeap closed;
      status = state(in, at);
      break;
    }
    case 4: {
      ClosedHeap closed;
      status = measure(in, &at);
      break;
    }
    case 5: {
      ClosedHeap closed;
      status = edgecl_task_begin(at.session);
      break;
    }
    case 6: {
      ClosedHeap closed;
      status = rehearse(in, at);
      break;
    }
    case 7: {
      ClosedHeap closed;
      status = in->below(4) == 0 ? edgecl_session_reset(at.session) : edgecl_learning_rate_set(at.session, in->real());
      break;
    }
    case 8: {
      ClosedHeap closed;
      status = in->below(2) == 0 ? weights(in, at) : edgecl_learning_rate_get(at.session, &rate);
      break;
    }
    case 9:
    case 10: {
      ClosedHeap closed;
      status = judge(in, at);
      break;
    }
    default: {
      ClosedHeap closed;
      status = learn(in, at);
    }
  }
  in_call = nullptr;
  require_status(at.session, status);
  const bool may_change = status == EDGECL_OK || (kind == 6 && status == EDGECL_E_NUMERIC);
  REQUIRE(may_change || digest_of(at.session) == before, "call %u failed with %d and changed the state", kind,
          static_cast<int>(status));
  REQUIRE(kind > 1 || digest_of(at.session) == before, "an inference changed the state");
}

void removals(Input* in) {
  edgecl_error error = sized<edgecl_error>();
  edgecl_status status = EDGECL_OK;
  switch (removal == nullptr ? 0 : in->below(5)) {
    case 0: {
      const uint32_t n = in->below(8) == 0 ? in->number() : in->below(40);
      size_t bytes = edgecl_removal_size(n);
      if (bytes > removal_block.capacity()) bytes = removal_block.capacity();
      if (in->below(16) == 0) bytes = in->below(64);
      status = edgecl_removal_init(n, in->below(3), removal_block.use(bytes), bytes, &removal, &error);
      if (status != EDGECL_OK) removal = nullptr;
      break;
    }
    case 1:
    case 2: {
      const uint32_t n = in->below(8);
      uint32_t ids[8];
      uint8_t correct[8];
      float loss[8];
      for (uint32_t i = 0; i < n; i++) {
        ids[i] = in->below(16) == 0 ? in->number() : in->below(20);
        correct[i] = in->u8() % 2;
        loss[i] = in->below(16) == 0 ? in->real() : 1.0f;
      }
      status = edgecl_removal_record(removal, ids, correct, loss, n, &error);
      break;
    }
    case 3: {
      const uint32_t before = edgecl_removal_count(removal), n = in->below(8) == 0 ? in->number() : in->below(6);
      status = edgecl_removal_stage(removal, n, &error);
      REQUIRE(edgecl_removal_count(removal) == before - (status == EDGECL_OK ? n : 0));
      break;
    }
    default: {
      const uint32_t capacity = in->below(64);
      status =
          edgecl_removal_kept(removal, reinterpret_cast<uint32_t*>(extra_block.use(capacity * 4)), capacity, &error);
      REQUIRE((status == EDGECL_OK) == (capacity >= edgecl_removal_count(removal)));
    }
  }
  check_call(status, error);
}

// A model, a session on it, and a step, so that most sequences have something to work with.
void begin(Input* in) {
  const uint8_t kind = in->u8();
  if (kind >= 240) return;
  size_t n = 0;
  const uint8_t* bytes = bundle_at(kind % kBundles, &n);
  allocations_allowed = 8;
  edgecl_open_options options = sized<edgecl_open_options>();
  options.allocator = &kAllocator;
  options.placement = EDGECL_PLACEMENT_IN_PLACE;
  REQUIRE(edgecl_model_open_memory(bytes, n, &options, &models[0].model, nullptr) == EDGECL_OK);
  edgecl_session_config config = config_from(in, models[0].model);
  edgecl_session_options session_options = sized<edgecl_session_options>();
  session_options.hooks = &kHooks;
  edgecl_sizes sizes = sized<edgecl_sizes>();
  if (edgecl_session_sizes(models[0].model, &config, &sizes, nullptr) != EDGECL_OK) return;
  if (sizes.arena_bytes > kMostArena) return;
  const size_t arena_bytes = static_cast<size_t>(sizes.arena_bytes);
  REQUIRE(edgecl_session_init(models[0].model, &config, &session_options, arenas[0]->use(arena_bytes), arena_bytes,
                              &sessions[0].session, nullptr) == EDGECL_OK);
  sessions[0].model = 0;
  sessions[0].config = config;
  sessions[0].profiled = false;
  models[0].n_sessions = 1;
}

void end() {
  for (OpenSession& at : sessions) destroy(&at);
  for (OpenModel& at : models) {
    REQUIRE(edgecl_model_close(at.model) == EDGECL_OK);
    at = OpenModel();
  }
  removal = nullptr;
  REQUIRE(bytes_taken == 0, "%lld bytes were not given back", static_cast<long long>(bytes_taken));
}

void prepare() {
  static bool done = false;
  if (done) return;
  done = true;
#ifdef EDGECL_FUZZ_ASAN
  __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
#endif
  for (Block*& arena : arenas) arena = new Block(kMostArena);
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned) {
  return LLVMFuzzerMutate(data, size, max_size < 768 ? max_size : 768);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 768) return 0;
  prepare();
  Input in(data, size);
  begin(&in);
  for (uint32_t call = 0; call < kMostCalls && in.left() > 0; call++) {
    switch (in.below(16)) {
      case 0:
        open_one(&in);
        break;
      case 1:
        close_one(&in);
        break;
      case 2:
        describe_one(&in);
        break;
      case 3:
        make_one(&in);
        break;
      case 4:
        destroy(&sessions[in.below(kSessions)]);
        break;
      case 5:
        removals(&in);
        break;
      default:
        call_session(&in);
    }
  }
  end();
  return 0;
}
