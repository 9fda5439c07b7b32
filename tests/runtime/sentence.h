// The sentence of a Status as a string.
// Never here: checks.
#ifndef EDGECL_TESTS_RUNTIME_SENTENCE_H_
#define EDGECL_TESTS_RUNTIME_SENTENCE_H_

#include <string>

#include "runtime/core/status.h"

namespace edgecl_test {

inline std::string sentence(const edgecl::Status& status) {
  char message[sizeof(edgecl_error::message)];
  edgecl::write_message(status, message, sizeof message);
  return message;
}

}  // namespace edgecl_test

#endif  // EDGECL_TESTS_RUNTIME_SENTENCE_H_
