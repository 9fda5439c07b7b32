// Export, import and digest of a session's state.
// Never here: storage, files; the layout (state_format.h).
#ifndef EDGECL_RUNTIME_LEARN_STATE_H_
#define EDGECL_RUNTIME_LEARN_STATE_H_

#include <stddef.h>
#include <stdint.h>

#include "runtime/core/sha256.h"
#include "runtime/learn/session.h"

namespace edgecl {

// Bytes that an export needs now. O(classes + params).
uint64_t state_bytes(const Session& session);
// The largest that it can become under this configuration: every class named with 63 bytes, buffer full.
uint64_t state_bytes_max(const Plan& plan, const SessionConfig& config);

// Writes exactly state_bytes() bytes. One pass of SHA-256 over them.
void export_state(const Session& session, uint8_t* buffer);
// The last 32 bytes of what an export would write, without writing it.
void state_digest(const Session& session, uint8_t digest[kSha256Bytes]);

// All or nothing: every byte is checked before the session is touched, also against an attacker who made the SHA-256
// fit. A predict-only session takes the state of a learning one and leaves out velocities and exemplars. Errors:
// E_STATE_CORRUPT (the message names the section), E_STATE_MISMATCH (other bundle, other shapes, newer format).
Status import_state(Session* session, const uint8_t* bytes, size_t n);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_STATE_H_
