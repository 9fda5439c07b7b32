// The list of operators for the exporter and for tests.
// Never here: operators themselves (runtime/core/ops).
#include "runtime/core/ops/op_rule.h"
#include "runtime/python/bind_common.h"

namespace edgecl::python {

void bind_operators(py::module_& module) {
  module.def("operators", [] {
    py::dict result;
    for (uint32_t kind = 1; kind <= format::kOpKinds; kind++) {
      const OpRule& rule = *op_rule(kind);
      py::dict d;
      d["number"] = kind;
      d["layer"] = rule.layer;
      d["fuses_activation"] = rule.activation == OpActivation::kFused;
      d["gradient_in_place"] = rule.gradient_in_place;
      result[op_kind_name(kind)] = d;
    }
    return result;
  });
}

}  // namespace edgecl::python
