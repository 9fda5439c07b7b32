// The frame of a state: header, table, digests.
// Never here: contents of sections.
#include "runtime/state/state_file.h"

#include <string.h>

namespace edgecl {
namespace {

constexpr char kNames[][16] = {"(unknown)", "CONFIG",   "COUNTERS",       "PARAMS",      "STATISTICS", "CLASSES",
                               "REPLAY",    "SPARSITY", "HEAD",           "NOVELTY",     "DEVICES",    "PARTS",
                               "DOMAINS",   "DRIFT",    "DOMAIN_DEVICES", "DOMAIN_PARTS"};

Status damaged(uint32_t magic, const char* what) {
  if (magic == kMessageMagic) {
    return failure(EDGECL_E_STATE_CORRUPT,
                   "expected a whole message, as edgecl_delta_export wrote it; found %s; have it sent again", what);
  }
  return failure(EDGECL_E_STATE_CORRUPT,
                 "expected a whole state, as edgecl_state_export wrote it; found %s; restore the file from a copy",
                 what);
}

}  // namespace

const char* state_section_name(uint32_t id) {
  return kNames[id < sizeof kNames / sizeof kNames[0] ? id : 0];
}

uint64_t state_file_bytes(const StateSection* sections, uint32_t n, const void* owner) {
  SectionWriter count;
  for (uint32_t i = 0; i < n; i++) sections[i].write(&count, owner);
  return state_frame_bytes(n) + count.n_bytes();
}

void write_state_file(uint32_t magic, const uint8_t bundle_digest[kSha256Bytes], const StateSection* sections,
                      uint32_t n, const void* owner, uint8_t* buffer, uint8_t digest[kSha256Bytes]) {
  StateHeader header = {magic, kStateVersion, state_file_bytes(sections, n, owner), {}, n, {}};
  memcpy(header.bundle_digest, bundle_digest, kSha256Bytes);
  Sha256 frame, sha;
  SectionWriter out(&frame, buffer);
  out.bytes(&header, sizeof header);
  uint64_t end = state_frame_bytes(n) - kSha256Bytes;
  for (uint32_t i = 0; i < n; i++) {
    SectionWriter contents(&sha, buffer != nullptr ? buffer + end : nullptr);
    sections[i].write(&contents, owner);
    StateEntry entry = {sections[i].id, sections[i].version, sections[i].flags, 0, end, contents.n_bytes(), {}};
    sha.finish(entry.sha256);
    out.bytes(&entry, sizeof entry);
    end += entry.bytes;
  }
  frame.finish(digest);
  if (buffer != nullptr) memcpy(buffer + end, digest, kSha256Bytes);
}

StateEntry StateFile::entry(uint32_t i) const {
  StateEntry entry;
  memcpy(&entry, bytes_ + sizeof(StateHeader) + i * sizeof entry, sizeof entry);
  return entry;
}

bool StateFile::has(uint32_t id) const {
  for (uint32_t i = 0; i < header_.n_sections; i++) {
    if (entry(i).id == id) return true;
  }
  return false;
}

SectionReader StateFile::reader(const StateEntry& entry) const {
  return SectionReader(state_section_name(entry.id), bytes_ + entry.offset, entry.bytes);
}

Status StateFile::open(const uint8_t* bytes, size_t n, uint32_t magic) {
  const auto damaged = [magic](const char* what) { return edgecl::damaged(magic, what); };
  bytes_ = bytes;
  if (n < state_frame_bytes(0)) return damaged("too few bytes");
  memcpy(&header_, bytes, sizeof header_);
  const bool ours = header_.magic == magic;
  if (!ours && (magic != kStateMagic || header_.magic != kStateMagicV1)) {
    if (header_.magic == kStateMagic) return damaged("a state");
    if (header_.magic == kMessageMagic) return damaged("a message to merge");
    return damaged(magic == kStateMagic ? "bytes that do not begin with ECS2" : "bytes that do not begin with ECM2");
  }
  if (!ours || header_.version != kStateVersion) {
    return failure(EDGECL_E_STATE_MISMATCH, "expected a state of format version %u; found %u; %s", kStateVersion,
                   header_.version, ours && header_.version > kStateVersion ? "use a newer library" : "learn it again");
  }
  if (header_.total_bytes != n) return damaged("another length than it says");
  const uint32_t n_sections = header_.n_sections;
  if (n_sections > kMaxStateSections || state_frame_bytes(n_sections) > n ||
      (header_.reserved[0] | header_.reserved[1] | header_.reserved[2]) != 0) {
    return damaged("a bad header");
  }
  uint8_t digest[kSha256Bytes];
  uint64_t end = state_frame_bytes(n_sections) - kSha256Bytes;
  sha256(bytes, static_cast<size_t>(end), digest);
  if (memcmp(digest, bytes + n - kSha256Bytes, kSha256Bytes) != 0) return damaged("a header of another SHA-256");
  uint32_t previous = 0;
  for (uint32_t i = 0; i < n_sections; i++) {
    const StateEntry section = entry(i);
    if (section.id <= previous || section.flags > kStateOptional || section.reserved != 0 || section.offset != end ||
        section.bytes > n - kSha256Bytes - end) {
      return damaged("a bad table of sections");
    }
    sha256(bytes + end, static_cast<size_t>(section.bytes), digest);
    if (memcmp(digest, section.sha256, kSha256Bytes) != 0) return reader(section).corrupt("another SHA-256");
    previous = section.id;
    end += section.bytes;
  }
  return end == n - kSha256Bytes ? Status() : damaged("bytes behind the last section");
}

Status read_state_sections(const StateFile& file, const StateSection* sections, uint32_t n, void* import) {
  uint32_t next = 0;  // of ours
  for (uint32_t i = 0; i < file.header().n_sections; i++) {
    const StateEntry entry = file.entry(i);
    const bool ours = next < n && entry.id == sections[next].id;
    if (ours && entry.version == sections[next].version && entry.flags == sections[next].flags) {
      SectionReader in = file.reader(entry);
      EDGECL_RETURN_IF_FAILED(sections[next].read(&in, import));
      if (in.failed() || in.left() != 0) return in.corrupt("another size");
      next++;
      continue;
    }
    if (!ours && entry.flags == kStateOptional) continue;
    return failure(EDGECL_E_STATE_MISMATCH,
                   "state: expected sections that this library knows; found section %u (%s) of version %u, which is "
                   "required; use a newer library",
                   entry.id, state_section_name(entry.id), entry.version);
  }
  if (next == n) return Status();
  return failure(EDGECL_E_STATE_CORRUPT, "state: expected a section %s; found none; restore the file from a copy",
                 state_section_name(sections[next].id));
}

}  // namespace edgecl
