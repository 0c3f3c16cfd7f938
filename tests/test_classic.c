/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Chains of classic filters on clsact: what they drop and what passes, replacement by chains of other lengths with no
 * packet judged by half of one, killed under way, the end of the priorities, filters of others, what is read back without
 * any file, and all of it by a user who has no right but those of a user namespace of his own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/pkt_cls.h>

#include "attach_traffic.h"
#include "live.h"
#include "priv.h"

#define N_MAX 40

static const char *const ids[] = { "cbpf-v0-ingress", "cbpf-v0-egress" };
static const char *const ways[] = { "ingress", "egress" };

/* ---- chains */

struct chain {
	struct be_filter filter[N_MAX];
	struct sock_filter insn[N_MAX][4096];
	struct ld_attach what;
};

static void fill(struct be_filter *f, struct sock_filter *i, uint32_t pad, uint16_t port, int drop, int otherwise)
{
	const struct sock_filter body[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 36),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, drop),
		BPF_STMT(BPF_RET | BPF_K, otherwise),
	};

	for (uint32_t k = 0; k < pad; k++)
		i[k] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, k);
	memcpy(i + pad, body, sizeof(body));
	*f = (struct be_filter){ .n = pad + 4, .insn = i };
}

/* The first drops port 7777, which is the last that a chain gets while it is made; the last lets pass. */
static struct chain *chain(uint32_t n, uint32_t pad, bool egress)
{
	static struct chain c;

	for (uint32_t i = 0; i < n; i++)
		fill(&c.filter[i], c.insn[i], pad, i ? i : TRAFFIC_DROPPED, TC_ACT_SHOT,
		     i + 1 == n ? TC_ACT_OK : TC_ACT_UNSPEC);
	c.what = (struct ld_attach){
		.n_filter = n, .filter = c.filter, .where = { .kind = LD_CBPF, .dev = "v0", .egress = egress }, .meta = "stored",
		.meta_len = 6,
	};
	return &c;
}

/* The first lets port 5000 pass, the last drops all: half of it would drop too much. */
static struct chain *only_passed(void)
{
	struct chain *c = chain(N_MAX, 0, false);

	fill(&c->filter[0], c->insn[0], 0, TRAFFIC_PASSED, TC_ACT_OK, TC_ACT_UNSPEC);
	fill(&c->filter[N_MAX - 1], c->insn[N_MAX - 1], 0, 1, TC_ACT_SHOT, TC_ACT_SHOT);
	return c;
}

static void attach(struct chain *c)
{
	ck_assert_msg(!ld_attach_all(&live_diags, &c->what, 1), "%s", live_said());
}

static struct ld_state *states(uint32_t *ret_n)
{
	struct ld_state *st;

	ck_assert_msg(!ld_state_list(live_arena, &live_diags, &st, ret_n), "%s", live_said());
	return st;
}

static struct ld_state *only_state(void)
{
	uint32_t n;
	struct ld_state *st = states(&n);

	ck_assert_msg(n == 1, "%u attachments", n);
	return st;
}

static void nothing_left(void)
{
	uint32_t n;

	states(&n);
	ck_assert_uint_eq(n, 0);
	live_sh("! tc qdisc show dev v0 | grep clsact");
	live_sh("! ls -d /run/fwjit/*/* $XDG_RUNTIME_DIR/fwjit/*/* 2>/dev/null");
}

/* ---- tests */

START_TEST(drops_lists_and_goes)
{
	struct traffic t = traffic_open(_i);
	struct ld_state *st;
	struct chain *c;
	uint32_t gen;

	attach(chain(1, 0, _i));
	traffic_expect(&t, "one", false);
	st = only_state();
	gen = st->prog_id;
	ck_assert_str_eq(st->id, ids[_i]);
	ck_assert_str_eq(st->target, "cbpf");
	ck_assert_int_eq(st->where.egress, _i);
	ck_assert_uint_eq(st->where.ifindex, if_nametoindex("v0"));
	ck_assert_uint_eq(st->meta_len, 6);
	ck_assert_mem_eq(st->meta, "stored", 6);
	attach(chain(7, 3000, _i));
	traffic_expect(&t, "seven", false);
	ck_assert_uint_ne(only_state()->prog_id, gen);
	c = chain(1, 0, _i);
	c->what.expect = gen;
	ck_assert_int_eq(ld_attach_all(&live_diags, &c->what, 1), -ESTALE);
	c->what.expect = LD_NONE;
	ck_assert_int_eq(ld_attach_all(&live_diags, &c->what, 1), -ESTALE);
	c->what.expect = only_state()->prog_id;
	attach(c);
	traffic_expect(&t, "one again", false);
	ck_assert_int_eq(ld_detach(&live_diags, ids[_i]), 0);
	traffic_expect(&t, "none", true);
	nothing_left();
	ck_assert_int_eq(ld_detach(&live_diags, ids[_i]), -ENOENT);
	traffic_close(&t);
}
END_TEST

START_TEST(as_large_as_can_be_listed)
{
	struct traffic t = traffic_open(_i);
	struct chain *c = chain(2, 3896, _i);

	attach(c);	/* with our marks over 30 KiB a message */
	traffic_expect(&t, "large", false);
	ck_assert_str_eq(only_state()->id, ids[_i]);
	ck_assert_int_eq(ld_attach_all(&live_diags, &chain(2, 3897, _i)->what, 1), -E2BIG);
	ck_assert_int_eq(ld_attach_all(&live_diags, &chain(0, 0, _i)->what, 1), -E2BIG);
	traffic_expect(&t, "large", false);
	ck_assert_int_eq(ld_detach(&live_diags, ids[_i]), 0);
	nothing_left();
	traffic_close(&t);
}
END_TEST

static void end_clean(pid_t pid, int fd, uint64_t least)
{
	struct traffic_count n = traffic_end(pid, fd);

	ck_assert_msg(!n.leaked && !n.lost && n.sent >= least, "of %lu, %lu leaked, %lu lost", n.sent, n.leaked, n.lost);
}

START_TEST(replaced_under_traffic)
{
	int fd;
	pid_t pid;

	attach(chain(2, 0, _i));
	pid = traffic_start(_i, &fd);
	for (uint32_t k = 0; k < 60; k++) {
		attach(chain(1 + k * 7 % N_MAX, k * 5, _i));
		ck_assert_str_eq(only_state()->id, ids[_i]);
	}
	end_clean(pid, fd, 100);
	ck_assert_int_eq(ld_detach(&live_diags, ids[_i]), 0);
	nothing_left();
}
END_TEST

/* Nor does half a chain decide when there was none before, or none is to be after. */
START_TEST(comes_and_goes_under_traffic)
{
	struct traffic_count n;
	int fd;
	pid_t pid = traffic_start(false, &fd);

	for (int k = 0; k < 40; k++) {
		attach(only_passed());
		usleep(500);
		ck_assert_int_eq(ld_detach(&live_diags, ids[0]), 0);
		usleep(500);
	}
	n = traffic_end(pid, fd);
	ck_assert_msg(!n.lost && n.sent > 100 && n.leaked, "of %lu, %lu lost", n.sent, n.lost);
	nothing_left();
}
END_TEST

/* The live chain to another priority, as if so many replacements had been before. */
static void move_live(uint32_t to)
{
	_cleanup_nl_ struct ld_nl nl = { 0 };
	_cleanup_filters_ struct ld_filters all = { 0 };
	uint32_t ifindex = if_nametoindex("v0"), from;

	ck_assert_int_eq(ld_nl_open(&nl, NETLINK_ROUTE), 0);
	ck_assert_int_eq(ld_tc_dump(&nl, ifindex, false, &all), 0);
	ck_assert_uint_gt(all.n, 0);
	from = all.f[0].prio;
	for (uint32_t i = all.n; i-- > 0;) {
		all.f[i].prio = to;
		ck_assert_int_eq(ld_tc_add(&nl, ifindex, false, &all.f[i], -1, false), 0);
	}
	ck_assert_int_eq(ld_tc_del(&nl, ifindex, false, from, 0), 0);
}

START_TEST(priorities_start_anew)
{
	int fd;
	pid_t pid;

	attach(chain(9, 100, false));
	pid = traffic_start(false, &fd);
	for (uint32_t k = 0; k < 48; k++) {
		move_live(0xffffU - k % 3);
		attach(chain(1 + k % 12, 100, false));
		live_sh(k % 3 == 2 ? "tc filter show dev v0 ingress | grep -q 'pref 65534'" :
				     "tc filter show dev v0 ingress | grep -q 'pref 49409'");
		only_state();
	}
	end_clean(pid, fd, 100);
	ck_assert_int_eq(ld_detach(&live_diags, ids[0]), 0);
	nothing_left();
}
END_TEST

/* Also where the priorities start anew, which has the most steps. */
START_TEST(killed_under_way)
{
	struct traffic t = traffic_open(false);

	attach(chain(6, 0, false));
	for (int k = 0; k < 60; k++) {
		pid_t pid;

		if (k % 2) {
			attach(chain(6, 0, false));
			move_live(0xffff);
		}
		pid = fork();
		if (!pid)
			_exit(ld_attach_all(&live_diags, &chain(6 + k % 3, 0, false)->what, 1) != 0);
		usleep(60 * k);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		traffic_expect(&t, "killed", false);
		only_state();
	}
	attach(chain(2, 0, false));
	traffic_expect(&t, "again", false);
	live_sh("test $(tc filter show dev v0 ingress | grep -c handle) = 2");
	ck_assert_int_eq(ld_detach(&live_diags, ids[0]), 0);
	nothing_left();
	/* The first: there is nothing before it. */
	for (int k = 0; k < 30; k++) {
		pid_t pid = fork();

		if (!pid)
			_exit(ld_attach_all(&live_diags, &only_passed()->what, 1) != 0);
		usleep(60 * k);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		ck_assert_int_le(ld_detach(&live_diags, ids[0]), 0);
		traffic_expect(&t, "none", true);
	}
	traffic_close(&t);
}
END_TEST

START_TEST(all_or_none)
{
	struct traffic t = traffic_open(_i);
	struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS }, { .code = BPF_JMP | BPF_EXIT },
	};
	struct ld_prog x = { .fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "x", "GPL", pass, 2, NULL), .id = 1 };
	struct ld_attach what[2] = {
		[1] = { .prog = &x, .where = { .kind = LD_XDP, .dev = "v2" }, .meta = "new", .meta_len = 3 },
	};
	uint32_t gen;

	live_sh("ip link add v2 mtu 9000 type veth peer name v3 mtu 9000");
	what[0] = chain(3, 0, _i)->what;
	ck_assert_int_lt(ld_attach_all(&live_diags, what, 2), 0);
	traffic_expect(&t, "none", true);
	nothing_left();
	attach(chain(5, 0, _i));
	gen = only_state()->prog_id;
	what[0] = chain(3, 0, _i)->what;
	what[0].meta = "other";
	ck_assert_int_lt(ld_attach_all(&live_diags, what, 2), 0);
	traffic_expect(&t, "old", false);
	ck_assert_uint_eq(only_state()->prog_id, gen);
	ck_assert_mem_eq(only_state()->meta, "stored", 6);
	ck_assert_int_eq(ld_detach(&live_diags, ids[_i]), 0);
	nothing_left();
	close(x.fd);
	traffic_close(&t);
}
END_TEST

START_TEST(both_ways_and_no_file)
{
	struct ld_attach what[2] = { chain(2, 0, true)->what };
	struct ld_state *st;
	uint32_t n;

	what[1] = what[0];
	what[1].where.egress = false;
	ck_assert_msg(!ld_attach_all(&live_diags, what, 2), "%s", live_said());
	live_sh("rm -rf /run/fwjit");
	st = states(&n);
	ck_assert_uint_eq(n, 2);
	ck_assert_str_eq(st[0].id, ids[0]);
	ck_assert_str_eq(st[1].id, ids[1]);
	ck_assert_uint_eq(st[0].meta_len, 0);
	ck_assert_int_eq(ld_detach(&live_diags, ids[0]), 0);
	ck_assert_str_eq(only_state()->id, ids[1]);
	ck_assert_int_eq(ld_detach(&live_diags, ids[1]), 0);
	states(&n);
	ck_assert_uint_eq(n, 0);
	what[1].where.egress = true;
	ck_assert_int_eq(ld_attach_all(&live_diags, what, 2), -EINVAL);
}
END_TEST

START_TEST(filters_of_others)
{
	struct traffic t = traffic_open(_i);

	live_sh("tc qdisc add dev v0 clsact");
	live_sh(arena_printf(live_arena, "tc filter add dev v0 %s pref 50000 bpf da bytecode '1,6 0 0 4294967295'", ways[_i]));
	ck_assert_int_eq(ld_attach_all(&live_diags, &chain(2, 0, _i)->what, 1), -EBUSY);
	ck_assert_msg(strstr(live_said(), "priority 50000") != NULL, "%s", live_said());
	traffic_expect(&t, "refused", true);
	live_sh(arena_printf(live_arena, "tc filter del dev v0 %s", ways[_i]));
	live_sh(arena_printf(live_arena, "tc filter add dev v0 %s bpf da bytecode '1,6 0 0 4294967295'", ways[_i]));
	attach(chain(2, 0, _i));
	ck_assert_ptr_nonnull(strstr(live_said(), "before ours"));
	traffic_expect(&t, "beside", false);
	ck_assert_int_eq(ld_detach(&live_diags, ids[_i]), 0);
	live_sh(arena_printf(live_arena, "test $(tc filter show dev v0 %s | grep -c handle) = 1", ways[_i]));
	traffic_close(&t);
}
END_TEST

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_msg(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s", path);
	close(fd);
}

/* No capability outside a user namespace, and no BPF file system. */
START_TEST(without_rights)
{
	struct traffic t;

	ck_assert(!mkdir("/run/user", 0755) && !mkdir("/run/user/4711", 0700) && !chown("/run/user/4711", 4711, 4711));
	ck_assert(!umount("/sys/fs/bpf"));
	setenv("XDG_RUNTIME_DIR", "/run/user/4711", 1);
	ck_assert(!setresgid(4711, 4711, 4711) && !setresuid(4711, 4711, 4711));
	prctl(PR_SET_DUMPABLE, 1);	/* /proc/self is the user's own again */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		printf("skip: this user may not make a user namespace\n");
		return;
	}
	write_text("/proc/self/setgroups", "deny");
	write_text("/proc/self/uid_map", "0 4711 1");
	write_text("/proc/self/gid_map", "0 4711 1");
	traffic_setup();
	t = traffic_open(_i);
	attach(chain(4, 1000, _i));
	traffic_expect(&t, "own namespace", false);
	ck_assert_str_eq(only_state()->id, ids[_i]);
	ck_assert_uint_eq(only_state()->meta_len, 6);
	attach(chain(3, 0, _i));
	traffic_expect(&t, "own namespace, again", false);
	ck_assert_int_eq(ld_detach(&live_diags, ids[_i]), 0);
	nothing_left();
	traffic_close(&t);
}
END_TEST

static void setup(void)
{
	live_setup();
	traffic_setup();
}

static bool has_clsact(void)
{
	return !system("unshare -n tc qdisc add dev lo clsact 2>/dev/null");
}

static Suite *suite(void)
{
	Suite *s = suite_create("classic");
	TCase *t = tcase_create("live");

	tcase_add_checked_fixture(t, setup, live_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, drops_lists_and_goes, 0, 2);
	tcase_add_loop_test(t, as_large_as_can_be_listed, 0, 2);
	tcase_add_loop_test(t, replaced_under_traffic, 0, 2);
	tcase_add_test(t, comes_and_goes_under_traffic);
	tcase_add_test(t, priorities_start_anew);
	tcase_add_test(t, killed_under_way);
	tcase_add_loop_test(t, all_or_none, 0, 2);
	tcase_add_test(t, both_ways_and_no_file);
	tcase_add_loop_test(t, filters_of_others, 0, 2);
	tcase_add_loop_test(t, without_rights, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	if (!has_clsact()) {
		printf("skip: this kernel or this user has no clsact\n");
		return 77;
	}
	return live_main(suite());
}
