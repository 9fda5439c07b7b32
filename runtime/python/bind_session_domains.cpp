// Domains of a session.
// Never here: the class of the binding (bind_session.cpp).
#include "runtime/python/config.h"
#include "runtime/python/session.h"

namespace edgecl::python {

py::tuple Session::route(const py::array& x) {
  const InUse guard(this);
  const Samples samples = samples_from(x, model_->info());
  const auto n = static_cast<py::ssize_t>(samples.n_rows);
  py::array_t<int32_t> domain(n), decision(n);
  py::array_t<float> fit(n);
  std::vector<edgecl_route_result> found(samples.n_rows);
  edgecl_status status = EDGECL_OK;
  if (samples.n_rows > 0) {
    const py::gil_scoped_release release;
    const edgecl_batch batch = samples.slice(0, samples.n_rows);
    status = edgecl_route(session_, &batch, found.data(), sizeof found[0]);
  }
  check(status);
  for (size_t row = 0; row < found.size(); ++row) {
    domain.mutable_data()[row] = found[row].domain;
    fit.mutable_data()[row] = found[row].fit;
    decision.mutable_data()[row] = found[row].decision;
  }
  return py::make_tuple(domain, fit, decision);
}

int32_t Session::domain_add(const std::string& name) {
  const InUse guard(this);
  int32_t domain = -1;
  check(edgecl_domain_add(session_, name.c_str(), &domain));
  return domain;
}

void Session::domain_select(int32_t domain) {
  const InUse guard(this);
  check(edgecl_domain_select(session_, domain));
}

uint32_t Session::domain_adapt(int32_t domain, const Session& trainer) {
  const InUse guard(this);
  uint32_t rows = 0;
  edgecl_status status = EDGECL_OK;
  {
    const py::gil_scoped_release release;
    status = edgecl_domain_adapt(session_, domain, trainer.session_, &rows);
  }
  check(status);
  return rows;
}

void Session::domain_calibrate(double accepted, double kept) {
  const InUse guard(this);
  check(edgecl_domain_calibrate(session_, accepted, kept));
}

void Session::domain_remove(int32_t domain) {
  const InUse guard(this);
  check(edgecl_domain_remove(session_, domain));
}

py::list Session::domains() {
  const InUse guard(this);
  py::list list;
  auto config = sized<edgecl_session_config>();
  check(edgecl_session_config_get(session_, &config));
  for (uint32_t d = 0; d < config.max_domains; ++d) {
    auto info = sized<edgecl_domain_info>();
    const edgecl_status status = edgecl_domain_describe(session_, static_cast<int32_t>(d), &info);
    if (status == EDGECL_E_NOT_FOUND) continue;
    check(status);
    py::dict entry;
    entry["domain"] = d;
    entry["name"] = info.name;
    entry["rows"] = info.rows;
    entry["rows_merged"] = info.rows_merged;
    entry["adapted"] = info.adapted != 0;
    entry["held"] = info.held;
    entry["features"] = info.features;
    entry["bytes"] = info.bytes;
    entry["selected"] = info.selected != 0;
    entry["by_fit"] = info.by_fit != 0;
    list.append(entry);
  }
  return list;
}

}  // namespace edgecl::python
