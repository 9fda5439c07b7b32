// Session's calls about classes, labels and the head.
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
  return d;
}

}  // namespace edgecl::python
