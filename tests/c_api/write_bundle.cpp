// Writes the small bundle that the consumers open: write_bundle PATH; or one with every operator: write_bundle PATH all
// Never here: checks.
#include <stdio.h>

#include "tests/runtime/core_nets.h"

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) return 2;
  edgecl_test::NetBuilder net(7);
  uint32_t x = net.input(6, 1, 1);
  net.source.input_dims = {6};
  x = net.linear(x, 8);
  x = net.activation(x, edgecl::Activation::kRelu);
  net.finish(net.linear(x, 4), x);
  net.source.classes.clear();
  net.source.momentum = 0;
  net.source.learning_rate = 0.1f;
  net.source.replay_batch = 4;
  net.source.replay_capacity = 20;
  std::string error;
  const edgecl::BundleSource source = argc == 3 ? edgecl_test::all_kinds_net() : net.source;
  const std::vector<uint8_t> bytes = edgecl::write_bundle(source, &error);
  FILE* file = fopen(argv[1], "wb");
  const bool written = file && !bytes.empty() && fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  if (file && fclose(file) == 0 && written) return 0;
  fprintf(stderr, "expected to write %s; %s\n", argv[1], error.c_str());
  return 1;
}
