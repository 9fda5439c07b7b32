// Opens a bundle: checks structure, digests and every field, then gives the Plan.
// Never here: writing, sessions, files, an entry that skips the checks.
#ifndef EDGECL_RUNTIME_BUNDLE_BUNDLE_READER_H_
#define EDGECL_RUNTIME_BUNDLE_BUNDLE_READER_H_

#include <stddef.h>
#include <stdint.h>

#include "runtime/core/plan.h"
#include "runtime/core/status.h"

namespace edgecl {

// Bytes of scratch memory that read_bundle needs, from the counts of the section table: some 11 bytes a tensor and one
// a parameter. Needs the header and the table. Errors: those of peek_bundle, E_BUNDLE_CORRUPT for a table that `bytes`
// cuts off.
Status bundle_scratch_bytes(const void* bytes, size_t n, size_t* scratch_bytes);

// Checks all of it (structure, every SHA-256, every index, shape, divisor and offset, for each operator) and fills
// `plan` with views over `bytes`. `bytes` must be 64-byte aligned (E_ARGUMENT) and outlive the plan. Allocates nothing;
// `scratch` (64-byte aligned, bundle_scratch_bytes) means nothing before and after. Errors: E_ARENA_TOO_SMALL,
// E_BUNDLE_CORRUPT (the message names section, record and field), E_BUNDLE_VERSION, E_BUNDLE_OP. `plan` is written on
// success only. Cost: one pass of SHA-256 over the bytes, plus time linear in the records (quadratic in tensors for the
// overlap check).
Status read_bundle(const void* bytes, size_t n, void* scratch, size_t scratch_bytes, Plan* plan);

// The header alone: needs 64 bytes. Gives the format version and the size that the whole bundle must have. Same errors.
Status peek_bundle(const void* bytes, size_t n, uint32_t* format_version, uint64_t* file_bytes);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_BUNDLE_BUNDLE_READER_H_
