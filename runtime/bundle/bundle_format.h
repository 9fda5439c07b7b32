// The file around a plan's records (.ecl): header, section table, section types. FORMAT.md beside this file is the
// prose. Never here: the records (runtime/core/plan_records.h), code that reads or writes them.
//
// A bundle is: Header | section table | sections, each 64-byte aligned, ascending, with zero fill between them and
// nothing after the last. Section types ascend too, so each occurs once. No pointer, no nesting, no string that is not
// an (offset, length) into the STRINGS section; there a zero byte follows each string and none lies inside one. All of
// it little-endian, records without padding.
#ifndef EDGECL_RUNTIME_BUNDLE_BUNDLE_FORMAT_H_
#define EDGECL_RUNTIME_BUNDLE_BUNDLE_FORMAT_H_

#include <stdint.h>

#include "runtime/core/plan_records.h"

namespace edgecl::format {

constexpr uint32_t kMagic = 0x314c4345;  // "ECL1"
constexpr uint32_t kVersion = 2;
constexpr uint64_t kMaxBundleBytes = 1ull << 31;
constexpr uint32_t kMaxSections = 63;  // header and table fit into 4096 bytes

struct Header {  // 64 bytes
  uint32_t magic, version;
  uint64_t file_bytes;
  uint32_t n_sections;
  uint32_t flags;            // 0
  uint8_t reserved[8];       // 0
  uint8_t table_sha256[32];  // over the section table: finds damage
};

enum SectionType : uint32_t {
  kSectionStrings = 1,      // UTF-8 bytes
  kSectionModel = 2,        // one ModelRecord
  kSectionTensors = 3,      // TensorRecord[]
  kSectionOps = 4,          // OpRecord[], execution order
  kSectionBackward = 5,     // BackwardRecord[], execution order
  kSectionParams = 6,       // ParamRecord[]
  kSectionData = 7,         // parameter bytes, then kReadSlackBytes zero bytes
  kSectionInput = 8,        // one InputRecord, then float mean[C], inv_std[C], then kReadSlackBytes zero bytes
  kSectionRecipe = 9,       // one RecipeRecord
  kSectionClasses = 10,     // ClassRecord[] that the bundle ships with
  kSectionParity = 11,      // one ParityRecord (optional)
  kSectionSignature = 12,   // one SignatureRecord over the content digest (optional)
  kSectionTaps = 13,        // TapRecord[] (optional)
  kSectionStatistics = 14,  // 14..16 are names for later: sufficient statistics of a head,
  kSectionAdaptors = 15,    // adaptors and their routes,
  kSectionCanary = 16,      // probe inputs and the digests of their outputs
  kSectionNotes = 17,       // UTF-8 text and a zero byte (optional)
  kSectionExemplars = 18,   // one ExemplarsRecord and what it says (optional)
  kSectionEncoder = 19,     // one EncoderRecord and what it says (optional)
  kSectionShared = 20,      // SharedRecord[]; where several operators use a parameter that trains
};
constexpr uint32_t kSectionOptional =
    0x80000000u;  // SectionRecord.flags: a reader that does not know the type skips it

struct SectionRecord {  // 64 bytes
  uint32_t type, flags;
  uint64_t offset, bytes;
  uint8_t sha256[32];
  uint8_t reserved[8];
};

// What the content digest (FORMAT.md, section 1) covers of each section but SIGNATURE.
struct DigestedSection {
  uint32_t type, flags;
  uint64_t bytes;
  uint8_t sha256[32];
};
// What a signature covers: this text, its zero byte, the content digest, and the eight bytes of the release.
constexpr char kSignedPrefix[16] = "edgecl bundle 2";

static_assert(sizeof(DigestedSection) == 48, "records have no padding");
static_assert(sizeof(Header) == 64 && sizeof(SectionRecord) == 64, "records have no padding");

}  // namespace edgecl::format

#endif  // EDGECL_RUNTIME_BUNDLE_BUNDLE_FORMAT_H_
