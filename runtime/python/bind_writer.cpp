// write_bundle: a plan as a dict becomes a BundleSource, then bytes.
// Never here: decisions about the network (edgecl.export makes them) or about the format (bundle_writer does).
#include <initializer_list>
#include <limits>

#include "runtime/bundle/bundle_writer.h"
#include "runtime/core/recipe.h"
#include "runtime/python/bind_common.h"

namespace edgecl::python {
namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& expected, const std::string& found) {
  throw py::value_error("plan: expected " + expected + " at " + where + "; found " + found + "; correct the plan");
}

std::string type_name(const py::handle& value) {
  return py::cast<std::string>(py::str(py::type::of(value).attr("__name__")));
}

template <class Number>
Number integer(const py::handle& value, const std::string& where) {
  const py::object index = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!index) {
    PyErr_Clear();
    refuse(where, "an integer", type_name(value));
  }
  int overflow = 0;
  const long long number = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow != 0 || number < static_cast<long long>(std::numeric_limits<Number>::min()) ||
      number > static_cast<long long>(std::numeric_limits<Number>::max())) {
    refuse(where,
           "an integer in " + std::to_string(std::numeric_limits<Number>::min()) + ".." +
               std::to_string(std::numeric_limits<Number>::max()),
           py::cast<std::string>(py::str(index)));
  }
  return static_cast<Number>(number);
}

// An index of a tensor or parameter; None where `optional`.
uint32_t index_of(const py::handle& value, const std::string& where, bool optional) {
  if (value.is_none()) {
    if (!optional) refuse(where, "an index", "None");
    return format::kNone;
  }
  return integer<uint32_t>(value, where);
}

float number(const py::handle& value, const std::string& where) {
  const double wide = PyFloat_AsDouble(value.ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    refuse(where, "a number", type_name(value));
  }
  return static_cast<float>(wide);
}

bool boolean(const py::handle& value, const std::string& where) {
  const int truth = PyObject_IsTrue(value.ptr());
  if (truth < 0) {
    PyErr_Clear();
    refuse(where, "a boolean", type_name(value));
  }
  return truth != 0;
}

std::string text(const py::handle& value, const std::string& where) {
  if (!py::isinstance<py::str>(value)) refuse(where, "text", type_name(value));
  Py_ssize_t n = 0;
  const char* const bytes = PyUnicode_AsUTF8AndSize(value.ptr(), &n);
  if (bytes == nullptr) {  // half of a surrogate pair
    PyErr_Clear();
    refuse(where, "valid text", shown(value));
  }
  return std::string(bytes, static_cast<size_t>(n));
}

// One dict of the plan: required and optional keys by name, and nothing else.
class Record {
 public:
  Record(const py::handle& value, std::string where) : where_(std::move(where)) {
    if (!py::isinstance<py::dict>(value)) refuse(where_, "a dict", type_name(value));
    dict_ = py::reinterpret_borrow<py::dict>(value);
  }

  void only(const std::vector<const char*>& known) const {
    for (const auto& item : dict_) {
      const std::string key = text(py::str(item.first), where_.empty() ? "its top level" : where_);
      bool found = false;
      std::string names;
      for (const char* const name : known) {
        found = found || key == name;
        names += (names.empty() ? "" : ", ") + std::string(name);
      }
      if (!found) refuse(where_, "keys among " + names, "'" + key + "'");
    }
  }

  bool has(const char* key) const { return dict_.contains(key); }
  std::string at(const char* key) const { return where_.empty() ? key : where_ + "." + key; }
  py::object get(const char* key) const {
    if (!has(key)) refuse(where_.empty() ? "its top level" : where_, std::string("the key '") + key + "'", "none");
    return py::reinterpret_borrow<py::object>(dict_[key]);
  }
  py::object find(const char* key) const { return has(key) ? get(key) : py::object(py::none()); }

  std::string text_of(const char* key) const { return text(get(key), at(key)); }
  uint32_t unsigned_of(const char* key) const { return integer<uint32_t>(get(key), at(key)); }
  uint32_t unsigned_of(const char* key, uint32_t otherwise) const { return has(key) ? unsigned_of(key) : otherwise; }
  float number_of(const char* key) const { return number(get(key), at(key)); }
  float number_of(const char* key, float otherwise) const { return has(key) ? number_of(key) : otherwise; }
  bool boolean_of(const char* key, bool otherwise) const { return has(key) ? boolean(get(key), at(key)) : otherwise; }
  uint32_t index_or_none(const char* key) const { return index_of(find(key), at(key), true); }

  // Items of a sequence; absent = empty when `optional`.
  std::vector<py::object> list_of(const char* key, bool optional = false) const {
    if (optional && !has(key)) return {};
    const py::object value = get(key);
    if (!py::isinstance<py::sequence>(value) || py::isinstance<py::str>(value))
      refuse(at(key), "a list", type_name(value));
    std::vector<py::object> items;
    for (const auto& item : py::reinterpret_borrow<py::sequence>(value))
      items.push_back(py::reinterpret_borrow<py::object>(item));
    return items;
  }
  std::vector<int32_t> integers_of(const char* key, size_t least, size_t most) const {
    std::vector<int32_t> values;
    const std::vector<py::object> items = list_of(key);
    if (items.size() < least || items.size() > most) {
      refuse(at(key), std::to_string(least) + ".." + std::to_string(most) + " integers", std::to_string(items.size()));
    }
    for (size_t i = 0; i < items.size(); ++i) values.push_back(integer<int32_t>(items[i], item(key, i)));
    return values;
  }
  // A numpy array of one dtype, flattened in row-major order.
  template <class T>
  std::vector<T> array_of(const char* key, const char* dtype) const {
    const py::object value = get(key);
    if (!py::isinstance<py::array>(value) || !py::cast<py::array>(value).dtype().equal(py::dtype::of<T>())) {
      refuse(at(key), std::string("a numpy array of ") + dtype,
             py::isinstance<py::array>(value) ? py::cast<std::string>(py::str(py::cast<py::array>(value).dtype()))
                                              : type_name(value));
    }
    const auto array = py::array_t<T, py::array::c_style>::ensure(value);
    return std::vector<T>(array.data(), array.data() + array.size());
  }
  // As array_of, without a copy where the array's memory can be lent: in row-major order, or with two axes in the other
  // (`turned`). Else null, and array_of copies.
  const float* lent_floats(const char* key, bool* turned) const {
    const py::object value = get(key);
    if (!py::isinstance<py::array_t<float>>(value)) return nullptr;
    const auto array = py::cast<py::array_t<float>>(value);
    const bool columns = (array.flags() & py::array::f_style) != 0 && array.ndim() == 2;
    const bool rows = (array.flags() & py::array::c_style) != 0;
    *turned = columns && !rows;
    return rows || columns ? array.data() : nullptr;
  }
  std::string item(const char* key, size_t i) const { return at(key) + "[" + std::to_string(i) + "]"; }

 private:
  py::dict dict_;
  std::string where_;
};

void read_tensors(const Record& plan, BundleSource* source) {
  const std::vector<py::object> items = plan.list_of("tensors");
  for (size_t i = 0; i < items.size(); ++i) {
    const Record record(items[i], plan.item("tensors", i));
    record.only({"name", "channels", "height", "width", "gradient", "alias", "scale", "zero_point"});
    SourceTensor tensor;
    tensor.name = record.text_of("name");
    tensor.channels = record.unsigned_of("channels");
    tensor.height = record.unsigned_of("height");
    tensor.width = record.unsigned_of("width");
    tensor.gradient = record.boolean_of("gradient", false);
    tensor.alias = record.index_or_none("alias");
    if (record.has("scale")) {  // int8
      tensor.dtype = format::kElementI8;
      tensor.scale = record.number_of("scale");
      tensor.zero_point = integer<int32_t>(record.get("zero_point"), record.at("zero_point"));
    }
    source->tensors.push_back(tensor);
  }
}

void read_pair(const Record& record, const char* key, int32_t* first, int32_t* second) {
  if (!record.has(key)) return;
  const std::vector<int32_t> values = record.integers_of(key, 2, 2);
  *first = values[0];
  *second = values[1];
}

void read_ops(const Record& plan, BundleSource* source) {
  const std::vector<py::object> items = plan.list_of("ops");
  for (size_t n = 0; n < items.size(); ++n) {
    const Record record(items[n], plan.item("ops", n));
    record.only({"name", "kind", "inputs", "output", "params", "activation", "activation_lo", "activation_hi", "kernel",
                 "stride", "dilation", "pads", "groups", "epsilon", "momentum", "frozen", "i"});
    SourceOp op;
    op.name = record.text_of("name");
    op.kind = op_kind_from_name(record.text_of("kind"));
    if (op.kind == format::kNone)
      refuse(record.at("kind"), "an operator of the format", "'" + record.text_of("kind") + "'");
    const std::vector<py::object> inputs = record.list_of("inputs");
    for (size_t k = 0; k < inputs.size(); ++k)
      op.inputs.push_back(index_of(inputs[k], record.item("inputs", k), false));
    op.output = record.unsigned_of("output");
    const std::vector<py::object> params = record.list_of("params", true);
    for (size_t k = 0; k < params.size(); ++k) op.params.push_back(index_of(params[k], record.item("params", k), true));
    if (record.has("activation")) {
      op.activation = activation_from_name(record.text_of("activation"));
      if (op.activation == format::kNone)
        refuse(record.at("activation"), "an activation of the format", "'" + record.text_of("activation") + "'");
    }
    op.activation_lo = record.number_of("activation_lo", 0);
    op.activation_hi = record.number_of("activation_hi", 0);
    read_pair(record, "kernel", &op.kernel_h, &op.kernel_w);
    read_pair(record, "stride", &op.stride_h, &op.stride_w);
    read_pair(record, "dilation", &op.dilation_h, &op.dilation_w);
    if (record.has("pads")) {
      const std::vector<int32_t> pads = record.integers_of("pads", 4, 4);
      op.pad_top = pads[0];
      op.pad_left = pads[1];
      op.pad_bottom = pads[2];
      op.pad_right = pads[3];
    }
    if (record.has("groups")) op.groups = integer<int32_t>(record.get("groups"), record.at("groups"));
    op.epsilon = record.number_of("epsilon", 0);
    op.momentum = record.number_of("momentum", 0);
    op.frozen = record.boolean_of("frozen", false);
    if (record.has("i")) {
      const std::vector<int32_t> values = record.integers_of("i", 0, 4);
      for (size_t k = 0; k < values.size(); ++k) op.i[k] = values[k];
    }
    source->ops.push_back(op);
  }
}

void read_backward(const Record& plan, BundleSource* source) {
  const std::vector<py::object> items = plan.list_of("backward");
  for (size_t n = 0; n < items.size(); ++n) {
    const Record record(items[n], plan.item("backward", n));
    record.only({"op", "output_gradient", "input_gradients", "accumulate", "train_params"});
    SourceBackward backward;
    backward.op = record.unsigned_of("op");
    backward.output_gradient = record.unsigned_of("output_gradient");
    const std::vector<py::object> gradients = record.list_of("input_gradients");
    for (size_t k = 0; k < gradients.size(); ++k) {
      backward.input_gradients.push_back(index_of(gradients[k], record.item("input_gradients", k), true));
    }
    const std::vector<py::object> accumulate = record.list_of("accumulate");
    for (size_t k = 0; k < accumulate.size(); ++k)
      backward.accumulate.push_back(boolean(accumulate[k], record.item("accumulate", k)));
    const std::vector<py::object> train = record.list_of("train_params");
    for (size_t k = 0; k < train.size(); ++k)
      backward.train_params.push_back(boolean(train[k], record.item("train_params", k)));
    source->backward.push_back(backward);
  }
}

template <class T>
std::vector<uint8_t> raw_bytes(const std::vector<T>& values) {
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(values.data());
  return std::vector<uint8_t>(bytes, bytes + values.size() * sizeof(T));
}

void read_params(const Record& plan, BundleSource* source) {
  const std::vector<py::object> items = plan.list_of("params");
  for (size_t n = 0; n < items.size(); ++n) {
    const Record record(items[n], plan.item("params", n));
    record.only({"name", "trainable", "dims", "values", "positions", "nnz_capacity", "dtype"});
    SourceParam param;
    param.name = record.text_of("name");
    param.trainable = record.boolean_of("trainable", false);
    uint64_t size = 1;
    for (const int32_t dim : record.integers_of("dims", 1, 4)) {
      if (dim < 1) refuse(record.at("dims"), "dimensions of at least 1", std::to_string(dim));
      param.dims.push_back(static_cast<uint32_t>(dim));
      size *= static_cast<uint64_t>(dim);
    }
    const std::string dtype = record.has("dtype") ? record.text_of("dtype") : "float32";
    param.sparse = !record.find("positions").is_none();
    size_t found = 0;
    if (dtype == "int8") {
      param.dtype = format::kElementI8;
      param.integers = raw_bytes(record.array_of<int8_t>("values", "int8"));
      found = param.integers.size();
    } else if (dtype == "int32") {
      param.dtype = format::kElementI32;
      param.integers = raw_bytes(record.array_of<int32_t>("values", "int32"));
      found = param.integers.size() / sizeof(int32_t);
    } else if (dtype == "float32") {
      if (!param.sparse) param.borrowed = record.lent_floats("values", &param.turned);
      if (param.borrowed != nullptr) {
        param.n_borrowed = found = static_cast<size_t>(py::cast<py::array>(record.find("values")).size());
      } else {
        param.values = record.array_of<float>("values", "float32");
        found = param.values.size();
      }
    } else {
      refuse(record.at("dtype"), "float32, int8 or int32", "'" + dtype + "'");
    }
    if (param.sparse) {
      param.positions = record.array_of<uint32_t>("positions", "uint32");
      param.nnz_capacity = record.unsigned_of("nnz_capacity", 0);
      size = param.positions.size();
    }
    if (found != size) {
      refuse(record.at("values"),
             std::to_string(size) + (param.sparse ? " values, one a position" : " values, the product of dims"),
             std::to_string(found));
    }
    source->params.push_back(std::move(param));
  }
}

void read_input(const Record& plan, BundleSource* source) {
  const Record record(plan.get("input"), "input");
  record.only({"dtype", "channels_last", "dims", "scale", "mean", "inv_std"});
  const std::string dtype = record.text_of("dtype");
  if (dtype != "u8" && dtype != "f32") refuse("input.dtype", "'u8' or 'f32'", "'" + dtype + "'");
  source->input_dtype = dtype == "u8" ? format::kInputU8 : format::kInputF32;
  source->channels_last = record.boolean_of("channels_last", false);
  const std::vector<py::object> dims = record.list_of("dims");
  for (size_t i = 0; i < dims.size(); ++i)
    source->input_dims.push_back(integer<uint32_t>(dims[i], record.item("dims", i)));
  source->input_scale = record.number_of("scale", 1);
  for (const char* const key : {"mean", "inv_std"}) {
    std::vector<float>& target = std::string(key) == "mean" ? source->input_mean : source->input_inv_std;
    const auto values = py::array_t < float, py::array::c_style | py::array::forcecast > ::ensure(record.get(key));
    if (!values) {
      PyErr_Clear();
      refuse(record.at(key), "numbers, one a channel", type_name(record.get(key)));
    }
    target.assign(values.data(), values.data() + values.size());
  }
}

// A choice by name; the first one where the key is absent.
uint32_t choice_of(const Record& record, const char* key, const char* const* names) {
  if (!record.has(key)) return 0;
  const std::string name = record.text_of(key);
  const uint32_t value = value_from_name(names, name);
  if (value != format::kNone) return value;
  std::string known;
  for (uint32_t i = 0; names[i] != nullptr; ++i) known += (i == 0 ? "'" : ", '") + std::string(names[i]) + "'";
  refuse("recipe." + std::string(key), "one of " + known, "'" + name + "'");
}

// A list of epochs 1..31 as bits.
uint32_t epochs_of(const Record& record, const char* key) {
  const std::vector<py::object> epochs = record.list_of(key, true);
  uint32_t bits = 0;
  for (size_t i = 0; i < epochs.size(); ++i) {
    const uint32_t epoch = integer<uint32_t>(epochs[i], record.item(key, i));
    if (epoch < 1 || epoch > 31) refuse(record.item(key, i), "an epoch in 1..31", std::to_string(epoch));
    bits |= 1u << epoch;
  }
  return bits;
}

// Words of the recipe by name, each as its field says.
void read_recipe(const Record& plan, BundleSource* source) {
  const Record record(plan.get("recipe"), "recipe");
  std::vector<const char*> known = {"trainable", "preset"};
  auto* words = reinterpret_cast<uint8_t*>(static_cast<format::RecipeRecord*>(source));
  for (uint32_t i = 0; i < format::kRecipeFields; ++i, words += sizeof(uint32_t)) {
    const RecipeField& field = recipe_fields()[i];
    known.push_back(field.name);
    if (!record.has(field.name)) continue;
    uint32_t value = 0;
    if (field.kind == RecipeField::kNumber) {
      const float number = record.number_of(field.name);
      std::memcpy(&value, &number, sizeof value);
    } else if (field.kind == RecipeField::kChoice) {
      value = choice_of(record, field.name, recipe_choices(i));
    } else if (field.kind == RecipeField::kFlag) {
      value = record.boolean_of(field.name, false) ? 1 : 0;
    } else if (field.kind == RecipeField::kEpochs) {
      value = epochs_of(record, field.name);
    } else {
      value = record.unsigned_of(field.name);
    }
    std::memcpy(words, &value, sizeof value);
  }
  record.only(known);
  for (const char* const key : {"learning_rate", "batch_size"}) record.get(key);  // no recipe without them
  source->trainable = choice_of(record, "trainable", kTrainableNames);
  if (record.has("preset")) source->preset_name = record.text_of("preset");
}

void read_classes(const Record& plan, BundleSource* source) {
  const std::vector<py::object> items = plan.list_of("classes", true);
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string where = plan.item("classes", i);
    if (!py::isinstance<py::sequence>(items[i]) || py::len(items[i]) != 2)
      refuse(where, "(label, name)", type_name(items[i]));
    const auto pair = py::reinterpret_borrow<py::sequence>(items[i]);
    source->classes.emplace_back(integer<uint32_t>(pair[0], where), text(pair[1], where));
  }
}

void read_parity(const Record& plan, BundleSource* source) {
  if (plan.find("parity").is_none()) return;
  const Record record(plan.get("parity"), "parity");
  record.only({"n_rows", "max_abs", "mean_abs", "reference_abs", "source"});
  source->parity.n_rows = record.unsigned_of("n_rows");
  source->parity.max_abs = record.number_of("max_abs");
  source->parity.mean_abs = record.number_of("mean_abs");
  source->parity.reference_abs = record.number_of("reference_abs");
  source->parity.source = record.text_of("source");
}

void read_taps(const Record& plan, BundleSource* source) {
  const std::vector<py::object> items = plan.list_of("taps", true);
  for (size_t i = 0; i < items.size(); ++i) {
    const Record record(items[i], plan.item("taps", i));
    record.only({"tensor", "pooled"});
    source->taps.push_back({record.unsigned_of("tensor"), record.boolean_of("pooled", false)});
  }
}

void read_exemplars(const Record& plan, BundleSource* source) {
  if (plan.find("exemplars").is_none()) return;
  const Record record(plan.get("exemplars"), "exemplars");
  record.only({"samples", "labels", "rows", "scale", "offset"});
  SourceExemplars& out = source->exemplars;
  const py::object samples = record.get("samples");
  const py::dtype dtype = py::isinstance<py::array>(samples) ? py::cast<py::array>(samples).dtype() : py::dtype("O");
  const auto bytes_of = [&](const auto& values) {
    const auto* first = reinterpret_cast<const uint8_t*>(values.data());
    out.samples.assign(first, first + values.size() * sizeof(values[0]));
  };
  if (dtype.equal(py::dtype::of<int8_t>())) {
    out.dtype = format::kElementI8;
    bytes_of(record.array_of<int8_t>("samples", "int8"));
    out.scale = record.array_of<float>("scale", "float32");
    out.offset = record.array_of<float>("offset", "float32");
  } else if (dtype.equal(py::dtype::of<uint8_t>())) {
    out.dtype = format::kElementU8;
    bytes_of(record.array_of<uint8_t>("samples", "uint8"));
  } else {
    bytes_of(record.array_of<float>("samples", "float32, uint8 or int8"));
  }
  out.labels = record.array_of<uint32_t>("labels", "uint32");
  if (out.labels.size() > format::kMaxExemplars)
    refuse("exemplars.labels", "at most " + std::to_string(format::kMaxExemplars), std::to_string(out.labels.size()));
  const std::vector<py::object> rows = record.list_of("rows");
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string where = record.item("rows", i);
    if (!py::isinstance<py::sequence>(rows[i]) || py::len(rows[i]) != 2)
      refuse(where, "(label, rows)", type_name(rows[i]));
    const auto pair = py::reinterpret_borrow<py::sequence>(rows[i]);
    out.rows.emplace_back(integer<uint32_t>(pair[0], where), static_cast<uint64_t>(integer<int64_t>(pair[1], where)));
  }
}

void read_encoder(const Record& plan, BundleSource* source) {
  if (plan.find("encoder").is_none()) return;
  const Record record(plan.get("encoder"), "encoder");
  record.only({"engine", "dtype", "channels_last", "file_channels_last", "dims", "positions", "scale", "mean",
               "inv_std", "n_probe", "probe_outputs", "file"});
  SourceEncoder& out = source->encoder;
  out.engine = record.unsigned_of("engine");
  const std::string dtype = record.text_of("dtype");
  if (dtype != "u8" && dtype != "f32") refuse("encoder.dtype", "'u8' or 'f32'", "'" + dtype + "'");
  out.dtype = dtype == "u8" ? format::kInputU8 : format::kInputF32;
  out.channels_last = record.boolean_of("channels_last", false);
  out.file_channels_last = record.boolean_of("file_channels_last", false);
  const std::vector<py::object> dims = record.list_of("dims");
  for (size_t i = 0; i < dims.size(); ++i) out.dims.push_back(integer<uint32_t>(dims[i], record.item("dims", i)));
  out.positions = record.unsigned_of("positions", 1);
  out.scale = record.number_of("scale", 1);
  out.mean = record.array_of<float>("mean", "float32");
  out.inv_std = record.array_of<float>("inv_std", "float32");
  out.n_probe = record.unsigned_of("n_probe");
  out.probe_outputs = record.array_of<float>("probe_outputs", "float32");
  const py::object file = record.get("file");
  if (!py::isinstance<py::bytes>(file)) refuse("encoder.file", "bytes", type_name(file));
  const std::string bytes = py::cast<py::bytes>(file);
  if (bytes.empty()) refuse("encoder.file", "bytes", "none");
  out.file.assign(bytes.begin(), bytes.end());
}

py::bytes write(const py::dict& dict) {
  const Record plan(dict, "");
  plan.only({"name",   "producer", "tensors",        "ops",           "backward",         "params",      "input",
             "recipe", "classes",  "class_capacity", "logits_tensor", "embedding_tensor", "head_weight", "head_bias",
             "parity", "taps",     "notes",          "label_kind",    "exemplars",        "encoder"});
  BundleSource source;
  source.name = plan.text_of("name");
  source.producer = plan.text_of("producer");
  read_tensors(plan, &source);
  read_ops(plan, &source);
  read_backward(plan, &source);
  read_params(plan, &source);
  read_input(plan, &source);
  read_recipe(plan, &source);
  read_classes(plan, &source);
  read_parity(plan, &source);
  read_taps(plan, &source);
  source.label_kind = plan.unsigned_of("label_kind", 0);
  read_exemplars(plan, &source);
  read_encoder(plan, &source);
  if (plan.has("notes")) source.notes = plan.text_of("notes");
  source.class_capacity = plan.unsigned_of("class_capacity");
  source.logits_tensor = plan.unsigned_of("logits_tensor");
  source.embedding_tensor = plan.index_or_none("embedding_tensor");
  source.head_weight = plan.index_or_none("head_weight");
  source.head_bias = plan.index_or_none("head_bias");
  std::string error;
  std::vector<uint8_t> bytes;
  {
    const py::gil_scoped_release release;
    bytes = edgecl::write_bundle(source, &error);
  }
  if (bytes.empty()) throw py::value_error("plan: " + error);
  return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

py::bytes sign(const py::bytes& bundle, const py::bytes& signature, const py::bytes& key_hint, uint64_t release) {
  const std::string file = bundle, bytes = signature, hint = key_hint;
  if (bytes.size() != 64)
    throw py::value_error("expected a signature of 64 bytes; found " + std::to_string(bytes.size()) + "; sign again");
  if (!hint.empty() && hint.size() != 16) {
    throw py::value_error("expected a key hint of 16 bytes or none; found " + std::to_string(hint.size()) +
                          "; leave it out");
  }
  std::string error;
  const auto* data = reinterpret_cast<const uint8_t*>(file.data());
  const std::vector<uint8_t> out =
      attach_signature({data, data + file.size()}, reinterpret_cast<const uint8_t*>(bytes.data()),
                       hint.empty() ? nullptr : reinterpret_cast<const uint8_t*>(hint.data()), &error, release);
  if (out.empty()) throw py::value_error(error);
  return py::bytes(reinterpret_cast<const char*>(out.data()), out.size());
}

}  // namespace

void bind_writer(py::module_& module) {
  module.def("write_bundle", &write, py::arg("plan"),
             "Encodes a plan (see _core.pyi) as bundle bytes. ValueError names what is malformed.");
  module.def(
      "attach_signature", &sign, py::arg("bundle"), py::arg("signature"), py::arg("key_hint") = py::bytes(),
      py::arg("release") = 0,
      "The bundle with a signature of 64 bytes over its content digest, which stays what it is, and the release.");
}

}  // namespace edgecl::python
