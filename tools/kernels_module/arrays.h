// numpy arrays to and from the kernels' memory layout, and the call of one kernel in parts; for module.cpp.
// Never here: functions of single kernels.
#ifndef EDGECL_TOOLS_KERNELS_MODULE_ARRAYS_H_
#define EDGECL_TOOLS_KERNELS_MODULE_ARRAYS_H_

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace edgecl::binding {

namespace py = pybind11;

using FloatArray = py::array_t<float, py::array::c_style | py::array::forcecast>;
using BoolArray = py::array_t<bool, py::array::c_style | py::array::forcecast>;
using IntArray = py::array_t<int32_t, py::array::c_style | py::array::forcecast>;
using OptionalFloats = std::optional<FloatArray>;

inline std::string shape_text(const py::array& a) {
  std::string s = "(";
  for (py::ssize_t i = 0; i < a.ndim(); i++) s += (i ? ", " : "") + std::to_string(a.shape(i));
  return s + ")";
}

// Three parts, as every error of the package: expected, found, what to do.
[[noreturn]] inline void refuse(const std::string& expected, const std::string& found, const std::string& action) {
  throw py::value_error("expected " + expected + ", found " + found + ": " + action);
}

// -1 in `shape` allows any extent.
inline void require_shape(const py::array& a, const char* name, const std::vector<py::ssize_t>& shape) {
  bool fits = a.ndim() == static_cast<py::ssize_t>(shape.size());
  for (size_t i = 0; fits && i < shape.size(); i++)
    fits = shape[i] < 0 || a.shape(static_cast<py::ssize_t>(i)) == shape[i];
  if (fits) return;
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); i++)
    text += (i ? ", " : "") + (shape[i] < 0 ? std::string("any") : std::to_string(shape[i]));
  refuse(std::string(name) + " of shape " + text + ")", shape_text(a),
         "reshape the array or correct the other arguments");
}

// Memory of one call; every block is followed by the slack that kernels may read.
class Memory {
 public:
  float* floats(int64_t n) { return allocate<float>(n); }
  float* copy(const FloatArray& a) { return copy_values<float>(a.data(), a.size()); }
  float* copy(const OptionalFloats& a) { return a ? copy(*a) : nullptr; }
  template <class T, class From>
  T* copy_values(const From* from, int64_t n) {
    T* to = allocate<T>(n);
    for (int64_t i = 0; i < n; i++) to[i] = static_cast<T>(from[i]);
    return to;
  }
  template <class T>
  T* allocate(int64_t n) {
    constexpr size_t kAlignment = 64;  // of the runtime's own tensors
    const size_t size = static_cast<size_t>(n + kReadSlack) * sizeof(T) + kReadSlack * sizeof(float);
    auto block = std::make_unique<unsigned char[]>(size + kAlignment);
    const size_t past = reinterpret_cast<uintptr_t>(block.get()) % kAlignment;
    T* p = reinterpret_cast<T*>(block.get() + (kAlignment - past) % kAlignment);
    blocks_.push_back(std::move(block));
    return p;
  }

  // [G][C][H][W][L] of n rows, uninitialised.
  Tensor tensor(int64_t n, int64_t c, int64_t h, int64_t w) {
    const bool whole = n % kVirtualLanes == 0;
    Tensor t = {nullptr,
                static_cast<int32_t>(whole ? n / kVirtualLanes : 1),
                static_cast<int32_t>(c),
                static_cast<int32_t>(h),
                static_cast<int32_t>(w),
                static_cast<int32_t>(whole ? kVirtualLanes : n)};
    t.data = floats(t.size());
    return t;
  }
  // NCHW or NC to the layout of the kernels.
  Tensor pack(const FloatArray& a, const char* name) {
    if ((a.ndim() != 4 && a.ndim() != 2) || a.size() == 0)
      refuse(std::string(name) + " of shape (rows, channels, height, width) or (rows, channels), not empty",
             shape_text(a), "reshape the array");
    const bool image = a.ndim() == 4;
    Tensor t = tensor(a.shape(0), a.shape(1), image ? a.shape(2) : 1, image ? a.shape(3) : 1);
    const int64_t positions = static_cast<int64_t>(t.height) * t.width;
    for (int64_t r = 0; r < t.rows(); r++)
      for (int64_t c = 0; c < t.channels; c++)
        for (int64_t p = 0; p < positions; p++)
          t.data[((r / t.lanes * t.channels + c) * positions + p) * t.lanes + r % t.lanes] =
              a.data()[(r * t.channels + c) * positions + p];
    return t;
  }
  Tensor pack_like(const FloatArray& a, const char* name, const Tensor& like) {
    const Tensor t = pack(a, name);
    if (t.rows() != like.rows() || t.channels != like.channels || t.height != like.height || t.width != like.width)
      refuse(std::string(name) + " of " + describe(like), describe(t),
             "reshape the array or correct the other arguments");
    return t;
  }
  // float parameters of one dimension.
  float* vector(const FloatArray& a, const char* name, int64_t n) {
    require_shape(a, name, {n});
    return copy(a);
  }
  float* vector(const OptionalFloats& a, const char* name, int64_t n) { return a ? vector(*a, name, n) : nullptr; }

  static std::string describe(const Tensor& t) {
    return std::to_string(t.rows()) + " rows, " + std::to_string(t.channels) + " channels, " +
           std::to_string(t.height) + "x" + std::to_string(t.width);
  }

 private:
  std::vector<std::unique_ptr<unsigned char[]>> blocks_;
};

// Back to NCHW, or NC when two_dimensional.
inline FloatArray unpack(const Tensor& t, bool two_dimensional = false) {
  const py::ssize_t n = t.rows(), positions = static_cast<py::ssize_t>(t.height) * t.width;
  FloatArray a = two_dimensional ? FloatArray({n, static_cast<py::ssize_t>(t.channels)})
                                 : FloatArray({n, static_cast<py::ssize_t>(t.channels),
                                               static_cast<py::ssize_t>(t.height), static_cast<py::ssize_t>(t.width)});
  float* to = a.mutable_data();
  for (int64_t r = 0; r < n; r++)
    for (int64_t c = 0; c < t.channels; c++)
      for (int64_t p = 0; p < positions; p++)
        to[(r * t.channels + c) * positions + p] =
            t.data[((r / t.lanes * t.channels + c) * positions + p) * t.lanes + r % t.lanes];
  return a;
}

inline FloatArray to_array(const float* p, std::vector<py::ssize_t> shape) {
  FloatArray a(shape);
  for (py::ssize_t i = 0; i < a.size(); i++) a.mutable_data()[i] = p[i];
  return a;
}

// A name of EDGECL_ACTIVATION_LIST, or (name, lo, hi).
inline ActivationSpec parse_activation(const py::object& a, bool fused) {
  std::tuple<std::string, float, float> t{"", 0.0f, 0.0f};
  if (py::isinstance<py::str>(a))
    std::get<0>(t) = a.cast<std::string>();
  else
    t = a.cast<std::tuple<std::string, float, float>>();
#define EDGECL_NAME(constant, number, name) #name,
  static const char* const kNames[] = {EDGECL_ACTIVATION_LIST(EDGECL_NAME)};
#undef EDGECL_NAME
  for (int i = 0; i < (fused ? 3 : static_cast<int>(kLastActivation) + 1); i++)
    if (std::get<0>(t) == kNames[i]) return {static_cast<Activation>(i), std::get<1>(t), std::get<2>(t)};
  refuse(fused ? "activation none, relu or ('clip', lo, hi)" : "an activation of kernels.h", "'" + std::get<0>(t) + "'",
         "name one of these");
}

// The keyword arguments that many functions share: stride, padding, dilation, groups; activation; level, n_parts. What
// a function does not take is refused when it runs its kernel.
class Attributes {
 public:
  explicit Attributes(const py::kwargs& kwargs) : rest_(py::reinterpret_steal<py::dict>(PyDict_Copy(kwargs.ptr()))) {}

  template <class T>
  T take(const char* name, T otherwise) {
    if (!rest_.contains(name)) return otherwise;
    const py::object value = rest_.attr("pop")(name);
    return value.is_none() ? otherwise : value.cast<T>();
  }
  ActivationSpec activation(bool fused = true) {
    return parse_activation(take<py::object>("activation", py::str("none")), fused);
  }

  ConvShape window(int64_t kernel_h, int64_t kernel_w, bool with_groups) {
    if (kernel_h < 1 || kernel_w < 1 || kernel_h * kernel_w > kMaxTaps)
      refuse("a kernel of 1 to " + std::to_string(kMaxTaps) + " taps",
             std::to_string(kernel_h) + "x" + std::to_string(kernel_w), "use a kernel of that size");
    const auto stride = take("stride", std::pair(1, 1)), dilation = take("dilation", std::pair(1, 1));
    const auto padding = take("padding", std::vector<int>{0, 0});  // (height, width) or (top, left, bottom, right)
    if (padding.size() != 2 && padding.size() != 4)
      refuse("padding of 2 or 4 numbers", std::to_string(padding.size()),
             "pass (height, width) or (top, left, bottom, right)");
    const size_t end = padding.size() == 4 ? 2 : 0;
    const ConvShape s = {static_cast<int32_t>(kernel_h),
                         static_cast<int32_t>(kernel_w),
                         stride.first,
                         stride.second,
                         dilation.first,
                         dilation.second,
                         padding[0],
                         padding[1],
                         padding[end],
                         padding[end + 1],
                         with_groups ? take("groups", 1) : 1};
    for (int v : {s.stride_h, s.stride_w, s.dilation_h, s.dilation_w, s.groups})
      if (v < 1) refuse("stride, dilation and groups >= 1", std::to_string(v), "pass positive numbers");
    for (int v : padding)
      if (v < 0) refuse("padding >= 0", std::to_string(v), "crop the input instead");
    return s;
  }

  // The kernels of the level asked for.
  const KernelTable* table() {
    const auto level = take<std::optional<std::string>>("level", std::nullopt);
    const KernelTable* t = kernel_table(level ? level->c_str() : nullptr);
    if (!t) refuse("a level of levels()", "'" + level.value_or("") + "'", "choose one that this build and CPU have");
    return t;
  }
  // Refuses the arguments that nobody took.
  void finish() const {
    for (const auto& item : rest_)
      throw py::type_error("unexpected keyword argument '" + item.first.cast<std::string>() + "'");
  }

  // Runs the kernel in n_parts parts, one after the other.
  template <class Args>
  void run(uint64_t (ScratchTable::*bytes)(const Args&) const,
           void (*KernelTable::*kernel)(const Args&, int, int, void*), const Args& args) {
    const KernelTable* t = table();
    const int n_parts = take("n_parts", 1);
    finish();
    if (n_parts < 1) refuse("n_parts >= 1", std::to_string(n_parts), "pass the number of parts to split the work into");
    constexpr size_t kAlignment = 64;
    std::vector<unsigned char> memory((t->*bytes)(args) + kAlignment);
    unsigned char* scratch =
        memory.data() + (kAlignment - reinterpret_cast<uintptr_t>(memory.data()) % kAlignment) % kAlignment;
    for (int part = 0; part < n_parts; part++) (t->*kernel)(args, part, n_parts, scratch);
  }

 private:
  py::dict rest_;
};
#define EDGECL_RUN(attributes, name, args) \
  (attributes).run(&KernelTable::name##_scratch_bytes, &KernelTable::name, args)

inline int64_t output_extent(int64_t size, int pad, int kernel, int stride, int dilation) {
  const int64_t free = size + pad - static_cast<int64_t>(dilation) * (kernel - 1) - 1;
  if (free < 0)
    refuse("a window no larger than the padded input", std::to_string(kernel) + " taps over " + std::to_string(size),
           "add padding or use a smaller kernel");
  return free / stride + 1;
}
inline int64_t output_height(const Tensor& x, const ConvShape& s) {
  return output_extent(x.height, s.pad_top + s.pad_bottom, s.kernel_h, s.stride_h, s.dilation_h);
}
inline int64_t output_width(const Tensor& x, const ConvShape& s) {
  return output_extent(x.width, s.pad_left + s.pad_right, s.kernel_w, s.stride_w, s.dilation_w);
}

}  // namespace edgecl::binding

#endif  // EDGECL_TOOLS_KERNELS_MODULE_ARRAYS_H_
