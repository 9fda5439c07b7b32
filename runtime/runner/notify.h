// Messages to the service manager (systemd's sd_notify protocol): one datagram to the socket that NOTIFY_SOCKET names.
// Never here: a library for it.
#ifndef EDGECL_RUNTIME_RUNNER_NOTIFY_H_
#define EDGECL_RUNTIME_RUNNER_NOTIFY_H_

#include <stdint.h>

// "READY=1", "WATCHDOG=1", "STOPPING=1"; nothing happens where nobody listens.
void notify_manager(const char* text);

// Nanoseconds between two signs of life, half of what WATCHDOG_USEC allows; 0: nobody waits for them.
int64_t notify_interval_ns(void);

#endif
