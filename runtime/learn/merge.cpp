// Messages out and in.
// Never here: sums (heads/parts.cpp), devices of a session (devices.cpp), how a part is written (part_record.cpp).
#include "runtime/learn/merge.h"

#include <string.h>

#include "runtime/core/recipe.h"
#include "runtime/core/text.h"
#include "runtime/heads/statistics_head.h"
#include "runtime/learn/merge_walk.h"

namespace edgecl {
namespace {

// Negative where square roots of the features were counted.
float scale_of(const Statistics& s) {
  return s.size.roots ? -s.scale : s.scale;
}

// --- messages out ---

struct Delta {
  const Session* session;
  bool all;
};

uint32_t domains_of_part(const Session& session, uint32_t part) {
  uint32_t n = 0;
  for (uint32_t d = 0; d < session.domains.capacity; d++) n += has_part_of(session.domains.list[d], part);
  return n;
}

void write_part(SectionWriter* out, const Session& session, uint32_t part) {
  write_part_head(out, *devices_of(session), part);
  if (!session.domains.any())
    return write_part_sums(out, session, *sums_of(session.head_memory), part, ClassKey::kName);
  out->list(domains_of_part(session, part));
  for (uint32_t d = 0; d < session.domains.capacity; d++) {
    const Domain& domain = session.domains.list[d];
    if (!has_part_of(domain, part)) continue;
    out->list(message_domain(session, d));
    write_domain_part_head(out, domain, part);
    write_part_sums(out, session, *sums_of(domain.head), part, ClassKey::kName);
    write_part_sums(out, session, domain.routing.statistics, part, ClassKey::kName);
  }
}

void write_parts(SectionWriter* out, const void* owner) {
  const Delta& delta = *static_cast<const Delta*>(owner);
  const Session& session = *delta.session;
  const Statistics& s = *sums_of(session.head_memory);
  const DeviceTable& devices = *s.parts.devices;
  const bool own = devices.own->version > 0;
  out->u32(session.config.head);
  out->u32(s.size.dim);
  const float scale = scale_of(s);
  out->floats(&scale, 1);
  out->u32(session.classes.label_kind);
  if (session.domains.any()) write_message_domains(out, session);
  out->list((delta.all ? devices.fill : 0) + own);
  if (!delta.all) {
    if (own) write_part(out, session, kNoPart);
    return;
  }
  uint64_t previous = 0;
  for (uint32_t part; next_device(devices, own, previous, &part);) {
    write_part(out, session, part);
    previous = part == kNoPart ? devices.own->device : devices.ids[part].device;
  }
}

// --- messages in ---

// Names that are numbers fit the widest kind of numbers; texts fit texts alone.
Status join_label_kinds(SectionReader* in, uint32_t ours, uint32_t theirs, uint32_t* joined) {
  if (theirs >= format::kLabelKinds) return in->corrupt("a kind of labels that does not exist");
  *joined = ours > theirs ? ours : theirs;
  const bool text = ours == format::kLabelsText, other_text = theirs == format::kLabelsText;
  if (ours == format::kLabelsUnknown || theirs == format::kLabelsUnknown || text == other_text) return Status();
  return failure(EDGECL_E_STATE_MISMATCH,
                 "expected a message whose labels are %s, as in this session; found %s; use one kind of labels on all "
                 "devices",
                 text ? "text" : "numbers", other_text ? "text" : "numbers");
}

Status read_kind(SectionReader* in, Walk* walk) {
  const Session& session = *walk->session;
  const Statistics& s = *sums_of(session.head_memory);
  const uint32_t head = in->u32(), dim = in->u32();
  float scale = 0;
  const bool sound_scale = in->floats(1, kQuantizedLimit * 1e9f, &scale);
  const uint32_t label_kind = in->u32();
  if (in->failed() || !sound_scale || head >= kHeads || head_kind(head)->by_gradient)
    return in->corrupt("no statistics");
  if (head != session.config.head) {
    return failure(EDGECL_E_STATE_MISMATCH,
                   "expected a message of the head %s, as in this session; found one of %s; make the sessions of all "
                   "devices with one head",
                   kHeadNames[session.config.head], kHeadNames[head]);
  }
  if (scale != scale_of(s)) {
    return failure(EDGECL_E_STATE_MISMATCH,
                   "expected a message of the feature_range and feature_root of this session; found others; make the "
                   "sessions of all devices with one feature_range and feature_root");
  }
  if (dim != s.size.dim && s.size.counters) {
    return failure(
        EDGECL_E_STATE_MISMATCH,
        "expected a message of codes of hd_bits = %u, as in this session; found %u; make the sessions of all "
        "devices with one hd_bits",
        s.size.dim, dim);
  }
  if (dim != s.size.dim) return in->corrupt("features of another number");
  EDGECL_RETURN_IF_FAILED(join_label_kinds(in, session.classes.label_kind, label_kind, &walk->label_kind));
  if (session.domains.any()) EDGECL_RETURN_IF_FAILED(read_message_domains(in, walk));
  walk->report.n_parts = in->list();
  return in->failed() ? in->corrupt("a truncated list of devices") : Status();
}

Status same_number() {
  return failure(EDGECL_E_STATE_MISMATCH,
                 "expected one contribution for each version of a device; found two that differ; two devices have one "
                 "number, or one went on from an older state: give it a number of its own by edgecl_device_set");
}

// The column of a name. One that is new comes on trial; with `comes` false it is what tells two contributions apart.
Status find_or_try(SectionReader* in, Walk* walk, const uint8_t* bytes, uint32_t n, bool comes, uint32_t* label) {
  ClassTable* const table = &walk->session->classes;
  if (bytes == nullptr || !valid_class_name(bytes, n)) return in->corrupt("a bad name");
  char name[format::kMaxClassNameBytes + 1] = {};
  memcpy(name, bytes, n);
  if (text_length(name) != n) return in->corrupt("a bad name");
  // Most often the classes of both sides are in the same order.
  const uint32_t guess = *label;
  if (guess < table->capacity && table->present[guess] && same_text(table->entries[guess].name, name)) return Status();
  const int32_t found = class_find(*table, name);
  if (found >= 0) {
    *label = static_cast<uint32_t>(found);
    return Status();
  }
  if (!comes) return same_number();
  const uint32_t next = class_next_label(*table);
  if (next == table->capacity) {
    return failure(EDGECL_E_CAPACITY,
                   "expected room for the classes of the message; found all %u in use; make the session with a larger "
                   "max_classes, or forget a class",
                   table->capacity);
  }
  const uint8_t trial = table->entries[next].issued ? kTrialClassOldLabel : kTrialClassNewLabel;
  class_add(table, next, name);
  table->entries[next].merged = trial;
  walk->report.n_classes_added++;
  *label = next;
  return Status();
}

// Trials end: they stay, or it is as if they had never been.
void end_trials(ClassTable* table, bool stay) {
  for (uint32_t label = 0; label < table->capacity; label++) {
    ClassEntry* const entry = &table->entries[label];
    if (entry->merged < kTrialClassNewLabel) continue;
    const bool was_new = entry->merged == kTrialClassNewLabel;
    if (stay) {
      entry->merged = kMergedClass;
      continue;
    }
    class_drop(table, label);
    if (was_new) memset(static_cast<void*>(entry), 0, sizeof *entry);
  }
}

bool same_counts(const ClassCounts& a, const ClassCounts& b) {
  return a.n == b.n && a.square_sum == b.square_sum && a.saturated == b.saturated;
}

// What is to be done with a part of a message.
enum class Fate { kSkip, kCompare, kTake };

// Whether a triangle of a message is that of a part.
bool same_moments(const uint8_t* moments, const Statistics& s, uint32_t part, uint32_t label) {
  uint64_t at = 0;
  for (uint32_t i = 0; i < s.size.dim; i++) {
    for (uint32_t j = 0; j <= i; j++) {
      if (number_at(moments, at++) != part_moment(s, part, label, i, j)) return false;
    }
  }
  return true;
}

// Classes and moments of a part of some sums. `part`: where they go, or with what they are compared (kNoPart: own sums).
Status read_part_sums(SectionReader* in, Walk* walk, Fate fate, uint32_t part, Statistics* s) {
  const bool store = fate == Fate::kTake && walk->apply;
  const uint32_t n_classes = in->list();
  if (in->failed()) return in->corrupt("a truncated list of classes");
  walk->n_classes += n_classes;
  const uint64_t triangle_bytes = triangle_entries(s->size.dim) * sizeof(int64_t);
  const bool of_classes = s->size.moments == Moments::kOfClasses, shared = s->size.moments == Moments::kShared;
  bool same = true;
  if (fate != Fate::kSkip) memset(s->parts.marks, 0, s->size.columns);
  uint32_t label = 0;
  for (uint32_t k = 0; k < n_classes; k++, label++) {
    const uint32_t n_name = in->u32();
    const uint8_t* const name = in->bytes(n_name);
    ClassCounts counts;
    EDGECL_RETURN_IF_FAILED(read_part_counts(in, *s, &counts));
    const uint8_t* const sums = in->bytes(class_sums_bytes(*s));
    SectionReader triangle = *in;
    const uint8_t* const moments = of_classes ? in->bytes(triangle_bytes) : sums;
    if (name == nullptr || sums == nullptr || moments == nullptr) return in->corrupt("a truncated class");
    if (fate == Fate::kSkip) continue;
    EDGECL_RETURN_IF_FAILED(find_or_try(in, walk, name, n_name, fate == Fate::kTake, &label));
    if (s->parts.marks[label]++ != 0) return in->corrupt("a class twice");
    if (fate == Fate::kTake) {
      *s->parts.rows += counts.n;
      if (!store) continue;
      set_part_class(part, label, counts, s);
      for (uint32_t i = 0; i < s->size.dim; i++) set_part_sum(part, label, i, sum_at(*s, sums, i), s);
      if (of_classes) EDGECL_RETURN_IF_FAILED(read_part_moments(&triangle, part, label, s));
      continue;
    }
    same = same && same_counts(counts, part_counts(*s, part, label));
    for (uint32_t i = 0; same && i < s->size.dim; i++) same = sum_at(*s, sums, i) == part_sum(*s, part, label, i);
    same = same && (!of_classes || same_moments(moments, *s, part, label));
  }
  if (fate == Fate::kTake) return shared ? read_part_moments(in, store ? part : kNoPart, 0, s) : Status();
  const uint8_t* const moments = shared ? in->bytes(triangle_bytes) : nullptr;
  if (shared && moments == nullptr) return in->corrupt("truncated second moments");
  if (fate == Fate::kSkip) return Status();
  same = same && n_classes == part_classes(*s, part);
  same = same && (!shared || same_moments(moments, *s, part, 0));
  return same ? Status() : same_number();
}

bool same_head(const DomainPartHead& head, const Domain& domain, uint32_t part) {
  const RoutingModel& routing = domain.routing;
  const uint64_t dim = routing.statistics.size.dim;
  const bool own = part == kNoPart;
  const int16_t* const held = own ? routing.held : routing.others_held + part * kHeldRows * dim;
  return head.rows == (own ? domain.rows : routing.others[part].rows) &&
         head.n_held == (own ? routing.held_fill : routing.others[part].held_fill) &&
         memcmp(head.held, held, head.n_held * dim * sizeof(int16_t)) == 0;
}

// What a part has in each of its domains.
Status read_part_domains(SectionReader* in, Walk* walk, Fate fate, uint32_t part) {
  Session* const session = walk->session;
  const uint32_t n = in->list();
  for (uint32_t k = 0, next = 0; k < n; k++) {
    const uint32_t i = in->list();
    if (in->failed() || i < next || i >= walk->domains.n) return in->corrupt("domains out of order or range");
    next = i + 1;
    if (fate == Fate::kTake) EDGECL_RETURN_IF_FAILED(take_message_domain(walk, i));
    const uint32_t slot = walk->domains.slot[i];
    if (fate == Fate::kCompare && slot == kNoDomain) return same_number();
    Domain* const domain = &session->domains.list[slot == kNoDomain ? 0 : slot];  // all are of one size
    DomainPartHead head;
    EDGECL_RETURN_IF_FAILED(read_domain_part_head(in, *domain, &head));
    const uint64_t before = walk->n_classes;
    if (fate == Fate::kCompare && !(same_adaptor(*walk, i) && same_head(head, *domain, part))) return same_number();
    if (fate == Fate::kTake && walk->apply) set_domain_part_head(head, part, domain);
    EDGECL_RETURN_IF_FAILED(read_part_sums(in, walk, fate, part, sums_of(domain->head)));
    EDGECL_RETURN_IF_FAILED(read_part_sums(in, walk, fate, part, &domain->routing.statistics));
    if (head.rows == 0 && head.n_held == 0 && walk->n_classes == before) return in->corrupt("a domain without rows");
  }
  if (in->failed()) return in->corrupt("a truncated list of domains");
  return fate == Fate::kCompare && n != domains_of_part(*session, part) ? same_number() : Status();
}

Status read_part_body(SectionReader* in, Walk* walk, Fate fate, uint32_t part) {
  Session* const session = walk->session;
  if (session->domains.any()) return read_part_domains(in, walk, fate, part);
  return read_part_sums(in, walk, fate, part, sums_of(session->head_memory));
}

// Runs over every sum of a session.
template <class Each>
void each_sums(const Session& session, const Each& each) {
  for (uint32_t i = 0; i < n_heads(session); i++) {
    each(sums_of(head_at(session, i)));
    if (session.domains.any()) each(&session.domains.list[i].routing.statistics);
  }
}

Status read_part(SectionReader* in, Walk* walk, uint64_t* previous) {
  Session* const session = walk->session;
  DeviceTable* const devices = devices_of(*session);
  PartHead head;
  EDGECL_RETURN_IF_FAILED(read_part_head(in, *previous, &head));
  *previous = head.device;
  const DeviceVersion& own = *devices->own;
  const bool is_own = head.device == own.device;
  uint32_t part = is_own ? kNoPart : find_part(*devices, head.device);
  const uint64_t known = is_own ? own.version : part != kNoPart ? devices->ids[part].version : 0;
  if (is_own && head.version > known) {
    return failure(EDGECL_E_STATE_MISMATCH,
                   "expected nothing newer of this device than version %llu, which it is at; found %llu: it went on "
                   "from an older state, or another device has its number; give it a new number by edgecl_device_set",
                   static_cast<unsigned long long>(known), static_cast<unsigned long long>(head.version));
  }
  if (head.version <= known) {
    walk->report.n_known++;
    const bool compare = head.version == known && !walk->apply;
    return read_part_body(in, walk, compare ? Fate::kCompare : Fate::kSkip, part);
  }
  const bool is_new = part == kNoPart;
  (is_new ? walk->report.n_new : walk->report.n_newer)++;
  if (is_new) {
    EDGECL_RETURN_IF_FAILED(check_room_for_devices(*devices, ++walk->n_devices));
  } else {
    devices->replaced[part] = 1;
    each_sums(*session, [&](Statistics* s) { *s->parts.rows -= part_rows(*s, part); });
  }
  if (walk->apply) {
    if (is_new) {
      part = new_part(session, head.device);
    } else {
      add_parts(session, part, true);
      empty_parts(session, part);
    }
  }
  EDGECL_RETURN_IF_FAILED(read_part_body(in, walk, Fate::kTake, part));
  if (!walk->apply) return Status();
  devices->ids[part].version = head.version;
  add_parts(session, part, false);
  return Status();
}

Status read_parts(SectionReader* in, void* import) {
  Walk* const walk = static_cast<Walk*>(import);
  EDGECL_RETURN_IF_FAILED(read_kind(in, walk));
  uint64_t previous = 0;
  for (uint32_t k = 0; k < walk->report.n_parts; k++) EDGECL_RETURN_IF_FAILED(read_part(in, walk, &previous));
  if (walk->apply) return Status();
  bool fits = true;
  each_sums(*walk->session, [&](const Statistics* s) { fits = fits && *s->parts.rows <= kMaxStatisticRows; });
  if (!fits) {
    return failure(
        EDGECL_E_CAPACITY,
        "expected at most %lld rows in the statistics of a head; found more with those of the message; merge "
        "fewer devices",
        static_cast<long long>(kMaxStatisticRows));
  }
  return walk->session->domains.any() ? check_adaptors(*walk) : Status();
}

constexpr StateSection kParts = {kStateParts, 1, 0, write_parts, read_parts};
constexpr StateSection kDomainParts = {kStateDomainParts, 1, 0, write_parts, read_parts};
const StateSection& section_of(const Session& session) {
  return session.domains.any() ? kDomainParts : kParts;
}

Status walk_message(const StateFile& file, Walk* walk) {
  const Session& session = *walk->session;
  DeviceTable* const devices = devices_of(session);
  walk->report = MergeReport();
  walk->n_devices = devices->fill;
  walk->report.rows_before = static_cast<uint64_t>(all_rows(session));
  memset(devices->replaced, 0, devices->capacity);
  each_sums(session, [](Statistics* s) { *s->parts.rows = s->n_rows(); });
  return read_state_sections(file, &section_of(session), 1, walk);
}

Status check_message(const Session& session, const StateFile& file) {
  if (memcmp(file.header().bundle_digest, session.plan->digest, kSha256Bytes) != 0) {
    return failure(EDGECL_E_STATE_MISMATCH,
                   "expected a message of the bundle \"%s\"; found one of another bundle; devices that are merged need "
                   "the same bundle",
                   session.plan->string(session.plan->model->name));
  }
  const bool domains = session.domains.any();
  if (!file.has(domains ? kStateParts : kStateDomainParts)) return Status();
  return failure(EDGECL_E_STATE_MISMATCH,
                 "expected a message of a session %s domains, as this one is; found one %s; make the sessions of all "
                 "devices with max_domains, or all without",
                 domains ? "with" : "without", domains ? "without" : "with");
}

}  // namespace

Status check_delta(const Session& session, bool all) {
  EDGECL_RETURN_IF_FAILED(check_merges(session));
  bool learned = false;
  for (uint32_t c = 0; c < session.head_memory.columns; c++) learned = learned || own_class_rows(session, c) > 0;
  if (devices_of(session)->own->device != 0 || (all && !learned)) return Status();
  return failure(EDGECL_E_SEQUENCE,
                 "expected a session that knows which device it is; found none set; call edgecl_device_set first");
}

uint64_t delta_bytes(const Session& session, bool all) {
  const Delta delta = {&session, all};
  return state_file_bytes(&section_of(session), 1, &delta);
}

void export_delta(const Session& session, bool all, uint8_t* buffer) {
  const Delta delta = {&session, all};
  uint8_t digest[kSha256Bytes];
  write_state_file(kMessageMagic, session.plan->digest, &section_of(session), 1, &delta, buffer, digest);
}

Status merge(Session* session, const uint8_t* bytes, size_t n, MergeReport* report) {
  EDGECL_RETURN_IF_FAILED(check_merges(*session));
  if (devices_of(*session)->capacity == 0) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a session with room for other devices; found head_merges = 0; make it with head_merges = "
                   "how many there are");
  }
  StateFile file;
  EDGECL_RETURN_IF_FAILED(file.open(bytes, n, kMessageMagic));
  EDGECL_RETURN_IF_FAILED(check_message(*session, file));
  Walk walk = {session, false, {}, 0, 0, 0, {}};
  const Status checked = walk_message(file, &walk);
  if (!checked.ok()) {
    end_trials(&session->classes, false);
    return checked;
  }
  const uint32_t n_added = walk.report.n_classes_added;
  walk.apply = true;
  const Status stored = walk_message(file, &walk);
  end_trials(&session->classes, true);
  session->classes.label_kind = walk.label_kind;
  *report = walk.report;
  report->n_classes_added = n_added;
  if (report->n_new + report->n_newer > 0) {  // else nothing changes, not even what an odd state brought along
    report->n_classes_gone = drop_classes_without_rows(session);
    if (session->domains.any()) report->n_domains_gone = drop_domains_without_rows(session);
    sums_changed(session);
  }
  report->rows = static_cast<uint64_t>(all_rows(*session));
  return stored;
}

}  // namespace edgecl
