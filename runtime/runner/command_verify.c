// The command `verify`: signature, structure and digests of a bundle, as one JSON line.
// Never here: running it (command_selftest.c).
#include <inttypes.h>
#include <stdio.h>

#include "arguments.h"
#include "checked_bundle.h"
#include "commands.h"
#include "failures.h"
#include "quoted.h"
#include "signature.h"

int command_verify(int argc, char** argv) {
  const char* key_text = NULL;
  const Argument known[] = {{"--key", kText, &key_text, 0, 0}};
  if (!parse_arguments(argc, argv, 3, known, 1)) return kUsage;
  uint8_t key[SIGNATURE_KEY_BYTES];
  const char* why = key_text == NULL ? NULL : signature_read_key(key_text, key);
  if (why != NULL) {
    fprintf(stderr, "edgecl-run: expected an Ed25519 public key after --key; found %s; correct it\n", why);
    return kUsage;
  }
  CheckedBundle bundle;
  Reason reason;
  const int code = checked_bundle_open(argv[1], key_text == NULL ? NULL : key, &bundle, &reason);
  if (code != kDone) return fprintf(stderr, "edgecl-run: %s\n", reason.text), code;
  printf("{\"name\": ");
  print_quoted(bundle.info.name);
  printf(", \"digest\": \"%s\", \"release\": %" PRIu64
         ", \"signed\": %s, \"signed_by_key\": %s, \"bundle_bytes\": %" PRIu64 "}\n",
         bundle.digest, bundle.release, bundle.info.is_signed ? "true" : "false", key_text ? "true" : "null",
         bundle.info.bundle_bytes);
  checked_bundle_close(&bundle);
  return kDone;
}
