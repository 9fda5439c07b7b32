// The protocol of sd_notify(3), for sockets in the file system and for abstract ones ("@").
// Never here: when to send.
#include "notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify_manager(const char* text) {
  const char* path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path) return;
  memcpy(address.sun_path, path, strlen(path));
  const socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
  if (path[0] == '@') address.sun_path[0] = '\0';
  const int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (file < 0) return;
  (void)!sendto(file, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr*)&address, length);
  close(file);
}

int64_t notify_interval_ns(void) {
  const char *text = getenv("WATCHDOG_USEC"), *process = getenv("WATCHDOG_PID");
  if (text == NULL || (process != NULL && atoll(process) != (long long)getpid())) return 0;
  const long long microseconds = atoll(text);
  return microseconds > 0 && microseconds < (1ll << 50) ? (int64_t)microseconds * 500 : 0;
}
