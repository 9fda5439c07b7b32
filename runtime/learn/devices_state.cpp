// Section DEVICES: which device the session is, and the parts of the others.
// Never here: the total of all devices (heads/statistics_state.cpp), messages.
#include "runtime/heads/statistics_head.h"
#include "runtime/learn/merge.h"

namespace edgecl {
namespace {

constexpr uint64_t kFixedBytes = 3 * sizeof(uint64_t) + 8, kPartBytes = 2 * sizeof(uint64_t) + 8;

// What is left of the total's rows of each class when these parts are taken from it: [columns], or null.
Status read_classes(SectionReader* in, const PartHead& head, uint32_t part, uint32_t* rows_left, Statistics* s) {
  uint32_t next = 0;
  for (uint32_t k = 0; k < head.n_classes; k++) {
    const uint32_t label = in->u32();
    ClassCounts counts;
    EDGECL_RETURN_IF_FAILED(read_part_counts(in, &counts));
    const uint8_t* const sums = in->bytes(s->size.dim * sizeof(int64_t));
    if (sums == nullptr) return in->corrupt("a truncated class");
    if (label < next || label >= s->size.columns) return in->corrupt("classes out of order or range");
    next = label + 1;
    if (rows_left != nullptr) {
      if (counts.n > rows_left[label]) return in->corrupt("more rows of a class than all devices learned");
      rows_left[label] -= static_cast<uint32_t>(counts.n);
    }
    if (s->size.moments == Moments::kOfClasses) EDGECL_RETURN_IF_FAILED(read_part_moments(in, part, label, s));
    if (part == kNoPart) continue;
    set_part_class(part, label, counts, s);
    for (uint32_t i = 0; i < s->size.dim; i++) set_part_sum(part, label, i, number_at(sums, i), s);
  }
  return Status();
}

}  // namespace

bool knows_devices(const Session& session) {
  if (session.head_memory.own == nullptr) return false;
  const Parts& parts = session.head_memory.own->statistics.parts;
  return parts.own->device != 0 || parts.fill > 0;
}

void write_devices(SectionWriter* out, const Session& session) {
  const Statistics& s = session.head_memory.own->statistics;
  out->u64(s.parts.own->device);
  out->u64(s.parts.own->version);
  out->u64(s.parts.own->least);
  out->list(s.parts.fill);
  uint64_t previous = 0;
  for (uint32_t part; next_device(s, false, previous, &part); previous = s.parts.ids[part].device)
    write_part(out, session, part, false);
}

uint64_t devices_bytes_max(const Plan& plan, const SessionConfig& config) {
  const uint64_t dim = tensor_row_floats(plan.tensors[plan.model->embedding_tensor]);
  const StatisticsSize size = statistics_head::size_of(plan, config);
  const uint64_t of_class = sizeof(uint32_t) + sizeof(ClassCounts) + dim * sizeof(int64_t);
  const uint64_t of_part =
      kPartBytes + plan.model->class_capacity * of_class + size.triangles() * triangle_entries(dim) * sizeof(int64_t);
  return kFixedBytes + (config.predict_only ? 0 : config.head_merges) * of_part;
}

// A session that only predicts has no use for the parts: the total is what it reads.
Status read_devices(SectionReader* in, StateImport* import) {
  Session* const session = import->session;
  Statistics* const s = &session->head_memory.own->statistics;
  const bool store = import->stores_learning();
  const DeviceVersion own = {in->u64(), in->u64(), in->u64()};
  const uint32_t n = in->list();
  if (in->failed() || (own.device == 0 && (own.version | own.least) != 0)) return in->corrupt("no device");
  uint32_t* rows_left = nullptr;
  if (!session->config.predict_only) {
    if (n > s->parts.capacity) {
      return failure(EDGECL_E_STATE_MISMATCH,
                     "state: expected at most head_merges = %u merged devices, as in this session; found %u; make the "
                     "session with a larger head_merges",
                     s->parts.capacity, n);
    }
    rows_left = import->exemplars_left;  // there are no exemplars under such a head
    for (uint32_t i = 0; i < import->file->header().n_sections; i++) {
      const StateEntry entry = import->file->entry(i);
      if (entry.id == kStateHead) statistics_head::section_rows(import->file->reader(entry), s->size, rows_left);
    }
  }
  uint64_t previous = 0;
  for (uint32_t k = 0; k < n; k++) {
    PartHead head;
    EDGECL_RETURN_IF_FAILED(read_part_head(in, previous, &head));
    if (head.device == own.device) return in->corrupt("a part of this device");
    previous = head.device;
    const uint32_t part = store ? new_part(head.device, s) : kNoPart;
    if (store) s->parts.ids[part].version = head.version;
    EDGECL_RETURN_IF_FAILED(read_classes(in, head, part, rows_left, s));
    if (s->size.moments == Moments::kShared) EDGECL_RETURN_IF_FAILED(read_part_moments(in, part, 0, s));
  }
  if (store) *s->parts.own = own;
  return Status();
}

}  // namespace edgecl
