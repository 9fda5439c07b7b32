// One table of the configuration's fields, read in both directions.
// Never here: defaults (the bundle's recipe has them) and limits (the core checks them).
#include "runtime/python/config.h"

#include <cstring>
#include <limits>

namespace edgecl::python {
namespace {

enum class FieldType { kU32, kU64, kFloat, kMethod };
struct Field {
  const char* name;
  FieldType type;
  size_t offset;
};

#define EDGECL_FIELD(name, type) {#name, FieldType::type, offsetof(edgecl_session_config, name)}
const Field kFields[] = {
    EDGECL_FIELD(max_batch, kU32),
    EDGECL_FIELD(n_threads, kU32),
    EDGECL_FIELD(max_classes, kU32),
    EDGECL_FIELD(method, kMethod),
    EDGECL_FIELD(replay_capacity, kU32),
    EDGECL_FIELD(replay_batch, kU32),
    EDGECL_FIELD(class_mask, kU32),
    EDGECL_FIELD(augment_crop, kU32),
    EDGECL_FIELD(augment_flip, kU32),
    EDGECL_FIELD(predict_only, kU32),
    EDGECL_FIELD(add_unseen_labels, kU32),
    EDGECL_FIELD(learning_rate, kFloat),
    EDGECL_FIELD(momentum, kFloat),
    EDGECL_FIELD(weight_decay, kFloat),
    EDGECL_FIELD(alpha, kFloat),
    EDGECL_FIELD(beta, kFloat),
    EDGECL_FIELD(seed, kU64),
};
#undef EDGECL_FIELD

[[noreturn]] void refuse(const Field& field, const char* expected, const py::handle& value) {
  raise_status(EDGECL_E_ARGUMENT, std::string("expected ") + expected + " for '" + field.name + "'; found " +
                                      py::cast<std::string>(py::repr(value)) + "; correct the value");
}

uint64_t unsigned_value(const Field& field, const py::handle& value, uint64_t most) {
  const py::object index = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!index) {
    PyErr_Clear();
    refuse(field, "an integer", value);
  }
  const unsigned long long number = PyLong_AsUnsignedLongLong(index.ptr());
  if (PyErr_Occurred() != nullptr || number > most) {
    PyErr_Clear();
    refuse(field, ("an integer in 0.." + std::to_string(most)).c_str(), value);
  }
  return number;
}

uint32_t method_value(const Field& field, const py::handle& value) {
  if (py::isinstance<py::str>(value)) {
    const std::string name = py::cast<std::string>(value);
    for (const uint32_t method :
         {EDGECL_METHOD_FINETUNE, EDGECL_METHOD_ER, EDGECL_METHOD_DERPP, EDGECL_METHOD_ER_ACE}) {
      if (name == method_name(method)) return method;
    }
    refuse(field, "'finetune', 'er', 'derpp' or 'er_ace'", value);
  }
  return static_cast<uint32_t>(unsigned_value(field, value, std::numeric_limits<uint32_t>::max()));
}

std::string known_names() {
  std::string names;
  for (const Field& field : kFields) names += (names.empty() ? "" : ", ") + std::string(field.name);
  return names;
}

}  // namespace

void apply_config(const py::dict& keywords, edgecl_session_config* config) {
  for (const auto& item : keywords) {
    const std::string name = py::cast<std::string>(item.first);
    const Field* known = nullptr;
    for (const Field& field : kFields) {
      if (name == field.name) known = &field;
    }
    if (known == nullptr) {
      raise_status(EDGECL_E_ARGUMENT, "expected configuration fields among " + known_names() + "; found '" + name +
                                          "'; check the spelling");
    }
    uint8_t* const target = reinterpret_cast<uint8_t*>(config) + known->offset;
    if (known->type == FieldType::kFloat) {
      const double number = PyFloat_AsDouble(item.second.ptr());
      if (PyErr_Occurred() != nullptr) {
        PyErr_Clear();
        refuse(*known, "a number", item.second);
      }
      const float narrow = static_cast<float>(number);
      std::memcpy(target, &narrow, sizeof(narrow));
    } else if (known->type == FieldType::kU64) {
      const uint64_t number = unsigned_value(*known, item.second, std::numeric_limits<uint64_t>::max());
      std::memcpy(target, &number, sizeof(number));
    } else {
      const uint32_t number =
          known->type == FieldType::kMethod
              ? method_value(*known, item.second)
              : static_cast<uint32_t>(unsigned_value(*known, item.second, std::numeric_limits<uint32_t>::max()));
      std::memcpy(target, &number, sizeof(number));
    }
  }
}

py::dict config_dict(const edgecl_session_config& config) {
  py::dict result;
  for (const Field& field : kFields) {
    const uint8_t* const source = reinterpret_cast<const uint8_t*>(&config) + field.offset;
    if (field.type == FieldType::kFloat) {
      float value;
      std::memcpy(&value, source, sizeof(value));
      result[field.name] = value;
    } else if (field.type == FieldType::kU64) {
      uint64_t value;
      std::memcpy(&value, source, sizeof(value));
      result[field.name] = value;
    } else {
      uint32_t value;
      std::memcpy(&value, source, sizeof(value));
      if (field.type == FieldType::kMethod) {
        result[field.name] = method_name(value);
      } else {
        result[field.name] = value;
      }
    }
  }
  return result;
}

}  // namespace edgecl::python
