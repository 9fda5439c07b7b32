// Forward and backward passes over the lists of a plan.
// Never here: layout of weights (weights.cpp), updates (weights_update.cpp).
#include "runtime/core/executor.h"

#include "runtime/core/executor_ops.h"

namespace edgecl {

Tensor plan_tensor(const Plan& plan, float* activations, uint32_t tensor, uint32_t rows, Mode mode) {
  const format::TensorRecord& record = plan.tensors[tensor];
  const uint64_t offset = mode == Mode::kLearn ? record.train_offset : record.predict_offset;
  const BatchLayout layout = batch_layout(rows);
  return {activations ? activations + static_cast<size_t>(offset) * rows : nullptr,
          layout.groups,
          static_cast<int32_t>(record.channels),
          static_cast<int32_t>(record.height),
          static_cast<int32_t>(record.width),
          layout.lanes};
}

uint64_t activation_floats(const Plan& plan, Mode mode, uint64_t rows) {
  const uint64_t per_row = mode == Mode::kLearn ? plan.model->train_floats_per_row : plan.model->predict_floats_per_row;
  return per_row * rows + kReadSlack;
}

bool rows_fit(const Plan& plan, uint64_t rows) {
  for (const format::TensorRecord& tensor : plan.tensors) {
    if (rows > INT32_MAX / tensor_row_floats(tensor)) return false;
  }
  return true;
}

SparsePattern pattern_shape(const format::ParamRecord& param) {
  SparsePattern pattern = {};
  pattern.rows = static_cast<int32_t>(param.dims[0]);
  pattern.channels = static_cast<int32_t>(param.dims[1]);
  pattern.taps = param.rank == 4 ? static_cast<int32_t>(param.dims[2] * param.dims[3]) : 1;
  pattern.channel_block = sparse_channel_block(pattern.channels, pattern.taps);
  pattern.n_blocks = (pattern.channels + pattern.channel_block - 1) / pattern.channel_block;
  pattern.nnz = param.nnz_capacity;
  return pattern;
}

SparsePattern transposed_pattern_shape(const format::ParamRecord& param) {
  SparsePattern pattern = pattern_shape(param);
  const int32_t rows = pattern.rows;
  pattern.rows = pattern.channels;
  pattern.channels = rows;
  pattern.channel_block = sparse_channel_block(pattern.channels, pattern.taps);
  pattern.n_blocks = (pattern.channels + pattern.channel_block - 1) / pattern.channel_block;
  return pattern;
}

namespace {

// Times one op when the profiler is on.
class OpTimer {
 public:
  OpTimer(const Environment& env, uint32_t op, uint32_t pass, uint64_t macs)
      : env_(env), op_(op), pass_(pass), macs_(macs), begin_us_(env.profiles() ? env.time_us() : 0) {}
  ~OpTimer() {
    if (env_.profiles()) env_.profiler.event(env_.profiler.user, op_, pass_, begin_us_, env_.time_us(), macs_);
  }
  OpTimer(const OpTimer&) = delete;
  OpTimer& operator=(const OpTimer&) = delete;

 private:
  const Environment& env_;
  uint32_t op_, pass_;
  uint64_t macs_, begin_us_;
};

bool is_small(const Net& net, uint32_t index, uint64_t macs, uint32_t rows) {
  const format::OpRecord& op = net.plan.ops[index];
  const uint64_t floats =
      tensor_row_floats(net.plan.tensors[op.inputs[0]]) + tensor_row_floats(net.plan.tensors[op.output]);
  return macs + floats * rows < net.env.serial_work;
}

// Runs the kernels that a visit names.
struct KernelRunner {
  const Net& net;
  bool serial;

  struct Bound {
    const KernelTable& kernels;
    const KernelCall& call;
  };
  static void run_part(const Bound& bound, int part, int n_parts, void* scratch) {
    bound.call.run(bound.kernels, bound.call.args, part, n_parts, scratch);
  }
  static void visit(void* user, const KernelCall& call) {
    const KernelRunner& runner = *static_cast<const KernelRunner*>(user);
    const Bound bound = {*runner.net.env.kernels, call};
    if (runner.serial) {
      run_part(bound, 0, 1, runner.net.work.scratch);
    } else {
      run_kernel(runner.net, run_part, bound);
    }
  }
  KernelVisitor visitor() { return {this, visit}; }
};

}  // namespace

void forward_ops(const Net& net, uint32_t rows, Mode mode, uint32_t begin, uint32_t end, const LayerProbe* probe) {
  const Pass pass = {net, rows, mode};
  for (uint32_t i = begin; i < end; i++) {
    const uint64_t macs = op_macs_forward(net.plan, i, true) * rows;
    OpTimer timer(net.env, i, 0, macs);
    KernelRunner runner = {net, is_small(net, i, macs, rows)};
    visit_forward(pass, i, runner.visitor());
    if (probe && probe->after_forward) probe->after_forward(probe->user, i);
  }
}

// Pieces of one layer go to different threads.
void gather_transposed_values(const Net& net) {
  const uint32_t n_parts = net.env.parallel.n_threads;
  auto body = [&](uint32_t part) {
    for (uint32_t p = 0; p < net.plan.params.n; p++) {
      const ParamWeights& param = net.weights.params[p];
      float* out = net.work.params[p].transposed_value;
      if (out == nullptr) continue;
      const uint64_t begin = param.n * part / n_parts, end = param.n * (part + 1) / n_parts;
      sparse_gather(param.value, param.transposed.source + begin, static_cast<uint32_t>(end - begin), out + begin);
    }
  };
  net.env.parallel.run(n_parts, body);
}

void backward_records(const Net& net, uint32_t rows, uint32_t begin, uint32_t end, const LayerProbe* probe) {
  const Pass pass = {net, rows, Mode::kLearn};
  for (uint32_t i = begin; i < end; i++) {
    const format::BackwardRecord& record = net.plan.backward[i];
    const uint64_t macs = op_macs_backward(net.plan, record.op, true) * rows;
    OpTimer timer(net.env, record.op, 1, macs);
    KernelRunner runner = {net, is_small(net, record.op, macs, rows)};
    visit_backward(pass, record, runner.visitor());
    if (probe && probe->after_backward) probe->after_backward(probe->user, record);
  }
}

}  // namespace edgecl
