// Bundles as the writer makes them, and changed as an attacker would: any byte, and digests that fit again.
// Never here: what a section holds.
#ifndef EDGECL_TESTS_RUNTIME_BUNDLE_FORGING_H_
#define EDGECL_TESTS_RUNTIME_BUNDLE_FORGING_H_

#include <string>
#include <vector>

#include "runtime/bundle/bundle_format.h"
#include "runtime/core/sha256.h"
#include "tests/runtime/check.h"
#include "tests/runtime/net_builder.h"

namespace edgecl_test {

inline std::vector<uint8_t> written(const BundleSource& source) {
  std::string error;
  std::vector<uint8_t> bytes = write_bundle(source, &error);
  CHECK_MESSAGE(!bytes.empty(), "%s", error.c_str());
  return bytes;
}

inline format::Header* header_of(uint8_t* bytes) {
  return reinterpret_cast<format::Header*>(bytes);
}
inline format::SectionRecord* table_of(uint8_t* bytes) {
  return reinterpret_cast<format::SectionRecord*>(bytes + sizeof(format::Header));
}

inline format::SectionRecord* section(uint8_t* bytes, uint32_t type) {
  for (uint32_t i = 0; i < header_of(bytes)->n_sections; i++) {
    if (table_of(bytes)[i].type == type) return &table_of(bytes)[i];
  }
  return nullptr;
}

// Of the table alone.
inline void table_digest_again(uint8_t* bytes) {
  edgecl::sha256(table_of(bytes), header_of(bytes)->n_sections * sizeof(format::SectionRecord),
                 header_of(bytes)->table_sha256);
}

// Of all sections and of the table.
inline void digest_again(uint8_t* bytes) {
  for (uint32_t i = 0; i < header_of(bytes)->n_sections; i++) {
    format::SectionRecord& record = table_of(bytes)[i];
    edgecl::sha256(bytes + record.offset, record.bytes, record.sha256);
  }
  table_digest_again(bytes);
}

}  // namespace edgecl_test

#endif  // EDGECL_TESTS_RUNTIME_BUNDLE_FORGING_H_
