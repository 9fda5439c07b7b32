// The class Session: every call checks its arrays with the GIL held, then works without it.
// Never here: models, numerics; classes and heads (bind_session_classes.cpp).
#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <system_error>

#include "runtime/python/config.h"
#include "runtime/python/session.h"

namespace edgecl::python {
namespace {

uint64_t now_us(void*) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

// Signals are looked at this often in calls of many steps, so that Ctrl-C ends them between two steps.
constexpr std::chrono::milliseconds kSignalInterval(100);

void put_report(py::dict* d, const edgecl_learn_report& report) {
  (*d)["loss"] = report.loss;
  (*d)["loss_current"] = report.loss_current;
  (*d)["loss_replay"] = report.loss_replay;
  (*d)["loss_logits"] = report.loss_logits;
  (*d)["n_replayed"] = report.n_replayed;
  (*d)["step"] = report.step;
  (*d)["macs_forward"] = report.macs_forward;
  (*d)["macs_backward"] = report.macs_backward;
  (*d)["macs_paper"] = report.macs_paper;
  (*d)["structure_changed"] = report.structure_changed != 0;
  (*d)["note"] = report.note != nullptr ? py::object(py::str(report.note)) : py::object(py::none());
}

// One float32 weight a row, or none at all.
using Weights = py::array_t<float, py::array::c_style>;
Weights weights_from(const py::object& weights, uint32_t n_rows) {
  if (weights.is_none()) return Weights(0);
  const auto array = py::array_t < float, py::array::c_style | py::array::forcecast > ::ensure(weights);
  if (!array) throw py::error_already_set();
  if (array.ndim() != 1 || array.shape(0) != static_cast<py::ssize_t>(n_rows)) {
    raise_status(EDGECL_E_SHAPE, "expected " + std::to_string(n_rows) + " weights, one a row; found " +
                                     std::to_string(array.size()) + "; pass equally many of both");
  }
  return array;
}
const float* first_of(const Weights& weights) {
  return weights.size() == 0 ? nullptr : weights.data();
}

// What learn steps say of each current row, if anybody asked: numpy's own memory, so it is made and read with the GIL
// held and written without.
class RowArrays {
 public:
  explicit RowArrays(uint32_t n) : correct_(static_cast<py::ssize_t>(n)), loss_(static_cast<py::ssize_t>(n)) {
    to_correct_ = reinterpret_cast<uint8_t*>(correct_.mutable_data());
    to_loss_ = loss_.mutable_data();
  }
  void point(edgecl_learn_report* report, uint32_t row) {
    if (loss_.size() == 0) return;
    report->row_correct = to_correct_ + row;
    report->row_loss = to_loss_ + row;
  }
  void put(py::dict* d) const {
    (*d)["row_correct"] = correct_;
    (*d)["row_loss"] = loss_;
  }

 private:
  py::array_t<bool> correct_;
  py::array_t<float> loss_;
  uint8_t* to_correct_;
  float* to_loss_;
};
static_assert(sizeof(bool) == 1, "flags of 0 and 1 are numpy's bool");

}  // namespace

Session::Session(std::shared_ptr<Model> model, const py::object& n_threads, const py::dict& keywords)
    : model_(std::move(model)) {
  config_ = model_->default_config();
  py::dict all;
  all["n_threads"] = n_threads;
  for (const auto& item : keywords) all[item.first] = item.second;
  apply_config(all, &config_);
  auto hooks = sized<edgecl_hooks>();
  hooks.now_us = now_us;
  if (config_.n_threads > 1 &&
      config_.n_threads <= EDGECL_MAX_THREADS) {  // a number beyond is refused below, before it costs threads
    try {
      pool_ = std::make_unique<ThreadPool>(config_.n_threads);
    } catch (const std::system_error& error) {
      raise_status(EDGECL_E_NO_MEMORY, "expected " + std::to_string(config_.n_threads) +
                                           " threads; found: " + error.what() + "; ask for fewer with n_threads");
    }
    hooks.user = pool_.get();
    hooks.parallel_for = ThreadPool::parallel_for;
  }
  auto options = sized<edgecl_session_options>();
  options.hooks = &hooks;
  ErrorRecord error;
  edgecl_status status;
  {
    const Model::Use use(model_.get());
    const py::gil_scoped_release release;
    status = edgecl_session_create(use.handle(), &config_, &options, &session_, &error);
  }
  python::check(status, error);
}

Session::~Session() {
  edgecl_session_destroy(session_);
}

void Session::close() {
  if (session_ == nullptr) return;
  {
    const InUse guard(this);
    edgecl_session_destroy(session_);
    session_ = nullptr;
  }
  pool_.reset();
}

void Session::check(edgecl_status status, int64_t n_done) const {
  if (status != EDGECL_OK) raise_status(status, edgecl_session_error(session_), n_done);
}

py::dict Session::config() {
  const InUse guard(this);
  auto present = sized<edgecl_session_config>();
  check(edgecl_session_config_get(session_, &present));
  return config_dict(present);
}

py::dict Session::learn(const py::array& x, const py::array& labels, bool want_slots, bool want_rows,
                        const py::object& weights) {
  const InUse guard(this);
  Samples samples = samples_from(x, model_->info());
  const std::vector<int32_t> codes = labels_from(labels, samples.n_rows);
  const Weights row_weights = weights_from(weights, samples.n_rows);
  samples.batch.weights = first_of(row_weights);
  uint32_t n_slots = 0;
  if (want_slots) {
    ErrorRecord error;
    python::check(edgecl_replay_rows(&config_, &n_slots, &error), error);
  }
  std::vector<uint32_t> slots(n_slots);
  auto report = sized<edgecl_learn_report>();
  report.replay_slots = slots.empty() ? nullptr : slots.data();
  report.replay_slots_capacity = static_cast<uint32_t>(slots.size());
  RowArrays rows(want_rows ? samples.n_rows : 0);
  rows.point(&report, 0);
  edgecl_status status;
  {
    const py::gil_scoped_release release;
    status = edgecl_learn(session_, &samples.batch, codes.data(), &report);
  }
  check(status);
  py::dict result;
  put_report(&result, report);
  if (want_slots) {
    const size_t n = std::min<size_t>(slots.size(), report.n_replayed);
    result["replay_slots"] = py::array_t<uint32_t>(static_cast<py::ssize_t>(n), slots.data());
  }
  if (want_rows) rows.put(&result);
  return result;
}

py::dict Session::learn_many(const py::array& x, const py::array& labels, const py::object& batch_size, bool want_rows,
                             const py::object& weights) {
  const InUse guard(this);
  const Samples samples = samples_from(x, model_->info());
  const std::vector<int32_t> codes = labels_from(labels, samples.n_rows);
  const Weights row_weights = weights_from(weights, samples.n_rows);
  const float* const weight = first_of(row_weights);
  const char* note = nullptr;
  const uint32_t step = static_cast<uint32_t>(integer_argument("batch_size", batch_size, 1, config_.max_batch));
  const uint32_t n = samples.n_rows;
  uint32_t n_done = 0, n_steps = 0;
  uint64_t macs_forward = 0, macs_backward = 0;
  double loss_sum = 0;
  RowArrays rows(want_rows ? n : 0);
  while (n_done < n) {
    edgecl_status status = EDGECL_OK;
    {
      const py::gil_scoped_release release;
      const auto pause = std::chrono::steady_clock::now() + kSignalInterval;
      do {
        const uint32_t count = std::min(step, n - n_done);
        edgecl_batch batch = samples.slice(n_done, count);
        if (weight != nullptr) batch.weights = weight + n_done;
        auto report = sized<edgecl_learn_report>();
        rows.point(&report, n_done);
        status = edgecl_learn(session_, &batch, codes.data() + n_done, &report);
        if (status != EDGECL_OK) break;
        if (report.note != nullptr) note = report.note;
        n_done += count;
        ++n_steps;
        loss_sum += report.loss;
        macs_forward += report.macs_forward;
        macs_backward += report.macs_backward;
      } while (n_done < n && std::chrono::steady_clock::now() < pause);
    }
    check(status, n_done);
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
  py::dict result;
  result["n_done"] = n_done;
  result["n_steps"] = n_steps;
  result["mean_loss"] = n_steps != 0 ? loss_sum / n_steps : 0.0;
  result["macs_forward"] = macs_forward;
  result["macs_backward"] = macs_backward;
  result["note"] = note != nullptr ? py::object(py::str(note)) : py::object(py::none());
  if (want_rows) rows.put(&result);
  return result;
}

void Session::in_pieces(const py::array& x, const py::array& labels, PieceCall call) {
  const InUse guard(this);
  const Samples samples = samples_from(x, model_->info());
  const std::vector<int32_t> codes = labels_from(labels, samples.n_rows);
  for (uint32_t n_done = 0; n_done < samples.n_rows;) {
    edgecl_status status = EDGECL_OK;
    {
      const py::gil_scoped_release release;
      const auto pause = std::chrono::steady_clock::now() + kSignalInterval;
      do {
        const uint32_t count = std::min(config_.max_batch, samples.n_rows - n_done);
        const edgecl_batch batch = samples.slice(n_done, count);
        status = call(session_, &batch, codes.data() + n_done);
        if (status != EDGECL_OK) break;
        n_done += count;
      } while (n_done < samples.n_rows && std::chrono::steady_clock::now() < pause);
    }
    check(status, n_done);
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
}

void Session::remember(const py::array& x, const py::array& labels) {
  in_pieces(x, labels, edgecl_remember);
}

void Session::unlearn(const py::array& x, const py::array& labels) {
  in_pieces(x, labels, edgecl_unlearn);
}

py::dict Session::rehearse(const py::object& n_steps) {
  const InUse guard(this);
  // A few steps at a time, so that Ctrl-C ends the call between them.
  uint64_t left = integer_argument("n_steps", n_steps, 0, std::numeric_limits<uint32_t>::max());
  uint32_t done = 0;
  double loss_sum = 0;
  while (left > 0) {
    auto report = sized<edgecl_rehearse_report>();
    edgecl_status status = EDGECL_OK;
    {
      const py::gil_scoped_release release;
      const auto pause = std::chrono::steady_clock::now() + kSignalInterval;
      do {
        status = edgecl_rehearse(session_, 1, &report);
        if (status != EDGECL_OK || report.done == 0) break;
        loss_sum += report.mean_loss;
        ++done;
        --left;
      } while (left > 0 && std::chrono::steady_clock::now() < pause);
    }
    check(status, done);
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (report.done == 0) break;  // the buffer is empty
  }
  py::dict result;
  result["done"] = done;
  result["mean_loss"] = done != 0 ? loss_sum / done : 0.0;
  return result;
}

py::tuple Session::predict(const py::array& x) {
  const InUse guard(this);
  const Samples samples = samples_from(x, model_->info());
  const py::ssize_t n = samples.n_rows;
  std::vector<edgecl_prediction> predictions(samples.n_rows);
  if (n != 0) {
    edgecl_status status;
    {
      const py::gil_scoped_release release;
      status = edgecl_predict(session_, &samples.batch, predictions.data(), sizeof(edgecl_prediction));
    }
    check(status);
  }
  py::array_t<int32_t> labels(n);
  py::array_t<float> probabilities(n), margins(n);
  for (py::ssize_t i = 0; i < n; ++i) {
    labels.mutable_at(i) = predictions[i].label;
    probabilities.mutable_at(i) = predictions[i].probability;
    margins.mutable_at(i) = predictions[i].margin;
  }
  return py::make_tuple(labels, probabilities, margins);
}

template <class Fill>
py::array Session::matrix(const py::array& x, uint32_t n_columns, Fill fill) {
  const InUse guard(this);
  const Samples samples = samples_from(x, model_->info());
  py::array_t<float> out({static_cast<py::ssize_t>(samples.n_rows), static_cast<py::ssize_t>(n_columns)});
  float* const target = out.mutable_data();
  const size_t capacity = static_cast<size_t>(out.size());
  // A model without such a part must say so for zero rows too; the C call wants at least one row, so it is asked only
  // when there is one.
  if (samples.n_rows != 0 || n_columns == 0) {
    edgecl_status status;
    {
      const py::gil_scoped_release release;
      status = fill(session_, &samples.batch, target, capacity);
    }
    check(status);
  }
  return std::move(out);
}

py::array Session::logits(const py::array& x) {
  return matrix(x, model_->info().class_capacity, edgecl_logits);
}

py::array Session::probabilities(const py::array& x) {
  return matrix(x, model_->info().class_capacity, edgecl_probabilities);
}

py::array Session::embed(const py::array& x) {
  return matrix(x, model_->info().embedding_dim, edgecl_embed);
}

void Session::begin_task() {
  const InUse guard(this);
  edgecl_status status;
  {
    const py::gil_scoped_release release;
    status = edgecl_task_begin(session_);
  }
  check(status);
}

void Session::reset() {
  const InUse guard(this);
  check(edgecl_session_reset(session_));
}

void Session::set_learning_rate(const py::object& value) {
  const InUse guard(this);
  check(edgecl_learning_rate_set(session_, static_cast<float>(number_argument("learning_rate", value))));
}

py::bytes Session::state_export() {
  const InUse guard(this);
  size_t n_bytes = 0;
  check(edgecl_state_size(session_, &n_bytes));
  const py::bytes result =
      py::reinterpret_steal<py::bytes>(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(n_bytes)));
  if (!result) throw py::error_already_set();
  size_t written = 0;
  edgecl_status status;
  {
    char* const buffer = PyBytes_AS_STRING(result.ptr());
    const py::gil_scoped_release release;
    status = edgecl_state_export(session_, buffer, n_bytes, &written);
  }
  check(status);
  if (written != n_bytes) return py::bytes(PyBytes_AS_STRING(result.ptr()), written);
  return result;
}

void Session::state_import(const py::buffer& data) {
  const InUse guard(this);
  const py::buffer_info view = data.request();
  const size_t n_bytes = static_cast<size_t>(view.size * view.itemsize);
  static const char kEmpty[1] = {0};
  edgecl_status status;
  {
    const py::gil_scoped_release release;
    status = edgecl_state_import(session_, n_bytes != 0 ? view.ptr : kEmpty, n_bytes);
  }
  check(status);
}

std::string Session::state_digest() {
  const InUse guard(this);
  uint8_t digest[32];
  edgecl_status status;
  {
    const py::gil_scoped_release release;
    status = edgecl_state_digest(session_, digest);
  }
  check(status);
  return hex(digest, sizeof(digest));
}

py::dict Session::stats() {
  const InUse guard(this);
  auto s = sized<edgecl_stats>();
  check(edgecl_session_stats(session_, &s));
  py::dict d;
  d["n_classes"] = s.n_classes;
  d["steps"] = s.steps;
  d["samples_learned"] = s.samples_learned;
  d["samples_predicted"] = s.samples_predicted;
  d["samples_seen"] = s.samples_seen;
  d["replay_fill"] = s.replay_fill;
  d["replay_capacity"] = s.replay_capacity;
  d["arena_bytes"] = s.arena_bytes;
  d["macs_learn"] = s.macs_learn;
  d["macs_learn_dense"] = s.macs_learn_dense;
  d["refused_steps"] = s.refused_steps;
  d["tasks"] = s.tasks;
  d["macs_paper"] = s.macs_paper;
  d["macs_paper_dense"] = s.macs_paper_dense;
  d["structure_updates"] = s.structure_updates;
  d["weights_dropped"] = s.weights_dropped;
  d["weights_grown"] = s.weights_grown;
  d["weights_stored"] = s.weights_stored;
  d["weights_trainable"] = s.weights_trainable;
  d["structure_us"] = s.structure_us;
  d["learn_us"] = s.learn_us;
  d["steps_in_task"] = s.steps_in_task;
  return d;
}

py::dict Session::sizes() const {
  auto sizes = sized<edgecl_sizes>();
  ErrorRecord error;
  python::check(edgecl_session_sizes(model_->handle(), &config_, &sizes, &error), error);
  return sizes_dict(sizes);
}

py::dict Session::parameters() {
  const InUse guard(this);
  py::dict result;
  for (uint32_t index = 0; index < model_->info().n_params; ++index) {
    auto param = sized<edgecl_param_info>();
    check(edgecl_model_param(model_->handle(), index, &param));
    py::array_t<float> values(std::vector<py::ssize_t>(param.dims, param.dims + param.rank));
    check(edgecl_weights_read(session_, index, values.mutable_data(), static_cast<size_t>(values.size())));
    result[param.name] = values;
  }
  return result;
}

void Session::profile_start(const py::object& capacity) {
  constexpr uint64_t kMostEvents = 1u << 24;  // half a GiB
  const InUse guard(this);
  const size_t n_events = integer_argument("capacity", capacity, 1, kMostEvents);
  if (profiling_) raise_status(EDGECL_E_SEQUENCE, "expected no running profile; found one; stop it first");
  events_.assign(n_events, edgecl_profile_event{});
  check(edgecl_profile_start(session_, events_.data(), sizeof(edgecl_profile_event), n_events));
  profiling_ = true;
}

py::list Session::profile_stop() {
  const InUse guard(this);
  size_t n_events = 0, n_dropped = 0;
  check(edgecl_profile_stop(session_, &n_events, &n_dropped));
  profiling_ = false;
  py::list result;
  for (size_t i = 0; i < n_events; ++i) {
    py::dict d;
    d["op"] = events_[i].op;
    d["pass"] = events_[i].pass;
    d["begin_us"] = events_[i].begin_us;
    d["end_us"] = events_[i].end_us;
    d["macs"] = events_[i].macs;
    result.append(d);
  }
  events_.clear();
  return result;
}

void bind_session(py::module_& module) {
  py::class_<Session>(module, "Session", "One learner. A second concurrent call raises edgecl.errors.BusyError.")
      .def(py::init([](std::shared_ptr<Model> model, const py::object& n_threads, const py::kwargs& config) {
             return std::make_unique<Session>(std::move(model), n_threads, config);
           }),
           py::arg("model"), py::arg("n_threads") = 1)
      .def_property_readonly("config", &Session::config)
      .def("learn", &Session::learn, py::arg("x"), py::arg("labels"), py::arg("want_slots") = false,
           py::arg("want_rows") = false, py::arg("weights") = py::none())
      .def("learn_many", &Session::learn_many, py::arg("x"), py::arg("labels"), py::arg("batch_size"),
           py::arg("want_rows") = false, py::arg("weights") = py::none())
      .def("remember", &Session::remember, py::arg("x"), py::arg("labels"))
      .def("unlearn", &Session::unlearn, py::arg("x"), py::arg("labels"))
      .def("rehearse", &Session::rehearse, py::arg("n_steps"))
      .def("predict", &Session::predict, py::arg("x"))
      .def("logits", &Session::logits, py::arg("x"))
      .def("probabilities", &Session::probabilities, py::arg("x"))
      .def("embed", &Session::embed, py::arg("x"))
      .def("class_add", &Session::class_add, py::arg("name") = py::none())
      .def("class_forget", &Session::class_forget, py::arg("label"))
      .def("class_find", &Session::class_find, py::arg("name"))
      .def("classes", &Session::classes)
      .def("set_class_weight", &Session::set_class_weight, py::arg("label"), py::arg("weight"))
      .def("class_weight", &Session::class_weight, py::arg("label"))
      .def_property("label_kind", &Session::label_kind, &Session::set_label_kind)
      .def("begin_task", &Session::begin_task)
      .def("reset", &Session::reset)
      .def("set_learning_rate", &Session::set_learning_rate, py::arg("value"))
      .def("state_export", &Session::state_export)
      .def("state_import", &Session::state_import, py::arg("data"))
      .def("state_digest", &Session::state_digest)
      .def("stats", &Session::stats)
      .def("head", &Session::head)
      .def("device_set", &Session::device_set, py::arg("device"), py::arg("version") = 0)
      .def("devices", &Session::devices)
      .def("delta", &Session::delta, py::arg("relay") = false)
      .def("merge", &Session::merge, py::arg("data"))
      .def("unmerge", &Session::unmerge, py::arg("device"))
      .def("route", &Session::route, py::arg("x"))
      .def("domain_add", &Session::domain_add, py::arg("name"))
      .def("domain_select", &Session::domain_select, py::arg("domain"))
      .def("domain_adapt", &Session::domain_adapt, py::arg("domain"), py::arg("trainer"))
      .def("domain_remove", &Session::domain_remove, py::arg("domain"))
      .def("domain_calibrate", &Session::domain_calibrate, py::arg("accepted"), py::arg("kept"))
      .def("domains", &Session::domains)
      .def("novelty_scores", &Session::novelty_scores, py::arg("x"), py::arg("score") = "none")
      .def("novelty_calibrate", &Session::novelty_calibrate, py::arg("score"), py::arg("scores"), py::arg("accepted"),
           py::arg("kept"))
      .def("novelty_threshold", &Session::novelty_threshold, py::arg("score") = "none")
      .def("decide", &Session::decide, py::arg("x"))
      .def("observe", &Session::observe, py::arg("x"))
      .def("drift", &Session::drift)
      .def("sizes", &Session::sizes)
      .def("profile_start", &Session::profile_start, py::arg("capacity") = 65536)
      .def("profile_stop", &Session::profile_stop)
      .def("parameters", &Session::parameters)
      .def("close", &Session::close);
}

}  // namespace edgecl::python
