/* Preloaded into a server that listens on all interfaces, it makes it listen on the loopback one. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>

int bind(int descriptor, const struct sockaddr *address, socklen_t size) {
  int (*original)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
  if (address && address->sa_family == AF_INET) {
    struct sockaddr_in loopback = *(const struct sockaddr_in *)address;
    loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return original(descriptor, (struct sockaddr *)&loopback, sizeof loopback);
  }
  if (address && address->sa_family == AF_INET6) {
    struct sockaddr_in6 loopback = *(const struct sockaddr_in6 *)address;
    loopback.sin6_addr = in6addr_loopback;
    return original(descriptor, (struct sockaddr *)&loopback, sizeof loopback);
  }
  return original(descriptor, address, size);
}
