// The records that a plan is made of, as they lie in a bundle: fixed, little-endian, without padding; and their limits.
// Never here: the file around them (runtime/bundle/bundle_format.h), code. runtime/bundle/FORMAT.md is the prose.
#ifndef EDGECL_RUNTIME_CORE_PLAN_RECORDS_H_
#define EDGECL_RUNTIME_CORE_PLAN_RECORDS_H_

#include <stdint.h>

namespace edgecl::format {

constexpr uint32_t kAlignment = 64;
constexpr uint32_t kMaxTensors = 4096;
constexpr uint32_t kMaxOps = 4096;
constexpr uint32_t kMaxParams = 4096;
constexpr uint32_t kMaxNameBytes = 255;
constexpr uint32_t kMaxClassNameBytes = 63;
constexpr uint32_t kMaxClasses = 65536;
constexpr uint32_t kMaxChannels = 1u << 20;
constexpr uint32_t kMaxDimension = 1u << 24;      // height, width, dims of a parameter
constexpr uint64_t kMaxRowFloats = 1ull << 24;    // C*H*W of a tensor
constexpr uint64_t kMaxParamFloats = 1ull << 28;  // product of the dims of a parameter
constexpr float kMaxWeight = 1e9f;                // magnitude of what trains: beyond it every learn step is refused
constexpr uint64_t kMaxRowMacs = 1ull << 44;      // multiply-adds of one row, forward, all ops as if dense
constexpr uint64_t kMaxRowElements = 1ull << 33;  // what ops read and write for one row (OpRule::reads_windows)
constexpr uint64_t kMaxArenaRowFloats = 1ull
                                        << 32;  // arena of one row: more than 4096 tensors of ordinary size ever need
constexpr uint32_t kMaxRows = 65536;            // batch_size, replay_batch
constexpr uint32_t kMaxReplayCapacity = 1u << 24;
constexpr int32_t kMaxStride = 1 << 16;    // strides and dilations
constexpr uint32_t kMaxCrop = 127;         // augment_crop
constexpr uint32_t kReadSlackBytes = 256;  // zero bytes that end DATA and INPUT: kernels read past their arrays
constexpr uint64_t kNoOffset = ~0ull;      // "does not live in this mode"
constexpr uint32_t kNone = 0xffffffffu;    // "no tensor", "no parameter"
constexpr uint32_t kMaxTapRecords = 64;
constexpr uint32_t kMaxNotesBytes = 65535;           // of text
constexpr uint32_t kMaxStructureUpdates = 1u << 24;  // of a task
constexpr uint32_t kMaxHeadBank = 1u << 20;          // rows
constexpr uint32_t kMaxHeadMerges = 1u << 16;        // other devices
constexpr uint32_t kMaxDomains = 64;
constexpr uint32_t kMaxNoveltyWindow = 512;          // samples
constexpr uint32_t kMaxHdBits = 65536;               // of a code
constexpr uint32_t kMaxRehearseSteps = 1u << 20;     // of one rehearsal
constexpr uint32_t kMaxRehearseInterval = 1u << 24;  // steps between rehearsals

// Of the elements of a tensor or parameter. value = (stored - zero_point) * scale. This version of the runtime computes
// in float32 alone and refuses the others by name; the records have the room.
enum ElementType : uint32_t { kElementF32 = 0, kElementU8 = 1, kElementI8 = 2, kElementI32 = 3 };
constexpr uint32_t kElementTypes = 4;

struct StringRef {
  uint32_t offset, bytes;  // without the zero byte that follows
};

struct ModelRecord {
  StringRef name, producer;   // producer: "edgecl 0.1.0, torch 2.13.0"
  uint32_t input_tensor;      // tensor 0
  uint32_t logits_tensor;     // [C = class capacity][1][1]
  uint32_t embedding_tensor;  // input of the head, or kNone
  uint32_t class_capacity;
  uint32_t head_weight, head_bias;  // parameters whose O axis is the class axis, or kNone (no class can be added then)
  uint64_t train_floats_per_row;    // activation + gradient arena of a learn step, per batch row (a multiple of 16)
  uint64_t predict_floats_per_row;
  uint64_t macs_forward;  // multiply-adds per row, dense-equivalent and with the stored density
  uint64_t macs_forward_sparse;
  uint64_t macs_backward;  // dX + dW that the backward list does, dense-equivalent
  uint64_t macs_backward_sparse;
  uint32_t label_kind;  // LabelKind
  uint32_t reserved[9];
};

// What the labels of the application are, of which class names are the text.
enum LabelKind : uint32_t { kLabelsUnknown = 0, kLabelsText = 1, kLabelsBool = 2, kLabelsInteger = 3, kLabelsReal = 4 };
constexpr uint32_t kLabelKinds = 5;

struct TensorRecord {  // one batch row of it is C*H*W floats
  StringRef name;
  uint32_t channels, height, width;
  uint32_t flags;           // kTensor*
  uint64_t train_offset;    // floats per row; ~0 = does not live in a learn step
  uint64_t predict_offset;  // ~0 = does not live in a predict
  uint32_t alias;           // same memory as this earlier tensor (flatten, reshape), or kNone
  uint32_t dtype;           // ElementType
  float scale;              // 1 with float32
  int32_t zero_point;       // 0 with float32
  uint32_t reserved[2];
};
enum TensorFlags : uint32_t {
  kTensorGradient = 1,  // written by the backward list
};

// kOpConv = 1, ...: the list of operators, with inputs and params of each.
enum OpKind : uint32_t {
#define EDGECL_OP(constant, number, name) constant = number,
#include "runtime/core/ops/ops.def"
};
constexpr uint32_t kOpKinds = 0  // kinds are 1..kOpKinds
#define EDGECL_OP(constant, number, name) +1
#include "runtime/core/ops/ops.def"
    ;
// activation: edgecl::Activation of kernels.h.
struct OpRecord {
  StringRef name;  // of the source node
  uint32_t kind;
  uint32_t flags;  // kOpFlag*
  uint32_t n_inputs;
  uint32_t inputs[8];  // tensors
  uint32_t output;
  uint32_t params[4];  // or kNone
  uint32_t activation;
  float activation_lo, activation_hi;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int32_t pad_top, pad_left, pad_bottom, pad_right;
  int32_t groups;
  float epsilon, momentum;  // normalisation; running = (1 - momentum) * running + momentum * batch
  int32_t i[4];
  uint32_t reserved[6];
};
enum OpFlags : uint32_t {
  kOpFlagFrozen = 1,  // batch-norm: uses running statistics also in a learn step
};

struct BackwardRecord {
  uint32_t op;                 // index in the op list
  uint32_t output_gradient;    // tensor with dL/d(output)
  uint32_t input_gradient[8];  // tensor or kNone, per op input
  uint32_t accumulate;         // bit i: input_gradient[i] already holds a sum
  uint32_t train_params;       // bit i: params[i] gets a gradient
};

// An operator that uses parameters which an earlier backward record has given a gradient: its own is added.
struct SharedRecord {
  uint32_t op;      // index in the op list; ascending
  uint32_t params;  // bit i: the gradient of params[i] is added
};

enum ParamStorage : uint32_t {
  kStorageDense = 0,   // float32, dims order
  kStorageSparse = 1,  // uint32 flat position[nnz] ascending, then (64-byte aligned) float32 value[nnz]
};
struct ParamRecord {
  StringRef name;
  uint32_t storage;
  uint32_t trainable;     // 1: lives in the session and learns; 0: read from the bundle in place
  uint32_t rank;          // 1..4
  uint32_t dims[4];       // conv weight [O][I/groups][kh][kw]; dense linear weight [I][O]; SPARSE linear weight [O][I];
                          // vectors [C]; constants [C][H][W]
  uint32_t nnz;           // sparse: stored entries
  uint32_t nnz_capacity;  // sparse: planned room (>= nnz), so that a structure may change in place
  float density;          // nnz / prod(dims)
  uint64_t offset,
      bytes;  // in the DATA section; offset 64-byte aligned, ascending, gap < 64 (zero bytes), covering the section
  uint32_t dtype;       // ElementType of the values
  float scale;          // 1 with float32
  int32_t zero_point;   // 0 with float32
  uint32_t scale_axis;  // of `scales`; 0 without
  uint64_t scales;  // offset in DATA of float32 scales, one an index of scale_axis, in place of `scale`; or kNoOffset
  uint32_t reserved[2];
};

enum InputDtype : uint32_t { kInputF32 = 0, kInputU8 = 1 };
struct InputRecord {
  uint32_t dtype, channels_last;
  uint32_t rank;  // of one sample as the user knows it: 1 [F], 2 [C][T], 3 [C][H][W] (or [H][W][C] when channels_last)
  uint32_t dims[4];
  uint32_t n_mean;  // = channels of tensor 0
  float scale;      // value = (raw * scale - mean[c]) * inv_std[c]
  uint32_t reserved[3];
};

enum Method : uint32_t {
#define METHOD(constant, number, name, rule) constant = number,
#include "runtime/core/methods.def"
#undef METHOD
};

enum Structure : uint32_t { kStructureStatic = 0, kStructureTdm = 1, kStructureSet = 2, kStructureRigl = 3 };
enum Growth : uint32_t { kGrowthRandom = 0, kGrowthGradient = 1, kGrowthImportance = 2 };
enum GradientMask : uint32_t { kGradientAll = 0, kGradientDgm = 1, kGradientMigu = 2, kGradientHft = 3 };
enum Boundary : uint32_t { kBoundaryCaller = 0, kBoundaryDrift = 1 };

enum RateSchedule : uint32_t { kRateConstant = 0, kRateLinear = 1, kRateCosine = 2 };
enum ReplayPolicy : uint32_t { kReplayReservoir = 0, kReplayBalanced = 1 };
enum RemovalScore : uint32_t { kRemovalMisclassified = 0, kRemovalForgetting = 1 };

#define RECIPE_COUNTED(...) +1
#define CHOICE RECIPE_COUNTED
#define FLAG RECIPE_COUNTED
#define COUNT RECIPE_COUNTED
#define EPOCHS RECIPE_COUNTED
#define NUMBER RECIPE_COUNTED
constexpr uint32_t kRecipeFields = 0
#include "runtime/core/recipe_fields.def"
    ;
#undef CHOICE
#undef FLAG
#undef COUNT
#undef EPOCHS
#undef NUMBER
#undef RECIPE_COUNTED
constexpr uint32_t kRecipeWords = 64;

// How a session learns unless it is told otherwise: a word for each line of recipe_fields.def, then room for more.
struct RecipeRecord {
#define CHOICE(name, names) uint32_t name;
#define FLAG(name) uint32_t name;
#define COUNT(name, low, high) uint32_t name;
#define EPOCHS(name) uint32_t name;
#define NUMBER(name, low, high, range) float name;
#include "runtime/core/recipe_fields.def"
#undef CHOICE
#undef FLAG
#undef COUNT
#undef EPOCHS
#undef NUMBER
  uint32_t reserved[kRecipeWords - 3 - kRecipeFields];
  uint32_t trainable;  // informative: 0 all, 1 tail, 2 head
  StringRef preset;    // informative: what these fields were made from; may be empty
};

struct ClassRecord {
  StringRef name;
  uint32_t label;  // column of the logits
  uint32_t flags;  // 0
};

struct ParityRecord {  // bundle against source model on the export's calibration rows, predict mode
  uint32_t n_rows;
  float max_abs_difference, mean_abs_difference, max_abs_reference;
  StringRef source;  // "torch 2.13.0" or "onnx reference"
  uint32_t reserved[2];
};

// Samples that the bundle ships for the replay buffer. Behind the record: ExemplarClass[n_classes], ascending labels;
// u32 label[n]; with int8 float scale[C] and offset[C], C the channels of tensor 0, value = stored * scale + offset; then
// the samples, as the user knows them, [n][elements]. Any first part of them is as balanced as it can be.
struct ExemplarsRecord {
  uint32_t n;
  uint32_t dtype;  // ElementType: of the input, or int8 for an input of floats
  uint32_t n_classes;
  uint32_t reserved[13];
};
struct ExemplarClass {
  uint32_t label;  // of a class that the bundle ships
  uint32_t n;      // samples here
  uint64_t rows;   // of the data that they stand for, >= n
};
constexpr uint32_t kMaxExemplars = 16384;
constexpr uint64_t kMaxExemplarRows = 1ull << 40;  // of a class

// A model file of another engine, whose outputs are the embeddings that tensor 0 takes. Nothing here reads the file.
// Behind the record: float mean[n_channels], float inv_std[n_channels], float probe_outputs[n_probe][dim], zero bytes to
// the next multiple of 64 of the section, the file.
struct EncoderRecord {
  uint32_t engine;         // EncoderEngine
  uint32_t dtype;          // InputDtype of a raw sample
  uint32_t rank;           // of a raw sample, 1..4
  uint32_t channels_last;  // 1: its last dim counts channels; 0: its first
  uint32_t dims[4];
  uint32_t file_channels_last;  // the same of what the file takes
  uint32_t n_channels;          // the dim of channels
  uint32_t dim;                 // numbers of an embedding: the channels of tensor 0
  uint32_t positions;           // embeddings that the file gives for a sample, whose mean is taken
  uint32_t n_probe;
  float scale;  // what the file takes is (raw * scale - mean[c]) * inv_std[c]
  uint64_t file_bytes;
  uint32_t reserved[16];
};
enum EncoderEngine : uint32_t { kEngineOnnx = 1, kEngineTflite = 2 };
constexpr uint32_t kMaxProbeRows = 64;

// A tensor whose values are copied out of a forward pass.
struct TapRecord {
  uint32_t tensor;  // a forward tensor; ascending
  uint32_t flags;   // kTap*
  uint32_t reserved[2];
};
enum TapFlags : uint32_t {
  kTapPooled = 1,  // the mean over height and width, [C], in place of all of it
};

// Over the content digest and the release. The core reads it and verifies nothing.
struct SignatureRecord {
  uint32_t algorithm;  // 1: Ed25519
  uint32_t reserved;
  uint64_t release;      // a counter of whoever signs; devices take no bundle back to a lower one. 0: not counted
  uint8_t key_hint[16];  // which key it might be; zero: not said
  uint8_t signature[64];
};
constexpr uint32_t kSignatureEd25519 = 1;

static_assert(sizeof(ModelRecord) == 128 && sizeof(TensorRecord) == 64, "records have no padding");
static_assert(sizeof(OpRecord) == 176 && sizeof(BackwardRecord) == 48 && sizeof(SharedRecord) == 8 &&
                  sizeof(ParamRecord) == 96 && sizeof(InputRecord) == 48,
              "records have no padding");
static_assert(sizeof(RecipeRecord) == 4 * kRecipeWords && sizeof(ClassRecord) == 16 && sizeof(ParityRecord) == 32 &&
                  sizeof(ExemplarsRecord) == 64 && sizeof(ExemplarClass) == 16 && sizeof(EncoderRecord) == 128 &&
                  sizeof(TapRecord) == 16 && sizeof(SignatureRecord) == 96,
              "records have no padding");

}  // namespace edgecl::format

#endif  // EDGECL_RUNTIME_CORE_PLAN_RECORDS_H_
