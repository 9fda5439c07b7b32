// Text without the C library: lengths, comparison, UTF-8, and a writer into a fixed buffer.
// Never here: the wording of any message.
#ifndef EDGECL_RUNTIME_CORE_TEXT_H_
#define EDGECL_RUNTIME_CORE_TEXT_H_

#include <stddef.h>
#include <stdint.h>

namespace edgecl {

// Bytes before the zero, at most `limit` of them.
size_t text_length(const char* text, size_t limit = SIZE_MAX);
bool same_text(const char* a, const char* b);

// Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF) without zero bytes. Empty text
// is valid.
bool valid_utf8(const uint8_t* bytes, size_t n);
// The most bytes, at most `n`, that do not end inside a character of well-formed UTF-8.
size_t whole_characters(const char* text, size_t n);

// Appends to a buffer that it keeps zero-terminated. What does not fit is left out, from the first piece that does not
// on, and the text never ends inside a character. Precondition: capacity >= 1.
class TextWriter {
 public:
  TextWriter(char* buffer, size_t capacity) : buffer_(buffer), capacity_(capacity) { buffer_[0] = '\0'; }

  void bytes(const char* text, size_t n);
  void text(const char* text) { bytes(text, text_length(text)); }
  void number(uint64_t value, uint32_t base = 10);
  void signed_number(int64_t value);
  size_t length() const { return length_; }

 private:
  char* buffer_;
  size_t capacity_, length_ = 0;
  bool full_ = false;
};

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_TEXT_H_
