// BundleSource to records, field by field.
// Never here: arena offsets, digests, checks that the reader does.
#include "runtime/bundle/bundle_writer_encode.h"

#include <string.h>

#include <algorithm>
#include <set>

#include "runtime/bundle/validate.h"
#include "runtime/core/plan.h"
#include "runtime/core/text.h"

namespace edgecl {

void append(Bytes* out, const void* bytes, size_t n) {
  const uint8_t* p = static_cast<const uint8_t*>(bytes);
  out->insert(out->end(), p, p + n);
}

namespace {

// A name for a sentence: what is no text is left out, since a sentence is text.
std::string shown(const std::string& name) {
  const bool text =
      name.size() <= format::kMaxNameBytes && valid_utf8(reinterpret_cast<const uint8_t*>(name.data()), name.size());
  return text ? "'" + name + "'" : "(its name is no text of at most 255 bytes)";
}

}  // namespace

std::string check_lengths(const BundleSource& source) {
  for (size_t i = 0; i < source.ops.size(); i++) {
    const SourceOp& op = source.ops[i];
    const std::string where = "ops[" + std::to_string(i) + "] " + shown(op.name) + ": ";
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
    const std::string where = "params[" + std::to_string(i) + "] " + shown(param.name) + ": ";
    if (param.dims.empty() || param.dims.size() > 4)
      return where + "expected 1..4 dims, found " + std::to_string(param.dims.size());
    uint64_t size = 1;
    for (uint32_t dim : param.dims) size = checked_mul(size, dim);
    const bool floats = param.dtype == format::kElementF32;
    const uint64_t expected = param.sparse ? param.positions.size() : size;
    const uint64_t held = param.borrowed != nullptr ? param.n_borrowed : param.values.size();
    const uint64_t found = floats ? held : param.integers.size() / element_bytes(param.dtype);
    if (found != expected)
      return where + "expected " + std::to_string(expected) + " values, found " + std::to_string(found);
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
  const SourceEncoder& encoder = source.encoder;
  if (!encoder.file.empty() &&
      (encoder.dims.empty() || encoder.dims.size() > 4 || encoder.mean.size() != encoder.inv_std.size())) {
    return "encoder: expected 1..4 dims and as many numbers in mean as in inv_std, found " +
           std::to_string(encoder.dims.size()) + " dims, " + std::to_string(encoder.mean.size()) + " and " +
           std::to_string(encoder.inv_std.size()) + " numbers";
  }
  if (!encoder.file.empty() && encoder.probe_outputs.size() != static_cast<uint64_t>(encoder.n_probe) * channels) {
    return "encoder: expected probe_outputs of " + std::to_string(encoder.n_probe) + " x " + std::to_string(channels) +
           " numbers, found " + std::to_string(encoder.probe_outputs.size());
  }
  std::set<std::string> names;
  for (const auto& item : source.classes) {
    if (!names.insert(item.second).second)
      return "classes: expected each name once, found " + shown(item.second) + " twice";
  }
  return std::string();
}

namespace {

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
    record.dtype = tensor.dtype;
    record.scale = tensor.scale;
    record.zero_point = tensor.zero_point;
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

// What follows from the backward list. Nothing was checked yet.
void encode_shared(Parts* parts) {
  std::vector<bool> has_gradient(parts->params.size());
  for (const format::BackwardRecord& record : parts->backward) {
    format::SharedRecord shared = {record.op, 0};
    for (uint32_t slot = 0; slot < 4 && record.op < parts->ops.size(); slot++) {
      const uint32_t p = parts->ops[record.op].params[slot];
      if ((record.train_params >> slot & 1) == 0 || p >= has_gradient.size()) continue;
      shared.params |= static_cast<uint32_t>(has_gradient[p]) << slot;
      has_gradient[p] = true;
    }
    if (shared.params != 0) parts->shared.push_back(shared);
  }
  std::reverse(parts->shared.begin(), parts->shared.end());
}

// [rows][columns] of memory that lies as [columns][rows]; by tiles, so that both sides stay in the cache.
void append_turned(Bytes* out, const float* from, size_t rows, size_t columns) {
  constexpr size_t kTile = 32;
  const size_t begin = out->size();
  out->resize(begin + rows * columns * sizeof(float));
  uint8_t* const to = out->data() + begin;
  for (size_t row = 0; row < rows; row += kTile) {
    for (size_t column = 0; column < columns; column += kTile) {
      for (size_t i = row; i < std::min(row + kTile, rows); i++) {
        for (size_t j = column; j < std::min(column + kTile, columns); j++) {
          memcpy(to + (i * columns + j) * sizeof(float), from + j * rows + i, sizeof(float));
        }
      }
    }
  }
}

// Bytes of the data section, at most: so that it grows once.
size_t data_bytes(const BundleSource& source) {
  size_t bytes = format::kReadSlackBytes;
  for (const SourceParam& param : source.params) {
    bytes += param.positions.size() * sizeof(uint32_t) + param.integers.size() +
             (param.values.size() + param.n_borrowed) * sizeof(float) + 2 * align_up(1);
  }
  return bytes;
}

void encode_params(const BundleSource& source, Parts* parts) {
  parts->data.reserve(data_bytes(source));
  for (const SourceParam& param : source.params) {
    format::ParamRecord record = {};
    record.name = parts->strings.add(param.name);
    record.storage = param.sparse ? format::kStorageSparse : format::kStorageDense;
    record.trainable = param.trainable ? 1 : 0;
    record.rank = static_cast<uint32_t>(param.dims.size());
    std::copy(param.dims.begin(), param.dims.end(), record.dims);
    record.density = record.scale = 1.0f;
    record.dtype = param.dtype;
    record.scales = format::kNoOffset;
    parts->data.resize(align_up(parts->data.size()));
    record.offset = parts->data.size();
    if (param.sparse) {
      record.nnz = static_cast<uint32_t>(param.positions.size());
      record.nnz_capacity = param.nnz_capacity != 0 ? param.nnz_capacity : record.nnz;
      record.density = static_cast<float>(static_cast<double>(record.nnz) / static_cast<double>(param_size(record)));
      append(&parts->data, param.positions.data(), param.positions.size() * sizeof(uint32_t));
      parts->data.resize(align_up(parts->data.size()));
    }
    if (param.turned) {
      append_turned(&parts->data, param.borrowed, param.dims[0], param.dims[1]);
    } else {
      append(&parts->data, param.borrowed, param.n_borrowed * sizeof(float));
    }
    append(&parts->data, param.values.data(), param.values.size() * sizeof(float));
    append(&parts->data, param.integers.data(), param.integers.size());
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
  model.label_kind = source.label_kind;

  parts->recipe = source;
  parts->recipe.preset = parts->strings.add(source.preset_name);

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
  for (const SourceTap& tap : source.taps) {
    parts->taps.push_back({tap.tensor, tap.pooled ? static_cast<uint32_t>(format::kTapPooled) : 0, {}});
  }
  std::sort(parts->taps.begin(), parts->taps.end(),
            [](const format::TapRecord& a, const format::TapRecord& b) { return a.tensor < b.tensor; });
  if (!source.notes.empty()) append(&parts->notes, source.notes.c_str(), source.notes.size() + 1);
}

void encode_exemplars(const SourceExemplars& source, Parts* parts) {
  if (source.labels.empty()) return;
  Bytes* const out = &parts->exemplars;
  format::ExemplarsRecord record = {};
  record.n = static_cast<uint32_t>(source.labels.size());
  record.dtype = source.dtype;
  record.n_classes = static_cast<uint32_t>(source.rows.size());
  append(out, &record, sizeof record);
  auto rows = source.rows;
  std::sort(rows.begin(), rows.end());
  for (const auto& entry : rows) {
    const auto n = std::count(source.labels.begin(), source.labels.end(), entry.first);
    const format::ExemplarClass one = {entry.first, static_cast<uint32_t>(n), entry.second};
    append(out, &one, sizeof one);
  }
  append(out, source.labels.data(), source.labels.size() * sizeof(uint32_t));
  append(out, source.scale.data(), source.scale.size() * sizeof(float));
  append(out, source.offset.data(), source.offset.size() * sizeof(float));
  append(out, source.samples.data(), source.samples.size());
}

void encode_encoder(const BundleSource& bundle, Parts* parts) {
  const SourceEncoder& source = bundle.encoder;
  if (source.file.empty()) return;
  Bytes* const out = &parts->encoder;
  format::EncoderRecord record = {};
  record.engine = source.engine;
  record.dtype = source.dtype;
  record.rank = static_cast<uint32_t>(source.dims.size());
  record.channels_last = source.channels_last ? 1 : 0;
  std::copy(source.dims.begin(), source.dims.end(), record.dims);
  record.file_channels_last = source.file_channels_last ? 1 : 0;
  record.n_channels = static_cast<uint32_t>(source.mean.size());
  record.dim = bundle.tensors.empty() ? 0 : bundle.tensors[0].channels;
  record.positions = source.positions;
  record.n_probe = source.n_probe;
  record.scale = source.scale;
  record.file_bytes = source.file.size();
  append(out, &record, sizeof record);
  append(out, source.mean.data(), source.mean.size() * sizeof(float));
  append(out, source.inv_std.data(), source.inv_std.size() * sizeof(float));
  append(out, source.probe_outputs.data(), source.probe_outputs.size() * sizeof(float));
  out->resize(align_up(out->size()));
  append(out, source.file.data(), source.file.size());
}

}  // namespace

void encode_parts(const BundleSource& source, Parts* parts) {
  encode_tensors(source, parts);
  encode_ops(source, parts);
  encode_params(source, parts);
  encode_shared(parts);
  encode_input(source, parts);
  encode_rest(source, parts);
  encode_exemplars(source.exemplars, parts);
  encode_encoder(source, parts);
}

}  // namespace edgecl
