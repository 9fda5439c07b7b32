// The command `call`: one request to a server, for shells. Prints the reply's text.
// Never here: samples.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "arguments.h"
#include "commands.h"
#include "failures.h"
#include "npy.h"
#include "serve_protocol.h"

enum { kNoAnswer = 5, kMostReplyBytes = 1 << 16 };

static int no_answer(const char* path, const char* why) {
  fprintf(stderr, "edgecl-run: expected an answer at \"%s\"; found: %s; look whether the server runs\n", path, why);
  return kNoAnswer;
}

static int send_all(int file, const uint8_t* bytes, size_t n) {
  while (n > 0) {
    const ssize_t put = send(file, bytes, n, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return 0;
    bytes += put;
    n -= (size_t)put;
  }
  return 1;
}

static int receive_all(int file, uint8_t* bytes, size_t n) {
  while (n > 0) {
    const ssize_t got = recv(file, bytes, n, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) errno = ECONNRESET;
    if (got <= 0) return 0;
    bytes += got;
    n -= (size_t)got;
  }
  return 1;
}

static int exchange(int file, const char* path, MessageHeader request, const uint8_t* body) {
  uint8_t head[kMessageHeaderBytes];
  put_header(head, request);
  if (!send_all(file, head, sizeof head) || !send_all(file, body, request.bytes) ||
      !receive_all(file, head, sizeof head))
    return no_answer(path, strerror(errno));
  const MessageHeader header = get_header(head);
  if (header.bytes > kMostReplyBytes) return no_answer(path, "a reply that is no text");
  char* text = malloc((size_t)header.bytes + 1);
  if (text == NULL) return no_memory("reply");
  if (!receive_all(file, (uint8_t*)text, header.bytes)) return free(text), no_answer(path, strerror(errno));
  text[header.bytes] = '\0';
  fprintf(header.status == kDone ? stdout : stderr, "%s\n", text);
  free(text);
  return header.status;
}

static int connect_and_exchange(const char* path, int64_t timeout_s, MessageHeader request, const uint8_t* body) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return no_answer(path, "a path that is too long");
  memcpy(address.sun_path, path, strlen(path));
  const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const struct timeval patience = {(time_t)timeout_s, 0};
  if (file < 0) return no_answer(path, strerror(errno));
  setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const int code = connect(file, (const struct sockaddr*)&address, sizeof address) != 0
                       ? no_answer(path, strerror(errno))
                       : exchange(file, path, request, body);
  close(file);
  return code;
}

static int call_merge(const char* path, int64_t timeout_s, const char* message) {
  size_t n = 0;
  uint8_t* bytes = read_file(message, &n);
  if (bytes == NULL) return kInput;
  const MessageHeader request = {(uint32_t)n, kServeMerge, 0, 0};
  int code = kInput;
  if (n <= kMostRequestBytes) {
    code = connect_and_exchange(path, timeout_s, request, bytes);
  } else {
    fprintf(stderr, "edgecl-run: expected a message of at most %d bytes in \"%s\"; found %zu; merge it with run\n",
            kMostRequestBytes, message, n);
  }
  free(bytes);
  return code;
}

int command_call(int argc, char** argv) {
  static const char* const kNames[] = {"commit", "health", "stats", "reload", "stop"};
  static const uint8_t kOperations[] = {kServeCommit, kServeHealth, kServeStats, kServeReload, kServeStop};
  static const char* const kStates[] = {"carry", "disk", "fresh"};
  const char *path = NULL, *state = "carry";
  int64_t timeout_s = 30;
  const Argument known[] = {
      {"--socket", kText, &path, 0, 0}, {"--state", kText, &state, 0, 0}, {"--timeout", kNumber, &timeout_s, 1, 3600}};
  size_t which = 0, begin_with = 0;
  const int is_merge = argc > 3 && strcmp(argv[argc - 2], "merge") == 0;
  while (argc > 2 && which < 5 && strcmp(argv[argc - 1], kNames[which]) != 0) which++;
  if (argc < 3 || (which == 5 && !is_merge) || !parse_arguments(argc - 1 - is_merge, argv, 2, known, 3) ||
      path == NULL) {
    fputs(
        "edgecl-run: expected call --socket PATH [--timeout S] [--state carry|disk|fresh] "
        "commit|health|stats|reload|stop|merge FILE; correct it\n",
        stderr);
    return kUsage;
  }
  while (begin_with < 3 && strcmp(state, kStates[begin_with]) != 0) begin_with++;
  if (begin_with == 3) return fputs("edgecl-run: expected --state carry, disk or fresh; correct it\n", stderr), kUsage;
  if (is_merge) return call_merge(path, timeout_s, argv[argc - 1]);
  const uint8_t body = (uint8_t)begin_with;
  const MessageHeader request = {kOperations[which] == kServeReload ? 1 : 0, kOperations[which], 0, 0};
  return connect_and_exchange(path, timeout_s, request, &body);
}
