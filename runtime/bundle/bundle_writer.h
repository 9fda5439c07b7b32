// The only encoder of bundles; host builds only (target edgecl_writer), so the standard containers are allowed here.
// Never here: decisions about the network (the exporter's), reading.
#ifndef EDGECL_RUNTIME_BUNDLE_BUNDLE_WRITER_H_
#define EDGECL_RUNTIME_BUNDLE_BUNDLE_WRITER_H_

#include <stdint.h>

#include <string>
#include <utility>
#include <vector>

#include "runtime/bundle/bundle_format.h"

namespace edgecl {

// A plan in memory: the dict of _core.pyi, field by field. Indices are positions in the vectors; format::kNone = none.
struct SourceTensor {
  std::string name;
  uint32_t channels = 1, height = 1, width = 1;
  bool gradient = false;
  uint32_t alias = format::kNone;
  uint32_t dtype = format::kElementF32;  // of the forward pass: or int8
  float scale = 1;
  int32_t zero_point = 0;
};

struct SourceOp {
  std::string name;
  uint32_t kind = 0;             // format::OpKind; op_kind_from_name below
  std::vector<uint32_t> inputs;  // 1..8 tensors
  uint32_t output = format::kNone;
  std::vector<uint32_t> params;  // at most 4, format::kNone allowed
  uint32_t activation = 0;       // edgecl::Activation; activation_from_name below
  float activation_lo = 0, activation_hi = 0;
  int32_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int32_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int32_t groups = 1;
  float epsilon = 0, momentum = 0;
  bool frozen = false;
  int32_t i[4] = {0, 0, 0, 0};
};

struct SourceBackward {
  uint32_t op = 0;
  uint32_t output_gradient = format::kNone;
  std::vector<uint32_t> input_gradients;  // per op input, format::kNone allowed
  std::vector<bool> accumulate;           // the same length
  std::vector<bool> train_params;         // at most 4
};

struct SourceParam {
  std::string name;
  bool trainable = false;
  bool sparse = false;
  std::vector<uint32_t> dims;       // 1..4
  std::vector<uint32_t> positions;  // sparse: ascending flat positions
  std::vector<float> values;        // dense: product of dims; sparse: one per position
  // In place of `values` of a dense float32 parameter: the caller's own memory, which must stay until the bundle is
  // written. `turned`: of two dims, it lies as [dims[1]][dims[0]].
  const float* borrowed = nullptr;
  uint64_t n_borrowed = 0;
  bool turned = false;
  uint32_t nnz_capacity = 0;  // sparse: 0 = as many as positions
  uint32_t dtype = format::kElementF32;
  std::vector<uint8_t> integers;  // int8, int32: the bytes of the product of dims, in place of values
};

struct SourceParity {
  uint32_t n_rows = 0;  // 0: no parity section
  float max_abs = 0, mean_abs = 0, reference_abs = 0;
  std::string source;
};

struct SourceTap {
  uint32_t tensor = 0;
  bool pooled = false;
};

// Samples for the replay buffer, in the order in which a smaller buffer takes the first ones.
struct SourceExemplars {
  uint32_t dtype = format::kElementF32;             // of the input, or int8 for an input of floats
  std::vector<uint32_t> labels;                     // one a sample; empty: no section
  std::vector<std::pair<uint32_t, uint64_t>> rows;  // (label, rows that its samples stand for), any order
  std::vector<float> scale, offset;                 // int8: [channels of tensor 0]
  std::vector<uint8_t> samples;                     // [n][elements] in `dtype`
};

// A model file of another engine, whose outputs are the samples of this bundle. The rest of the record follows.
struct SourceEncoder {
  uint32_t engine = 0, dtype = format::kInputF32;  // EncoderEngine, InputDtype
  bool channels_last = false, file_channels_last = false;
  std::vector<uint32_t> dims;  // of a raw sample, 1..4
  uint32_t positions = 1, n_probe = 0;
  float scale = 1;
  std::vector<float> mean, inv_std;  // one a channel
  std::vector<float> probe_outputs;  // [n_probe][channels of tensor 0]
  std::vector<uint8_t> file;         // empty: no section
};

// The recipe's fields are those of its record; all zero but a batch_size of 1.
struct BundleSource : format::RecipeRecord {
  BundleSource() : format::RecipeRecord{} { batch_size = 1; }

  std::string name, producer;
  std::vector<SourceTensor> tensors;  // tensor 0 is the input
  std::vector<SourceOp> ops;
  std::vector<SourceBackward> backward;
  std::vector<SourceParam> params;

  uint32_t input_dtype = format::kInputF32;
  bool channels_last = false;
  std::vector<uint32_t> input_dims;  // 1..3
  float input_scale = 1;
  std::vector<float> input_mean, input_inv_std;  // [channels of tensor 0]

  std::string preset_name;  // RecipeRecord::preset; may be empty

  std::vector<std::pair<uint32_t, std::string>> classes;  // (label, name), any order
  uint32_t label_kind = format::kLabelsUnknown;
  uint32_t class_capacity = 0;
  uint32_t logits_tensor = format::kNone, embedding_tensor = format::kNone;
  uint32_t head_weight = format::kNone, head_bias = format::kNone;
  SourceParity parity;
  std::vector<SourceTap> taps;  // any order
  std::string notes;            // empty: no section
  SourceExemplars exemplars;
  SourceEncoder encoder;
};

// Names of the dict to numbers of the format; format::kNone when the name is unknown.
uint32_t op_kind_from_name(const std::string& name);     // "conv", "linear", ...
uint32_t activation_from_name(const std::string& name);  // "none", "relu", ...
// Place of a name in one of the lists of core/recipe.h.
uint32_t value_from_name(const char* const* names, const std::string& name);

// Encodes the plan: assigns arena offsets for both modes, counts multiply-adds, lays out and digests the sections, then
// runs read_bundle over its own output. Returns the bytes, or an empty vector with the reason in *error (expected /
// found / what to do; names the record and field).
std::vector<uint8_t> write_bundle(const BundleSource& source, std::string* error);

// The same bundle with a signature (or another one) over its content digest; its digest, and with it the states that
// belong to it, stay what they are. `key_hint`: 16 bytes that say which key, or null. Empty with the reason in *error
// when `bundle` is not a sound bundle.
std::vector<uint8_t> attach_signature(const std::vector<uint8_t>& bundle, const uint8_t signature[64],
                                      const uint8_t* key_hint, std::string* error, uint64_t release = 0);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_BUNDLE_BUNDLE_WRITER_H_
