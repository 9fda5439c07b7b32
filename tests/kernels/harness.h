// The harness of the kernel tests: every level must give the bits of the scalar reference, whatever the number of
// parts.
// Never here: the cases of single kernels (*_cases.cpp).
#ifndef EDGECL_TESTS_KERNELS_HARNESS_H_
#define EDGECL_TESTS_KERNELS_HARNESS_H_

#include <string.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace edgecl::test {

// SplitMix64 (Steele, Lea & Flood 2014): the same cases on every machine.
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}
  uint64_t next();
  int range(int lo, int hi) { return lo + static_cast<int>(next() % static_cast<uint64_t>(hi - lo + 1)); }
  bool chance(double p) { return static_cast<double>(next() >> 11) < p * 9007199254740992.0; }
  float uniform(float lo, float hi) { return lo + (hi - lo) * (static_cast<float>(next() >> 40) / 16777216.0f); }
  float value();  // mostly in (-2, 2); now and then +0, -0 or a tiny number
  template <class T>
  T pick(std::initializer_list<T> list) {
    return list.begin()[range(0, static_cast<int>(list.size()) - 1)];
  }

 private:
  uint64_t state_;
};

// n floats at an address that is a multiple of 4 bytes only (of 8 with an even offset), between two guard zones of kReadSlack NaNs: a kernel that
// uses what lies beyond the end gets NaN, and one that writes there is found out.
class Buffer {
 public:
  Buffer(int64_t n, int offset);
  float* data() { return data_; }
  int64_t size() const { return n_; }
  bool guards_intact() const;

 private:
  std::unique_ptr<float[]> memory_;
  float* data_;
  int64_t n_;
};

struct Layout {
  int groups, lanes;
};
Layout layout_of(int batch);  // the rule of kernels.h

// One call of one kernel: owns its inputs, and knows the places in the arguments where its outputs are hung in.
class Case {
 public:
  explicit Case(Rng& rng) : rng_(rng) {}

  float* floats(int64_t n);                      // random input
  float* floats(int64_t n, float lo, float hi);  // uniform
  float* from_few_values(int64_t n);             // many ties
  template <class T>
  T* copy(const std::vector<T>& values, int slack_bytes = 0) {
    auto memory = std::make_shared<std::vector<T>>(values);
    memory->insert(memory->end(), static_cast<size_t>(slack_bytes) / sizeof(T), T{});
    if (memory->empty()) memory->resize(1);
    owned_.push_back(memory);
    return memory->data();
  }
  Tensor tensor(int batch, int channels, int height, int width);              // random
  Tensor output_shape(int batch, int channels, int height, int width) const;  // data null; hang it in with output()
  // `slot` is a pointer inside the arguments; it will point at n floats whose first content is random.
  int output(float** slot, int64_t n);
  void output(Tensor& t) { output(&t.data, t.size()); }
  // The same of other types than float, with the content that the kernel finds.
  template <class T>
  int output_values(T** slot, const std::vector<T>& before) {
    Output o;
    o.slots.push_back(reinterpret_cast<float**>(slot));
    o.before.resize((before.size() * sizeof(T) + sizeof(float) - 1) / sizeof(float));
    if (!before.empty()) memcpy(o.before.data(), before.data(), before.size() * sizeof(T));
    o.value_bytes = sizeof(T);
    outputs_.push_back(o);
    return static_cast<int>(outputs_.size()) - 1;
  }
  // A second place that points at the same memory: a call in place.
  void also(int output, float** slot) { outputs_[static_cast<size_t>(output)].slots.push_back(slot); }

  struct Output {
    std::vector<float**> slots;
    std::vector<float> before;
    size_t value_bytes = sizeof(float);
  };
  const std::vector<Output>& outputs() const { return outputs_; }
  Rng& rng() { return rng_; }

 private:
  Rng& rng_;
  std::vector<std::shared_ptr<void>> owned_;
  std::vector<Output> outputs_;
};

struct Options {
  bool quick = true;
  std::string level;   // only this level; empty = all
  std::string filter;  // only groups whose name contains it
};

class Tests {
 public:
  explicit Tests(const Options& options);
  const Options& options() const { return options_; }
  int repeats(int quick, int full) const { return options_.quick ? quick : full; }

  // Runs the kernel at every level, in 1 to 4 parts, against the reference in one part.
  void compare(const char* kernel, const std::string& what, Case& c,
               const std::function<size_t(const KernelTable&)>& bytes,
               const std::function<void(const KernelTable&, int, int, void*)>& run);
  void expect(bool ok, const std::string& what);
  int finish(
      bool all_groups) const;  // prints the summary; 0 when everything passed and (all_groups) every kernel was covered

 private:
  struct Count {
    const char* kernel;
    int cases;
  };
  Options options_;
  std::vector<const KernelTable*> levels_;
  std::vector<Count> counts_;
  int failures_ = 0, checks_ = 0;
};

// CHECK_KERNEL(tests, case, conv_forward, args, "what")
#define CHECK_KERNEL(tests, c, name, args, what)                                          \
  (tests).compare(                                                                        \
      #name, what, c, [&](const KernelTable& t) { return t.name##_scratch_bytes(args); }, \
      [&](const KernelTable& t, int part, int n_parts, void* scratch) { t.name(args, part, n_parts, scratch); })

std::string text(const char* format, ...) __attribute__((format(printf, 1, 2)));

void dense_cases(Tests& tests);
void sparse_cases(Tests& tests);
void normalisation_cases(Tests& tests);
void pointwise_cases(Tests& tests);
void view_cases(Tests& tests);
void axis_cases(Tests& tests);
void matmul_cases(Tests& tests);
void recurrent_cases(Tests& tests);
void pool_cases(Tests& tests);
void input_and_loss_cases(Tests& tests);
void moments_cases(Tests& tests);
void math_cases(Tests& tests);
void hyperdimensional_cases(Tests& tests);
void int8_cases(Tests& tests);
void dsp_cases(Tests& tests);
void dispatch_cases(Tests& tests);
void plan_cases(Tests& tests);

}  // namespace edgecl::test

#endif  // EDGECL_TESTS_KERNELS_HARNESS_H_
