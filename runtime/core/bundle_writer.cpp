// Encodes a BundleSource: records, strings, data, arena offsets, counts, digests.
// Never here: checks that the reader does (the writer runs the reader's).
#include "runtime/core/bundle_writer.h"

#include <string.h>

#include <algorithm>
#include <map>
#include <set>

#include "runtime/core/bundle_reader.h"
#include "runtime/core/bundle_writer_offsets.h"
#include "runtime/core/sha256.h"
#include "runtime/core/validate.h"

namespace edgecl {
namespace {

using Bytes = std::vector<uint8_t>;

uint64_t align_up(uint64_t n) {
  return (n + format::kAlignment - 1) / format::kAlignment * format::kAlignment;
}

void append(Bytes* out, const void* bytes, size_t n) {
  const uint8_t* p = static_cast<const uint8_t*>(bytes);
  out->insert(out->end(), p, p + n);
}

template <class T>
Bytes as_bytes(const std::vector<T>& records) {
  Bytes out;
  append(&out, records.data(), records.size() * sizeof(T));
  return out;
}

// Text pool: each distinct text once, a zero byte behind each.
class Strings {
 public:
  format::StringRef add(const std::string& text) {
    auto found = places_.find(text);
    if (found != places_.end()) return found->second;
    const format::StringRef ref = {static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(text.size())};
    append(&bytes_, text.data(), text.size());
    bytes_.push_back(0);
    places_.emplace(text, ref);
    return ref;
  }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
  std::map<std::string, format::StringRef> places_;
};

// All sections before they are put into one file.
struct Parts {
  Strings strings;
  format::ModelRecord model = {};
  std::vector<format::TensorRecord> tensors;
  std::vector<format::OpRecord> ops;
  std::vector<format::BackwardRecord> backward;
  std::vector<format::ParamRecord> params;
  Bytes data;
  Bytes input;
  format::RecipeRecord recipe = {};
  std::vector<format::ClassRecord> classes;
  std::vector<format::ParityRecord> parity;
};

// Lengths that the records cannot express; everything else is left to the reader's checks.
std::string check_lengths(const BundleSource& source) {
  for (size_t i = 0; i < source.ops.size(); i++) {
    const SourceOp& op = source.ops[i];
    const std::string where = "ops[" + std::to_string(i) + "] '" + op.name + "': ";
    if (op.inputs.empty() || op.inputs.size() > 8)
      return where + "expected 1..8 inputs, found " + std::to_string(op.inputs.size());
    if (op.params.size() > 4) return where + "expected at most 4 params, found " + std::to_string(op.params.size());
  }
  for (size_t i = 0; i < source.backward.size(); i++) {
    const SourceBackward& record = source.backward[i];
    const std::string where = "backward[" + std::to_string(i) + "]: ";
    if (record.input_gradients.size() > 8)
      return where + "expected at most 8 input_gradients, found " + std::to_string(record.input_gradients.size());
    if (record.accumulate.size() > record.input_gradients.size())
      return where + "expected one accumulate flag per input gradient, found more";
    if (record.train_params.size() > 4)
      return where + "expected at most 4 train_params, found " + std::to_string(record.train_params.size());
  }
  for (size_t i = 0; i < source.params.size(); i++) {
    const SourceParam& param = source.params[i];
    const std::string where = "params[" + std::to_string(i) + "] '" + param.name + "': ";
    if (param.dims.empty() || param.dims.size() > 4)
      return where + "expected 1..4 dims, found " + std::to_string(param.dims.size());
    uint64_t size = 1;
    for (uint32_t dim : param.dims) size = checked_mul(size, dim);
    const uint64_t expected = param.sparse ? param.positions.size() : size;
    if (param.values.size() != expected) {
      return where + "expected " + std::to_string(expected) + " values, found " + std::to_string(param.values.size());
    }
    if (size > format::kMaxParamFloats) return where + "expected at most 2^28 weights, found " + std::to_string(size);
  }
  if (source.input_dims.empty() || source.input_dims.size() > 3)
    return "input: expected 1..3 dims, found " + std::to_string(source.input_dims.size());
  if (source.tensors.empty()) return "tensors: expected tensor 0, the input, found none";
  const size_t channels = source.tensors[0].channels;
  if (source.input_mean.size() != channels || source.input_inv_std.size() != channels) {
    return "input: expected mean and inv_std of " + std::to_string(channels) + " channels, found " +
           std::to_string(source.input_mean.size()) + " and " + std::to_string(source.input_inv_std.size());
  }
  std::set<std::string> names;
  for (const auto& item : source.classes) {
    if (!names.insert(item.second).second) return "classes: expected each name once, found '" + item.second + "' twice";
  }
  return std::string();
}

void encode_tensors(const BundleSource& source, Parts* parts) {
  for (const SourceTensor& tensor : source.tensors) {
    format::TensorRecord record = {};
    record.name = parts->strings.add(tensor.name);
    record.channels = tensor.channels;
    record.height = tensor.height;
    record.width = tensor.width;
    record.flags = tensor.gradient ? static_cast<uint32_t>(format::kTensorGradient) : 0;
    record.train_offset = record.predict_offset = format::kNoOffset;
    record.alias = tensor.alias;
    // An alias of an alias: the format names the tensor that owns the memory.
    if (record.alias < parts->tensors.size() && parts->tensors[record.alias].alias != format::kNone) {
      record.alias = parts->tensors[record.alias].alias;
    }
    parts->tensors.push_back(record);
  }
}

void encode_ops(const BundleSource& source, Parts* parts) {
  for (const SourceOp& op : source.ops) {
    format::OpRecord record = {};
    record.name = parts->strings.add(op.name);
    record.kind = op.kind;
    record.flags = op.frozen ? static_cast<uint32_t>(format::kOpFlagFrozen) : 0;
    record.n_inputs = static_cast<uint32_t>(op.inputs.size());
    for (size_t i = 0; i < 8; i++) record.inputs[i] = i < op.inputs.size() ? op.inputs[i] : format::kNone;
    record.output = op.output;
    for (size_t i = 0; i < 4; i++) record.params[i] = i < op.params.size() ? op.params[i] : format::kNone;
    record.activation = op.activation;
    record.activation_lo = op.activation_lo;
    record.activation_hi = op.activation_hi;
    record.kernel_h = op.kernel_h;
    record.kernel_w = op.kernel_w;
    record.stride_h = op.stride_h;
    record.stride_w = op.stride_w;
    record.dilation_h = op.dilation_h;
    record.dilation_w = op.dilation_w;
    record.pad_top = op.pad_top;
    record.pad_left = op.pad_left;
    record.pad_bottom = op.pad_bottom;
    record.pad_right = op.pad_right;
    record.groups = op.groups;
    record.epsilon = op.epsilon;
    record.momentum = op.momentum;
    memcpy(record.i, op.i, sizeof record.i);
    parts->ops.push_back(record);
  }
  for (const SourceBackward& item : source.backward) {
    format::BackwardRecord record = {};
    record.op = item.op;
    record.output_gradient = item.output_gradient;
    for (size_t i = 0; i < 8; i++)
      record.input_gradient[i] = i < item.input_gradients.size() ? item.input_gradients[i] : format::kNone;
    for (size_t i = 0; i < item.accumulate.size(); i++)
      record.accumulate |= static_cast<uint32_t>(item.accumulate[i]) << i;
    for (size_t i = 0; i < item.train_params.size(); i++)
      record.train_params |= static_cast<uint32_t>(item.train_params[i]) << i;
    parts->backward.push_back(record);
  }
}

void encode_params(const BundleSource& source, Parts* parts) {
  for (const SourceParam& param : source.params) {
    format::ParamRecord record = {};
    record.name = parts->strings.add(param.name);
    record.storage = param.sparse ? format::kStorageSparse : format::kStorageDense;
    record.trainable = param.trainable ? 1 : 0;
    record.rank = static_cast<uint32_t>(param.dims.size());
    std::copy(param.dims.begin(), param.dims.end(), record.dims);
    record.density = 1.0f;
    parts->data.resize(align_up(parts->data.size()));
    record.offset = parts->data.size();
    if (param.sparse) {
      record.nnz = static_cast<uint32_t>(param.positions.size());
      record.nnz_capacity = param.nnz_capacity != 0 ? param.nnz_capacity : record.nnz;
      record.density = static_cast<float>(static_cast<double>(record.nnz) / static_cast<double>(param_size(record)));
      append(&parts->data, param.positions.data(), param.positions.size() * sizeof(uint32_t));
      parts->data.resize(align_up(parts->data.size()));
    }
    append(&parts->data, param.values.data(), param.values.size() * sizeof(float));
    record.bytes = parts->data.size() - record.offset;
    parts->params.push_back(record);
  }
  parts->data.resize(parts->data.size() + format::kReadSlackBytes);
}

void encode_input(const BundleSource& source, Parts* parts) {
  format::InputRecord record = {};
  record.dtype = source.input_dtype;
  record.channels_last = source.channels_last ? 1 : 0;
  record.rank = static_cast<uint32_t>(source.input_dims.size());
  std::copy(source.input_dims.begin(), source.input_dims.end(), record.dims);
  record.n_mean = static_cast<uint32_t>(source.input_mean.size());
  record.scale = source.input_scale;
  append(&parts->input, &record, sizeof record);
  append(&parts->input, source.input_mean.data(), source.input_mean.size() * sizeof(float));
  append(&parts->input, source.input_inv_std.data(), source.input_inv_std.size() * sizeof(float));
  parts->input.resize(parts->input.size() + format::kReadSlackBytes);
}

void encode_rest(const BundleSource& source, Parts* parts) {
  format::ModelRecord& model = parts->model;
  model.name = parts->strings.add(source.name);
  model.producer = parts->strings.add(source.producer);
  model.input_tensor = 0;
  model.logits_tensor = source.logits_tensor;
  model.embedding_tensor = source.embedding_tensor;
  model.class_capacity = source.class_capacity;
  model.head_weight = source.head_weight;
  model.head_bias = source.head_bias;

  format::RecipeRecord& recipe = parts->recipe;
  recipe.method = source.method;
  recipe.learning_rate = source.learning_rate;
  recipe.momentum = source.momentum;
  recipe.weight_decay = source.weight_decay;
  recipe.batch_size = source.batch_size;
  recipe.replay_batch = source.replay_batch;
  recipe.replay_capacity = source.replay_capacity;
  recipe.alpha = source.alpha;
  recipe.beta = source.beta;
  recipe.class_mask = source.class_mask ? 1 : 0;
  recipe.augment_crop = source.augment_crop;
  recipe.augment_flip = source.augment_flip ? 1 : 0;
  recipe.trainable = source.trainable;

  auto classes = source.classes;
  std::sort(classes.begin(), classes.end());
  for (const auto& item : classes) {
    format::ClassRecord record = {};
    record.label = item.first;
    record.name = parts->strings.add(item.second);
    parts->classes.push_back(record);
  }
  if (source.parity.n_rows > 0) {
    format::ParityRecord record = {};
    record.n_rows = source.parity.n_rows;
    record.max_abs_difference = source.parity.max_abs;
    record.mean_abs_difference = source.parity.mean_abs;
    record.max_abs_reference = source.parity.reference_abs;
    record.source = parts->strings.add(source.parity.source);
    parts->parity.push_back(record);
  }
}

template <class T>
View<T> view_of(const std::vector<T>& records) {
  View<T> view;
  view.data = records.data();
  view.n = static_cast<uint32_t>(records.size());
  return view;
}

// A Plan over the parts, for the checks and the planner that run before there is a file.
Plan plan_over(const Parts& parts) {
  Plan plan;
  plan.model = &parts.model;
  plan.tensors = view_of(parts.tensors);
  plan.ops = view_of(parts.ops);
  plan.backward = view_of(parts.backward);
  plan.params = view_of(parts.params);
  plan.classes = view_of(parts.classes);
  plan.recipe = &parts.recipe;
  plan.data_section = parts.data.data();
  plan.strings = reinterpret_cast<const char*>(parts.strings.bytes().data());
  return plan;
}

// Everything that lifetimes and counts rely on.
Status check_before_planning(const Plan& plan, const Parts& parts) {
  const uint32_t counts[] = {plan.tensors.n, plan.ops.n, plan.backward.n, plan.params.n, plan.classes.n};
  const uint32_t limits[] = {format::kMaxTensors, format::kMaxOps, format::kMaxOps, format::kMaxParams,
                             format::kMaxClasses};
  const char* names[] = {"TENSORS", "OPS", "BACKWARD", "PARAMS", "CLASSES"};
  for (int i = 0; i < 5; i++) {
    if (counts[i] > limits[i])
      return corrupt(names[i], format::kNone, "count", "expected at most %u records, found %u", limits[i], counts[i]);
  }
  EDGECL_RETURN_IF_FAILED(validate_strings(plan, {parts.strings.bytes().size(), parts.data.size()}));
  EDGECL_RETURN_IF_FAILED(validate_tensors(plan));
  EDGECL_RETURN_IF_FAILED(validate_params(plan, {parts.strings.bytes().size(), parts.data.size()}));
  EDGECL_RETURN_IF_FAILED(validate_ops(plan));
  EDGECL_RETURN_IF_FAILED(validate_model(plan));
  return validate_backward(plan);
}

uint64_t plan_offsets(const Plan& plan, Mode mode, std::vector<format::TensorRecord>* tensors) {
  std::vector<Lifetime> lifetimes(plan.tensors.n);
  tensor_lifetimes(plan, mode, lifetimes.data());
  std::vector<ArenaItem> items;
  std::vector<uint32_t> owners;
  for (uint32_t t = 0; t < plan.tensors.n; t++) {
    if (plan.tensors[t].alias != format::kNone || !lifetimes[t].lives()) continue;
    items.push_back({tensor_arena_floats(plan.tensors[t]), lifetimes[t], 0});
    owners.push_back(t);
  }
  const uint64_t arena = assign_offsets(&items);
  auto offset = [&](uint32_t t) -> uint64_t& {
    return mode == Mode::kLearn ? (*tensors)[t].train_offset : (*tensors)[t].predict_offset;
  };
  for (size_t i = 0; i < items.size(); i++) offset(owners[i]) = items[i].offset;
  for (uint32_t t = 0; t < plan.tensors.n; t++) {
    if (plan.tensors[t].alias != format::kNone && lifetimes[t].lives()) offset(t) = offset(plan.tensors[t].alias);
  }
  return arena;
}

Bytes assemble(const Parts& parts) {
  struct Item {
    uint32_t type, flags;
    Bytes bytes;
  };
  auto one = [](const auto& record) {
    Bytes out;
    append(&out, &record, sizeof record);
    return out;
  };
  std::vector<Item> items = {
      {format::kSectionStrings, 0, parts.strings.bytes()},
      {format::kSectionModel, 0, one(parts.model)},
      {format::kSectionTensors, 0, as_bytes(parts.tensors)},
      {format::kSectionOps, 0, as_bytes(parts.ops)},
      {format::kSectionBackward, 0, as_bytes(parts.backward)},
      {format::kSectionParams, 0, as_bytes(parts.params)},
      {format::kSectionData, 0, parts.data},
      {format::kSectionInput, 0, parts.input},
      {format::kSectionRecipe, 0, one(parts.recipe)},
      {format::kSectionClasses, 0, as_bytes(parts.classes)},
  };
  if (!parts.parity.empty())
    items.push_back({format::kSectionParity, format::kSectionOptional, as_bytes(parts.parity)});

  std::vector<format::SectionRecord> table(items.size());
  uint64_t end = sizeof(format::Header) + items.size() * sizeof(format::SectionRecord);
  for (size_t i = 0; i < items.size(); i++) {
    format::SectionRecord& record = table[i];
    record = {};
    record.type = items[i].type;
    record.flags = items[i].flags;
    record.offset = align_up(end);
    record.bytes = items[i].bytes.size();
    sha256(items[i].bytes.data(), items[i].bytes.size(), record.sha256);
    end = record.offset + record.bytes;
  }
  format::Header header = {};
  header.magic = format::kMagic;
  header.version = format::kVersion;
  header.file_bytes = end;
  header.n_sections = static_cast<uint32_t>(items.size());
  sha256(table.data(), table.size() * sizeof(format::SectionRecord), header.table_sha256);

  Bytes file;
  file.reserve(end);
  append(&file, &header, sizeof header);
  append(&file, table.data(), table.size() * sizeof(format::SectionRecord));
  for (size_t i = 0; i < items.size(); i++) {
    file.resize(table[i].offset);
    append(&file, items[i].bytes.data(), items[i].bytes.size());
  }
  return file;
}

Status read_back(const Bytes& file) {
  Bytes room(file.size() + format::kAlignment);
  const size_t skip =
      (format::kAlignment - reinterpret_cast<uintptr_t>(room.data()) % format::kAlignment) % format::kAlignment;
  memcpy(room.data() + skip, file.data(), file.size());
  Plan plan;
  return read_bundle(room.data() + skip, file.size(), &plan);
}

uint32_t index_of(const std::string& name, const std::vector<const char*>& names) {
  for (size_t i = 0; i < names.size(); i++) {
    if (name == names[i]) return static_cast<uint32_t>(i);
  }
  return format::kNone;
}

}  // namespace

uint32_t op_kind_from_name(const std::string& name) {
  for (uint32_t kind = format::kOpConv; kind <= format::kOpReshape; kind++) {
    if (name == op_kind_name(kind)) return kind;
  }
  return format::kNone;
}

uint32_t activation_from_name(const std::string& name) {
  return index_of(name, {"none", "relu", "clip", "hard_swish", "sigmoid", "hard_sigmoid"});
}

uint32_t method_from_name(const std::string& name) {
  return index_of(name, {"finetune", "er", "derpp", "er_ace"});
}

std::vector<uint8_t> write_bundle(const BundleSource& source, std::string* error) {
  *error = check_lengths(source);
  if (!error->empty()) return {};
  Parts parts;
  encode_tensors(source, &parts);
  encode_ops(source, &parts);
  encode_params(source, &parts);
  encode_input(source, &parts);
  encode_rest(source, &parts);

  const Plan plan = plan_over(parts);
  Status status = check_before_planning(plan, parts);
  if (status.ok()) {
    parts.model.train_floats_per_row = plan_offsets(plan, Mode::kLearn, &parts.tensors);
    parts.model.predict_floats_per_row = plan_offsets(plan, Mode::kPredict, &parts.tensors);
    parts.model.macs_forward = plan_macs_forward(plan, false);
    parts.model.macs_forward_sparse = plan_macs_forward(plan, true);
    parts.model.macs_backward = plan_macs_backward(plan, false);
    parts.model.macs_backward_sparse = plan_macs_backward(plan, true);
    std::vector<uint8_t> file = assemble(parts);
    status = read_back(file);
    if (status.ok()) return file;
  }
  *error = status.message;
  return {};
}

}  // namespace edgecl
