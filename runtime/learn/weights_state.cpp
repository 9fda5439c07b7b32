// Sections PARAMS and STATISTICS: what trains, and running statistics that follow the batch.
// Never here: frozen weights, which are the bundle's.
#include <float.h>
#include <string.h>

#include "runtime/core/sparse_edit.h"
#include "runtime/core/weights.h"
#include "runtime/learn/session_state.h"

namespace edgecl {
namespace {

constexpr float kWeightLimit = static_cast<float>(kLargestWeight);  // beyond it every learn step is refused

uint64_t param_bytes(bool sparse, uint64_t n, uint32_t flags) {
  const uint64_t arrays = 1 + sparse + ((flags & kStateVelocity) != 0);
  return 16 + n * (4 * arrays + (sparse && (flags & kStateSelection) != 0));
}

// What a state holds: what may change in its session. Under a head that keeps statistics no parameter does.
bool is_kept(const SessionConfig& config, const format::ParamRecord& param) {
  return param.trainable != 0 && head_kind(config.head)->by_gradient;
}

uint32_t count_kept(const Plan& plan, const SessionConfig& config) {
  uint32_t n = 0;
  for (const format::ParamRecord& param : plan.params) n += is_kept(config, param);
  return n;
}

uint32_t count_statistics(const Plan& plan) {
  uint32_t n = 0;
  for (const format::OpRecord& op : plan.ops) n += has_running_statistics(op);
  return n;
}

// Flat positions in blocked order.
void write_positions(SectionWriter* out, const SparsePattern& pattern) {
  const uint32_t taps = static_cast<uint32_t>(pattern.taps), channels = static_cast<uint32_t>(pattern.channels);
  for (int32_t block = 0; block < pattern.n_blocks; block++) {
    const uint32_t first = static_cast<uint32_t>(block) * static_cast<uint32_t>(pattern.channel_block);
    for (int32_t row = 0; row < pattern.rows; row++) {
      const uint32_t* start = pattern.row_start + static_cast<int64_t>(block) * pattern.rows + row;
      for (uint32_t k = start[0]; k < start[1]; k++) {
        const uint32_t index = pattern.index[k];
        out->u32((static_cast<uint32_t>(row) * channels + first + index / taps) * taps + index % taps);
      }
    }
  }
}

// They become the parameter's structure, where it is not null; `pattern` is the parameter's.
bool read_positions(SectionReader* in, const SparsePattern& pattern, uint32_t n, StructureWriter* structure) {
  const uint32_t columns = static_cast<uint32_t>(pattern.channels) * static_cast<uint32_t>(pattern.taps);
  const uint64_t size = static_cast<uint64_t>(pattern.rows) * columns;
  uint64_t next_key = 0;
  for (uint32_t k = 0; k < n; k++) {
    const uint32_t position = in->u32();
    if (position >= size || in->failed()) return false;
    const uint32_t key = position_key(pattern, position / columns, position % columns);
    if (key < next_key) return false;
    next_key = key + 1ull;
    if (structure != nullptr) structure->add(key);
  }
  return true;
}

// A mask that is not valid any more is written as zeros: what it held does not matter.
void write_selection(SectionWriter* out, const uint8_t* selection, uint64_t n, bool stale) {
  const uint8_t none = 0;
  if (!stale) return out->bytes(selection, n);
  for (uint64_t k = 0; k < n; k++) out->bytes(&none, 1);
}

bool read_selection(SectionReader* in, uint64_t n, uint8_t* selection, uint64_t* n_selected) {
  const uint8_t* bytes = in->bytes(n);
  if (bytes == nullptr) return false;
  uint64_t chosen = 0;
  for (uint64_t k = 0; k < n; k++) {
    if (bytes[k] > 1) return false;
    chosen += bytes[k];
  }
  if (selection == nullptr) return true;
  memcpy(selection, bytes, n);
  *n_selected = chosen;
  return true;
}

}  // namespace

void write_params(SectionWriter* out, const Session& session) {
  const Plan& plan = *session.plan;
  const uint32_t flags = state_flags(session.config);
  out->list(count_kept(plan, session.config));
  for (uint32_t p = 0; p < plan.params.n; p++) {
    if (!is_kept(session.config, plan.params[p])) continue;
    const ParamWeights& param = session.weights.params[p];
    if (out->counting()) {
      out->skip(param_bytes(param.sparse, param.n, flags));
      continue;
    }
    out->u32(p);
    out->u32(plan.params[p].storage);
    out->u64(param.n);
    if (param.sparse) write_positions(out, param.pattern);
    out->floats(param.value, param.n);
    if (flags & kStateVelocity) out->floats(param.velocity, param.n);
    if (param.sparse && (flags & kStateSelection) != 0)
      write_selection(out, param.selection, param.n, session.counters.mask_stale != 0);
  }
}

uint64_t params_bytes_max(const Plan& plan, const SessionConfig& config) {
  uint64_t bytes = 8;
  for (const format::ParamRecord& param : plan.params) {
    const bool sparse = param.storage == format::kStorageSparse;
    if (is_kept(config, param))
      bytes += param_bytes(sparse, sparse ? param.nnz_capacity : param_size(param), state_flags(config));
  }
  return bytes;
}

Status read_params(SectionReader* in, StateImport* import) {
  const Plan& plan = *import->session->plan;
  const bool apply = import->apply, keep = import->stores_learning();
  if (in->list() != count_kept(plan, import->session->config)) return in->corrupt("another number of parameters");
  for (uint32_t p = 0; p < plan.params.n; p++) {
    if (!is_kept(import->session->config, plan.params[p])) continue;
    ParamWeights* param = &import->session->weights.params[p];
    const uint32_t index = in->u32(), storage = in->u32();
    const uint64_t n = in->u64();
    const bool fits = param->sparse ? n >= 1 && n <= param->capacity : n == param->n;
    if (index != p || storage != plan.params[p].storage || !fits) return in->corrupt("a parameter of another shape");
    if (in->left() < param_bytes(param->sparse, n, import->flags) - 16) return in->corrupt("another size");
    if (param->sparse) {
      StructureWriter structure(param);
      if (!read_positions(in, param->pattern, static_cast<uint32_t>(n), apply ? &structure : nullptr))
        return in->corrupt("sparse positions out of order or range");
      if (apply) structure.finish();
    }
    if (!in->floats(n, kWeightLimit, apply ? param->own : nullptr)) return in->corrupt("a weight beyond 1e9");
    if (import->says(kStateVelocity) && !in->floats(n, kWeightLimit, keep ? param->velocity : nullptr))
      return in->corrupt("a velocity beyond 1e9");
    if (param->sparse && import->says(kStateSelection) &&
        !read_selection(in, n, keep ? param->selection : nullptr, &param->n_selected)) {
      return in->corrupt("a gradient mask of other values than 0 and 1");
    }
  }
  return Status();
}

void write_statistics(SectionWriter* out, const Session& session) {
  const Plan& plan = *session.plan;
  out->list(count_statistics(plan));
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    if (!has_running_statistics(plan.ops[i])) continue;
    const uint32_t channels = plan.tensors[plan.ops[i].output].channels;
    out->u32(i);
    out->u32(channels);
    out->floats(session.weights.norms[i].running_mean, channels);
    out->floats(session.weights.norms[i].running_var, channels);
  }
}

uint64_t statistics_bytes_max(const Plan& plan, const SessionConfig&) {
  uint64_t bytes = 8;
  for (const format::OpRecord& op : plan.ops) {
    if (has_running_statistics(op)) bytes += 8 + plan.tensors[op.output].channels * 8ull;
  }
  return bytes;
}

// Finite is all that a learn step asks of running statistics: it never reads them.
Status read_statistics(SectionReader* in, StateImport* import) {
  const Plan& plan = *import->session->plan;
  if (in->list() != count_statistics(plan)) return in->corrupt("another number of entries");
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    if (!has_running_statistics(plan.ops[i])) continue;
    const NormWeights& norm = import->session->weights.norms[i];
    const uint32_t channels = plan.tensors[plan.ops[i].output].channels;
    const uint32_t op = in->u32(), found = in->u32();
    if (op != i || found != channels) return in->corrupt("another operator");
    if (!in->floats(channels, FLT_MAX, import->apply ? norm.own_mean : nullptr))
      return in->corrupt("a mean that is not finite");
    for (uint32_t c = 0; c < channels; c++) {
      float variance = 0;
      if (!in->floats(1, FLT_MAX, &variance) || !(variance >= 0))
        return in->corrupt("a variance that is negative or not finite");
      if (import->apply) norm.own_var[c] = variance;
    }
  }
  return Status();
}

}  // namespace edgecl
