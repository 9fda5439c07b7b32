// Session's calls about devices: numbers, messages, merging.
// Never here: what a message holds (runtime/learn/merge.cpp).
#include "runtime/python/session.h"

namespace edgecl::python {

void Session::device_set(uint64_t device, uint64_t version) {
  const InUse guard(this);
  check(edgecl_device_set(session_, device, version));
}

py::list Session::devices() {
  const InUse guard(this);
  py::list result;
  for (uint32_t index = 0;; ++index) {
    auto info = sized<edgecl_device_info>();
    const edgecl_status status = edgecl_device_describe(session_, index, &info);
    if (status == EDGECL_E_UNSUPPORTED || status == EDGECL_E_NOT_FOUND) return result;
    check(status);
    py::dict d;
    d["device"] = info.device;
    d["version"] = info.version;
    d["rows"] = info.rows;
    d["n_classes"] = info.n_classes;
    d["own"] = index == 0;
    result.append(d);
  }
}

py::bytes Session::delta(bool relay) {
  const InUse guard(this);
  const uint32_t which = relay ? EDGECL_DELTA_ALL : EDGECL_DELTA_OWN;
  size_t n_bytes = 0, written = 0;
  check(edgecl_delta_size(session_, which, &n_bytes));
  const py::bytes result =
      py::reinterpret_steal<py::bytes>(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(n_bytes)));
  if (!result) throw py::error_already_set();
  edgecl_status status;
  {
    char* const buffer = PyBytes_AS_STRING(result.ptr());
    const py::gil_scoped_release release;
    status = edgecl_delta_export(session_, which, buffer, n_bytes, &written);
  }
  check(status);
  return result;
}

py::dict Session::merge(const py::buffer& data) {
  const InUse guard(this);
  const py::buffer_info view = data.request();
  const size_t n_bytes = static_cast<size_t>(view.size * view.itemsize);
  static const char kEmpty[1] = {0};
  auto report = sized<edgecl_merge_report>();
  edgecl_status status;
  {
    const py::gil_scoped_release release;
    status = edgecl_merge(session_, n_bytes != 0 ? view.ptr : kEmpty, n_bytes, &report);
  }
  check(status);
  py::dict d;
  d["devices"] = report.n_devices;
  d["new"] = report.n_new;
  d["newer"] = report.n_newer;
  d["known"] = report.n_known;
  d["classes_added"] = report.n_classes_added;
  d["classes_gone"] = report.n_classes_gone;
  d["domains_added"] = report.n_domains_added;
  d["domains_gone"] = report.n_domains_gone;
  d["rows_before"] = report.rows_before;
  d["rows"] = report.rows;
  return d;
}

void Session::unmerge(uint64_t device) {
  const InUse guard(this);
  check(edgecl_unmerge(session_, device));
}

}  // namespace edgecl::python
