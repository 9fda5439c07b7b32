// Messages out and in, and which device a session is.
// Never here: sums (heads/parts.cpp), how a part is written (part_record.cpp).
#include "runtime/learn/merge.h"

#include <string.h>

#include "runtime/core/recipe.h"
#include "runtime/core/text.h"
#include "runtime/heads/statistics_head.h"

namespace edgecl {
namespace {

Statistics* statistics_of(const Session& session) {
  return &session.head_memory.own->statistics;
}

Status check_merges(const Session& session) {
  if (session.domains.any()) {
    return failure(
        EDGECL_E_UNSUPPORTED,
        "expected a session without domains, which are not merged yet; found max_domains = %u; make one with "
        "max_domains = 0",
        session.domains.capacity);
  }
  if (session.head_memory.own != nullptr && !session.config.predict_only) return Status();
  return failure(EDGECL_E_UNSUPPORTED,
                 "expected a session that learns with a head that keeps statistics (ncm, ncm_distance, lda, ridge, "
                 "fecam); "
                 "found %s; weights that gradients trained cannot be merged exactly, and are not averaged",
                 session.config.predict_only ? "predict_only = 1" : "a head that learns by gradients");
}

Status check_room_for_devices(const Statistics& s, uint32_t n) {
  if (n <= s.parts.capacity) return Status();
  return failure(EDGECL_E_CAPACITY,
                 "expected at most head_merges = %u other devices; found one more; make the session with a larger "
                 "head_merges, or take a device out by edgecl_unmerge",
                 s.parts.capacity);
}

// Negative where square roots of the features were counted.
float scale_of(const Statistics& s) {
  return s.size.roots ? -s.scale : s.scale;
}

// --- messages out ---

struct Delta {
  const Session* session;
  bool all;
};

void write_parts(SectionWriter* out, const void* owner) {
  const Delta& delta = *static_cast<const Delta*>(owner);
  const Session& session = *delta.session;
  const Statistics& s = *statistics_of(session);
  const bool own = s.parts.own->version > 0;
  out->u32(session.config.head);
  out->u32(s.size.dim);
  const float scale = scale_of(s);
  out->floats(&scale, 1);
  out->u32(session.classes.label_kind);
  out->list((delta.all ? s.parts.fill : 0) + own);
  if (!delta.all) {
    if (own) write_part(out, session, kNoPart, true);
    return;
  }
  uint64_t previous = 0;
  for (uint32_t part; next_device(s, true, previous, &part);) {
    write_part(out, session, part, true);
    previous = part == kNoPart ? s.parts.own->device : s.parts.ids[part].device;
  }
}

// --- messages in ---

// One walk over a message: first to check everything, with classes that come on trial; then to store.
struct Walk {
  Session* session;
  bool apply;
  MergeReport report;
  uint32_t n_devices;   // of others, with the new ones
  int64_t rows;         // of all devices, with the new ones
  uint32_t label_kind;  // that fits the names of both sides
};

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
  const Statistics& s = *statistics_of(session);
  const uint32_t head = in->u32(), dim = in->u32();
  float scale = 0;
  const bool sound_scale = in->floats(1, kQuantizedLimit * 1e9f, &scale);
  const uint32_t label_kind = in->u32();
  walk->report.n_parts = in->list();
  if (in->failed() || !sound_scale || head >= kHeads || head_kind(head)->readout == nullptr)
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
  if (dim != s.size.dim) return in->corrupt("features of another number");
  return join_label_kinds(in, session.classes.label_kind, label_kind, &walk->label_kind);
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

// The part's classes and moments. `part`: where they go, or with what they are compared (kNoPart: own sums).
Status read_part_body(SectionReader* in, Walk* walk, const PartHead& head, Fate fate, uint32_t part) {
  Statistics* const s = statistics_of(*walk->session);
  const bool store = fate == Fate::kTake && walk->apply;
  const uint64_t triangle_bytes = triangle_entries(s->size.dim) * sizeof(int64_t);
  const bool of_classes = s->size.moments == Moments::kOfClasses, shared = s->size.moments == Moments::kShared;
  bool same = true;
  if (fate != Fate::kSkip) memset(s->parts.marks, 0, s->size.columns);
  uint32_t label = 0;
  for (uint32_t k = 0; k < head.n_classes; k++, label++) {
    const uint32_t n_name = in->u32();
    const uint8_t* const name = in->bytes(n_name);
    ClassCounts counts;
    EDGECL_RETURN_IF_FAILED(read_part_counts(in, &counts));
    const uint8_t* const sums = in->bytes(s->size.dim * sizeof(int64_t));
    SectionReader triangle = *in;
    const uint8_t* const moments = of_classes ? in->bytes(triangle_bytes) : sums;
    if (name == nullptr || sums == nullptr || moments == nullptr) return in->corrupt("a truncated class");
    if (fate == Fate::kSkip) continue;
    EDGECL_RETURN_IF_FAILED(find_or_try(in, walk, name, n_name, fate == Fate::kTake, &label));
    if (s->parts.marks[label]++ != 0) return in->corrupt("a class twice");
    if (fate == Fate::kTake) {
      walk->rows += counts.n;
      if (!store) continue;
      set_part_class(part, label, counts, s);
      for (uint32_t i = 0; i < s->size.dim; i++) set_part_sum(part, label, i, number_at(sums, i), s);
      if (of_classes) EDGECL_RETURN_IF_FAILED(read_part_moments(&triangle, part, label, s));
      continue;
    }
    same = same && same_counts(counts, part_counts(*s, part, label));
    for (uint32_t i = 0; same && i < s->size.dim; i++) same = number_at(sums, i) == part_sum(*s, part, label, i);
    same = same && (!of_classes || same_moments(moments, *s, part, label));
  }
  if (fate == Fate::kTake) return shared ? read_part_moments(in, store ? part : kNoPart, 0, s) : Status();
  const uint8_t* const moments = shared ? in->bytes(triangle_bytes) : nullptr;
  if (shared && moments == nullptr) return in->corrupt("truncated second moments");
  if (fate == Fate::kSkip) return Status();
  same = same && head.n_classes == part_classes(*s, part);
  same = same && (!shared || same_moments(moments, *s, part, 0));
  return same ? Status() : same_number();
}

Status read_part(SectionReader* in, Walk* walk, uint64_t* previous) {
  Statistics* const s = statistics_of(*walk->session);
  PartHead head;
  EDGECL_RETURN_IF_FAILED(read_part_head(in, *previous, &head));
  *previous = head.device;
  const DeviceVersion& own = *s->parts.own;
  const bool is_own = head.device == own.device;
  uint32_t part = is_own ? kNoPart : find_part(*s, head.device);
  const uint64_t known = is_own ? own.version : part != kNoPart ? s->parts.ids[part].version : 0;
  if (is_own && head.version > known) {
    return failure(EDGECL_E_STATE_MISMATCH,
                   "expected nothing newer of this device than version %llu, which it is at; found %llu: it went on "
                   "from an older state, or another device has its number; give it a new number by edgecl_device_set",
                   static_cast<unsigned long long>(known), static_cast<unsigned long long>(head.version));
  }
  if (head.version <= known) {
    walk->report.n_known++;
    const bool compare = head.version == known && !walk->apply;
    return read_part_body(in, walk, head, compare ? Fate::kCompare : Fate::kSkip, part);
  }
  const bool is_new = part == kNoPart;
  (is_new ? walk->report.n_new : walk->report.n_newer)++;
  if (is_new) {
    EDGECL_RETURN_IF_FAILED(check_room_for_devices(*s, ++walk->n_devices));
  } else {
    walk->rows -= part_rows(*s, part);
  }
  if (walk->apply) {
    if (is_new) {
      part = new_part(head.device, s);
    } else {
      add_part(part, true, s);
      empty_part(part, s);
    }
  }
  EDGECL_RETURN_IF_FAILED(read_part_body(in, walk, head, Fate::kTake, part));
  if (!walk->apply) return Status();
  s->parts.ids[part].version = head.version;
  add_part(part, false, s);
  return Status();
}

Status read_parts(SectionReader* in, void* import) {
  Walk* const walk = static_cast<Walk*>(import);
  EDGECL_RETURN_IF_FAILED(read_kind(in, walk));
  uint64_t previous = 0;
  for (uint32_t k = 0; k < walk->report.n_parts; k++) EDGECL_RETURN_IF_FAILED(read_part(in, walk, &previous));
  if (walk->rows <= kMaxStatisticRows) return Status();
  return failure(EDGECL_E_CAPACITY,
                 "expected at most %lld rows in the statistics of a head; found more with those of the message; merge "
                 "fewer devices",
                 static_cast<long long>(kMaxStatisticRows));
}

constexpr StateSection kParts = {kStateParts, 1, 0, write_parts, read_parts};

Status walk_message(const StateFile& file, Walk* walk) {
  const Statistics& s = *statistics_of(*walk->session);
  walk->report = MergeReport();
  walk->n_devices = s.parts.fill;
  walk->rows = s.n_rows();
  walk->report.rows_before = static_cast<uint64_t>(walk->rows);
  return read_state_sections(file, &kParts, 1, walk);
}

// Classes that only other devices' rows made, and that have none any more.
uint32_t drop_classes_without_rows(Session* session) {
  const Statistics& s = *statistics_of(*session);
  uint32_t n = 0;
  for (uint32_t label = 0; label < session->classes.capacity; label++) {
    if (!session->classes.present[label] || session->classes.entries[label].merged == kOwnClass) continue;
    if (s.classes[label].n > 0) continue;
    class_drop(&session->classes, label);
    n++;
  }
  return n;
}

bool is_shipped(const Plan& plan, uint32_t label) {
  for (const format::ClassRecord& record : plan.classes) {
    if (record.label == label) return true;
  }
  return false;
}

// Which classes go with the last row of other devices, now that own rows are another device's.
void sort_classes(Session* session) {
  const Statistics& s = *statistics_of(*session);
  for (uint32_t label = 0; label < session->classes.capacity; label++) {
    if (!session->classes.present[label] || s.classes[label].n == 0 || is_shipped(*session->plan, label)) continue;
    session->classes.entries[label].merged = own_rows(s, label) > 0 ? kOwnClass : kMergedClass;
  }
}

// What was made of the sums is made anew.
void sums_changed(Session* session) {
  session->step.stage = Stage::kIdle;
  statistics_head::merged(session->head_memory);
  novelty_stale(session->novelty);
}

}  // namespace

Status set_device(Session* session, uint64_t device, uint64_t least_version) {
  EDGECL_RETURN_IF_FAILED(check_merges(*session));
  if (device == 0) {
    return failure(EDGECL_E_ARGUMENT, "expected the number of a device, at least 1; found 0; give each device its own");
  }
  Statistics* const s = statistics_of(*session);
  DeviceVersion* const own = s->parts.own;
  if (own->device != device) {
    uint32_t part = find_part(*s, device);
    const uint64_t version = part != kNoPart ? s->parts.ids[part].version : 0;
    if (own->version > 0) {  // what was learned so far is another device's from now on
      if (part == kNoPart) {
        EDGECL_RETURN_IF_FAILED(check_room_for_devices(*s, s->parts.fill + 1));
        part = new_part(own->device, s);
      }
      swap_own(part, s);
      s->parts.ids[part] = {own->device, own->version, 0};
      clear_bank(s);
      *own = {device, version, 0};
    } else {  // what has no device, and what was known of this one
      bool learned = false;
      for (uint32_t c = 0; c < s->size.columns && !learned; c++) learned = own_rows(*s, c) > 0;
      if (part != kNoPart) release_part(part, s);
      *own = {device, version, least_version};
      if (learned) next_version(s);
    }
    sort_classes(session);
    novelty_stale(session->novelty);
  }
  if (own->least < least_version) own->least = least_version;
  return Status();
}

Status check_delta(const Session& session, bool all) {
  EDGECL_RETURN_IF_FAILED(check_merges(session));
  const Statistics& s = *statistics_of(session);
  if (s.parts.own->device != 0 || (all && part_rows(s, kNoPart) == 0)) return Status();
  return failure(EDGECL_E_SEQUENCE,
                 "expected a session that knows which device it is; found none set; call edgecl_device_set first");
}

uint64_t delta_bytes(const Session& session, bool all) {
  const Delta delta = {&session, all};
  return state_file_bytes(&kParts, 1, &delta);
}

void export_delta(const Session& session, bool all, uint8_t* buffer) {
  const Delta delta = {&session, all};
  uint8_t digest[kSha256Bytes];
  write_state_file(kMessageMagic, session.plan->digest, &kParts, 1, &delta, buffer, digest);
}

Status merge(Session* session, const uint8_t* bytes, size_t n, MergeReport* report) {
  EDGECL_RETURN_IF_FAILED(check_merges(*session));
  Statistics* const s = statistics_of(*session);
  if (s->parts.capacity == 0) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a session with room for other devices; found head_merges = 0; make it with head_merges = "
                   "how many there are");
  }
  StateFile file;
  EDGECL_RETURN_IF_FAILED(file.open(bytes, n, kMessageMagic));
  if (memcmp(file.header().bundle_digest, session->plan->digest, kSha256Bytes) != 0) {
    return failure(EDGECL_E_STATE_MISMATCH,
                   "expected a message of the bundle \"%s\"; found one of another bundle; devices that are merged need "
                   "the same bundle",
                   session->plan->string(session->plan->model->name));
  }
  Walk walk = {session, false, {}, 0, 0, 0};
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
    sums_changed(session);
  }
  report->rows = static_cast<uint64_t>(s->n_rows());
  return stored;
}

Status unmerge(Session* session, uint64_t device) {
  EDGECL_RETURN_IF_FAILED(check_merges(*session));
  Statistics* const s = statistics_of(*session);
  const uint32_t part = find_part(*s, device);
  if (part == kNoPart) {
    return failure(EDGECL_E_NOT_FOUND,
                   "expected a device that was merged; found %llu, which was not; ask edgecl_device_describe",
                   static_cast<unsigned long long>(device));
  }
  drop_part(part, s);
  drop_classes_without_rows(session);
  sums_changed(session);
  return Status();
}

uint32_t n_devices(const Session& session) {
  const bool merges = session.head_memory.own != nullptr && !session.domains.any();
  return merges ? 1 + statistics_of(session)->parts.fill : 0;
}

DeviceSummary device_summary(const Session& session, uint32_t index) {
  const Statistics& s = *statistics_of(session);
  const uint32_t part = index == 0 ? kNoPart : index - 1;
  const DeviceVersion& id = index == 0 ? *s.parts.own : s.parts.ids[part];
  return {id.device, id.version, static_cast<uint64_t>(part_rows(s, part)), part_classes(s, part)};
}

}  // namespace edgecl
