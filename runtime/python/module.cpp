// The extension module edgecl._core: what it is made of.
// Never here: the bindings themselves.
#include "runtime/core/plan_records.h"
#include "runtime/python/bind_common.h"

PYBIND11_MODULE(_core, module) {
  namespace python = edgecl::python;
  module.doc() =
      "The C API of edgecl for Python, and the bundle writer. Arrays in, arrays out; long calls release the GIL.";
  module.def("version", [] { return std::string(edgecl_version_string()); });
  module.def("build_info", [] { return std::string(edgecl_build_info()); });
  module.attr("MAX_CLASSES") = edgecl::format::kMaxClasses;
  module.attr("MAX_THREADS") = EDGECL_MAX_THREADS;
  module.attr("MAX_CLASS_NAME_BYTES") = edgecl::format::kMaxClassNameBytes;
  python::bind_model(module);
  python::bind_session(module);
  python::bind_operators(module);
  python::bind_recipe(module);
  python::bind_removal(module);
  python::bind_writer(module);
  python::bind_state(module);
}
