// The files of bundles and states as a fuzzer changes them: sections taken apart and put together, digests made good.
// Never here: what sections mean.
#ifndef EDGECL_TESTS_FUZZ_FUZZ_FORMATS_H_
#define EDGECL_TESTS_FUZZ_FUZZ_FORMATS_H_

#include "runtime/bundle/bundle_format.h"
#include "runtime/core/sha256.h"
#include "runtime/state/state_file.h"
#include "tests/fuzz/fuzz_common.h"

namespace edgecl_fuzz {

namespace format = edgecl::format;

// The section table of a bundle, or null when the bytes have none.
inline format::SectionRecord* bundle_table(uint8_t* bytes, size_t n, uint32_t* n_sections) {
  if (n < sizeof(format::Header)) return nullptr;
  format::Header header;
  memcpy(&header, bytes, sizeof header);
  if (header.n_sections < 1 || header.n_sections > (n - sizeof header) / sizeof(format::SectionRecord)) return nullptr;
  *n_sections = header.n_sections;
  return reinterpret_cast<format::SectionRecord*>(bytes + sizeof header);
}

// Magic, version and digests of a bundle made good, as far as its table lets us find the sections. `bytes` is aligned.
inline void repair_bundle(uint8_t* bytes, size_t n) {
  uint32_t n_sections = 0;
  format::SectionRecord* table = bundle_table(bytes, n, &n_sections);
  if (table == nullptr) return;
  for (uint32_t i = 0; i < n_sections; i++) {
    if (table[i].offset <= n && table[i].bytes <= n - table[i].offset)
      edgecl::sha256(bytes + table[i].offset, static_cast<size_t>(table[i].bytes), table[i].sha256);
  }
  format::Header* header = reinterpret_cast<format::Header*>(bytes);
  edgecl::sha256(table, n_sections * sizeof *table, header->table_sha256);
}

struct BundleSection {
  uint32_t type, flags;
  std::vector<uint8_t> bytes;
};

// Empty when the bytes are no bundle.
inline std::vector<BundleSection> take_apart(uint8_t* bytes, size_t n) {
  std::vector<BundleSection> sections;
  uint32_t n_sections = 0;
  const format::SectionRecord* table = bundle_table(bytes, n, &n_sections);
  for (uint32_t i = 0; table != nullptr && i < n_sections; i++) {
    format::SectionRecord record;
    memcpy(&record, bytes + sizeof(format::Header) + i * sizeof record, sizeof record);
    if (record.offset > n || record.bytes > n - record.offset) return {};
    const uint8_t* begin = bytes + record.offset;
    sections.push_back({record.type, record.flags, std::vector<uint8_t>(begin, begin + record.bytes)});
  }
  return sections;
}

// A bundle of these sections, without digests. Empty when it would be longer than `most`.
inline std::vector<uint8_t> put_together(const std::vector<BundleSection>& sections, size_t most) {
  format::Header header = {};
  header.magic = format::kMagic;
  header.version = format::kVersion;
  header.n_sections = static_cast<uint32_t>(sections.size());
  std::vector<uint8_t> out(sizeof header + sections.size() * sizeof(format::SectionRecord));
  for (size_t i = 0; i < sections.size(); i++) {
    out.resize((out.size() + 63) / 64 * 64);
    format::SectionRecord record = {};
    record.type = sections[i].type;
    record.flags = sections[i].flags;
    record.offset = out.size();
    record.bytes = sections[i].bytes.size();
    memcpy(out.data() + sizeof header + i * sizeof record, &record, sizeof record);
    out.insert(out.end(), sections[i].bytes.begin(), sections[i].bytes.end());
    if (out.size() > most) return {};
  }
  header.file_bytes = out.size();
  memcpy(out.data(), &header, sizeof header);
  return out;
}

// --- states ---

// Number of sections of a state, or 0 when the bytes have no table.
inline uint32_t state_sections(const uint8_t* bytes, size_t n) {
  edgecl::StateHeader header;
  if (n < sizeof header) return 0;
  memcpy(&header, bytes, sizeof header);
  if (header.n_sections > 1024 || edgecl::state_frame_bytes(header.n_sections) > n) return 0;
  return header.n_sections;
}

// Digests of a state made good, as far as its table lets us find the sections; it belongs to `bundle_digest` then.
inline void repair_state(uint8_t* bytes, size_t n, const uint8_t* bundle_digest) {
  const uint32_t n_sections = state_sections(bytes, n);
  if (n < edgecl::state_frame_bytes(0)) return;
  memcpy(bytes + offsetof(edgecl::StateHeader, bundle_digest), bundle_digest, edgecl::kSha256Bytes);
  for (uint32_t i = 0; i < n_sections; i++) {
    edgecl::StateEntry entry;
    uint8_t* at = bytes + sizeof(edgecl::StateHeader) + i * sizeof entry;
    memcpy(&entry, at, sizeof entry);
    if (entry.offset <= n && entry.bytes <= n - entry.offset)
      edgecl::sha256(bytes + entry.offset, static_cast<size_t>(entry.bytes), entry.sha256);
    memcpy(at, &entry, sizeof entry);
  }
  const size_t frame = static_cast<size_t>(edgecl::state_frame_bytes(n_sections)) - edgecl::kSha256Bytes;
  edgecl::sha256(bytes, frame, bytes + n - edgecl::kSha256Bytes);
}

struct StatePart {
  uint32_t id, version, flags;
  std::vector<uint8_t> bytes;
};

inline std::vector<StatePart> take_state_apart(const uint8_t* bytes, size_t n) {
  std::vector<StatePart> parts;
  const uint32_t n_sections = state_sections(bytes, n);
  for (uint32_t i = 0; i < n_sections; i++) {
    edgecl::StateEntry entry;
    memcpy(&entry, bytes + sizeof(edgecl::StateHeader) + i * sizeof entry, sizeof entry);
    if (entry.offset > n || entry.bytes > n - entry.offset) return {};
    parts.push_back({entry.id, entry.version, entry.flags,
                     std::vector<uint8_t>(bytes + entry.offset, bytes + entry.offset + entry.bytes)});
  }
  return parts;
}

// A state of these sections, without digests.
inline std::vector<uint8_t> put_state_together(const std::vector<StatePart>& parts) {
  const uint32_t n = static_cast<uint32_t>(parts.size());
  edgecl::StateHeader header = {};
  header.magic = edgecl::kStateMagic;
  header.version = edgecl::kStateVersion;
  header.n_sections = n;
  std::vector<uint8_t> out(static_cast<size_t>(edgecl::state_frame_bytes(n)) - edgecl::kSha256Bytes);
  for (uint32_t i = 0; i < n; i++) {
    edgecl::StateEntry entry = {};
    entry.id = parts[i].id;
    entry.version = parts[i].version;
    entry.flags = parts[i].flags;
    entry.offset = out.size();
    entry.bytes = parts[i].bytes.size();
    memcpy(out.data() + sizeof header + i * sizeof entry, &entry, sizeof entry);
    out.insert(out.end(), parts[i].bytes.begin(), parts[i].bytes.end());
  }
  out.resize(out.size() + edgecl::kSha256Bytes);
  header.total_bytes = out.size();
  memcpy(out.data(), &header, sizeof header);
  return out;
}

// Bytes of a record of each section type of a bundle; 1 for free bytes.
inline size_t record_bytes(uint32_t type) {
  switch (type) {
    case format::kSectionModel:
      return sizeof(format::ModelRecord);
    case format::kSectionTensors:
      return sizeof(format::TensorRecord);
    case format::kSectionOps:
      return sizeof(format::OpRecord);
    case format::kSectionBackward:
      return sizeof(format::BackwardRecord);
    case format::kSectionParams:
      return sizeof(format::ParamRecord);
    case format::kSectionRecipe:
      return sizeof(format::RecipeRecord);
    case format::kSectionClasses:
      return sizeof(format::ClassRecord);
    case format::kSectionTaps:
      return sizeof(format::TapRecord);
    default:
      return 1;
  }
}

}  // namespace edgecl_fuzz

#endif  // EDGECL_TESTS_FUZZ_FUZZ_FORMATS_H_
