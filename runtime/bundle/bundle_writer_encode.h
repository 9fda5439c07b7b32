// Between a BundleSource and a file: the sections as vectors of records. Internal to the writer.
// Never here: arena offsets, digests, the file (bundle_writer.cpp).
#ifndef EDGECL_RUNTIME_BUNDLE_BUNDLE_WRITER_ENCODE_H_
#define EDGECL_RUNTIME_BUNDLE_BUNDLE_WRITER_ENCODE_H_

#include <map>
#include <string>
#include <vector>

#include "runtime/bundle/bundle_writer.h"

namespace edgecl {

using Bytes = std::vector<uint8_t>;

inline uint64_t align_up(uint64_t n) {
  return (n + format::kAlignment - 1) / format::kAlignment * format::kAlignment;
}

void append(Bytes* out, const void* bytes, size_t n);

// Text pool: each distinct text once, a zero byte behind each.
class Strings {
 public:
  format::StringRef add(const std::string& text) {
    auto found = places_.find(text);
    if (found != places_.end()) return found->second;
    const format::StringRef ref = {static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(text.size())};
    append(&bytes_, text.data(), text.size());
    bytes_.push_back(0);
    places_.emplace(text, ref);
    return ref;
  }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
  std::map<std::string, format::StringRef> places_;
};

// All sections before they are put into one file.
struct Parts {
  Strings strings;
  format::ModelRecord model = {};
  std::vector<format::TensorRecord> tensors;
  std::vector<format::OpRecord> ops;
  std::vector<format::BackwardRecord> backward;
  std::vector<format::SharedRecord> shared;
  std::vector<format::ParamRecord> params;
  Bytes data;
  Bytes input;
  format::RecipeRecord recipe = {};
  std::vector<format::ClassRecord> classes;
  std::vector<format::ParityRecord> parity;
  std::vector<format::TapRecord> taps;
  Bytes notes;  // with its zero byte, or empty
  Bytes exemplars, encoder;
};

// Lengths that the records cannot express; everything else is left to the reader's checks. Empty when good.
std::string check_lengths(const BundleSource& source);

// Everything but arena offsets and counts of multiply-adds. Needs good lengths.
void encode_parts(const BundleSource& source, Parts* parts);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_BUNDLE_BUNDLE_WRITER_ENCODE_H_
