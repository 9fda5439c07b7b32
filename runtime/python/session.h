// Session: one learner, its thread pool and its profiler events, as the extension module holds it.
// Never here: anything that the C API does not offer.
#ifndef EDGECL_RUNTIME_PYTHON_SESSION_H_
#define EDGECL_RUNTIME_PYTHON_SESSION_H_

#include <atomic>
#include <memory>
#include <vector>

#include "runtime/python/bind_common.h"
#include "runtime/python/model.h"
#include "runtime/python/thread_pool.h"

namespace edgecl::python {

class Session {
 public:
  Session(std::shared_ptr<Model> model, const py::object& n_threads, const py::dict& keywords);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  py::dict config();
  py::dict learn(const py::array& x, const py::array& labels, bool want_slots, bool want_rows,
                 const py::object& weights);
  py::dict learn_many(const py::array& x, const py::array& labels, const py::object& batch_size, bool want_rows,
                      const py::object& weights);
  void remember(const py::array& x, const py::array& labels);
  void unlearn(const py::array& x, const py::array& labels);
  py::dict rehearse(const py::object& n_steps);
  py::tuple predict(const py::array& x);
  py::array logits(const py::array& x);
  py::array probabilities(const py::array& x);
  py::array embed(const py::array& x);
  int32_t class_add(const py::object& name);
  void class_forget(int32_t label);
  py::object class_find(const std::string& name);
  py::list classes();
  void set_class_weight(int32_t label, const py::object& weight);
  float class_weight(int32_t label);
  void set_label_kind(uint32_t kind);
  uint32_t label_kind();
  void begin_task();
  void reset();
  void set_learning_rate(const py::object& value);
  py::bytes state_export();
  void state_import(const py::buffer& data);
  std::string state_digest();
  py::dict stats();
  py::object head();
  void device_set(uint64_t device, uint64_t version);
  py::list devices();
  py::bytes delta(bool relay);
  py::dict merge(const py::buffer& data);
  void unmerge(uint64_t device);
  py::tuple route(const py::array& x);
  int32_t domain_add(const std::string& name);
  void domain_select(int32_t domain);
  uint32_t domain_adapt(int32_t domain, const Session& trainer);
  void domain_remove(int32_t domain);
  void domain_calibrate(double accepted, double kept);
  py::list domains();
  py::array novelty_scores(const py::array& x, const std::string& score);
  void novelty_calibrate(const std::string& score, const py::array_t<float, py::array::c_style>& scores,
                         double accepted, double kept);
  py::object novelty_threshold(const std::string& score);
  py::array decide(const py::array& x);
  py::array observe(const py::array& x);
  py::dict drift();
  py::dict sizes() const;
  void profile_start(const py::object& capacity);
  py::list profile_stop();
  py::dict parameters();
  void close();

 private:
  // Marks the session as taken by this call; BusyError when another thread has it.
  class InUse {
   public:
    explicit InUse(Session* session) : session_(session) {
      if (session->in_use_.exchange(true, std::memory_order_acquire)) {
        raise_status(EDGECL_E_BUSY,
                     "expected one call of a session at a time; found another thread inside one; give each thread a "
                     "session of its own");
      }
      if (session->session_ == nullptr) {
        session->in_use_.store(false, std::memory_order_release);
        raise_if_closed();
      }
    }
    ~InUse() { session_->in_use_.store(false, std::memory_order_release); }
    InUse(const InUse&) = delete;
    InUse& operator=(const InUse&) = delete;

   private:
    Session* session_;
  };
  using PieceCall = edgecl_status (*)(edgecl_session*, const edgecl_batch*, const int32_t*);
  // All rows in order, max_batch at a time. On failure the exception has n_done.
  void in_pieces(const py::array& x, const py::array& labels, PieceCall call);

  using DecideCall = edgecl_status (*)(edgecl_session*, const edgecl_batch*, int32_t*, size_t);
  py::array decisions(const py::array& x, DecideCall call);

  void check(edgecl_status status, int64_t n_done = -1) const;
  edgecl_session* handle() const;
  // n_rows x n_columns floats from a call that fills them (edgecl_logits, edgecl_probabilities, edgecl_embed).
  template <class Fill>
  py::array matrix(const py::array& x, uint32_t n_columns, Fill fill);

  std::shared_ptr<Model> model_;
  edgecl_session_config config_{};  // as the session was made; config() asks the core
  std::unique_ptr<ThreadPool> pool_;
  edgecl_session* session_ = nullptr;
  std::atomic<bool> in_use_{false};
  std::vector<edgecl_profile_event> events_;
  bool profiling_ = false;
};

}  // namespace edgecl::python

#endif  // EDGECL_RUNTIME_PYTHON_SESSION_H_
