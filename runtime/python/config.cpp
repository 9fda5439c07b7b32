// One table of the configuration's fields, read in both directions.
// Never here: defaults (the bundle's recipe has them) and limits (the core checks them).
#include "runtime/python/config.h"

#include <charconv>
#include <cstring>
#include <iterator>
#include <limits>
#include <vector>

#include "runtime/core/recipe.h"

namespace edgecl::python {
namespace {

constexpr uint64_t kMostU32 = std::numeric_limits<uint32_t>::max();

enum class FieldType { kU32, kU64, kFloat, kFlag, kEpochs };  // kEpochs: bit e of a uint32 is epoch e
struct Field {
  const char* name;
  FieldType type;
  size_t offset;
  const char* const* values = nullptr;  // kU32: names of 0, 1, ...
};

#define EDGECL_FIELD(name, type) {#name, FieldType::type, offsetof(edgecl_session_config, name)}
const Field kSessionFields[] = {
    EDGECL_FIELD(max_batch, kU32),    EDGECL_FIELD(n_threads, kU32),         EDGECL_FIELD(max_classes, kU32),
    EDGECL_FIELD(predict_only, kU32), EDGECL_FIELD(add_unseen_labels, kU32), EDGECL_FIELD(seed, kU64),
};
#undef EDGECL_FIELD

// Those of the session, then those of the recipe, which are one block in the order of recipe_fields().
const std::vector<Field>& fields() {
  static const std::vector<Field> all = [] {
    std::vector<Field> made(std::begin(kSessionFields), std::end(kSessionFields));
    for (uint32_t i = 0; i < format::kRecipeFields; ++i) {
      const RecipeField& field = recipe_fields()[i];
      const FieldType type = field.kind == RecipeField::kNumber   ? FieldType::kFloat
                             : field.kind == RecipeField::kFlag   ? FieldType::kFlag
                             : field.kind == RecipeField::kEpochs ? FieldType::kEpochs
                                                                  : FieldType::kU32;
      made.push_back(
          {field.name, type, offsetof(edgecl_session_config, method) + i * sizeof(uint32_t), recipe_choices(i)});
    }
    return made;
  }();
  return all;
}

[[noreturn]] void refuse(const Field& field, const char* expected, const py::handle& value) {
  raise_status(EDGECL_E_ARGUMENT, std::string("expected ") + expected + " for '" + field.name + "'; found " +
                                      shown(value) + "; correct the value");
}

// One of the names of a choice, or its number.
uint32_t choice_value(const Field& field, const py::handle& value) {
  if (!py::isinstance<py::str>(value)) {
    return static_cast<uint32_t>(integer_argument(field.name, value, 0, kMostU32));
  }
  const std::string name = py::cast<std::string>(value);
  std::string names;
  for (uint32_t i = 0; field.values[i] != nullptr; ++i) {
    if (name == field.values[i]) return i;
    names += (i == 0 ? "'" : ", '") + std::string(field.values[i]) + "'";
  }
  refuse(field, ("one of " + names).c_str(), value);
}

// A list of epochs 1..31 as bits.
uint32_t epochs_value(const Field& field, const py::handle& value) {
  if (!py::isinstance<py::sequence>(value) || py::isinstance<py::str>(value)) refuse(field, "a list of epochs", value);
  uint32_t bits = 0;
  for (const auto& item : py::reinterpret_borrow<py::sequence>(value)) {
    const uint64_t epoch = integer_argument(field.name, item, 0, kMostU32);
    if (epoch < 1 || epoch > 31) refuse(field, "epochs in 1..31", value);
    bits |= 1u << epoch;
  }
  return bits;
}

// What people wrote: 0.03 and not 0.029999999329447746. As a float it is the same number.
double shortest(float value) {
  char text[32];
  const auto written = std::to_chars(text, text + sizeof(text), value);
  double wide = value;
  std::from_chars(text, written.ptr, wide);  // unlike strtod it has a point in every locale
  return wide;
}

std::string known_names() {
  std::string names;
  for (const Field& field : fields()) names += (names.empty() ? "" : ", ") + std::string(field.name);
  return names;
}

}  // namespace

void apply_config(const py::dict& keywords, edgecl_session_config* config) {
  for (const auto& item : keywords) {
    const std::string name = py::cast<std::string>(item.first);
    const Field* known = nullptr;
    for (const Field& field : fields()) {
      if (name == field.name) known = &field;
    }
    if (known == nullptr) {
      raise_status(EDGECL_E_ARGUMENT, "expected configuration fields among " + known_names() + "; found '" + name +
                                          "'; check the spelling");
    }
    uint8_t* const target = reinterpret_cast<uint8_t*>(config) + known->offset;
    if (known->type == FieldType::kFloat) {
      const float narrow = static_cast<float>(number_argument(known->name, item.second));
      std::memcpy(target, &narrow, sizeof(narrow));
    } else if (known->type == FieldType::kU64) {
      const uint64_t number = integer_argument(known->name, item.second, 0, std::numeric_limits<uint64_t>::max());
      std::memcpy(target, &number, sizeof(number));
    } else if (known->type == FieldType::kEpochs) {
      const uint32_t bits = epochs_value(*known, item.second);
      std::memcpy(target, &bits, sizeof(bits));
    } else {
      const uint32_t number = known->values != nullptr
                                  ? choice_value(*known, item.second)
                                  : static_cast<uint32_t>(integer_argument(known->name, item.second, 0, kMostU32));
      std::memcpy(target, &number, sizeof(number));
    }
  }
}

py::list epochs_list(uint32_t bits) {
  py::list epochs;
  for (uint32_t epoch = 1; epoch < 32; ++epoch) {
    if ((bits >> epoch & 1) != 0) epochs.append(epoch);
  }
  return epochs;
}

py::dict config_dict(const edgecl_session_config& config) {
  py::dict result;
  for (const Field& field : fields()) {
    const uint8_t* const source = reinterpret_cast<const uint8_t*>(&config) + field.offset;
    if (field.type == FieldType::kFloat) {
      float value;
      std::memcpy(&value, source, sizeof(value));
      result[field.name] = shortest(value);
    } else if (field.type == FieldType::kU64) {
      uint64_t value;
      std::memcpy(&value, source, sizeof(value));
      result[field.name] = value;
    } else {
      uint32_t value;
      std::memcpy(&value, source, sizeof(value));
      if (field.type == FieldType::kFlag) {
        result[field.name] = value != 0;
      } else if (field.type == FieldType::kEpochs) {
        result[field.name] = epochs_list(value);
      } else if (field.values != nullptr) {
        result[field.name] = name_of(field.values, value);
      } else {
        result[field.name] = value;
      }
    }
  }
  return result;
}

}  // namespace edgecl::python
