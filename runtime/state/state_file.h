// The file of an exported state (.ecs): a table of sections, each written and read by its owner. FORMAT.md beside this
// file is the prose.
// Never here: what a section holds, sessions, storage.
#ifndef EDGECL_RUNTIME_STATE_STATE_FILE_H_
#define EDGECL_RUNTIME_STATE_STATE_FILE_H_

#include <stddef.h>
#include <stdint.h>

#include "runtime/core/sha256.h"
#include "runtime/core/status.h"
#include "runtime/state/section_reader.h"
#include "runtime/state/section_writer.h"

namespace edgecl {

constexpr uint32_t kStateMagic = 0x32534345;    // "ECS2"
constexpr uint32_t kStateMagicV1 = 0x31534345;  // "ECS1": version 1, never released
constexpr uint32_t kMessageMagic = 0x324d4345;  // "ECM2": of one section, what devices learned (learn/merge.h)
constexpr uint32_t kStateVersion = 2;
constexpr uint32_t kMaxStateSections = 64;

// Every id that was ever given out, with its name; ids are never used again.
enum StateSectionId : uint32_t {
  kStateConfig = 1,
  kStateCounters = 2,
  kStateParams = 3,
  kStateStatistics = 4,
  kStateClasses = 5,
  kStateReplay = 6,
  kStateSparsity = 7,
  kStateHead = 8,
  kStateNovelty = 9,
  kStateDevices = 10,
  kStateParts = 11,  // of messages
  kStateDomains = 12,
  kStateDrift = 13,
  kStateDomainDevices = 14,
  kStateDomainParts = 15,  // of messages
};
// "CONFIG", ...; "(unknown)".
const char* state_section_name(uint32_t id);

constexpr uint32_t kStateOptional = 1;  // StateEntry::flags: a reader that does not know the section skips it

struct StateHeader {
  uint32_t magic, version;
  uint64_t total_bytes;
  uint8_t bundle_digest[kSha256Bytes];
  uint32_t n_sections;
  uint32_t reserved[3];
};
struct StateEntry {  // of the table behind the header
  uint32_t id, version, flags, reserved;
  uint64_t offset, bytes;
  uint8_t sha256[kSha256Bytes];
};
static_assert(sizeof(StateHeader) == 64 && sizeof(StateEntry) == 64, "records have no padding");
// Bytes of a state of n sections, without their contents.
constexpr uint64_t state_frame_bytes(uint32_t n) {
  return sizeof(StateHeader) + n * sizeof(StateEntry) + kSha256Bytes;
}

// One section, by its owner. `write` runs on `owner` and gives the same bytes each time. `read` gets the same reader
// twice: once to check everything and touch nothing, once to store; which of the two, `import` knows.
struct StateSection {
  uint32_t id, version, flags;
  void (*write)(SectionWriter* out, const void* owner);
  Status (*read)(SectionReader* in, void* import);
};

// Bytes of the state of `owner`.
uint64_t state_file_bytes(const StateSection* sections, uint32_t n, const void* owner);
// Writes it to `buffer`, unless that is null, and its digest (the last 32 bytes of it) to `digest`. Each byte is hashed
// once; nothing is allocated. Ids ascend.
void write_state_file(uint32_t magic, const uint8_t bundle_digest[kSha256Bytes], const StateSection* sections,
                      uint32_t n, const void* owner, uint8_t* buffer, uint8_t digest[kSha256Bytes]);

// A state whose frame is sound: lengths, order and every digest were checked. Points into the caller's bytes.
class StateFile {
 public:
  // `magic`: of a state or of a message. Errors: E_STATE_CORRUPT, E_STATE_MISMATCH (of another format version).
  Status open(const uint8_t* bytes, size_t n, uint32_t magic = kStateMagic);
  const StateHeader& header() const { return header_; }
  StateEntry entry(uint32_t i) const;
  bool has(uint32_t id) const;
  SectionReader reader(const StateEntry& entry) const;

 private:
  const uint8_t* bytes_ = nullptr;
  StateHeader header_ = {};
};

// Hands each section to its owner, in the order of the file. Skips unknown ones that are optional. Errors:
// E_STATE_MISMATCH (an unknown one that is required, or of another version; names both), E_STATE_CORRUPT (one of ours
// is missing, or holds more than its owner read), and those of the owners.
Status read_state_sections(const StateFile& file, const StateSection* sections, uint32_t n, void* import);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_STATE_STATE_FILE_H_
