// One request, one reply.
// Never here: how they travel (serve_clients.c).
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failures.h"
#include "measure.h"
#include "merge_text.h"
#include "server.h"

enum { kRowBytes = 12, kPiece = 64, kLearnedBytes = 16, kTextBytes = 2048 };

static Reply message(uint8_t operation, uint8_t status, uint16_t rows, size_t n_bytes) {
  Reply reply = {malloc(kMessageHeaderBytes + n_bytes), kMessageHeaderBytes + n_bytes, 0};
  if (reply.bytes == NULL) return reply;
  const MessageHeader header = {(uint32_t)n_bytes, operation, status, rows};
  put_header(reply.bytes, header);
  return reply;
}

static uint8_t* body_of(const Reply* reply) {
  return reply->bytes + kMessageHeaderBytes;
}

Reply server_sentence(uint8_t operation, uint8_t status, const char* text) {
  const Reply reply = message(operation, status, 0, strlen(text));
  if (reply.bytes != NULL) memcpy(body_of(&reply), text, strlen(text));
  return reply;
}

static Reply library_said(const Server* server, uint8_t operation, edgecl_status status) {
  Reason reason;
  say(&reason, "%s: %s", edgecl_status_name(status), edgecl_session_error(server->now->session));
  return server_sentence(operation, (uint8_t)code_of(status), reason.text);
}

static edgecl_batch batch_of(const Server* server, uint16_t rows, const uint8_t* samples) {
  const edgecl_model_info* info = &server->now->bundle.info;
  const edgecl_batch batch = {sizeof batch, info->input_dtype, rows, 0, samples, info->input_elements, NULL, NULL};
  return batch;
}

// Answers to at most kPiece rows, kRowBytes each. `at`: where they go.
typedef edgecl_status (*AnswerRows)(edgecl_session* session, const edgecl_batch* batch, uint8_t* at);

static edgecl_status predict_rows(edgecl_session* session, const edgecl_batch* batch, uint8_t* at) {
  edgecl_prediction out[kPiece];
  const edgecl_status status = edgecl_predict(session, batch, out, sizeof *out);
  for (uint32_t i = 0; status == EDGECL_OK && i < batch->n_samples; i++, at += kRowBytes) {
    put_u32(at, (uint32_t)out[i].label);
    put_f32(at + 4, out[i].probability);
    put_f32(at + 8, out[i].margin);
  }
  return status;
}

static edgecl_status route_rows(edgecl_session* session, const edgecl_batch* batch, uint8_t* at) {
  edgecl_route_result out[kPiece];
  const edgecl_status status = edgecl_route(session, batch, out, sizeof *out);
  for (uint32_t i = 0; status == EDGECL_OK && i < batch->n_samples; i++, at += kRowBytes) {
    put_u32(at, (uint32_t)out[i].domain);
    put_f32(at + 4, out[i].fit);
    put_u32(at + 8, (uint32_t)out[i].decision);
  }
  return status;
}

static Reply answer_rows(Server* server, const MessageHeader* h, const uint8_t* body, AnswerRows answer) {
  Reply reply = message(h->operation, kDone, h->rows, (size_t)h->rows * kRowBytes);
  if (reply.bytes == NULL) return reply;
  for (uint32_t row = 0; row < h->rows; row += kPiece) {
    const uint16_t n = h->rows - row < kPiece ? (uint16_t)(h->rows - row) : kPiece;
    const edgecl_batch batch = batch_of(server, n, body + (size_t)row * server->now->bundle.sample_bytes);
    const edgecl_status status = answer(server->now->session, &batch, body_of(&reply) + (size_t)row * kRowBytes);
    if (status != EDGECL_OK) return free(reply.bytes), library_said(server, h->operation, status);
  }
  return reply;
}

static Reply answer_predict(Server* server, const MessageHeader* h, const uint8_t* body) {
  const int64_t begin = monotonic_ns();
  const Reply reply = answer_rows(server, h, body, predict_rows);
  if (reply.bytes != NULL && reply.bytes[5] == kDone) {
    server->predict_ns[server->n_predict_ns++ % kServerTimes] = monotonic_ns() - begin;
  }
  return reply;
}

static Reply answer_learn(Server* server, uint16_t rows, uint8_t* body) {
  // Labels come first; their bytes become numbers of this machine in place.
  for (uint32_t i = 0; i < rows; i++) {
    const int32_t label = (int32_t)get_u32(body + 4 * (size_t)i);
    memcpy(body + 4 * (size_t)i, &label, sizeof label);
  }
  edgecl_learn_report report = {.struct_size = sizeof report};
  const edgecl_batch batch = batch_of(server, rows, body + 4 * (size_t)rows);
  const edgecl_status status = edgecl_learn(server->now->session, &batch, (const int32_t*)(const void*)body, &report);
  if (status != EDGECL_OK) return library_said(server, kServeLearn, status);
  server->steps_not_committed++;
  const Reply reply = message(kServeLearn, kDone, rows, kLearnedBytes);
  if (reply.bytes == NULL) return reply;
  put_f32(body_of(&reply), report.loss);
  put_u32(body_of(&reply) + 4, report.n_replayed);
  put_u32(body_of(&reply) + 8, (uint32_t)report.step);
  put_u32(body_of(&reply) + 12, (uint32_t)(report.step >> 32));
  return reply;
}

static Reply answer_merge(Server* server, uint32_t n_bytes, const uint8_t* body) {
  edgecl_merge_report report = {.struct_size = sizeof report};
  const edgecl_status status = edgecl_merge(server->now->session, body, n_bytes, &report);
  if (status != EDGECL_OK) return library_said(server, kServeMerge, status);
  server->steps_not_committed++;
  char text[kMergeTextBytes];
  merge_text(&report, text);
  return server_sentence(kServeMerge, kDone, text);
}

static Reply answer_commit(Server* server) {
  Reason reason;
  if (server->now->state_path[0] == '\0') {
    return server_sentence(kServeCommit, kUsage,
                           "expected a server with --state; found one that keeps nothing; add it");
  }
  const int code = server_commit(server, &reason);
  if (code == kDone) say(&reason, "{\"commits\": %" PRIu64 "}", server->n_commits);
  return server_sentence(kServeCommit, (uint8_t)code, reason.text);
}

static double predict_p95_ms(const Server* server) {
  int64_t sorted[kServerTimes];
  const size_t n = server->n_predict_ns < kServerTimes ? (size_t)server->n_predict_ns : kServerTimes;
  memcpy(sorted, server->predict_ns, n * sizeof *sorted);
  return (double)percentile(sorted, n, 95) / 1e6;
}

static Reply answer_health(Server* server) {
  ServedBundle* s = server->now;
  char text[kTextBytes];
  served_look_at_canary(s);
  const int64_t correct = s->canary_correct;
  const uint64_t learned = served_samples_learned(s);
  snprintf(text, sizeof text,
           "{\"release\": \"%s\", \"digest\": \"%s\", \"counter\": %" PRIu64
           ", \"pid\": %ld, \"uptime_s\": %.1f, \"reloading\": %s, \"commit_failed\": %s, \"samples_learned\": %" PRIu64
           ", \"steps_not_committed\": %" PRIu64 ", \"rows_not_committed\": %" PRIu64
           ", \"state\": \"%s\", \"predict_p95_ms\": %.4f, \"canary_rows\": %" PRIu32
           ", \"canary_labels\": %s, \"canary_correct\": %" PRId64 "}",
           s->name, s->bundle.digest, s->bundle.release, (long)getpid(),
           (double)(monotonic_ns() - server->began_ns) / 1e9, server->loading ? "true" : "false",
           server->commit_failed ? "true" : "false", learned, server->steps_not_committed,
           learned > server->rows_committed ? learned - server->rows_committed : 0, s->state_came,
           predict_p95_ms(server), s->canary.rows, s->canary.labels ? "true" : "false", correct);
  return server_sentence(kServeHealth, correct < 0 ? kNo : kDone, text);
}

static Reply answer_stats(Server* server) {
  edgecl_stats stats = {.struct_size = sizeof stats};
  const edgecl_status status = edgecl_session_stats(server->now->session, &stats);
  if (status != EDGECL_OK) return library_said(server, kServeStats, status);
  const edgecl_model_info* info = &server->now->bundle.info;
  char text[kTextBytes];
  snprintf(text, sizeof text,
           "{\"input_dtype\": \"%s\", \"input_elements\": %" PRIu64 ", \"most_rows\": %" PRIu32
           ", \"max_batch\": %" PRIu32 ", \"classes\": %" PRIu32 ", \"steps\": %" PRIu64
           ", \"samples_learned\": %" PRIu64 ", \"samples_predicted\": %" PRIu64 ", \"refused_steps\": %" PRIu64
           ", \"replay_fill\": %" PRIu32 ", \"requests\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"commits\": %" PRIu64
           ", \"reloads\": %" PRIu64 ", \"arena_bytes\": %" PRIu64 ", \"peak_rss_bytes\": %" PRIu64 "}",
           info->input_dtype == EDGECL_U8 ? "u8" : "f32", info->input_elements, server->now->most_rows,
           server->now->config.max_batch, stats.n_classes, stats.steps, stats.samples_learned, stats.samples_predicted,
           stats.refused_steps, stats.replay_fill, server->n_requests, server->n_refused, server->n_commits,
           server->n_reloads, stats.arena_bytes, peak_rss_bytes());
  return server_sentence(kServeStats, kDone, text);
}

static Reply answer_state(const Server* server) {
  LearnedState state;
  Reason reason;
  const int code = state_of_session(server->now->session, &state, &reason);
  if (code != kDone) return server_sentence(kServeState, (uint8_t)code, reason.text);
  const Reply reply = message(kServeState, kDone, 0, state.n_bytes);
  if (reply.bytes != NULL) memcpy(body_of(&reply), state.bytes, state.n_bytes);
  state_release(&state);
  return reply;
}

static Reply answer_reload(Server* server, uint32_t n_bytes, const uint8_t* body) {
  if (n_bytes > 1 || (n_bytes == 1 && body[0] > kReloadFresh)) {
    return server_sentence(kServeReload, kUsage, "expected no body, or one byte 0..2; found another; correct it");
  }
  if (!server_reload(server, n_bytes == 1 ? (enum ReloadState)body[0] : kReloadCarry)) {
    return server_sentence(kServeReload, kServeBusy, "expected no reload in progress; found one; ask again later");
  }
  const Reply reply = {NULL, 0, 1};
  return reply;
}

size_t server_body_bytes(const Server* server, uint8_t operation) {
  const size_t sample = server->now->bundle.sample_bytes, rows = server->now->most_rows;
  if (operation == kServePredict || operation == kServeRoute) return rows * sample;
  if (operation == kServeMerge) return kMostRequestBytes;
  return operation == kServeLearn ? rows * (sample + 4) : operation == kServeReload ? 1 : 0;
}

static Reply wrong_length(const MessageHeader* h) {
  Reason reason;
  say(&reason,
      "expected 1 or more rows with as many bytes as the bundle's samples have (and 4 a label); found %u rows in "
      "%u bytes; see the stats",
      h->rows, h->bytes);
  return server_sentence(h->operation, kUsage, reason.text);
}

static Reply answer(Server* server, const MessageHeader* h, uint8_t* body) {
  const size_t sample = server->now->bundle.sample_bytes;
  switch (h->operation) {
    case kServePredict:
      if (h->rows < 1 || h->bytes != h->rows * sample) return wrong_length(h);
      return answer_predict(server, h, body);
    case kServeRoute:
      if (h->rows < 1 || h->bytes != h->rows * sample) return wrong_length(h);
      return answer_rows(server, h, body, route_rows);
    case kServeLearn:
      if (h->rows < 1 || h->bytes != h->rows * (sample + 4)) return wrong_length(h);
      return answer_learn(server, h->rows, body);
    case kServeMerge:
      return answer_merge(server, h->bytes, body);
    case kServeCommit:
      return answer_commit(server);
    case kServeHealth:
      return answer_health(server);
    case kServeStats:
      return answer_stats(server);
    case kServeState:
      return answer_state(server);
    case kServeReload:
      return answer_reload(server, h->bytes, body);
    case kServeStop:
      server->stopping = 1;
      return server_sentence(kServeStop, kDone, "{\"stopping\": true}");
    default:
      return server_sentence(h->operation, kUsage, "expected an operation 1..10; found another; see SERVE.md");
  }
}

Reply server_answer(Server* server, MessageHeader header, uint8_t* body) {
  const Reply reply = answer(server, &header, body);
  server->n_requests++;
  if (reply.bytes != NULL && reply.bytes[5] != kDone) server->n_refused++;
  return reply;
}
