// The model file of another engine that a bundle carries: what the C API says of it, its probe, damaged sections.
// Never here: running it.
#include <math.h>

#include "runtime/bundle/bundle_format.h"
#include "tests/runtime/bundle_forging.h"
#include "tests/runtime/learn_fixture.h"
#include "tests/runtime/sentence.h"

using namespace edgecl_test;

static edgecl_encoder_info described(const Model& model) {
  edgecl_encoder_info info = {};
  info.struct_size = sizeof info;
  CHECK(edgecl_model_encoder(model.model, &info) == EDGECL_OK);
  return info;
}

TEST(an_encoder_is_described) {
  const BundleSource source = with_encoder(mlp(), format::kEngineTflite);
  const Model model(source);
  const edgecl_encoder_info info = described(model);
  CHECK(info.engine == EDGECL_ENGINE_TFLITE && info.input_dtype == EDGECL_U8 && info.input_rank == 3);
  CHECK(info.input_dims[0] == 2 && info.input_dims[1] == 3 && info.input_dims[2] == 4 && info.input_dims[3] == 0);
  CHECK(info.channels_last == 1 && info.file_channels_last == 0 && info.n_channels == 4 && info.positions == 1);
  CHECK(info.embedding_dim == kFeatures && info.n_probe == 3 && info.input_elements == 24 && info.file_bytes == 100);
  CHECK(info.scale == source.encoder.scale && info.mean[3] == 0.5f && info.inv_std[3] == 4);
  CHECK(memcmp(info.probe_outputs, source.encoder.probe_outputs.data(), 3 * kFeatures * sizeof(float)) == 0);
  CHECK(memcmp(info.file, source.encoder.file.data(), 100) == 0);
  CHECK(reinterpret_cast<uintptr_t>(info.file) % 64 == 0);
  CHECK(model.info.input_dims[0] == kFeatures);  // the model itself takes embeddings

  const Model without(mlp());
  edgecl_encoder_info none = {};
  none.struct_size = sizeof none;
  CHECK(edgecl_model_encoder(without.model, &none) == EDGECL_E_NOT_FOUND);
  CHECK(edgecl_model_encoder(nullptr, &none) == EDGECL_E_ARGUMENT);
  none.struct_size = 0;
  CHECK(edgecl_model_encoder(model.model, &none) == EDGECL_E_ARGUMENT);
}

TEST(an_encoder_is_part_of_what_names_a_bundle) {
  BundleSource source = with_encoder(mlp());
  const Model first(source);
  source.encoder.file[99] ^= 1;
  const Model second(source);
  CHECK(memcmp(first.info.digest, second.info.digest, sizeof first.info.digest) != 0);
}

TEST(the_probe_is_fixed) {
  BundleSource source = with_encoder(mlp());
  const Model bytes(source);
  uint8_t sample[24];
  CHECK(edgecl_model_encoder_probe(bytes.model, 1, sample) == EDGECL_OK);
  uint64_t sum = 0;
  for (uint32_t i = 0; i < 24; i++) sum = sum * 31 + sample[i];
  CHECK_MESSAGE(sum == 4945670716172121282ull, "%llu", static_cast<unsigned long long>(sum));
  uint8_t other[24];
  CHECK(edgecl_model_encoder_probe(bytes.model, 2, other) == EDGECL_OK && memcmp(sample, other, 24) != 0);
  CHECK(edgecl_model_encoder_probe(bytes.model, 3, other) == EDGECL_E_NOT_FOUND);
  CHECK(edgecl_model_encoder_probe(bytes.model, 0, nullptr) == EDGECL_E_ARGUMENT);
  const Model without(mlp());
  CHECK(edgecl_model_encoder_probe(without.model, 0, other) == EDGECL_E_NOT_FOUND);

  source.encoder.dtype = format::kInputF32;
  source.encoder.scale = 2;
  source.encoder.mean = {0, 1, 2, 3};
  const Model floats(source);
  float raw[24];
  double low = 9, high = -9;
  for (uint32_t row = 0; row < 3; row++) {
    CHECK(edgecl_model_encoder_probe(floats.model, row, raw) == EDGECL_OK);
    for (uint32_t i = 0; i < 24; i++) {
      const double value = (static_cast<double>(raw[i]) * 2 - i % 4) * 4;
      low = fmin(low, value);
      high = fmax(high, value);
    }
  }
  CHECK(low >= -2.001 && low < -1.5 && high > 1.5 && high <= 2.001);

  source.encoder.inv_std.assign(4, 1e-45f);  // beyond floats
  source.encoder.scale = 1e-45f;
  const Model extreme(source);
  CHECK(edgecl_model_encoder_probe(extreme.model, 0, raw) == EDGECL_OK);
  for (float x : raw) CHECK(isfinite(x));
}

static bool refused(const BundleSource& source, const char* field) {
  std::string error;
  const bool empty = edgecl::write_bundle(source, &error).empty();
  const bool told = error.find(error[0] == 'e' ? "encoder" : "ENCODER") != std::string::npos &&
                    error.find(field) != std::string::npos;
  if (!empty || !told) fprintf(stderr, "wanted '%s', got: %s\n", field, error.c_str());
  return empty && told;
}

TEST(broken_encoders_are_refused) {
  const BundleSource good = with_encoder(mlp());
  const auto with = [&](void (*change)(edgecl::SourceEncoder*), const char* field) {
    BundleSource bad = good;
    change(&bad.encoder);
    return refused(bad, field);
  };
  CHECK(with([](edgecl::SourceEncoder* e) { e->engine = 3; }, "engine"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->engine = 0; }, "engine"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->dtype = 2; }, "dtype"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->dims[1] = 0; }, "dims"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->dims = {1u << 20, 1u << 20, 4}; }, "dims"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->channels_last = false; }, "n_channels"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->n_probe = 0, e->probe_outputs.clear(); }, "n_probe"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->n_probe = 65, e->probe_outputs.resize(65 * kFeatures); }, "n_probe"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->n_probe = 2; }, "probe_outputs"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->scale = 0; }, "scale"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->scale = INFINITY; }, "scale"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->positions = 0; }, "positions"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->positions = 1u << 24; }, "positions"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->mean[0] = NAN; }, "mean"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->inv_std[0] = 0; }, "inv_std"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->probe_outputs[4] = NAN; }, "probe_outputs"));
  CHECK(with([](edgecl::SourceEncoder* e) { e->probe_outputs.pop_back(); }, "probe_outputs"));
  BundleSource bad = good;
  bad.input_scale = 2;
  CHECK(refused(bad, "dim"));
  bad = good;
  bad.input_mean[1] = 1;
  CHECK(refused(bad, "dim"));
  bad = good;
  bad.input_dtype = format::kInputU8;
  CHECK(refused(bad, "dim"));
  CHECK(refused(with_encoder(tail_net()), "dim"));  // images, not embeddings
}

// Every word of the section takes hostile values; digests are made good again.
TEST(hostile_words_do_no_harm) {
  const std::vector<uint8_t> good = encode(with_encoder(mlp()));
  AlignedBytes bytes(good);
  const format::SectionRecord* table = table_of(bytes.data());
  const uint32_t at_table = header_of(bytes.data())->n_sections - 1;
  CHECK(table[at_table].type == format::kSectionEncoder);
  uint32_t accepted = 0, of_record = 0;
  for (uint64_t at = 0; at + 4 <= table[at_table].bytes; at += 4) {
    for (uint32_t value : {0u, 1u, 2u, 5u, 65u, 0x7f800000u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
      if (memcmp(bytes.data() + table[at_table].offset + at, &value, 4) == 0) continue;
      memcpy(bytes.data() + table[at_table].offset + at, &value, 4);
      digest_again(bytes.data());
      edgecl::Plan plan;
      if (read_plan(&bytes, &plan).ok()) {
        accepted++;
        of_record += at >= 4 * 16 && at < sizeof(format::EncoderRecord);
      }
      memcpy(bytes.data(), good.data(), good.size());
    }
  }
  CHECK(of_record == 0);  // reserved words
  CHECK(accepted > 0);    // bytes of the file may be anything
}

RUN_TESTS()
