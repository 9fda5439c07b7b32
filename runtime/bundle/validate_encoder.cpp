// The check of ENCODER, and the view of it.
// Never here: the file that it carries, which only its engine can judge.
#include <string.h>

#include "runtime/bundle/validate.h"

namespace edgecl {
namespace {

using format::EncoderRecord;

Status check_record(const EncoderRecord& record) {
  if (record.engine != format::kEngineOnnx && record.engine != format::kEngineTflite)
    return corrupt("ENCODER", format::kNone, "engine", "expected 1 (ONNX) or 2 (TFLite), found %u", record.engine);
  if (record.dtype > format::kInputU8)
    return corrupt("ENCODER", format::kNone, "dtype", "expected 0 or 1, found %u", record.dtype);
  if (record.channels_last > 1)
    return corrupt("ENCODER", format::kNone, "channels_last", "expected 0 or 1, found %u", record.channels_last);
  if (record.file_channels_last > 1)
    return corrupt("ENCODER", format::kNone, "file_channels_last", "expected 0 or 1, found %u",
                   record.file_channels_last);
  if (record.rank < 1 || record.rank > 4)
    return corrupt("ENCODER", format::kNone, "rank", "expected 1..4, found %u", record.rank);
  uint64_t elements = 1;
  for (uint32_t d = 0; d < 4; d++) {
    if ((record.dims[d] == 0) != (d >= record.rank))
      return corrupt("ENCODER", format::kNone, "dims", "expected numbers above 0, and 0 behind the rank, found %u",
                     record.dims[d]);
    if (d < record.rank) elements = checked_mul(elements, record.dims[d]);
  }
  if (elements > format::kMaxRowFloats)
    return corrupt("ENCODER", format::kNone, "dims", "expected at most %llu numbers in a sample, found %llu",
                   u64(format::kMaxRowFloats), u64(elements));
  const uint32_t channels = record.dims[record.channels_last != 0 ? record.rank - 1 : 0];
  if (record.n_channels != channels)
    return corrupt("ENCODER", format::kNone, "n_channels", "expected %u, the channels of a sample, found %u", channels,
                   record.n_channels);
  if (record.n_probe < 1 || record.n_probe > format::kMaxProbeRows)
    return corrupt("ENCODER", format::kNone, "n_probe", "expected 1..%u rows, found %u", format::kMaxProbeRows,
                   record.n_probe);
  if (!is_finite(record.scale) || record.scale == 0)
    return corrupt("ENCODER", format::kNone, "scale", "expected a finite number other than 0, found another");
  if (record.positions < 1 || checked_mul(record.positions, record.dim) > format::kMaxRowFloats)
    return corrupt("ENCODER", format::kNone, "positions",
                   "expected at least 1, and at most %llu numbers with all of an output, found %u",
                   u64(format::kMaxRowFloats), record.positions);
  if (record.file_bytes < 1) return corrupt("ENCODER", format::kNone, "file_bytes", "expected at least 1, found 0");
  if (!all_zero(record.reserved, sizeof record.reserved))
    return corrupt("ENCODER", format::kNone, "reserved", "expected 0, found another number");
  return Status();
}

// Tensor 0 takes embeddings as they come.
Status check_input(const EncoderRecord& record, const Plan& plan) {
  const format::InputRecord& input = *plan.input;
  if (input.dtype != format::kInputF32 || input.rank != 1 || record.dim != input.dims[0])
    return corrupt("ENCODER", format::kNone, "dim",
                   "expected samples of the bundle that are embeddings of %u floats, found others", record.dim);
  bool plain = input.scale == 1;
  for (uint32_t c = 0; c < record.dim; c++) plain = plain && plan.input_mean[c] == 0 && plan.input_inv_std[c] == 1;
  if (!plain)
    return corrupt("ENCODER", format::kNone, "dim",
                   "expected embeddings that INPUT leaves as they are, found a scale, mean or inv_std");
  return Status();
}

Status check_floats(const float* values, uint64_t n, const char* field, bool positive) {
  for (uint64_t i = 0; i < n; i++) {
    if (!is_finite(values[i]) || (positive && !(values[i] > 0)))
      return corrupt("ENCODER", format::kNone, field, "expected finite numbers%s, found another",
                     positive ? " above 0" : "");
  }
  return Status();
}

}  // namespace

Status validate_encoder(const uint8_t* bytes, uint64_t n_bytes, const Plan& plan, ExternalEncoder* out) {
  if (n_bytes < sizeof(EncoderRecord))
    return corrupt("ENCODER", format::kNone, "bytes", "expected at least %zu, found %llu", sizeof(EncoderRecord),
                   u64(n_bytes));
  const EncoderRecord& record = *reinterpret_cast<const EncoderRecord*>(bytes);
  EDGECL_RETURN_IF_FAILED(check_record(record));
  EDGECL_RETURN_IF_FAILED(check_input(record, plan));
  const uint64_t channels = record.n_channels, outputs = static_cast<uint64_t>(record.n_probe) * record.dim;
  const uint64_t numbers_end = sizeof record + (2 * channels + outputs) * sizeof(float);  // below 2^33
  const uint64_t file_at = (numbers_end + format::kAlignment - 1) / format::kAlignment * format::kAlignment;
  const uint64_t expected = checked_add(file_at, record.file_bytes);
  if (n_bytes != expected)
    return corrupt("ENCODER", format::kNone, "bytes", "expected %llu, found %llu", u64(expected), u64(n_bytes));
  if (!all_zero(bytes + numbers_end, file_at - numbers_end))
    return corrupt("ENCODER", format::kNone, "probe_outputs", "expected zero bytes before the file, found others");
  out->record = &record;
  out->mean = reinterpret_cast<const float*>(bytes + sizeof record);
  out->inv_std = out->mean + channels;
  out->probe_outputs = out->inv_std + channels;
  out->file = bytes + file_at;
  EDGECL_RETURN_IF_FAILED(check_floats(out->mean, channels, "mean", false));
  EDGECL_RETURN_IF_FAILED(check_floats(out->inv_std, channels, "inv_std", true));
  return check_floats(out->probe_outputs, outputs, "probe_outputs", false);
}

}  // namespace edgecl
