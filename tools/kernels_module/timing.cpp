// edgecl_kernels.TimedLayer: the passes of one layer on prepared memory, timed without a copy from or to Python.
// Never here: what is compared with what (edgecl.cli.bench_suite_sparse), results of kernels.
#include "tools/kernels_module/timing.h"

#include <chrono>
#include <cmath>
#include <random>

#include "runtime/python/thread_pool.h"
#include "tools/kernels_module/operands.h"

namespace edgecl::binding {
namespace {

constexpr size_t kScratchAlignment = 64;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What a caller asks for; checked by the constructor.
struct LayerShape {
  int batch, in_channels, out_channels;
  std::optional<std::pair<int, int>> input_size;  // absent: a linear layer
  std::optional<double> density;                  // absent: the dense kernels
  int n_threads;
  unsigned seed;
};

class TimedLayer {
 public:
  TimedLayer(const LayerShape& shape, const py::kwargs& kwargs)
      : shape_(shape), random_(shape.seed), linear_(!shape.input_size) {
    for (int n : {shape.batch, shape.in_channels, shape.out_channels, shape.n_threads})
      if (n < 1) refuse("batch, channels and n_threads >= 1", std::to_string(n), "pass positive numbers");
    if (shape.density && !(*shape.density > 0 && *shape.density <= 1))
      refuse("density in (0, 1], or None for the dense kernels", std::to_string(*shape.density), "pass such a share");
    Attributes options(kwargs);
    table_ = options.table();
    const auto kernel = options.take("kernel_size", std::pair(1, 1));
    window_ = options.window(kernel.first, kernel.second, !shape.density && !linear_);  // sparse layers have one group
    options.finish();
    const int groups = std::max(1, window_.groups);
    if (shape.in_channels % groups != 0 || shape.out_channels % groups != 0)
      refuse("groups that divide the channels", std::to_string(groups), "pass such a number");
    const auto size = shape.input_size.value_or(std::pair(1, 1));
    if (size.first < 1 || size.second < 1)
      refuse("input_size >= 1", std::to_string(size.first) + "x" + std::to_string(size.second), "pass positive sizes");
    x_ = memory_.tensor(shape.batch, shape.in_channels, size.first, size.second);
    dx_ = memory_.tensor(shape.batch, shape.in_channels, size.first, size.second);
    const int64_t height = output_height(x_, window_), width = output_width(x_, window_);
    y_ = memory_.tensor(shape.batch, shape.out_channels, height, width);
    dy_ = memory_.tensor(shape.batch, shape.out_channels, height, width);
    for (const Tensor& t : {x_, dx_, y_, dy_}) fill(t.data, t.size());
    make_weight(kernel);
    pool_ = std::make_unique<python::ThreadPool>(static_cast<uint32_t>(shape.n_threads));
  }

  int64_t n_weights() const { return n_weights_; }
  int64_t multiply_adds() const {
    return n_weights_ * shape_.batch * y_.height * y_.width;  // taps over the border count, as is usual
  }

  // Seconds of each of `repeat` runs of one pass on all threads.
  std::vector<double> time(const std::string& pass, int repeat) {
    if (repeat < 1) refuse("repeat >= 1", std::to_string(repeat), "time at least one run");
    const bool forward = pass == "forward", data = pass == "backward_data";
    if (!forward && !data && pass != "backward_weight")
      refuse("pass forward, backward_data or backward_weight", "'" + pass + "'", "name one of these");
    const ActivationSpec none = {Activation::kNone, 0.0f, 0.0f};
#define EDGECL_TIME(name, args) \
  return time_kernel(&KernelTable::name##_scratch_bytes, &KernelTable::name, args, data && sparse_, repeat)
    if (forward) {
      const auto common = [&](auto a) {
        a.x = x_;
        a.y = y_;
        a.bias = nullptr;
        a.activation = none;
        return a;
      };
      if (sparse_ && linear_) {
        auto a = common(SparseLinearForwardArgs{});
        a.pattern = sparse_->pattern;
        a.value = sparse_->value;
        EDGECL_TIME(sparse_linear_forward, a);
      }
      if (sparse_) {
        auto a = common(SparseConvForwardArgs{});
        a.pattern = sparse_->pattern;
        a.value = sparse_->value;
        a.shape = window_;
        EDGECL_TIME(sparse_conv_forward, a);
      }
      if (linear_) {
        auto a = common(LinearForwardArgs{});
        a.weight = weight_;
        EDGECL_TIME(linear_forward, a);
      }
      auto a = common(ConvForwardArgs{});
      a.weight = weight_;
      a.shape = window_;
      EDGECL_TIME(conv_forward, a);
    }
    if (data) {
      const auto common = [&](auto a) {
        a.dy = dy_;
        a.dx = dx_;
        a.accumulate = false;
        return a;
      };
      if (sparse_ && linear_) {
        auto a = common(SparseLinearBackwardDataArgs{});
        a.transposed = sparse_->transposed;
        a.value = sparse_->value_transposed;
        EDGECL_TIME(sparse_linear_backward_data, a);
      }
      if (sparse_) {
        auto a = common(SparseConvBackwardDataArgs{});
        a.transposed = sparse_->transposed;
        a.value = sparse_->value_transposed;
        a.shape = window_;
        EDGECL_TIME(sparse_conv_backward_data, a);
      }
      if (linear_) {
        auto a = common(LinearBackwardDataArgs{});
        a.weight = weight_;
        EDGECL_TIME(linear_backward_data, a);
      }
      auto a = common(ConvBackwardDataArgs{});
      a.weight = weight_;
      a.shape = window_;
      EDGECL_TIME(conv_backward_data, a);
    }
    const auto common = [&](auto a) {
      a.x = x_;
      a.dy = dy_;
      a.dbias = nullptr;
      return a;
    };
    if (sparse_ && linear_) {
      auto a = common(SparseLinearBackwardWeightArgs{});
      a.pattern = sparse_->pattern;
      a.selected = nullptr;
      a.dvalue = gradient_;
      EDGECL_TIME(sparse_linear_backward_weight, a);
    }
    if (sparse_) {
      auto a = common(SparseConvBackwardWeightArgs{});
      a.pattern = sparse_->pattern;
      a.selected = nullptr;
      a.dvalue = gradient_;
      a.shape = window_;
      EDGECL_TIME(sparse_conv_backward_weight, a);
    }
    if (linear_) {
      auto a = common(LinearBackwardWeightArgs{});
      a.dweight = gradient_;
      EDGECL_TIME(linear_backward_weight, a);
    }
    auto a = common(ConvBackwardWeightArgs{});
    a.dweight = gradient_;
    a.shape = window_;
    EDGECL_TIME(conv_backward_weight, a);
#undef EDGECL_TIME
  }

 private:
  void fill(float* p, int64_t n) {
    std::uniform_real_distribution<float> values(-1.0f, 1.0f);
    for (int64_t i = 0; i < n; i++) p[i] = values(random_);
  }

  // Random weights; a sparse layer keeps exactly round(density * size) of them, at least one, at uniform places.
  void make_weight(std::pair<int, int> kernel) {
    std::vector<py::ssize_t> shape = {shape_.out_channels, shape_.in_channels / std::max(1, window_.groups)};
    if (!linear_) shape.insert(shape.end(), {kernel.first, kernel.second});
    FloatArray weight(shape);
    fill(weight.mutable_data(), weight.size());
    n_weights_ = weight.size();
    if (!shape_.density) {
      weight_ = memory_.copy(weight);
    } else {
      const double wanted = std::round(*shape_.density * static_cast<double>(weight.size()));
      n_weights_ = std::max<int64_t>(1, static_cast<int64_t>(wanted));
      BoolArray mask(shape);
      int64_t left = n_weights_;
      for (py::ssize_t i = 0; i < mask.size(); i++) {  // selection sampling: each set of places is equally likely
        std::uniform_int_distribution<int64_t> place(0, mask.size() - i - 1);
        mask.mutable_data()[i] = place(random_) < left;
        left -= mask.data()[i] ? 1 : 0;
      }
      sparse_ = std::make_unique<SparseWeight>(memory_, mask, &weight);
    }
    gradient_ = memory_.floats(n_weights_);
  }

  // The gradient of the input reads the values in the transposed order: a learn step gathers them, so it is timed too.
  void gather(uint32_t part) {
    const uint64_t n = sparse_->pattern.nnz, parts = static_cast<uint64_t>(shape_.n_threads);
    const uint64_t begin = n * part / parts, end = n * (part + 1) / parts;
    sparse_gather(sparse_->value, sparse_->transposed.source + begin, static_cast<uint32_t>(end - begin),
                  sparse_->value_transposed + begin);
  }

  template <class Args>
  struct Job {
    void (*kernel)(const Args&, int, int, void*);
    const Args& args;
    int n_parts;
    unsigned char* scratch;
    size_t stride;
    static void run(void* self, uint32_t part) {
      const Job& job = *static_cast<const Job*>(self);
      job.kernel(job.args, static_cast<int>(part), job.n_parts, job.scratch + part * job.stride);
    }
  };

  template <class Args>
  std::vector<double> time_kernel(uint64_t (ScratchTable::*bytes)(const Args&) const,
                                  void (*KernelTable::*kernel)(const Args&, int, int, void*), const Args& args,
                                  bool gathers, int repeat) {
    const size_t stride = ((table_->*bytes)(args) + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
    const uint32_t n_parts = static_cast<uint32_t>(shape_.n_threads);
    scratch_.resize(std::max(scratch_.size(), stride * n_parts + kScratchAlignment));
    const uintptr_t past = reinterpret_cast<uintptr_t>(scratch_.data()) % kScratchAlignment;
    Job<Args> job = {table_->*kernel, args, shape_.n_threads,
                     scratch_.data() + (kScratchAlignment - past) % kScratchAlignment, stride};
    std::vector<double> times;
    times.reserve(static_cast<size_t>(repeat));
    py::gil_scoped_release release;
    for (int i = 0; i < repeat; i++) {
      const double begin = seconds();
      if (gathers)
        pool_->run(n_parts, [](void* self, uint32_t part) { static_cast<TimedLayer*>(self)->gather(part); }, this);
      pool_->run(n_parts, &Job<Args>::run, &job);
      times.push_back(seconds() - begin);
    }
    return times;
  }

  LayerShape shape_;
  std::mt19937 random_;
  bool linear_;
  const KernelTable* table_ = nullptr;
  ConvShape window_ = {};
  Memory memory_;
  Tensor x_ = {}, dx_ = {}, y_ = {}, dy_ = {};
  int64_t n_weights_ = 0;
  float *weight_ = nullptr, *gradient_ = nullptr;
  std::unique_ptr<SparseWeight> sparse_;
  std::vector<unsigned char> scratch_;
  std::unique_ptr<python::ThreadPool> pool_;
};

}  // namespace

void add_timed_layer(py::module_& m) {
  using namespace py::literals;
  py::class_<TimedLayer>(m, "TimedLayer")
      .def(py::init([](int batch, int in_channels, int out_channels, std::optional<std::pair<int, int>> input_size,
                       std::optional<double> density, int n_threads, unsigned seed, const py::kwargs& kwargs) {
             return std::make_unique<TimedLayer>(
                 LayerShape{batch, in_channels, out_channels, input_size, density, n_threads, seed}, kwargs);
           }),
           "batch"_a, "in_channels"_a, "out_channels"_a, "input_size"_a = py::none(), "density"_a = py::none(),
           "n_threads"_a = 1, "seed"_a = 0u)
      .def_property_readonly("n_weights", &TimedLayer::n_weights)
      .def_property_readonly("multiply_adds", &TimedLayer::multiply_adds)
      .def("time", &TimedLayer::time, "pass_name"_a, "repeat"_a);
}

}  // namespace edgecl::binding
