// Session configuration as keyword arguments.
// Never here: sessions.
#ifndef EDGECL_RUNTIME_PYTHON_CONFIG_H_
#define EDGECL_RUNTIME_PYTHON_CONFIG_H_

#include "runtime/python/bind_common.h"

namespace edgecl::python {

// Overwrites the fields that `keywords` names. ArgumentError on an unknown key, a wrong type or a value out of the
// field's range.
void apply_config(const py::dict& keywords, edgecl_session_config* config);
// All fields but struct_size and hooks; the method as its name.
py::dict config_dict(const edgecl_session_config& config);
// The epochs of a field of bits.
py::list epochs_list(uint32_t bits);

}  // namespace edgecl::python

#endif  // EDGECL_RUNTIME_PYTHON_CONFIG_H_
