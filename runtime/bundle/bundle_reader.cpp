// Structure of a bundle: header, section table, digests, the views of a Plan; then the checks in their order.
// Never here: the checks of single fields (validate_*.cpp).
#include "runtime/bundle/bundle_reader.h"

#include <string.h>

#include "runtime/bundle/bundle_format.h"
#include "runtime/bundle/validate.h"
#include "runtime/core/arena.h"
#include "runtime/core/planner.h"
#include "runtime/core/sha256.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "bundles are read in place: a big-endian CPU needs a converting reader"
#endif

namespace edgecl {
namespace {

using format::Header;
using format::SectionRecord;

struct SectionRule {
  char name[12];          // in place: a pointer would be relocated in a shared library
  uint32_t record_bytes;  // 0: any size
  uint32_t min_records, max_records;
  bool required;
  bool later = false;  // a name without contents: as an unknown type
};

// By section type.
const SectionRule kRules[] = {
    {"", 0, 0, 0, false},
    {"STRINGS", 1, 1, 1u << 24, true},
    {"MODEL", sizeof(format::ModelRecord), 1, 1, true},
    {"TENSORS", sizeof(format::TensorRecord), 2, format::kMaxTensors, true},
    {"OPS", sizeof(format::OpRecord), 1, format::kMaxOps, true},
    {"BACKWARD", sizeof(format::BackwardRecord), 0, format::kMaxOps, true},
    {"PARAMS", sizeof(format::ParamRecord), 0, format::kMaxParams, true},
    {"DATA", 0, 0, 0, true},
    {"INPUT", 0, 0, 0, true},
    {"RECIPE", sizeof(format::RecipeRecord), 1, 1, true},
    {"CLASSES", sizeof(format::ClassRecord), 0, format::kMaxClasses, true},
    {"PARITY", sizeof(format::ParityRecord), 1, 1, false},
    {"SIGNATURE", sizeof(format::SignatureRecord), 1, 1, false},
    {"TAPS", sizeof(format::TapRecord), 1, format::kMaxTapRecords, false},
    {"STATISTICS", 0, 0, 0, false, true},
    {"ADAPTORS", 0, 0, 0, false, true},
    {"CANARY", 0, 0, 0, false, true},
    {"NOTES", 1, 2, format::kMaxNotesBytes + 1, false},
    {"EXEMPLARS", 0, 0, 0, false},
    {"ENCODER", 0, 0, 0, false},
    {"SHARED", sizeof(format::SharedRecord), 1, format::kMaxOps, false},
};
constexpr uint32_t kKnownTypes = sizeof kRules / sizeof kRules[0];

struct Section {
  const uint8_t* data = nullptr;
  uint64_t bytes = 0;
};

Status check_header(const Header& header) {
  if (header.magic != format::kMagic) {
    return failure(
        EDGECL_E_BUNDLE_CORRUPT,
        "bundle header, field magic: expected the bytes 'ECL1', found others; this is not a bundle, pass a .ecl file");
  }
  if (header.version != format::kVersion) {
    return failure(EDGECL_E_BUNDLE_VERSION, "bundle header, field version: expected %u, found %u; %s", format::kVersion,
                   header.version,
                   header.version < format::kVersion ? "export the model again" : "use a newer library");
  }
  if (header.file_bytes > format::kMaxBundleBytes) {
    return failure(EDGECL_E_BUNDLE_CORRUPT,
                   "bundle header, field file_bytes: expected at most %llu, found %llu; export a smaller model",
                   u64(format::kMaxBundleBytes), u64(header.file_bytes));
  }
  if (header.n_sections < 1 || header.n_sections > format::kMaxSections) {
    return corrupt("header", format::kNone, "n_sections", "expected 1..%u, found %u", format::kMaxSections,
                   header.n_sections);
  }
  if (header.flags != 0) return corrupt("header", format::kNone, "flags", "expected 0, found %u", header.flags);
  for (uint8_t byte : header.reserved) {
    if (byte != 0) return corrupt("header", format::kNone, "reserved", "expected 0, found %u", byte);
  }
  return Status();
}

const char* section_name(uint32_t type) {
  return type < kKnownTypes ? kRules[type].name : "(unknown)";
}

bool is_known(uint32_t type) {
  return type < kKnownTypes && !kRules[type].later;
}

Status check_section_type(uint32_t i, const SectionRecord& section, uint32_t previous_type) {
  if (section.type == 0 || section.type <= previous_type) {
    return corrupt("table", i, "type", "expected types in ascending order, each once, found %u after %u", section.type,
                   previous_type);
  }
  if ((section.flags & ~format::kSectionOptional) != 0)
    return corrupt("table", i, "flags", "expected only the optional bit, found %u", section.flags);
  for (uint8_t byte : section.reserved) {
    if (byte != 0) return corrupt("table", i, "reserved", "expected 0, found %u", byte);
  }
  if (!is_known(section.type)) {
    if ((section.flags & format::kSectionOptional) != 0) return Status();
    return failure(EDGECL_E_BUNDLE_VERSION,
                   "bundle section table, record %u: expected a section that this library knows, found the required "
                   "type %u, %s; use a newer library",
                   i, section.type, section_name(section.type));
  }
  const SectionRule& rule = kRules[section.type];
  if (rule.record_bytes == 0) return Status();
  const uint64_t n = section.bytes / rule.record_bytes;
  if (section.bytes % rule.record_bytes != 0 || n < rule.min_records || n > rule.max_records) {
    return corrupt(rule.name, format::kNone, "bytes", "expected %u..%u records of %u bytes, found %llu bytes",
                   rule.min_records, rule.max_records, rule.record_bytes, u64(section.bytes));
  }
  return Status();
}

// Places and digests of all sections; fills sections[type].
Status read_table(const uint8_t* bytes, uint64_t n, Section* sections) {
  const Header& header = *reinterpret_cast<const Header*>(bytes);
  const SectionRecord* table = reinterpret_cast<const SectionRecord*>(bytes + sizeof(Header));
  const uint64_t table_bytes = static_cast<uint64_t>(header.n_sections) * sizeof(SectionRecord);
  if (table_bytes > n - sizeof(Header)) {
    return corrupt("header", format::kNone, "n_sections",
                   "expected a table inside the file's %llu bytes, found %u sections", u64(n), header.n_sections);
  }
  uint8_t digest[kSha256Bytes];
  sha256(table, table_bytes, digest);
  if (memcmp(digest, header.table_sha256, sizeof digest) != 0) {
    return corrupt("header", format::kNone, "table_sha256", "expected the digest of the section table, found another");
  }

  uint64_t end = sizeof(Header) + table_bytes;
  uint32_t previous_type = 0;
  for (uint32_t i = 0; i < header.n_sections; i++) {
    const SectionRecord& section = table[i];
    EDGECL_RETURN_IF_FAILED(check_section_type(i, section, previous_type));
    previous_type = section.type;
    const uint64_t begin = (end + format::kAlignment - 1) / format::kAlignment * format::kAlignment;
    if (section.offset != begin)
      return corrupt("table", i, "offset", "expected %llu (no gaps), found %llu", u64(begin), u64(section.offset));
    if (begin > n || section.bytes > n - begin) {
      return corrupt("table", i, "bytes", "expected at most the %llu bytes left in the file, found %llu",
                     u64(begin > n ? 0 : n - begin), u64(section.bytes));
    }
    for (uint64_t p = end; p < begin; p++) {
      if (bytes[p] != 0)
        return corrupt("table", i, "offset", "expected zero bytes before the section, found %u at %llu", bytes[p],
                       u64(p));
    }
    sha256(bytes + begin, static_cast<size_t>(section.bytes), digest);
    if (memcmp(digest, section.sha256, sizeof digest) != 0) {
      return corrupt(section_name(section.type), format::kNone, "sha256",
                     "expected the digest of its %llu bytes, found another (damaged file)", u64(section.bytes));
    }
    if (is_known(section.type)) sections[section.type] = {bytes + begin, section.bytes};
    end = begin + section.bytes;
  }
  if (end != n)
    return corrupt("header", format::kNone, "file_bytes", "expected the end of the last section (%llu), found %llu",
                   u64(end), u64(n));
  for (uint32_t type = 1; type < kKnownTypes; type++) {
    if (kRules[type].required && sections[type].data == nullptr) {
      return corrupt("table", format::kNone, "type", "expected a section %s, found none", kRules[type].name);
    }
  }
  return Status();
}

// Names the bundle: what its sections say and which they are, but not where they lie, and nothing of a signature. So
// signing a bundle changes neither its name nor the states that belong to it.
void content_digest(const uint8_t* bytes, uint8_t digest[kSha256Bytes]) {
  const Header& header = *reinterpret_cast<const Header*>(bytes);
  const SectionRecord* table = reinterpret_cast<const SectionRecord*>(bytes + sizeof(Header));
  Sha256 sha;
  sha.update(&header.magic, sizeof header.magic);
  sha.update(&header.version, sizeof header.version);
  for (uint32_t i = 0; i < header.n_sections; i++) {
    if (table[i].type == format::kSectionSignature) continue;
    format::DigestedSection section = {table[i].type, table[i].flags, table[i].bytes, {}};
    memcpy(section.sha256, table[i].sha256, sizeof section.sha256);
    sha.update(&section, sizeof section);
  }
  sha.finish(digest);
}

template <class T>
View<T> records(const Section& section) {
  View<T> view;
  view.data = reinterpret_cast<const T*>(section.data);
  view.n = static_cast<uint32_t>(section.bytes / sizeof(T));
  return view;
}

Status view_input(const Section& section, const Plan& plan, Plan* out) {
  const uint64_t channels = plan.tensors[0].channels;
  const uint64_t expected = sizeof(format::InputRecord) + channels * 2 * sizeof(float) + format::kReadSlackBytes;
  if (section.bytes != expected) {
    return corrupt("INPUT", format::kNone, "bytes", "expected %llu for %llu channels, found %llu", u64(expected),
                   u64(channels), u64(section.bytes));
  }
  out->input = reinterpret_cast<const format::InputRecord*>(section.data);
  if (out->input->n_mean != channels) {
    return corrupt("INPUT", format::kNone, "n_mean", "expected %llu, the channels of tensor 0, found %u", u64(channels),
                   out->input->n_mean);
  }
  out->input_mean = reinterpret_cast<const float*>(section.data + sizeof(format::InputRecord));
  out->input_inv_std = out->input_mean + channels;
  return Status();
}

// The order matters: each check may rely on those before it.
Status validate(const Plan& plan, const SectionSizes& sizes, const CheckScratch& scratch) {
  EDGECL_RETURN_IF_FAILED(validate_strings(plan, sizes));
  EDGECL_RETURN_IF_FAILED(validate_reserved(plan));
  EDGECL_RETURN_IF_FAILED(validate_elements(plan, sizes));
  EDGECL_RETURN_IF_FAILED(validate_params(plan, sizes));
  EDGECL_RETURN_IF_FAILED(validate_ops(plan, scratch));
  EDGECL_RETURN_IF_FAILED(validate_model(plan));
  EDGECL_RETURN_IF_FAILED(validate_extras(plan));
  EDGECL_RETURN_IF_FAILED(validate_use(plan, scratch));
  EDGECL_RETURN_IF_FAILED(validate_input(plan));
  EDGECL_RETURN_IF_FAILED(validate_recipe(plan));
  EDGECL_RETURN_IF_FAILED(validate_classes(plan));
  EDGECL_RETURN_IF_FAILED(validate_parity(plan));
  EDGECL_RETURN_IF_FAILED(validate_backward(plan, scratch));
  EDGECL_RETURN_IF_FAILED(validate_shared(plan, scratch));
  EDGECL_RETURN_IF_FAILED(validate_counts(plan));
  return check_offsets(plan, scratch);
}

}  // namespace

Status peek_bundle(const void* bytes, size_t n, uint32_t* format_version, uint64_t* file_bytes) {
  if (n < sizeof(Header)) {
    return failure(EDGECL_E_BUNDLE_CORRUPT, "bundle header: expected %zu bytes, found %zu; pass the whole file",
                   sizeof(Header), n);
  }
  Header header;
  memcpy(&header, bytes, sizeof header);
  EDGECL_RETURN_IF_FAILED(check_header(header));
  *format_version = header.version;
  *file_bytes = header.file_bytes;
  return Status();
}

Status bundle_scratch_bytes(const void* bytes, size_t n, size_t* scratch_bytes) {
  uint32_t version = 0;
  uint64_t file_bytes = 0;
  EDGECL_RETURN_IF_FAILED(peek_bundle(bytes, n, &version, &file_bytes));
  Header header;
  memcpy(&header, bytes, sizeof header);
  const uint32_t n_sections = header.n_sections;
  if (n_sections * sizeof(SectionRecord) > n - sizeof(Header)) {
    return corrupt("header", format::kNone, "n_sections",
                   "expected a table inside the %llu bytes given, found %u sections", u64(n), n_sections);
  }
  // Nothing is proven yet: counts above their limits are refused by read_bundle, here they only must not grow a block.
  auto count = [&](uint32_t type) -> uint32_t {
    const uint8_t* table = static_cast<const uint8_t*>(bytes) + sizeof(Header);
    for (uint32_t i = 0; i < n_sections; i++) {
      SectionRecord section;
      memcpy(&section, table + i * sizeof section, sizeof section);
      if (section.type != type) continue;
      const uint64_t records = section.bytes / kRules[type].record_bytes;
      return records < kRules[type].max_records ? static_cast<uint32_t>(records) : kRules[type].max_records;
    }
    return 0;
  };
  Arena measuring;
  take_check_scratch(&measuring, count(format::kSectionTensors), count(format::kSectionParams));
  *scratch_bytes = measuring.used() > 0 ? measuring.used() : kArenaAlignment;
  return Status();
}

Status read_bundle(const void* bytes, size_t n, void* scratch, size_t scratch_bytes, Plan* plan) {
  if (reinterpret_cast<uintptr_t>(bytes) % format::kAlignment != 0) {
    return failure(
        EDGECL_E_ARGUMENT,
        "bundle bytes: expected an address that is a multiple of 64, found another; copy them to aligned memory");
  }
  Plan view;
  uint64_t file_bytes = 0;
  EDGECL_RETURN_IF_FAILED(peek_bundle(bytes, n, &view.format_version, &file_bytes));
  if (file_bytes != n) {
    return corrupt("header", format::kNone, "file_bytes",
                   "expected the %llu bytes given, found %llu (cut off or padded file)", u64(n), u64(file_bytes));
  }
  view.bytes = static_cast<const uint8_t*>(bytes);
  view.n_bytes = n;
  Section sections[kKnownTypes];
  EDGECL_RETURN_IF_FAILED(read_table(view.bytes, n, sections));
  content_digest(view.bytes, view.digest);

  view.strings = reinterpret_cast<const char*>(sections[format::kSectionStrings].data);
  view.model = records<format::ModelRecord>(sections[format::kSectionModel]).data;
  view.tensors = records<format::TensorRecord>(sections[format::kSectionTensors]);
  view.ops = records<format::OpRecord>(sections[format::kSectionOps]);
  view.backward = records<format::BackwardRecord>(sections[format::kSectionBackward]);
  view.shared = records<format::SharedRecord>(sections[format::kSectionShared]);
  view.params = records<format::ParamRecord>(sections[format::kSectionParams]);
  view.data_section = sections[format::kSectionData].data;
  view.recipe = records<format::RecipeRecord>(sections[format::kSectionRecipe]).data;
  view.classes = records<format::ClassRecord>(sections[format::kSectionClasses]);
  view.parity = records<format::ParityRecord>(sections[format::kSectionParity]).data;
  view.signature = records<format::SignatureRecord>(sections[format::kSectionSignature]).data;
  view.taps = records<format::TapRecord>(sections[format::kSectionTaps]);
  const Section& notes = sections[format::kSectionNotes];
  if (notes.data != nullptr) {
    EDGECL_RETURN_IF_FAILED(validate_notes(notes.data, notes.bytes));
    view.notes = reinterpret_cast<const char*>(notes.data);
  }
  EDGECL_RETURN_IF_FAILED(validate_tensors(view));  // tensor 0 says how large INPUT is
  EDGECL_RETURN_IF_FAILED(view_input(sections[format::kSectionInput], view, &view));
  Arena arena(scratch, scratch_bytes);
  const CheckScratch checks = take_check_scratch(&arena, view.tensors.n, view.params.n);
  if (arena.measuring() || arena.exhausted()) {
    return failure(EDGECL_E_ARENA_TOO_SMALL,
                   "expected more scratch memory for the checks; found %zu bytes; take as much "
                   "as bundle_scratch_bytes says",
                   scratch_bytes);
  }
  EDGECL_RETURN_IF_FAILED(
      validate(view, {sections[format::kSectionStrings].bytes, sections[format::kSectionData].bytes}, checks));
  const Section& exemplars = sections[format::kSectionExemplars];
  if (exemplars.data != nullptr)
    EDGECL_RETURN_IF_FAILED(validate_exemplars(exemplars.data, exemplars.bytes, view, &view.exemplars));
  const Section& encoder = sections[format::kSectionEncoder];
  if (encoder.data != nullptr)
    EDGECL_RETURN_IF_FAILED(validate_encoder(encoder.data, encoder.bytes, view, &view.external));
  find_border(&view, checks.lifetimes);
  *plan = view;
  return Status();
}

}  // namespace edgecl
