// The class DataRemoval: the C API's table of examples, in memory of its own.
// Never here: the rule (runtime/learn/removal.cpp).
#include <limits>

#include "runtime/python/bind_common.h"

namespace edgecl::python {
namespace {

using Ids = py::array_t<uint32_t, py::array::c_style>;

uint32_t score_from(const std::string& name) {
  if (name == "misclassified") return EDGECL_REMOVAL_MISCLASSIFIED;
  if (name == "forgetting") return EDGECL_REMOVAL_FORGETTING;
  raise_status(EDGECL_E_ARGUMENT,
               "expected score='misclassified' or 'forgetting'; found '" + name + "'; choose one of them");
}

class DataRemoval {
 public:
  DataRemoval(int64_t n_examples, const std::string& score) {
    const uint32_t code = score_from(score);
    const bool fits = n_examples > 0 && n_examples <= std::numeric_limits<int32_t>::max();
    const uint32_t n = fits ? static_cast<uint32_t>(n_examples) : 0;
    memory_.resize((edgecl_removal_size(n) + 7) / 8);
    ErrorRecord error;
    python::check(edgecl_removal_init(n, code, memory_.data(), memory_.size() * sizeof(uint64_t), &removal_, &error),
                  error);
  }
  DataRemoval(const DataRemoval&) = delete;
  DataRemoval& operator=(const DataRemoval&) = delete;

  void record(const py::array& ids, const py::array& correct, const py::array& loss) {
    // A negative or huge id must not wrap into the range: it becomes one that no table has.
    const auto wide = py::array_t < int64_t, py::array::c_style | py::array::forcecast > ::ensure(integers(ids));
    const auto flags = py::array_t < uint8_t, py::array::c_style | py::array::forcecast > ::ensure(correct);
    const auto losses = py::array_t < float, py::array::c_style | py::array::forcecast > ::ensure(loss);
    if (!wide || !flags || !losses) throw py::error_already_set();
    if (wide.ndim() != 1 || flags.ndim() != 1 || losses.ndim() != 1 || flags.size() != wide.size() ||
        losses.size() != wide.size()) {
      raise_status(EDGECL_E_SHAPE, "expected ids, correct and loss of one shape (n,); found arrays of " +
                                       std::to_string(wide.size()) + ", " + std::to_string(flags.size()) + " and " +
                                       std::to_string(losses.size()) + " elements; pass equally many");
    }
    std::vector<uint32_t> codes(static_cast<size_t>(wide.size()));
    for (size_t i = 0; i < codes.size(); ++i) {
      const int64_t id = wide.data()[i];
      const bool fits = id >= 0 && id < std::numeric_limits<uint32_t>::max();
      codes[i] = fits ? static_cast<uint32_t>(id) : std::numeric_limits<uint32_t>::max();
    }
    ErrorRecord error;
    python::check(edgecl_removal_record(removal_, codes.data(), flags.data(), losses.data(),
                                        static_cast<uint32_t>(codes.size()), &error),
                  error);
  }

  void stage(int64_t n_remove) {
    const bool fits = n_remove >= 0 && n_remove <= std::numeric_limits<uint32_t>::max();
    ErrorRecord error;
    python::check(edgecl_removal_stage(
                      removal_, fits ? static_cast<uint32_t>(n_remove) : std::numeric_limits<uint32_t>::max(), &error),
                  error);
  }

  Ids kept() const {
    Ids ids(static_cast<py::ssize_t>(n_kept()));
    ErrorRecord error;
    python::check(edgecl_removal_kept(removal_, ids.mutable_data(), n_kept(), &error), error);
    return ids;
  }
  uint32_t n_kept() const { return edgecl_removal_count(removal_); }

 private:
  static py::array integers(const py::array& ids) {
    const char kind = ids.dtype().kind();
    if (kind == 'i' || kind == 'u') return ids;
    raise_status(EDGECL_E_DTYPE,
                 "expected integer ids; found " + py::cast<std::string>(py::str(ids.dtype())) + "; convert them");
  }

  std::vector<uint64_t> memory_;
  edgecl_removal* removal_ = nullptr;
};

}  // namespace

void bind_removal(py::module_& module) {
  py::class_<DataRemoval>(module, "DataRemoval", "Which examples of a task need no more epochs.")
      .def(py::init<int64_t, const std::string&>(), py::arg("n_examples"), py::arg("score") = "misclassified")
      .def("record", &DataRemoval::record, py::arg("ids"), py::arg("correct"), py::arg("loss"))
      .def("stage", &DataRemoval::stage, py::arg("n_remove"))
      .def("kept", &DataRemoval::kept)
      .def_property_readonly("n_kept", &DataRemoval::n_kept)
      .def("__len__", &DataRemoval::n_kept);
}

}  // namespace edgecl::python
