// The arithmetic is libsodium's; a build without it refuses every key.
// Never here: the checks of the library, which come afterwards.
#include "signature.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#ifdef EDGECL_RUN_SODIUM
#include <sodium.h>
#endif

enum {
  kHeaderBytes = 64,
  kRecordBytes = 64,
  kMaxSections = 63,
  kSectionSignature = 12,
  kSignatureBytes = 96,
  kDigestedBytes = 48,
  kSignedBytes = 56
};

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int parse_hex(const char* text, size_t n, uint8_t key[SIGNATURE_KEY_BYTES]) {
  while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' ')) n--;
  if (n != 2 * SIGNATURE_KEY_BYTES) return 0;
  for (size_t i = 0; i < SIGNATURE_KEY_BYTES; i++) {
    const int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return 0;
    key[i] = (uint8_t)(high << 4 | low);
  }
  return 1;
}

const char* signature_read_key(const char* text_or_path, uint8_t key[SIGNATURE_KEY_BYTES]) {
  if (parse_hex(text_or_path, strlen(text_or_path), key)) return NULL;
  char text[2 * SIGNATURE_KEY_BYTES + 8];
  const int file = open(text_or_path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return "a key that is neither 64 hexadecimal digits nor a file that can be read";
  const ssize_t n = read(file, text, sizeof text);
  close(file);
  if (n == SIGNATURE_KEY_BYTES) return memcpy(key, text, SIGNATURE_KEY_BYTES), NULL;
  return n > 0 && parse_hex(text, (size_t)n, key) ? NULL : "a file that holds no key of 32 bytes";
}

static uint64_t number(const uint8_t* at, int n_bytes) {
  uint64_t value = 0;
  for (int i = n_bytes - 1; i >= 0; i--) value = value << 8 | at[i];
  return value;
}

// The SIGNATURE section's bytes. NULL: there is none, or *why says what is wrong.
static const uint8_t* find_signature(const uint8_t* bytes, size_t n_bytes, const char** why) {
  *why = "no bundle of this format version";
  if (n_bytes < kHeaderBytes || memcmp(bytes, "ECL1", 4) != 0 || number(bytes + 4, 4) != 2) return NULL;
  const uint64_t n_sections = number(bytes + 16, 4);
  *why = "a bundle that is damaged or incomplete";
  if (n_sections < 1 || n_sections > kMaxSections || n_bytes < kHeaderBytes + n_sections * kRecordBytes) return NULL;
  if (number(bytes + 8, 8) != n_bytes) return NULL;
  const uint8_t* found = NULL;
  for (uint64_t i = 0; i < n_sections; i++) {
    const uint8_t* record = bytes + kHeaderBytes + i * kRecordBytes;
    if (number(record, 4) != kSectionSignature) continue;
    const uint64_t offset = number(record + 8, 8);
    if (found != NULL || number(record + 16, 8) != kSignatureBytes || offset > n_bytes - kSignatureBytes) return NULL;
    found = bytes + offset;
  }
  *why = NULL;
  return found;
}

#ifdef EDGECL_RUN_SODIUM
static const char* verify(const uint8_t* bytes, const uint8_t* section, const uint8_t* key) {
  crypto_hash_sha256_state sha;
  uint8_t message[kSignedBytes] = "edgecl bundle 2";
  if (sodium_init() < 0) return "a machine without random numbers, which libsodium wants";
  if (number(section, 4) != 1) return "a signature of another kind than Ed25519";
  crypto_hash_sha256_init(&sha);
  crypto_hash_sha256_update(&sha, bytes, 8);  // magic and version
  for (uint64_t i = 0; i < number(bytes + 16, 4); i++) {
    const uint8_t* record = bytes + kHeaderBytes + i * kRecordBytes;
    uint8_t digested[kDigestedBytes];
    if (number(record, 4) == kSectionSignature) continue;
    memcpy(digested, record, 8);                // type, flags
    memcpy(digested + 8, record + 16, 8 + 32);  // bytes, sha256
    crypto_hash_sha256_update(&sha, digested, sizeof digested);
  }
  crypto_hash_sha256_final(&sha, message + 16);
  memcpy(message + 48, section + 8, 8);  // the release
  return crypto_sign_verify_detached(section + 32, message, sizeof message, key) == 0 ? NULL
                                                                                      : "one that is not by this key";
}
#else
static const char* verify(const uint8_t* bytes, const uint8_t* section, const uint8_t* key) {
  (void)bytes, (void)section, (void)key;
  return "a program that was built without libsodium and cannot check it";
}
#endif

const char* signature_check(const uint8_t* bytes, size_t n_bytes, const uint8_t* key, uint64_t* release) {
  const char* why = NULL;
  const uint8_t* section = find_signature(bytes, n_bytes, &why);
  *release = section == NULL ? 0 : number(section + 8, 8);
  if (why != NULL || key == NULL) return why;
  return section == NULL ? "no signature" : verify(bytes, section, key);
}
