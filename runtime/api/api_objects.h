// The two opaque objects of the C API, and what each entry point does first and last.
// Never here: learning, the meaning of parameters.
#ifndef EDGECL_RUNTIME_API_API_OBJECTS_H_
#define EDGECL_RUNTIME_API_API_OBJECTS_H_

#include <stddef.h>
#include <stdint.h>

#include <atomic>

#include "runtime/api/api_structs.h"
#include "runtime/core/fp_control.h"
#include "runtime/learn/session.h"

struct edgecl_model {
  edgecl::Plan plan;
  const edgecl::KernelTable* kernels;
  // Sessions that live or are being made; kClosing once the model is closed. What uses the model in a way that a close
  // must not cut short counts itself in first (ModelUse).
  mutable std::atomic<uint32_t> uses;
  // How to give back what opening took; both null when the caller owns everything.
  edgecl_allocator allocator;            // allocate == NULL: the object's memory is the caller's
  size_t memory_bytes;                   // of the object, and of the bundle's copy behind it
  void (*unmap)(void* bytes, size_t n);  // null: the bundle's bytes are the caller's
};

struct edgecl_session {
  edgecl::Session session;
  edgecl_model* model;
  edgecl_allocator allocator;  // allocate == NULL: the arena is the caller's
  size_t arena_bytes;
  // One call at a time: a second one is refused, not made to wait, so that a mistake in the caller's threading shows.
  mutable std::atomic<uint32_t> busy;
  mutable char error[sizeof(edgecl_error::message)];
  edgecl::api::Elements events;  // first == null: no profile is being taken
  size_t events_capacity, n_events, n_dropped;
};

namespace edgecl {
EDGECL_TARGET_ROOM(edgecl_session, 2048, 2560);
}

namespace edgecl::api {

constexpr uint32_t kClosing = 0x80000000u;

// Counts a use of a model, unless the model is being closed.
class ModelUse {
 public:
  explicit ModelUse(const edgecl_model* model) : model_(model) {
    uint32_t n = model->uses.load(std::memory_order_relaxed);
    while (n != kClosing && !entered_)
      entered_ = model->uses.compare_exchange_weak(n, n + 1, std::memory_order_acquire);
  }
  ~ModelUse() {
    if (entered_) model_->uses.fetch_sub(1, std::memory_order_release);
  }
  ModelUse(const ModelUse&) = delete;
  ModelUse& operator=(const ModelUse&) = delete;

  // E_SEQUENCE when the model is being closed: touch nothing of it.
  Status entered() const;
  // The use goes on beyond this object; edgecl_session_destroy ends it.
  void keep() { entered_ = false; }

 private:
  const edgecl_model* model_;
  bool entered_ = false;
};

// At the top of every entry that uses a session: takes its busy flag and sets the floating-point control word, for the
// length of the call.
class SessionCall {
 public:
  explicit SessionCall(const edgecl_session* session);  // not inline: there are many entries
  ~SessionCall();
  SessionCall(const SessionCall&) = delete;
  SessionCall& operator=(const SessionCall&) = delete;

  // False: return refusal() and touch nothing.
  bool entered() const { return entered_; }
  edgecl_status refusal() const { return session_ ? EDGECL_E_BUSY : EDGECL_E_ARGUMENT; }
  // Keeps the sentence of a failure for edgecl_session_error and hands it to the log hook; gives the code to return.
  edgecl_status done(const Status& status) const;

 private:
  const edgecl_session* session_;
  bool entered_;
  FpControl fp_;
};

constexpr int32_t kWarning = 2;  // level of edgecl_hooks.log

// The C library's memory, and the level that EDGECL_SIMD names (null: none); runtime/api/api_system.cpp.
edgecl_allocator system_allocator();
const char* wanted_level();

// The caller's allocator, or the C library's when there is none (E_ARGUMENT for one with a missing function).
Status choose_allocator(const edgecl_allocator* allocator, edgecl_allocator* chosen);

// The kernel levels of this build that run on this CPU: "reference, x86-64-v1". Lives as long as the program.
const char* kernel_level_list();

// Overwrites memory in a way that no compiler leaves out.
void wipe(void* memory, size_t bytes);

#define EDGECL_TEXT_OF(x) #x
#define EDGECL_TEXT(x) EDGECL_TEXT_OF(x)
#define EDGECL_VERSION_TEXT \
  EDGECL_TEXT(EDGECL_VERSION_MAJOR) "." EDGECL_TEXT(EDGECL_VERSION_MINOR) "." EDGECL_TEXT(EDGECL_VERSION_PATCH)

// The caller's options, checked; `allocator` is chosen where the call needs one.
struct OpenOptions {
  bool copy;
  edgecl_allocator allocator;
  const KernelTable* kernels;
};
// copies: what EDGECL_PLACEMENT_DEFAULT means. allocates: the call needs an allocator.
Status read_open_options(const edgecl_open_options* from, bool copies, bool allocates, OpenOptions* to);

// Bytes of a model's object; the copy of a bundle begins behind it.
extern const size_t kModelBytes;
// Opens the bundle inside `memory`, of which the model keeps `memory_bytes` in mind for its end. `scratch`
// (bundle_scratch_bytes) serves the checks alone. `model` is written on success only.
Status open_model(const void* bytes, size_t n_bytes, const OpenOptions& options, void* memory, size_t memory_bytes,
                  void* scratch, size_t scratch_bytes, edgecl_model** model);
// The same with scratch memory from the allocator for the length of the call.
Status open_with_scratch(const void* bytes, size_t n_bytes, const OpenOptions& options, void* memory,
                         size_t memory_bytes, edgecl_model** model);
// So many bytes from the allocator, or E_NO_MEMORY.
Status take(const edgecl_allocator& allocator, size_t bytes, void** memory);

// The configuration and the hooks of a session in the learner's terms, checked against the bundle.
Status read_config(const edgecl_model& model, const edgecl_session_config* from, const edgecl_hooks* hooks,
                   SessionConfig* to, Environment* env);
edgecl_session_config write_config(const SessionConfig& from);
// The block of recipe fields of a whole configuration.
format::RecipeRecord recipe_of(const edgecl_session_config& config);
void set_recipe(const format::RecipeRecord& recipe, edgecl_session_config* config);

}  // namespace edgecl::api

#endif  // EDGECL_RUNTIME_API_API_OBJECTS_H_
