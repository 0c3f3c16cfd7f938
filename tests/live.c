/* SPDX-License-Identifier: GPL-2.0-only */
/* Namespaces end with the process of the test; the BPF file system and /run in them are the test's own. */
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "live.h"

struct arena *live_arena;
struct diags live_diags;

void live_sh(const char *cmd)
{
	ck_assert_msg(system(cmd) == 0, "%s", cmd);
}

static bool enter(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		return false;
	return !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) && !mount("run", "/run", "tmpfs", 0, "mode=0755") &&
	       !mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700");
}

void live_setup(void)
{
	ck_assert(enter());
	live_sh("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
	live_arena = arena_new();
	live_diags = (struct diags){ .arena = live_arena };
}

void live_teardown(void)
{
	arena_free(live_arena);
}

const char *live_said(void)
{
	struct strbuf out = { .arena = live_arena };

	for (uint32_t i = 0; i < live_diags.n; i++)
		diag_print(&out, &live_diags.d[i]);
	return out.s ? out.s : "";
}

uint32_t live_xdp(const char *dev)
{
	uint32_t id = 0;

	bpf_xdp_query_id(if_nametoindex(dev), 0, &id);
	return id;
}

/* Asked in a child, so that the runner itself stays where it is. */
static bool may_enter(void)
{
	int status = 1;
	pid_t pid = fork();

	if (!pid)
		_exit(enter() ? 0 : 1);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

bool live_may(void)
{
	if (may_enter())
		return true;
	printf("skip: this user cannot make a network namespace with a BPF file system\n");
	return false;
}

int live_main(Suite *s)
{
	SRunner *r = srunner_create(s);
	int failed;

	if (!live_may()) {
		srunner_free(r);
		return 77;
	}
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
