// The walk over a state's sections that hold numbers of parameters and operators.
// Never here: the values.
#include "runtime/learn/migrate_state.h"

#include <string.h>

#include "runtime/core/sha256.h"
#include "runtime/core/text.h"
#include "runtime/core/weights.h"
#include "runtime/learn/session_state.h"

namespace edgecl {
namespace {

Status differs(const char* what, const Plan& to) {
  return failure(
      EDGECL_E_STATE_MISMATCH,
      "state: expected a bundle that trains the same shapes; found another %s in \"%s\"; learn again with the "
      "new bundle",
      what, to.string(to.model->name));
}

uint32_t next_trained(const Plan& plan, uint32_t p) {
  while (p < plan.params.n && plan.params[p].trainable == 0) p++;
  return p;
}

uint32_t next_norm(const Plan& plan, uint32_t op) {
  while (op < plan.ops.n && !has_running_statistics(plan.ops[op])) op++;
  return op;
}

bool same_param(const format::ParamRecord& a, const format::ParamRecord& b) {
  return a.storage == b.storage && a.rank == b.rank && memcmp(a.dims, b.dims, sizeof a.dims) == 0;
}

// Puts the new number of each parameter over the old one. `section` is the copy that is written.
Status renumber_params(const Plan& from, const Plan& to, uint32_t flags, SectionReader* in, uint8_t* section,
                       Migration* migration) {
  uint64_t at = 8;
  const uint32_t n = in->list();
  if (n == 0) return Status();  // under a head that keeps statistics no parameter is trained
  uint32_t old_param = next_trained(from, 0), new_param = next_trained(to, 0);
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t index = in->u32(), storage = in->u32();
    const uint64_t n_values = in->u64();
    const bool sparse = storage == format::kStorageSparse;
    const uint64_t arrays = 1 + sparse + ((flags & kStateVelocity) != 0);
    if (in->failed() || n_values > in->left() / 4 || index != old_param || index >= from.params.n)
      return in->corrupt("a parameter of another shape");
    const uint64_t bytes = n_values * (4 * arrays + (sparse && (flags & kStateSelection) != 0));
    if (in->bytes(bytes) == nullptr) return in->corrupt("another size");
    if (new_param >= to.params.n || !same_param(from.params[old_param], to.params[new_param]))
      return differs("trained parameter", to);
    memcpy(section + at, &new_param, sizeof new_param);
    migration->n_params++;
    migration->n_renamed += !same_text(from.string(from.params[old_param].name), to.string(to.params[new_param].name));
    at += 16 + bytes;
    old_param = next_trained(from, old_param + 1);
    new_param = next_trained(to, new_param + 1);
  }
  return new_param < to.params.n ? differs("number of trained parameters", to) : Status();
}

Status renumber_norms(const Plan& from, const Plan& to, SectionReader* in, uint8_t* section) {
  uint64_t at = 8;
  const uint32_t n = in->list();
  uint32_t old_op = next_norm(from, 0), new_op = next_norm(to, 0);
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t op = in->u32(), channels = in->u32();
    if (in->bytes(channels * 8ull) == nullptr || op != old_op || op >= from.ops.n)
      return in->corrupt("another operator");
    if (new_op >= to.ops.n || to.tensors[to.ops[new_op].output].channels != channels)
      return differs("normalisation", to);
    memcpy(section + at, &new_op, sizeof new_op);
    at += 8 + channels * 8ull;
    old_op = next_norm(from, old_op + 1);
    new_op = next_norm(to, new_op + 1);
  }
  return new_op < to.ops.n ? differs("number of normalisations", to) : Status();
}

// Names of the classes that the state has, against those that the new bundle ships.
void count_classes(const Plan& to, SectionReader* in, Migration* migration) {
  uint32_t found = 0;
  const uint32_t n = in->u32();
  in->u32();
  for (uint32_t i = 0; i < n && !in->failed(); i++) {
    const uint32_t label = in->u32(), flags = in->u32();
    in->u64();
    in->bytes(in->u32());
    if ((flags & 4) != 0) in->u32();
    for (const format::ClassRecord& record : to.classes) found += (flags & 1) != 0 && record.label == label;
  }
  migration->n_classes_left = to.classes.n - found;
}

uint32_t next_frozen(const Plan& plan, uint32_t p) {
  while (p < plan.params.n && plan.params[p].trainable != 0) p++;
  return p;
}

// The k-th frozen parameter of one against the k-th of the other.
uint32_t frozen_changed(const Plan& from, const Plan& to) {
  uint32_t n = 0, o = next_frozen(from, 0);
  for (uint32_t p = next_frozen(to, 0); p < to.params.n; p = next_frozen(to, p + 1)) {
    const bool same = o < from.params.n && same_param(from.params[o], to.params[p]) &&
                      from.params[o].bytes == to.params[p].bytes &&
                      memcmp(from.data_section + from.params[o].offset, to.data_section + to.params[p].offset,
                             static_cast<size_t>(to.params[p].bytes)) == 0;
    n += !same;
    if (o < from.params.n) o = next_frozen(from, o + 1);
  }
  return n;
}

// Digests of a state whose sections changed.
void seal(uint8_t* state, size_t n, const StateFile& file, const Plan& to) {
  StateHeader header = file.header();
  memcpy(header.bundle_digest, to.digest, sizeof header.bundle_digest);
  memcpy(state, &header, sizeof header);
  const size_t frame = sizeof header + header.n_sections * sizeof(StateEntry);
  for (uint32_t i = 0; i < header.n_sections; i++) {
    StateEntry entry = file.entry(i);
    sha256(state + entry.offset, static_cast<size_t>(entry.bytes), entry.sha256);
    memcpy(state + sizeof header + i * sizeof entry, &entry, sizeof entry);
  }
  sha256(state, frame, state + n - kSha256Bytes);
}

}  // namespace

Status migrate_state(const Plan& from, const Plan& to, const uint8_t* bytes, size_t n, uint8_t* out,
                     Migration* migration) {
  StateFile file;
  EDGECL_RETURN_IF_FAILED(open_state_of(from, bytes, n, &file));
  memcpy(out, bytes, n);
  uint32_t flags = 0;
  Migration found;
  for (uint32_t i = 0; i < file.header().n_sections; i++) {  // ascending ids: CONFIG is the first
    const StateEntry entry = file.entry(i);
    SectionReader in = file.reader(entry);
    uint8_t* const section = out + entry.offset;
    if (entry.id == kStateConfig) {
      in.bytes(12);
      flags = in.u32();
    } else if (entry.id == kStateParams) {
      EDGECL_RETURN_IF_FAILED(renumber_params(from, to, flags, &in, section, &found));
    } else if (entry.id == kStateStatistics) {
      EDGECL_RETURN_IF_FAILED(renumber_norms(from, to, &in, section));
    } else if (entry.id == kStateClasses) {
      count_classes(to, &in, &found);
    }
  }
  found.n_frozen_changed = frozen_changed(from, to);
  seal(out, n, file, to);
  *migration = found;
  return Status();
}

}  // namespace edgecl
