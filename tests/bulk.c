/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A TCP transfer fast enough that segments are merged into packets far longer than any frame: bulk serve|send ADDR PORT
 * BYTES. Serving prints what arrived; both give up after five seconds without progress.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int endpoint(const char *addr, const char *port, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	struct timeval five = { .tv_sec = 5 };
	int on = 1, fd;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = strchr(addr, ':') ? AF_INET6 : AF_INET;
	*ret_len = ret->ss_family == AF_INET ? sizeof(*v4) : sizeof(*v6);
	v4->sin_port = htons(atoi(port));	/* the same place in both */
	if (inet_pton(ret->ss_family, addr, ret->ss_family == AF_INET ? (void *)&v4->sin_addr : &v6->sin6_addr) != 1)
		return -1;
	fd = socket(ret->ss_family, SOCK_STREAM, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &five, sizeof(five));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &five, sizeof(five));
	}
	return fd;
}

static unsigned long serve(int fd, const struct sockaddr_storage *at, socklen_t len)
{
	static char buf[1 << 20];
	unsigned long n = 0;
	ssize_t got;
	int c;

	if (bind(fd, (const struct sockaddr *)at, len) || listen(fd, 1) || (c = accept(fd, NULL, NULL)) < 0)
		return 0;
	while ((got = recv(c, buf, sizeof(buf), 0)) > 0)
		n += got;
	close(c);
	return n;
}

static int send_all(int fd, const struct sockaddr_storage *to, socklen_t len, unsigned long bytes)
{
	static char buf[200000];
	ssize_t put;

	for (int i = 0; connect(fd, (const struct sockaddr *)to, len); i++) {
		if (i == 50)
			return 1;
		usleep(100000);
	}
	for (; bytes; bytes -= put) {
		put = send(fd, buf, bytes < sizeof(buf) ? bytes : sizeof(buf), MSG_NOSIGNAL);
		if (put <= 0)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_storage at;
	socklen_t len;
	int fd;

	if (argc != 5)
		return 2;
	fd = endpoint(argv[2], argv[3], &at, &len);
	if (fd < 0)
		return 2;
	if (!strcmp(argv[1], "send"))
		return send_all(fd, &at, len, strtoul(argv[4], NULL, 10));
	printf("%lu\n", serve(fd, &at, len));
	return 0;
}
