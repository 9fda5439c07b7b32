// The harness of the kernel tests: random inputs, guarded buffers, the comparison of levels, the count of covered
// kernels.
// Never here: the cases of single kernels (*_cases.cpp).
#include "tests/kernels/harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace edgecl::test {
namespace {

constexpr uint32_t kGuardBits = 0x7fc0beefu;  // a quiet NaN with a mark
constexpr int kAlignment = 64;

float guard_value() {
  float f;
  memcpy(&f, &kGuardBits, sizeof f);
  return f;
}

bool is_guard(const float& f) {
  return memcmp(&f, &kGuardBits, sizeof f) == 0;
}

// Scratch memory of exactly the size that the kernel asked for, 64-byte aligned, followed by a guard.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : bytes_(bytes), memory_(bytes + 2 * kAlignment, kFill) {
    base_ = memory_.data() + (kAlignment - reinterpret_cast<uintptr_t>(memory_.data()) % kAlignment) % kAlignment;
  }
  void* data() { return base_; }
  bool guard_intact() const {
    for (const unsigned char* p = base_ + bytes_; p < memory_.data() + memory_.size(); p++)
      if (*p != kFill) return false;
    return true;
  }

 private:
  static constexpr unsigned char kFill = 0xff;
  size_t bytes_;
  std::vector<unsigned char> memory_;
  unsigned char* base_;
};

}  // namespace

std::string text(const char* format, ...) {
  char line[512];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  return line;
}

uint64_t Rng::next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

float Rng::value() {
  switch (range(0, 31)) {
    case 0:
      return 0.0f;
    case 1:
      return -0.0f;
    case 2:
      return uniform(-1e-20f, 1e-20f);
    default:
      return uniform(-2.0f, 2.0f);
  }
}

Buffer::Buffer(int64_t n, int offset)
    : memory_(new float[static_cast<size_t>(n + 2 * kReadSlack + offset)]),
      data_(memory_.get() + kReadSlack + offset),
      n_(n) {
  for (int64_t i = -kReadSlack; i < 0; i++) data_[i] = guard_value();
  for (int64_t i = n; i < n + kReadSlack; i++) data_[i] = guard_value();
}

bool Buffer::guards_intact() const {
  for (int64_t i = 1; i <= kReadSlack; i++)
    if (!is_guard(data_[-i]) || !is_guard(data_[n_ + i - 1])) return false;
  return true;
}

Layout layout_of(int batch) {
  return batch % kVirtualLanes == 0 ? Layout{batch / kVirtualLanes, kVirtualLanes} : Layout{1, batch};
}

float* Case::floats(int64_t n) {
  auto buffer = std::make_shared<Buffer>(n, rng_.range(0, 3));
  for (int64_t i = 0; i < n; i++) buffer->data()[i] = rng_.value();
  owned_.push_back(buffer);
  return buffer->data();
}

float* Case::floats(int64_t n, float lo, float hi) {
  float* p = floats(n);
  for (int64_t i = 0; i < n; i++) p[i] = rng_.uniform(lo, hi);
  return p;
}

float* Case::from_few_values(int64_t n) {
  float* p = floats(n);
  for (int64_t i = 0; i < n; i++) p[i] = rng_.pick({-1.0f, -0.0f, 0.0f, 0.5f, 1.0f});
  return p;
}

Tensor Case::output_shape(int batch, int channels, int height, int width) const {
  const Layout layout = layout_of(batch);
  return {nullptr, layout.groups, channels, height, width, layout.lanes};
}

Tensor Case::tensor(int batch, int channels, int height, int width) {
  Tensor t = output_shape(batch, channels, height, width);
  t.data = floats(t.size());
  return t;
}

int Case::output(float** slot, int64_t n) {
  Output o;
  o.slots.push_back(slot);
  for (int64_t i = 0; i < n; i++) o.before.push_back(rng_.value());
  outputs_.push_back(o);
  return static_cast<int>(outputs_.size()) - 1;
}

Tests::Tests(const Options& options) : options_(options) {
  const char* names[16];
  const int n = kernel_levels(names, 16);
  for (int i = 0; i < n; i++)
    if (options.level.empty() || options.level == names[i]) levels_.push_back(kernel_table(names[i]));
  if (levels_.empty()) {
    printf("no level named '%s' in this build on this CPU\n", options.level.c_str());
    exit(2);
  }
#define EDGECL_TEST_COUNT(name, Args) counts_.push_back({#name, 0});
  EDGECL_KERNEL_LIST(EDGECL_TEST_COUNT)
#undef EDGECL_TEST_COUNT
}

void Tests::expect(bool ok, const std::string& what) {
  checks_++;
  if (ok) return;
  failures_++;
  if (failures_ <= 40) printf("FAILED: %s\n", what.c_str());
}

void Tests::compare(const char* kernel, const std::string& what, Case& c,
                    const std::function<size_t(const KernelTable&)>& bytes,
                    const std::function<void(const KernelTable&, int, int, void*)>& run) {
  for (Count& count : counts_)
    if (strcmp(count.kernel, kernel) == 0) count.cases++;

  std::vector<std::vector<float>> expected;
  const auto attempt = [&](const KernelTable& table, int n_parts, bool is_first) {
    const std::string name = text("%s %s, %s, %d part(s)", kernel, what.c_str(), table.level, n_parts);
    std::vector<std::unique_ptr<Buffer>> buffers;
    int offset = 1;
    for (const Case::Output& o : c.outputs()) {
      const int step = o.value_bytes > sizeof(float) ? 2 : 1;
      buffers.push_back(std::make_unique<Buffer>(static_cast<int64_t>(o.before.size()), offset++ * step % 4));
      if (!o.before.empty()) memcpy(buffers.back()->data(), o.before.data(), o.before.size() * sizeof(float));
      for (float** slot : o.slots) *slot = buffers.back()->data();
    }
    for (int part = n_parts - 1; part >= 0; part--) {  // any order must do
      Scratch scratch(bytes(table));
      run(table, part, n_parts, scratch.data());
      expect(scratch.guard_intact(), name + ": wrote behind its scratch memory");
    }
    for (size_t k = 0; k < buffers.size(); k++) {
      expect(buffers[k]->guards_intact(), name + text(": wrote outside output %zu", k));
      const float* got = buffers[k]->data();
      const size_t n = static_cast<size_t>(buffers[k]->size());
      if (is_first) {
        expected.emplace_back(got, got + n);
        continue;
      }
      if (n == 0 || memcmp(got, expected[k].data(), n * sizeof(float)) == 0) {
        expect(true, name);
        continue;
      }
      size_t i = 0;
      while (memcmp(got + i, expected[k].data() + i, sizeof(float)) == 0) i++;
      expect(false, name + text(": output %zu of %zu floats, element %zu is %.9g, the reference has %.9g", k, n, i,
                                static_cast<double>(got[i]), static_cast<double>(expected[k][i])));
    }
  };
  const KernelTable* reference = kernel_table("reference");
  attempt(*reference, 1, true);
  for (const KernelTable* table : levels_) {
    const bool is_reference = table == reference, is_slow = is_reference || strcmp(table->level, "x86-64-v1") == 0;
    for (int n_parts = is_reference ? 2 : 1; n_parts <= 4; n_parts++)
      if (!options_.quick || n_parts == 3 || (n_parts == 1 && !is_slow)) attempt(*table, n_parts, false);
  }
  for (const Case::Output& o : c.outputs())
    for (float** slot : o.slots) *slot = nullptr;
}

int Tests::finish(bool all_groups) const {
  int uncovered = 0;
  if (all_groups)
    for (const Count& count : counts_)
      if (count.cases == 0) {
        printf("FAILED: no case for kernel %s\n", count.kernel);
        uncovered++;
      }
  printf("%d checks, %d failed; levels:", checks_, failures_);
  for (const KernelTable* table : levels_) printf(" %s", table->level);
  printf("\n");
  return failures_ + uncovered == 0 ? 0 : 1;
}

}  // namespace edgecl::test
