// Capture of a failure's arguments, and the sentence that is made of them.
// Never here: the wording of any failure.
#include "runtime/core/status.h"

#include <stdarg.h>
#include <string.h>

#include "runtime/core/text.h"

namespace edgecl {

#if defined(EDGECL_NO_MESSAGES)
Status failed_with(edgecl_status code) {
  Status status;
  status.code = code;
  return status;
}

void write_message(const Status&, char* buffer, size_t) {
  buffer[0] = '\0';
}
#else
namespace {

// One conversion of a format. The compiler has checked formats against arguments (attribute format), so only the forms
// that our messages use are known here.
struct Conversion {
  char kind = '\0';  // of "scdux"; '\0': the end of the format
  bool wide = false, size = false;
  size_t limit = SIZE_MAX;  // of %.Ns
  const char* begin = nullptr;
  const char* end = nullptr;  // behind it
};

Conversion next_conversion(const char* format) {
  Conversion found;
  while (*format != '\0' && *format != '%') format++;
  found.begin = format;
  if (*format == '%') {
    format++;
    if (*format == '.') {
      found.limit = 0;
      for (format++; *format >= '0' && *format <= '9'; format++)
        found.limit = found.limit * 10 + static_cast<size_t>(*format - '0');
    }
    for (; *format == 'l' || *format == 'z'; format++) {
      found.wide = found.wide || (format[0] == 'l' && format[1] == 'l');
      found.size = true;
    }
    found.kind = *format;
    if (*format != '\0') format++;
  }
  found.end = format;
  return found;
}

void capture(const char* format, va_list* arguments, Status* status) {
  status->format = format;
  uint32_t n = 0;
  for (Conversion c = next_conversion(format); c.kind != '\0' && n < Status::kMaxArguments;
       c = next_conversion(c.end)) {
    uint64_t& to = status->arguments[n++];
    if (c.kind == 's') {
      to = reinterpret_cast<uintptr_t>(va_arg(*arguments, const char*));
    } else if (c.wide) {  // NOLINT(bugprone-branch-clone): size_t is another type on 32 bits
      to = va_arg(*arguments, unsigned long long);
    } else if (c.kind == 'd') {
      // long and ptrdiff_t are as wide as size_t on every target.
      to = static_cast<uint64_t>(c.size ? static_cast<int64_t>(va_arg(*arguments, ptrdiff_t))
                                        : static_cast<int64_t>(va_arg(*arguments, int)));
    } else if (c.size) {
      to = va_arg(*arguments, size_t);
    } else {
      to = va_arg(*arguments, unsigned);
    }
  }
}

void write_argument(const Conversion& c, uint64_t argument, TextWriter* out) {
  if (c.kind == 's') {
    const char* text =
        reinterpret_cast<const char*>(static_cast<uintptr_t>(argument));  // NOLINT(performance-no-int-to-ptr)
    const size_t n = text_length(text, c.limit);
    out->bytes(text, n == c.limit ? whole_characters(text, n) : n);
  } else if (c.kind == 'c') {
    const char letter = static_cast<char>(argument);
    out->bytes(&letter, 1);
  } else if (c.kind == 'd') {
    out->signed_number(static_cast<int64_t>(argument));
  } else {
    out->number(argument, c.kind == 'x' ? 16 : 10);
  }
}

}  // namespace

// Bytes, because the arguments that a format does not have are not set.
Status::Status(const Status& other) {  // NOLINT(clang-analyzer-optin.cplusplus.UninitializedObject)
  memcpy(static_cast<void*>(this), static_cast<const void*>(&other), sizeof other);
}

Status& Status::operator=(const Status& other) {  // NOLINT(bugprone-unhandled-self-assignment): memmove does
  memmove(static_cast<void*>(this), static_cast<const void*>(&other), sizeof other);
  return *this;
}

Status failure(edgecl_status code, const char* format, ...) {
  Status status;
  status.code = code;
  status.section = nullptr;
  va_list arguments;
  va_start(arguments, format);
  capture(format, &arguments, &status);
  va_end(arguments);
  return status;
}

Status corrupt(const char* section, uint32_t record, const char* field, const char* format, ...) {
  Status status;
  status.code = EDGECL_E_BUNDLE_CORRUPT;
  status.section = section;
  status.record = record;
  status.field = field;
  va_list arguments;
  va_start(arguments, format);
  capture(format, &arguments, &status);
  va_end(arguments);
  return status;
}

void write_message(const Status& status, char* buffer, size_t capacity) {
  TextWriter out(buffer, capacity);
  if (status.ok()) return;
  if (status.section) {
    out.text("bundle section ");
    out.text(status.section);
    if (status.record != Status::kNoRecord) {
      out.text(", record ");
      out.number(status.record);
    }
    out.text(", field ");
    out.text(status.field);
    out.text(": ");
  }
  const char* from = status.format;
  uint32_t n = 0;
  for (;;) {
    const Conversion c = next_conversion(from);
    out.bytes(from, static_cast<size_t>(c.begin - from));
    if (c.kind == '\0' || n == Status::kMaxArguments) break;
    write_argument(c, status.arguments[n++], &out);
    from = c.end;
  }
  if (status.section) out.text("; export the model again");
}
#endif

edgecl_status report(const Status& status, edgecl_error* err) {
  if (err == nullptr || status.ok()) return status.code;
  // The caller's struct may be an older, shorter one: write only what it says it has.
  const size_t room = err->struct_size;
  if (room >= offsetof(edgecl_error, status) + sizeof err->status) err->status = status.code;
  if (room > offsetof(edgecl_error, message)) {
    const size_t capacity = room - offsetof(edgecl_error, message);
    write_message(status, err->message, capacity < sizeof err->message ? capacity : sizeof err->message);
  }
  return status.code;
}

}  // namespace edgecl
