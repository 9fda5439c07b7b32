// Session's calls about classes, labels, the head and novelty.
// Never here: learning, inference, the class itself (bind_session.cpp).
#include "runtime/core/recipe.h"
#include "runtime/python/config.h"
#include "runtime/python/session.h"

namespace edgecl::python {

int32_t Session::class_add(const py::object& name) {
  const InUse guard(this);
  int32_t label = -1;
  if (name.is_none()) {
    check(edgecl_class_add(session_, nullptr, &label));
  } else {
    check(edgecl_class_add(session_, py::cast<std::string>(name).c_str(), &label));
  }
  return label;
}

void Session::class_forget(int32_t label) {
  const InUse guard(this);
  check(edgecl_class_forget(session_, label));
}

py::object Session::class_find(const std::string& name) {
  const InUse guard(this);
  int32_t label = -1;
  const edgecl_status status = edgecl_class_find(session_, name.c_str(), &label);
  if (status == EDGECL_E_NOT_FOUND) return py::none();
  check(status);
  return py::int_(label);
}

py::list Session::classes() {
  const InUse guard(this);
  py::list result;
  for (uint32_t label = 0; label < config_.max_classes; ++label) {
    auto info = sized<edgecl_class_info>();
    const edgecl_status status = edgecl_class_describe(session_, static_cast<int32_t>(label), &info);
    if (status == EDGECL_E_NOT_FOUND) continue;
    check(status);
    if (info.present == 0 && info.samples_seen == 0 && (info.name == nullptr || info.name[0] == '\0'))
      continue;  // never issued
    py::dict d;
    d["label"] = info.label;
    d["name"] = info.name != nullptr ? info.name : "";
    d["samples_seen"] = info.samples_seen;
    d["replay_samples"] = info.replay_samples;
    d["present"] = info.present != 0;
    d["rows_merged"] = info.rows_merged;
    result.append(d);
  }
  return result;
}

void Session::set_class_weight(int32_t label, const py::object& weight) {
  const InUse guard(this);
  check(edgecl_class_weight_set(session_, label, static_cast<float>(number_argument("class_weight", weight))));
}

float Session::class_weight(int32_t label) {
  const InUse guard(this);
  float weight = 0;
  check(edgecl_class_weight_get(session_, label, &weight));
  return weight;
}

void Session::set_label_kind(uint32_t kind) {
  const InUse guard(this);
  check(edgecl_label_kind_set(session_, kind));
}

uint32_t Session::label_kind() {
  const InUse guard(this);
  uint32_t kind = 0;
  check(edgecl_label_kind_get(session_, &kind));
  return kind;
}

py::object Session::head() {
  const InUse guard(this);
  auto info = sized<edgecl_head_info>();
  const edgecl_status status = edgecl_head_describe(session_, &info);
  if (status == EDGECL_E_UNSUPPORTED) return py::none();
  check(status);
  py::dict d;
  d["head"] = kHeadNames[info.head];
  d["dim"] = info.dim;
  d["bank_rows"] = info.bank_rows;
  d["rows"] = info.rows;
  d["saturated"] = info.saturated;
  d["bytes"] = info.bytes;
  d["solved"] = info.solved != 0;
  d["devices"] = info.devices;
  return d;
}

namespace {

uint32_t score_number(const std::string& name) {
  for (uint32_t i = 0; kNoveltyNames[i] != nullptr; ++i) {
    if (name == kNoveltyNames[i]) return i;
  }
  std::string known;
  for (uint32_t i = 1; kNoveltyNames[i] != nullptr; ++i) known += std::string(i > 1 ? ", " : "") + kNoveltyNames[i];
  raise_status(EDGECL_E_ARGUMENT, "expected a novelty score among " + known + "; found \"" + name + "\"; name one");
}

}  // namespace

py::array Session::novelty_scores(const py::array& x, const std::string& score) {
  const InUse guard(this);
  const Samples samples = samples_from(x, model_->info());
  const uint32_t number = score_number(score);
  py::array_t<float> out(static_cast<py::ssize_t>(samples.n_rows));
  float* const to = out.mutable_data();
  edgecl_status status = EDGECL_OK;
  if (samples.n_rows > 0) {
    const py::gil_scoped_release release;
    const edgecl_batch batch = samples.slice(0, samples.n_rows);
    status = edgecl_novelty_scores(session_, &batch, number, to, samples.n_rows);
  }
  check(status);
  return out;
}

void Session::novelty_calibrate(const std::string& score, const py::array_t<float, py::array::c_style>& scores,
                                double accepted, double kept) {
  const InUse guard(this);
  check(edgecl_novelty_calibrate(session_, score_number(score), scores.data(), static_cast<size_t>(scores.size()),
                                 accepted, kept));
}

py::object Session::novelty_threshold(const std::string& score) {
  const InUse guard(this);
  auto threshold = sized<edgecl_threshold>();
  check(edgecl_novelty_threshold(session_, score_number(score), &threshold));
  if (threshold.rows == 0) return py::none();
  py::dict d;
  d["score"] = kNoveltyNames[threshold.score];
  d["accept"] = threshold.accept;
  d["novel"] = threshold.novel;
  d["rows"] = threshold.rows;
  return d;
}

py::array Session::decisions(const py::array& x, DecideCall call) {
  const InUse guard(this);
  const Samples samples = samples_from(x, model_->info());
  py::array_t<int32_t> out(static_cast<py::ssize_t>(samples.n_rows));
  int32_t* const to = out.mutable_data();
  edgecl_status status = EDGECL_OK;
  if (samples.n_rows > 0) {
    const py::gil_scoped_release release;
    const edgecl_batch batch = samples.slice(0, samples.n_rows);
    status = call(session_, &batch, to, samples.n_rows);
  }
  check(status);
  return out;
}

py::array Session::decide(const py::array& x) {
  return decisions(x, edgecl_decide);
}

py::array Session::observe(const py::array& x) {
  return decisions(x, edgecl_observe);
}

py::dict Session::drift() {
  const InUse guard(this);
  auto info = sized<edgecl_drift_info>();
  check(edgecl_drift(session_, &info));
  py::dict d;
  d["score"] = kNoveltyNames[info.score];
  d["window"] = info.window;
  d["filled"] = info.filled;
  d["alarm"] = info.alarm != 0;
  d["unknown"] = info.unknown;
  d["unusual"] = info.unusual;
  d["chance"] = info.chance;
  d["observed"] = info.observed;
  d["alarms"] = info.alarms;
  return d;
}

}  // namespace edgecl::python
