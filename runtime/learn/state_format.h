// The bytes of an exported state (.ecs): constants and layout.
// Never here: code that reads or writes them.
//
// All integers and float32 are little-endian; nothing is padded or aligned. A state is
//   header    u32 magic, u32 version, u64 total bytes (trailer included),
//             u8[32] digest of the bundle (edgecl_model_info.digest)
//   sections  each u32 type, u32 zero, u64 bytes that follow; all seven, in the order of their types
//   trailer   u8[32] SHA-256 of everything before it; edgecl_state_digest gives these bytes
//
//   CONFIG      u32 flags (kState*), max_classes, class_capacity, replay_capacity, dtype of exemplars (format::
//               InputDtype; float32 with kStateLatent, else the bundle's), logits_width, u64 bytes of one exemplar
//   COUNTERS    u64 seed, step, samples_learned, tasks, macs_learn, macs_learn_dense, macs_paper, macs_paper_dense,
//               u64 reservoir seen, missing_inside, missing_outside, f32 learning rate, u32 zero
//   PARAMS      u32 n, u32 zero; for each trainable parameter, ascending:
//               u32 index, u32 storage (format::ParamStorage), u64 n_values,
//               [sparse: u32 flat position (bundle_format.h) x n_values, in the runtime's blocked order],
//               f32 value x n_values, [kStateVelocity: f32 velocity x n_values],
//               [sparse and kStateSelection: u8 selected x n_values]
//   STATISTICS  u32 n, u32 zero; for each batch norm that follows the batch, ascending:
//               u32 op, u32 channels, f32 running mean x channels, f32 running variance x channels
//   CLASSES     u32 n, u32 zero; for each label ever issued, ascending:
//               u32 label, u32 present, u64 samples_seen, u32 name bytes, name (UTF-8, no zero; empty when removed)
//   REPLAY      u32 fill, u32 zero; for each slot: i32 label, raw sample (kStateLatent: f32 activations), f32 logits x
//   logits_width SPARSITY    u64 steps_in_task, structure_updates, weights_dropped, weights_grown, rehearsals, drift n,
//               u64 bits of f64 drift mean, sum, least, u32 mask_stale, u32 zero
#ifndef EDGECL_RUNTIME_LEARN_STATE_FORMAT_H_
#define EDGECL_RUNTIME_LEARN_STATE_FORMAT_H_

#include <stdint.h>

namespace edgecl::state_format {

constexpr uint32_t kMagic = 0x31534345;  // "ECS1"
constexpr uint32_t kVersion = 1;
constexpr uint64_t kHeaderBytes = 48, kSectionHeaderBytes = 16, kTrailerBytes = 32;

enum SectionType : uint32_t {
  kSectionConfig = 1,
  kSectionCounters = 2,
  kSectionParams = 3,
  kSectionStatistics = 4,
  kSectionClasses = 5,
  kSectionReplay = 6,
  kSectionSparsity = 7,
};

enum Flags : uint32_t {
  kStateLearning = 1,   // of a session that learns (not predict_only)
  kStateVelocity = 2,   // momentum buffers are present
  kStateSelection = 4,  // gradient masks that outlive a step are present
  kStateLatent = 8,     // exemplars are activations where the frozen part of the network ends
};

// Payload bytes of the sections of fixed size, and of the fixed parts of the others.
constexpr uint64_t kConfigBytes = 6 * 4 + 8;
constexpr uint64_t kCountersBytes = 11 * 8 + 8;
constexpr uint64_t kSparsityBytes = 9 * 8 + 8;
constexpr uint64_t kListBytes = 8;
constexpr uint64_t kParamBytes = 16;
constexpr uint64_t kStatisticsBytes = 8;
constexpr uint64_t kClassBytes = 20;

}  // namespace edgecl::state_format

#endif  // EDGECL_RUNTIME_LEARN_STATE_FORMAT_H_
