/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every kind of place, with hand-made programs that drop UDP to port 7777 (packets of one length, for netfilter) and real
 * packets: what is dropped and what passes, replacement under traffic, counters that live on, all or nothing, those of
 * others, and that nothing is left. The namespaces are the test's own; a place that this kernel or this caller does not
 * have is skipped with the reason.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/netfilter.h>
#include <linux/pkt_cls.h>

#include "attach_traffic.h"
#include "live.h"
#include "priv.h"
#include "uapi.h"

/* ---- places: each test of `kinds` runs for each of them */

static const struct place {
	const char *name;
	struct ld_where where;
	uint32_t prog_type, attach_type;
	int drop, pass;
} places[] = {
	{ "tcx ingress", { .kind = LD_TC, .dev = "v0" }, BPF_PROG_TYPE_SCHED_CLS, 0, TC_ACT_SHOT, TC_ACT_UNSPEC },
	{ "tcx egress", { .kind = LD_TC, .dev = "v0", .egress = true }, BPF_PROG_TYPE_SCHED_CLS, 0, TC_ACT_SHOT, TC_ACT_UNSPEC },
	{ "clsact ingress", { .kind = LD_TC, .dev = "v0", .generic = true }, BPF_PROG_TYPE_SCHED_CLS, 0, TC_ACT_SHOT,
	  TC_ACT_UNSPEC },
	{ "clsact egress", { .kind = LD_TC, .dev = "v0", .generic = true, .egress = true }, BPF_PROG_TYPE_SCHED_CLS, 0,
	  TC_ACT_SHOT, TC_ACT_UNSPEC },
	{ "netfilter input", { .kind = LD_NETFILTER, .pf = NFPROTO_IPV4, .hooknum = NF_INET_LOCAL_IN, .prio = 7, .prio_min = 7 },
	  UAPI_BPF_PROG_TYPE_NETFILTER, UAPI_BPF_NETFILTER, NF_DROP, NF_ACCEPT },
	{ "netfilter output", { .kind = LD_NETFILTER, .pf = NFPROTO_IPV4, .hooknum = NF_INET_LOCAL_OUT, .egress = true },
	  UAPI_BPF_PROG_TYPE_NETFILTER, UAPI_BPF_NETFILTER, NF_DROP, NF_ACCEPT },
	{ "cgroup ingress", { .kind = LD_CGROUP, .cgroup = TRAFFIC_CGROUP }, BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS,
	  0, 1 },
	{ "cgroup egress", { .kind = LD_CGROUP, .cgroup = TRAFFIC_CGROUP, .egress = true }, BPF_PROG_TYPE_CGROUP_SKB,
	  BPF_CGROUP_INET_EGRESS, 0, 1 },
	{ "socket input", { .kind = LD_SOCKET, .pf = NFPROTO_IPV4, .hooknum = NF_INET_LOCAL_IN, .prio = 7 },
	  BPF_PROG_TYPE_SOCKET_FILTER, 0, 1, 0 },
	{ "socket output", { .kind = LD_SOCKET, .pf = NFPROTO_IPV4, .hooknum = NF_INET_LOCAL_OUT, .prio = -300, .egress = true },
	  BPF_PROG_TYPE_SOCKET_FILTER, 0, 1, 0 },
};
#define N_PLACE ((int)(sizeof(places) / sizeof(places[0])))

#define SLOTS 3
static struct be_map counters = {
	.name = "counters", .type = BPF_MAP_TYPE_PERCPU_ARRAY, .key_size = 4, .value_size = 16, .max_entries = SLOTS,
};
static enum be_role counters_role = BE_MAP_COUNTERS;

/* Is it a packet for port 7777? Each kind of program sees packets in its own way. */
static uint32_t ask(struct bpf_insn *i, const struct place *p, uint32_t *ret_jump)
{
	uint32_t n = 0;

	i[n++] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 };
	if (p->prog_type == UAPI_BPF_PROG_TYPE_NETFILTER) {
		i[n++] = (struct bpf_insn){ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = 8 };
		i[n++] = (struct bpf_insn){
			.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 1, .off = traffic_skb_len(),
		};
		*ret_jump = n;
		i[n++] = (struct bpf_insn){ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 1, .imm = TRAFFIC_DROPPED_LEN };
		return n;
	}
	i[n++] = (struct bpf_insn){
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = p->prog_type == BPF_PROG_TYPE_SCHED_CLS ? 36 : 22,
	};
	i[n++] = (struct bpf_insn){ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8 };
	i[n++] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 3, .src_reg = 10 };
	i[n++] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 3, .imm = -8 };
	i[n++] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 4, .imm = 2 };
	i[n++] = (struct bpf_insn){ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_load_bytes };
	i[n++] = (struct bpf_insn){ .code = BPF_LDX | BPF_MEM | BPF_H, .dst_reg = 1, .src_reg = 10, .off = -8 };
	*ret_jump = n;
	i[n++] = (struct bpf_insn){ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 1, .imm = htons(TRAFFIC_DROPPED) };
	return n;
}

static struct ld_prog load(const struct place *p, uint32_t slot)
{
	static const struct imr_at *ats[40];
	struct bpf_insn i[40] = { 0 };
	uint32_t jump, n = ask(i, p, &jump);
	struct ld_prog l;
	const struct bpf_insn rest[] = {
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = slot },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4 },
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = 0 },
		{ 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .imm = 0, .off = 3 },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 0 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .imm = 1 },
		{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = p->drop },
		{ .code = BPF_JMP | BPF_EXIT },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = p->pass },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct be_prog b = {
		.name = "fwjit_test", .type = p->prog_type, .attach_type = p->attach_type, .insn = i, .at = ats, .n_map = 1,
		.map = &counters, .role = &counters_role, .n_slot = SLOTS,
	};

	memcpy(i + n, rest, sizeof(rest));
	b.n = n + sizeof(rest) / sizeof(rest[0]);
	i[jump].off = b.n - 2 - jump - 1;
	ck_assert_msg(!ld_load(&b, &live_diags, &l), "%s: %s", p->name, live_said());
	return l;
}

/* carry moves the slots round: where they counted does not matter to the sum. */
static int try_attach(const struct place *p, struct ld_prog *l, bool carry)
{
	static const uint32_t round[SLOTS] = { 1, 2, 0 };
	struct ld_attach what = {
		.prog = l, .where = p->where, .meta = p->name, .meta_len = strlen(p->name), .carry = carry ? round : NULL,
		.n_carry = SLOTS,
	};

	return ld_attach_all(&live_diags, &what, 1);
}

static uint32_t attach(const struct place *p, uint32_t slot)
{
	struct ld_prog l = load(p, slot);
	uint32_t id = l.id;

	ck_assert_msg(!try_attach(p, &l, true), "%s: %s", p->name, live_said());
	ld_prog_close(&l);
	return id;
}

static struct ld_state *only_state(const char *what)
{
	struct ld_state *st;
	uint32_t n;

	ck_assert_int_eq(ld_state_list(live_arena, &live_diags, &st, &n), 0);
	ck_assert_msg(n == 1, "%s: %u attachments; %s", what, n, live_said());
	return st;
}

static void nothing_left(const char *what)
{
	struct ld_state *st;
	uint32_t n;

	ck_assert_int_eq(ld_state_list(live_arena, &live_diags, &st, &n), 0);
	ck_assert_msg(n == 0, "%s: %u attachments", what, n);
	ck_assert_msg(!system("! ls -d /sys/fs/bpf/fwjit/*/* 2>/dev/null"), "%s: pins", what);
	ck_assert_msg(!system("! tc qdisc show dev v0 | grep clsact"), "%s: clsact", what);
	ck_assert_msg(!system("! ls -d /run/fwjit/*/* 2>/dev/null"), "%s: files", what);
}

static uint64_t counted(const char *id)
{
	struct be_counter c[SLOTS];
	uint64_t n = 0;

	ck_assert_msg(!ld_state_counters(&live_diags, id, c, SLOTS), "%s", live_said());
	for (int i = 0; i < SLOTS; i++)
		n += c[i].packets;
	return n;
}

/* ---- eBPF, place by place */

START_TEST(drops_lists_and_goes)
{
	const struct place *p = &places[_i];
	struct traffic t = traffic_open(p->where.egress);
	struct ld_state *st;
	char id[64];

	traffic_expect(&t, p->name, true);
	attach(p, 1);
	traffic_expect(&t, p->name, false);
	traffic_expect(&t, p->name, false);
	st = only_state(p->name);
	ck_assert_int_eq(ld_where_id(&p->where, id), 0);
	ck_assert_str_eq(st->id, id);
	ck_assert_int_eq(st->where.kind, p->where.kind);
	ck_assert_int_eq(st->where.egress, p->where.egress);
	ck_assert_str_eq(st->where.dev, p->where.dev);
	ck_assert(!st->gone);
	ck_assert_mem_eq(st->meta, p->name, strlen(p->name));
	ck_assert_uint_eq(counted(id), 2);
	ck_assert_int_eq(ld_detach(&live_diags, id), 0);
	traffic_expect(&t, p->name, true);
	nothing_left(p->name);
	ck_assert_int_eq(ld_detach(&live_diags, id), -ENOENT);
	traffic_close(&t);
}
END_TEST

/* Every packet is judged by one program and counted once, through 40 replacements. */
START_TEST(replaced_under_traffic)
{
	const struct place *p = &places[_i];
	struct traffic_count n;
	char id[64];
	int fd;
	pid_t pid;

	attach(p, 0);
	ck_assert_int_eq(ld_where_id(&p->where, id), 0);
	pid = traffic_start(p->where.egress, &fd);
	for (uint32_t i = 1; i <= 40; i++) {
		uint32_t prog;

		usleep(3000);
		prog = attach(p, i % SLOTS);
		ck_assert_uint_eq(only_state(p->name)->prog_id, prog);
	}
	n = traffic_end(pid, fd);
	ck_assert_msg(!n.leaked && !n.lost, "%s: of %lu, %lu leaked, %lu lost", p->name, n.sent, n.leaked, n.lost);
	ck_assert_uint_gt(n.sent, 100);
	ck_assert_msg(counted(id) == n.sent, "%s: %lu sent, %lu counted", p->name, n.sent, counted(id));
	ck_assert_int_eq(ld_detach(&live_diags, id), 0);
	nothing_left(p->name);
}
END_TEST

/* Undone after its commit: the last of the list cannot be attached, which only the driver says. */
START_TEST(all_or_none)
{
	const struct place *p = &places[_i];
	struct traffic t = traffic_open(p->where.egress);
	struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS }, { .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP);
	struct ld_prog x = { .fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "x", "GPL", pass, 2, &opts), .id = 1 }, l = load(p, 0);
	struct ld_attach what[2] = {
		{ .prog = &l, .where = p->where, .meta = "new", .meta_len = 3 },
		{ .prog = &x, .where = { .kind = LD_XDP, .dev = "v2" }, .meta = "new", .meta_len = 3 },
	};
	uint32_t old;

	live_sh("ip link add v2 mtu 9000 type veth peer name v3 mtu 9000");
	ck_assert_int_lt(ld_attach_all(&live_diags, what, 2), 0);
	traffic_expect(&t, p->name, true);
	nothing_left(p->name);
	old = attach(p, 1);
	traffic_expect(&t, p->name, false);
	ck_assert_int_lt(ld_attach_all(&live_diags, what, 2), 0);
	traffic_expect(&t, p->name, false);
	ck_assert_uint_eq(only_state(p->name)->prog_id, old);
	ck_assert_mem_eq(only_state(p->name)->meta, p->name, strlen(p->name));
	ck_assert_uint_eq(counted(only_state(p->name)->id), 2);
	ck_assert_int_eq(ld_detach(&live_diags, only_state(p->name)->id), 0);
	nothing_left(p->name);
	ld_prog_close(&l);
	close(x.fd);
	traffic_close(&t);
}
END_TEST

/* Killed anywhere, all that is left is either the old or the new, whole. */
START_TEST(killed_under_way)
{
	const struct place *p = &places[_i];
	struct traffic t = traffic_open(p->where.egress);

	attach(p, 0);
	for (int i = 0; i < 25; i++) {
		struct ld_prog l = load(p, 0);
		pid_t pid = fork();

		if (!pid)
			_exit(try_attach(p, &l, true) != 0);
		usleep(400 * i);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		traffic_expect(&t, p->name, false);
		ck_assert(!only_state(p->name)->gone);
		ld_prog_close(&l);
	}
	attach(p, 0);
	ck_assert_int_eq(ld_detach(&live_diags, only_state(p->name)->id), 0);
	nothing_left(p->name);
	traffic_close(&t);
}
END_TEST

/* ---- those of others */

static int pass_prog(const struct place *p, const char *name)
{
	struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = p->pass }, { .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = p->attach_type);

	return bpf_prog_load(p->prog_type, name, "GPL", pass, 2, &opts);
}

START_TEST(tcx_of_others)
{
	const struct place *p = &places[_i];
	uint32_t type = p->where.egress ? UAPI_BPF_TCX_EGRESS : UAPI_BPF_TCX_INGRESS, ids[4], id, ours;
	int prog = pass_prog(p, "someone_else"), link;
	LIBBPF_OPTS(bpf_prog_query_opts, q, .prog_ids = ids, .prog_cnt = 4);

	link = ld_link_create(&(struct uapi_link_create){
		.prog_fd = prog, .target = if_nametoindex("v0"), .attach_type = type });
	ck_assert_int_ge(link, 0);
	ck_assert_int_eq(ld_prog_id(prog, &id, NULL), 0);
	ours = attach(p, 0);
	ck_assert_ptr_nonnull(strstr(live_said(), "someone_else"));
	ck_assert(!bpf_prog_query_opts(if_nametoindex("v0"), type, &q));
	ck_assert_uint_eq(q.prog_cnt, 2);
	ck_assert_uint_eq(ids[p->where.egress], ours);	/* nearest to the wire */
	ck_assert_uint_eq(ids[!p->where.egress], id);
	ck_assert_int_eq(ld_detach(&live_diags, only_state(p->name)->id), 0);
	q.prog_cnt = 4;
	ck_assert(!bpf_prog_query_opts(if_nametoindex("v0"), type, &q));
	ck_assert_uint_eq(q.prog_cnt, 1);
	ck_assert_uint_eq(ids[0], id);
	close(link);
	close(prog);
}
END_TEST

START_TEST(filters_of_others)
{
	const struct place *p = &places[_i];
	const char *way = p->where.egress ? "egress" : "ingress";
	struct ld_prog l = load(p, 0);

	live_sh("tc qdisc add dev v0 clsact");
	live_sh(arena_printf(live_arena, "tc filter add dev v0 %s pref %u bpf da bytecode '1,6 0 0 4294967295'", way,
			     p->where.egress ? 0xffff : 1));
	ck_assert_int_eq(try_attach(p, &l, false), -EBUSY);
	ck_assert_msg(strstr(live_said(), "somebody else") != NULL, "%s", live_said());
	live_sh(arena_printf(live_arena, "tc filter del dev v0 %s", way));
	live_sh(arena_printf(live_arena, "tc filter add dev v0 %s pref 10 bpf da bytecode '1,6 0 0 4294967295'", way));
	ck_assert_msg(!try_attach(p, &l, false), "%s", live_said());
	ck_assert_int_eq(ld_detach(&live_diags, only_state(p->name)->id), 0);
	live_sh(arena_printf(live_arena, "test $(tc filter show dev v0 %s | grep -c handle) = 1", way));
	ld_prog_close(&l);
}
END_TEST

START_TEST(priorities_of_others)
{
	struct place p = places[_i];
	struct traffic t = traffic_open(false);
	struct ld_prog l = load(&p, 0);

	live_sh("nft 'table ip t { chain c { type filter hook input priority 7; }; chain d { type filter hook input priority 6; }; }'");
	ck_assert_int_eq(try_attach(&p, &l, false), -EBUSY);
	ck_assert_msg(strstr(live_said(), "priority 7 is taken") != NULL, "%s", live_said());
	nothing_left(p.name);
	p.where.prio_min = 6;
	ck_assert_int_eq(try_attach(&p, &l, false), -EBUSY);
	ck_assert_msg(strstr(live_said(), "priorities 7 to 6 are taken") != NULL, "%s", live_said());
	p.where.prio_min = 0;
	ck_assert_msg(!try_attach(&p, &l, false), "%s", live_said());
	ck_assert_str_eq(only_state(p.name)->id, "nf-ip-input-7");
	ck_assert_int_eq(only_state(p.name)->prio, 5);
	traffic_expect(&t, p.name, false);
	live_sh("nft flush ruleset");
	attach(&p, 1);	/* in the place of the first, whatever has become free */
	ck_assert_int_eq(only_state(p.name)->prio, 5);
	traffic_expect(&t, p.name, false);
	ck_assert_int_eq(ld_detach(&live_diags, "nf-ip-input-7"), 0);
	ld_prog_close(&l);
	traffic_close(&t);
}
END_TEST

/* Somebody has emptied the slot: the verdict that the dispatcher was made with. */
START_TEST(dispatcher_without_program)
{
	struct place p = places[_i];
	struct traffic t = traffic_open(false);
	struct ld_state *st;
	uint32_t key = 0, n;
	glob_t g;
	int fd;

	for (int open = 0; open < 2; open++) {
		p.where.fail_open = open;
		attach(&p, 0);
		ck_assert(traffic_passes(&t));
		ck_assert(!glob("/sys/fs/bpf/fwjit/*/nf-ip-input-7/slots", 0, NULL, &g));
		fd = bpf_obj_get(g.gl_pathv[0]);
		ck_assert(fd >= 0 && !bpf_map_delete_elem(fd, &key));
		ck_assert_int_eq(traffic_passes(&t), open);
		ck_assert(!ld_state_list(live_arena, &live_diags, &st, &n) && !n);
		ck_assert_int_eq(ld_detach(&live_diags, "nf-ip-input-7"), 0);
		ck_assert(traffic_passes(&t));
		nothing_left(p.name);
		globfree(&g);
		close(fd);
	}
	traffic_close(&t);
}
END_TEST

START_TEST(cgroup_of_others)
{
	const struct place *p = &places[_i];
	int prog = pass_prog(p, "someone_else"), dir = open(TRAFFIC_CGROUP, O_RDONLY | O_DIRECTORY), link;
	uint32_t ids[4];
	LIBBPF_OPTS(bpf_prog_query_opts, q, .prog_ids = ids, .prog_cnt = 4);

	link = bpf_link_create(prog, dir, p->attach_type, NULL);
	ck_assert_int_ge(link, 0);
	attach(p, 0);
	ck_assert_ptr_nonnull(strstr(live_said(), "someone_else"));
	attach(p, 1);
	ck_assert(!bpf_prog_query_opts(dir, p->attach_type, &q));
	ck_assert_uint_eq(q.prog_cnt, 2);
	ck_assert_int_eq(ld_detach(&live_diags, only_state(p->name)->id), 0);
	q.prog_cnt = 4;
	ck_assert(!bpf_prog_query_opts(dir, p->attach_type, &q));
	ck_assert_uint_eq(q.prog_cnt, 1);
	close(link);
	close(prog);
	close(dir);
}
END_TEST

/* Places that go. */
START_TEST(cgroup_goes)
{
	struct place p = places[_i];

	ck_assert(!mkdir(TRAFFIC_CGROUP "/child", 0755));
	snprintf(p.where.cgroup, sizeof(p.where.cgroup), "%s/child", TRAFFIC_CGROUP);
	attach(&p, 0);
	ck_assert(!only_state(p.name)->gone);
	ck_assert(!rmdir(TRAFFIC_CGROUP "/child"));
	for (int i = 0; i < 100 && !only_state(p.name)->gone; i++)
		usleep(10000);
	ck_assert(only_state(p.name)->gone);
	ck_assert_int_eq(ld_detach(&live_diags, only_state(p.name)->id), 0);
	nothing_left(p.name);
	snprintf(p.where.cgroup, sizeof(p.where.cgroup), "/run");
	{
		struct ld_prog l = load(&p, 0);

		ck_assert_int_lt(try_attach(&p, &l, false), 0);
		ld_prog_close(&l);
	}
}
END_TEST

START_TEST(device_goes)
{
	const struct place *p = &places[_i];

	attach(p, 0);
	live_sh("ip link del v0");
	if (p->where.generic) {	/* the filter went with it, and nothing tells whose the pins are */
		struct ld_state *st;
		uint32_t n;

		ck_assert_int_eq(ld_state_list(live_arena, &live_diags, &st, &n), 0);
	} else {
		ck_assert(only_state(p->name)->gone);
	}
	traffic_setup();
	attach(p, 1);
	ck_assert(!only_state(p->name)->gone);
	ck_assert_int_eq(ld_detach(&live_diags, only_state(p->name)->id), 0);
	nothing_left(p->name);
}
END_TEST

/* ---- classic BPF in a match */

static int try_code(uint32_t n, uint32_t pad)
{
	static struct sock_filter i[128];
	const struct sock_filter body[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 22),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TRAFFIC_DROPPED, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct be_filter f = { .n = pad + 4, .insn = i };
	struct ld_attach what = {
		.n_filter = n, .filter = &f, .meta = "code", .meta_len = 4,
		.where = { .kind = LD_XTCODE, .pf = NFPROTO_IPV4, .hooknum = NF_INET_LOCAL_IN, .prio = -7 },
	};

	for (uint32_t k = 0; k < pad; k++)
		i[k] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, k);
	memcpy(i + pad, body, sizeof(body));
	return ld_attach_all(&live_diags, &what, 1);
}

START_TEST(code_under_traffic)
{
	struct traffic_count n;
	int fd, killed = 0;
	struct traffic t;
	pid_t pid;

	ck_assert_int_eq(try_code(1, 61), -E2BIG);
	ck_assert_int_eq(try_code(2, 0), -E2BIG);
	nothing_left("code");
	ck_assert_msg(!try_code(1, 60), "%s", live_said());
	ck_assert_str_eq(only_state("code")->id, "xtbpf-ip-input--7");
	ck_assert_str_eq(only_state("code")->target, "xt_bpf");
	ck_assert_mem_eq(only_state("code")->meta, "code", 4);
	pid = traffic_start(false, &fd);
	for (uint32_t i = 1; i <= 40; i++) {
		pid_t child = fork();

		if (!child)
			_exit(try_code(1, i) != 0);
		usleep(150 * i);
		killed += !kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		ck_assert_int_eq(only_state("code")->where.prio, -7);
	}
	n = traffic_end(pid, fd);
	ck_assert_msg(!n.leaked && !n.lost, "of %lu, %lu leaked, %lu lost", n.sent, n.leaked, n.lost);
	ck_assert_int_gt(killed, 0);
	ck_assert(!try_code(1, 0));
	live_sh("test $(nft list ruleset | grep -c 'chain program-') = 1");
	ck_assert_int_eq(ld_detach(&live_diags, "xtbpf-ip-input--7"), 0);
	t = traffic_open(false);
	traffic_expect(&t, "code", true);
	nothing_left("code");
	live_sh("! nft list tables | grep fwjit");
	traffic_close(&t);
}
END_TEST

static void setup(void)
{
	live_setup();
	traffic_setup();
	traffic_cgroup_enter();
}

static void teardown(void)
{
	traffic_cgroup_leave();
	live_teardown();
}

/* Has this kernel the place? Tried bare, in a child's own network namespace, at the loopback device. */
static bool tried(const struct place *p)
{
	int prog = pass_prog(p, "try"), cgroup = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY);
	struct uapi_link_create tcx = { .prog_fd = prog, .target = 1, .attach_type = UAPI_BPF_TCX_INGRESS };
	struct uapi_link_create nf = {
		.prog_fd = prog, .attach_type = UAPI_BPF_NETFILTER,
		.netfilter = { .pf = NFPROTO_IPV4, .hooknum = NF_INET_LOCAL_IN, .priority = 7 },
	};

	if (prog < 0 || cgroup < 0 || unshare(CLONE_NEWNET) < 0)
		return false;
	if (p->where.kind == LD_TC)
		return p->where.generic ? !system("tc qdisc add dev lo clsact") : ld_link_create(&tcx) >= 0;
	return p->where.kind == LD_NETFILTER ? ld_link_create(&nf) >= 0 : true;
}

static bool has_place(const struct place *p)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(!tried(p));
	return waitpid(pid, &status, 0) == pid && !status;
}

static Suite *suite(void)
{
	const struct { int first, end; const TTest *test; } rows[] = {
		{ 0, 2, tcx_of_others }, { 2, 4, filters_of_others }, { 4, 5, priorities_of_others },
		{ 4, 5, dispatcher_without_program }, { 6, 8, cgroup_of_others },
		{ 6, 7, cgroup_goes }, { 0, 1, device_goes }, { 2, 3, device_goes },
	};
	Suite *s = suite_create("attach");
	TCase *t = tcase_create("live");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	for (int i = 0; i < N_PLACE; i++) {
		if (!has_place(&places[i])) {
			printf("skip: %s: this kernel or this user has no such place\n", places[i].name);
			continue;
		}
		tcase_add_loop_test(t, drops_lists_and_goes, i, i + 1);
		tcase_add_loop_test(t, replaced_under_traffic, i, i + 1);
		tcase_add_loop_test(t, all_or_none, i, i + 1);
		tcase_add_loop_test(t, killed_under_way, i, i + 1);
		for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
			if (i >= rows[k].first && i < rows[k].end)
				tcase_add_loop_test(t, rows[k].test, i, i + 1);
	}
	tcase_add_test(t, code_under_traffic);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	if (!live_may())
		return 77;
	return live_main(suite());
}
