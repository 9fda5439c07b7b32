// A fuzz target without libFuzzer: runs every file of the folders and files that are named, and some mutations of each.
// Never here: a search for new inputs.
// usage: fuzz_<target> [--mutations N] PATH...
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/fuzz/fuzz_common.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed);

namespace {

constexpr size_t kMostBytes = 1u << 16;
uint32_t mutations_done = 0;

}  // namespace

// One byte becomes another one.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size) {
  edgecl::RandomStream random = {mutations_done++, 3, 0};
  if (size == 0) return max_size > 0 ? (data[0] = 0, 1) : 0;
  data[random.bounded(static_cast<uint32_t>(size))] = static_cast<uint8_t>(random.next_u32());
  return size;
}

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  unsigned n_mutations = 0, n_runs = 0;
  std::vector<fs::path> files;
  for (int i = 1; i < argc; i++) {
    const std::string argument = argv[i];
    if (argument == "--mutations" && i + 1 < argc) {
      n_mutations = static_cast<unsigned>(strtoul(argv[++i], nullptr, 10));
    } else if (fs::is_directory(argument)) {
      for (const auto& entry : fs::directory_iterator(argument)) files.push_back(entry.path());
    } else {
      files.push_back(argument);
    }
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& path : files) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<uint8_t> input((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (!file || input.size() > kMostBytes) {
      fprintf(stderr, "%s: expected a file of at most 64 KiB, found none\n", path.c_str());
      return 1;
    }
    LLVMFuzzerTestOneInput(input.data(), input.size());
    n_runs++;
    std::vector<uint8_t> changed(kMostBytes);
    for (unsigned seed = 0; seed < n_mutations; seed++) {
      std::copy(input.begin(), input.end(), changed.begin());
      const size_t n = LLVMFuzzerCustomMutator(changed.data(), input.size(), kMostBytes, seed);
      const std::vector<uint8_t> exact(changed.begin(), changed.begin() + static_cast<long>(n));
      LLVMFuzzerTestOneInput(exact.data(), exact.size());
      n_runs++;
    }
  }
  printf("%u inputs run\n", n_runs);
  return n_runs > 0 ? 0 : 1;
}
