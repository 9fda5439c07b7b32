// The model file of another engine that a bundle carries, and the samples that engines are compared on.
// Never here: running the file.
#include <float.h>

#include "runtime/api/api_objects.h"
#include "runtime/core/rng.h"

namespace edgecl::api {
namespace {

constexpr uint64_t kProbeSeed = 20;

uint64_t elements_of(const format::EncoderRecord& record) {
  uint64_t elements = 1;
  for (uint32_t d = 0; d < record.rank; d++) elements *= record.dims[d];
  return elements;
}

edgecl_encoder_info describe(const ExternalEncoder& encoder) {
  const format::EncoderRecord& record = *encoder.record;
  edgecl_encoder_info info;
  memset(&info, 0, sizeof info);
  info.engine = record.engine;
  info.input_dtype = record.dtype == format::kInputU8 ? EDGECL_U8 : EDGECL_F32;
  info.input_rank = record.rank;
  memcpy(info.input_dims, record.dims, sizeof info.input_dims);
  info.channels_last = record.channels_last;
  info.file_channels_last = record.file_channels_last;
  info.n_channels = record.n_channels;
  info.embedding_dim = record.dim;
  info.positions = record.positions;
  info.n_probe = record.n_probe;
  info.scale = record.scale;
  info.input_elements = elements_of(record);
  info.file_bytes = record.file_bytes;
  info.mean = encoder.mean;
  info.inv_std = encoder.inv_std;
  info.probe_outputs = encoder.probe_outputs;
  info.file = encoder.file;
  return info;
}

// The raw float that the encoder's normalisation turns into about `value`.
float raw_of(const ExternalEncoder& encoder, uint64_t channel, double value) {
  const double raw =
      (value / static_cast<double>(encoder.inv_std[channel]) + static_cast<double>(encoder.mean[channel])) /
      static_cast<double>(encoder.record->scale);
  const double most = static_cast<double>(FLT_MAX);
  return static_cast<float>(raw > most ? most : raw < -most ? -most : raw);
}

}  // namespace
}  // namespace edgecl::api

using namespace edgecl;

extern "C" {

edgecl_status edgecl_model_encoder(const edgecl_model* model, edgecl_encoder_info* info) {
  if (model == nullptr || !api::check_struct(info, "edgecl_encoder_info").ok()) return EDGECL_E_ARGUMENT;
  if (model->plan.external.record == nullptr) return EDGECL_E_NOT_FOUND;
  api::write_struct(api::describe(model->plan.external), info);
  return EDGECL_OK;
}

edgecl_status edgecl_model_encoder_probe(const edgecl_model* model, uint32_t row, void* sample) {
  if (model == nullptr || sample == nullptr) return EDGECL_E_ARGUMENT;
  const ExternalEncoder& encoder = model->plan.external;
  if (encoder.record == nullptr || row >= encoder.record->n_probe) return EDGECL_E_NOT_FOUND;
  const FpControl fp;
  const format::EncoderRecord& record = *encoder.record;
  const uint64_t n = api::elements_of(record), inner = n / record.n_channels;
  RandomStream random = {api::kProbeSeed, row, 0};
  for (uint64_t i = 0; i < n; i++) {
    const uint32_t word = random.next_u32();
    if (record.dtype == format::kInputU8) {
      static_cast<uint8_t*>(sample)[i] = static_cast<uint8_t>(word >> 24);
    } else {
      const uint64_t channel = record.channels_last != 0 ? i % record.n_channels : i / inner;
      const double value = static_cast<double>(word >> 8) / (1 << 22) - 2;
      static_cast<float*>(sample)[i] = api::raw_of(encoder, channel, value);
    }
  }
  return EDGECL_OK;
}

}  // extern "C"
