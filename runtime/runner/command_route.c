// The command `route`: the domain that fits each row of an array best.
// Never here: measurements.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "failures.h"
#include "runner.h"

int command_route(Runner* r) {
  int code = create_session(r);
  if (code == kDone) code = load_data(r);
  if (code != kDone) return code;
  edgecl_route_result* out = r->data.rows > UINT32_MAX ? NULL : malloc(r->data.rows * sizeof *out);
  if (out == NULL) return no_memory("route");
  const edgecl_batch batch = {
      sizeof batch, r->info.input_dtype, (uint32_t)r->data.rows, 0, r->data.data, r->info.input_elements, NULL, NULL};
  const edgecl_status status = edgecl_route(r->session, &batch, out, sizeof *out);
  for (uint64_t i = 0; status == EDGECL_OK && i < r->data.rows; i++) {
    printf("{\"row\": %" PRIu64 ", \"domain\": %" PRId32 ", \"fit\": %.9g, \"novel\": %s}\n", i, out[i].domain,
           (double)out[i].fit, out[i].decision == EDGECL_NOVEL ? "true" : "false");
  }
  free(out);
  return status == EDGECL_OK ? kDone : session_failed(r, "route", status);
}
