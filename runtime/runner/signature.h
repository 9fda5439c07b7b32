// The Ed25519 signature of a bundle (FORMAT.md, sections 1 and 6), checked before anything but header, section table and
// the SIGNATURE section is looked at.
// Never here: signing.
#ifndef EDGECL_RUNTIME_RUNNER_SIGNATURE_H_
#define EDGECL_RUNTIME_RUNNER_SIGNATURE_H_

#include <stddef.h>
#include <stdint.h>

#define SIGNATURE_KEY_BYTES 32

// A key as hexadecimal digits, or the file that holds it, raw or as digits. NULL when read; else why not.
const char* signature_read_key(const char* text_or_path, uint8_t key[SIGNATURE_KEY_BYTES]);

// `key` NULL: only reads the release (0 where there is no signature). NULL when done; else why not.
const char* signature_check(const uint8_t* bytes, size_t n_bytes, const uint8_t* key, uint64_t* release);

#endif
