// What the firmware carries: small bundles as C arrays, the digests that learning from them gives on this host, and the
// memory that the host says a chip needs.
// write_input PATH. Never here: the learning itself (learn.c, which the board runs too).
#include <stdio.h>

#include "tests/runtime/learn_fixture.h"

extern "C" {
#include "tests/firmware/learn.h"
}

namespace {

using namespace edgecl_test;

// Half of the hidden layer's weights are stored, and their structure moves every second step.
BundleSource sparse_mlp() {
  BundleSource source = mlp(0.5f);
  source.method = format::kMethodErAce;
  source.structure = EDGECL_STRUCTURE_SET;
  source.structure_interval = 2;
  source.structure_updates = 8;
  source.structure_intra = 0.3f;
  source.momentum = 0.9f;
  return source;
}

void write_array(FILE* file, const char* name, const std::vector<uint8_t>& bytes) {
  fprintf(file, "static const unsigned char bundle_%s[] __attribute__((aligned(64))) = {", name);
  for (size_t i = 0; i < bytes.size(); i++) fprintf(file, "%s%u,", i % 32 == 0 ? "\n" : "", bytes[i]);
  fprintf(file, "\n};\n");
}

std::string digest_text(const uint8_t* digest) {
  std::string text;
  for (int i = 0; i < 32; i++) text += std::to_string(digest[i]) + ",";
  return text;
}

// The arena of firmware_learn's session on a 32-bit chip with the scalar kernels.
uint32_t chip_arena_bytes(const BundleSource& source) {
  const Model model(source);
  edgecl_session_config config;
  CHECK(firmware_config(model.model, &config) == EDGECL_OK);
  const edgecl_target chip = {sizeof chip, 4, "reference"};
  edgecl_sizes sizes = {};
  sizes.struct_size = sizeof sizes;
  CHECK(edgecl_session_sizes_for(model.model, &config, &chip, &sizes, nullptr) == EDGECL_OK);
  return static_cast<uint32_t>(sizes.arena_bytes);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const struct {
    const char* name;
    BundleSource source;
  } cases[] = {{"image_derpp", image_net()}, {"sparse_mlp_set", sparse_mlp()}};
  FILE* file = fopen(argv[1], "w");
  if (!file) return perror(argv[1]), 1;
  fprintf(file, "/* Written by tests/firmware/write_input.cpp. */\n#include \"tests/firmware/learn.h\"\n");
  std::string table;
  uint32_t n_cases = 0;
  for (const auto& c : cases) {
    const std::vector<uint8_t> bytes = encode(c.source);
    AlignedBytes bundle(bytes), memory(size_t{1} << 20);
    firmware_result result;
    if (firmware_learn(bundle.data(), bytes.size(), memory.data(), memory.size(), &result) != EDGECL_OK) {
      fprintf(stderr, "expected %s to learn; %s\n", c.name, result.message);
      return 1;
    }
    printf("%s: bundle %zu, model %u, arena %u bytes\n", c.name, bytes.size(), result.model_bytes, result.arena_bytes);
    write_array(file, c.name, bytes);
    table += std::string("  {\"") + c.name + "\", bundle_" + c.name + ", sizeof bundle_" + c.name + ",\n   {" +
             digest_text(result.digest) + "}, " + std::to_string(chip_arena_bytes(c.source)) + "},\n";
    n_cases++;
  }
  fprintf(file, "const firmware_input firmware_inputs[] = {\n%s};\nconst uint32_t n_firmware_inputs = %u;\n",
          table.c_str(), n_cases);
  return fclose(file) == 0 && failures() == 0 ? 0 : 1;
}
