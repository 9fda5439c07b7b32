// Text without the C library.
// Never here: conversions of a format (status.cpp).
#include "runtime/core/text.h"

#include <string.h>

namespace edgecl {

size_t text_length(const char* text, size_t limit) {
  size_t n = 0;
  while (n < limit && text[n] != '\0') n++;
  return n;
}

bool same_text(const char* a, const char* b) {
  size_t i = 0;
  while (a[i] != '\0' && a[i] == b[i]) i++;
  return a[i] == b[i];
}

namespace {

// Length of the character at p, 0 when it is malformed.
size_t character_length(const uint8_t* p, size_t left) {
  const uint8_t first = p[0];
  if (first < 0x80) return first != 0 ? 1 : 0;
  const size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || n > left) return 0;
  for (size_t i = 1; i < n; i++) {
    if ((p[i] & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && p[1] < 0xa0) || (first == 0xf0 && p[1] < 0x90);
  const bool outside = (first == 0xed && p[1] > 0x9f) || (first == 0xf4 && p[1] > 0x8f);
  return overlong || outside ? 0 : n;
}

}  // namespace

bool valid_utf8(const uint8_t* bytes, size_t n) {
  for (size_t i = 0; i < n;) {
    const size_t length = character_length(bytes + i, n - i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

size_t whole_characters(const char* text, size_t n) {
  size_t head = n;
  while (head > 0 && (static_cast<uint8_t>(text[head - 1]) & 0xc0) == 0x80) head--;
  if (head == 0) return n;
  const uint8_t first = static_cast<uint8_t>(text[head - 1]);
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
  return head - 1 + length > n ? head - 1 : n;
}

void TextWriter::bytes(const char* text, size_t n) {
  if (full_) return;
  const size_t room = capacity_ - 1 - length_;
  if (n > room) {
    n = whole_characters(text, room);
    full_ = true;
  }
  memcpy(buffer_ + length_, text, n);
  length_ += n;
  buffer_[length_] = '\0';
}

void TextWriter::number(uint64_t value, uint32_t base) {
  char digits[20];
  size_t at = sizeof digits;
  do {
    digits[--at] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  bytes(digits + at, sizeof digits - at);
}

void TextWriter::signed_number(int64_t value) {
  if (value < 0) bytes("-", 1);
  number(value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value));
}

}  // namespace edgecl
