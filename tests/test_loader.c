/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The loader against the running kernel: load, attach, replace under traffic, refuse, detach, with hand-made
 * programs in network and mount namespaces of the test's own. Where the caller may not make those, everything is
 * skipped.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>

#include "live.h"

#define SLOTS 3

/* ---- hand-made programs */

static const struct imr_at rule7 = {
	.tool = "nft", .where = "ip filter INPUT", .number = 7, .handle = 12, .text = "udp dport 7777 counter drop",
};

/* A gate in map 1 (0 passes), then slot `slot` of the counters in map 0, then drop. */
static struct bpf_insn count_drop[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
	{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = 0 },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4 },
	{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = 1 },
	{ 0 },
	{ .code = BPF_JMP | BPF_CALL, .imm = 1 },
	{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .imm = 0, .off = 14 },
	{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 0 },
	{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 1, .imm = 0, .off = 12 },
	{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = 0 },	/* the slot */
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4 },
	{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = 0 },
	{ 0 },
	{ .code = BPF_JMP | BPF_CALL, .imm = 1 },
	{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .imm = 0, .off = 5 },
	{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 0 },
	{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .imm = 1 },
	{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 1 },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_DROP },
	{ .code = BPF_JMP | BPF_EXIT },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS },
	{ .code = BPF_JMP | BPF_EXIT },
};
#define N_INSN (sizeof(count_drop) / sizeof(count_drop[0]))

static const uint8_t gate_open[8] = { 1 };
static struct be_map maps[] = {
	{ .name = "counters", .type = BPF_MAP_TYPE_PERCPU_ARRAY, .key_size = 4, .value_size = 16,
	  .max_entries = SLOTS },
	{ .name = "gate", .type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1, .n_value = 1,
	  .value = gate_open },
};
static enum be_role roles[] = { BE_MAP_COUNTERS, BE_MAP_GATE };
static const struct imr_at *ats[N_INSN];

static struct be_prog counting(uint32_t slot)
{
	count_drop[10].imm = slot;
	for (size_t i = 10; i < N_INSN; i++)
		ats[i] = &rule7;
	return (struct be_prog){
		.name = "fwjit_v0", .type = BPF_PROG_TYPE_XDP, .attach_type = BPF_XDP, .n = N_INSN, .insn = count_drop,
		.at = ats, .n_map = 2, .map = maps, .role = roles, .n_slot = SLOTS,
	};
}

static struct ld_prog load(uint32_t slot)
{
	struct be_prog p = counting(slot);
	struct ld_prog l;

	ck_assert_msg(ld_load(&p, &live_diags, &l) == 0, "%s", live_said());
	return l;
}

static void attach(const char *dev, uint32_t slot, const char *meta)
{
	struct ld_prog l = load(slot);

	ck_assert_msg(!ld_xdp_attach(live_arena, &live_diags, &l, dev, false, meta, strlen(meta)), "%s", live_said());
	ld_prog_close(&l);
}

static struct ld_state *only_state(void)
{
	struct ld_state *st;
	uint32_t n;

	ck_assert_int_eq(ld_state_list(live_arena, &live_diags, &st, &n), 0);
	ck_assert_msg(n == 1, "%u attachments; %s", n, live_said());
	return st;
}

static int packet_socket(const char *dev, uint16_t proto)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(proto));
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_protocol = htons(proto), .sll_ifindex = if_nametoindex(dev),
	};

	ck_assert(fd >= 0 && !bind(fd, (struct sockaddr *)&at, sizeof(at)));
	return fd;
}

static void send_one(int fd)
{
	static const uint8_t frame[64] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };

	while (send(fd, frame, sizeof(frame), 0) < 0)
		ck_assert(errno == ENOBUFS || errno == EAGAIN);
}

static void send_n(int n)
{
	int fd = packet_socket("v1", 0);

	for (int i = 0; i < n; i++)
		send_one(fd);
	close(fd);
}

static uint64_t slot_of(const char *id, uint32_t slot)
{
	struct be_counter c[SLOTS];

	ck_assert_msg(!ld_state_counters(&live_diags, id, c, SLOTS), "%s", live_said());
	return c[slot].packets;
}

/* ---- load */

START_TEST(loads_with_name_and_lines)
{
	struct ld_prog l = load(0);
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	ck_assert(!bpf_obj_get_info_by_fd(l.fd, &info, &len));
	ck_assert_str_eq(info.name, "fwjit_v0");
	ck_assert_uint_eq(info.nr_line_info, 2);
	ck_assert_uint_eq(info.id, l.id);
	ck_assert_uint_gt(l.verified_insns, 0);
	ld_prog_close(&l);
}
END_TEST

START_TEST(refusal_names_the_rule)
{
	struct be_prog p = counting(0);
	struct bpf_insn bad[N_INSN];
	struct ld_prog l;

	memcpy(bad, count_drop, sizeof(bad));
	bad[17].src_reg = 9;	/* never written */
	p.insn = bad;
	ck_assert_int_lt(ld_load(&p, &live_diags, &l), 0);
	ck_assert_int_eq(l.fd, -1);
	ck_assert_uint_eq(live_diags.n, 1);
	ck_assert_ptr_nonnull(strstr(live_said(), "ip filter INPUT rule 7"));
	ck_assert_ptr_nonnull(strstr(live_said(), "instruction 17"));
	ck_assert_ptr_nonnull(strstr(live_said(), "R9 !read_ok"));
}
END_TEST

START_TEST(big_maps_are_filled)
{
	uint32_t n = 300000, *value = calloc(n, sizeof(*value)), v, at = n - 1;
	struct be_map m = {
		.name = "big",
		.type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 4,
		.max_entries = n,
		.n_value = n,
		.value = (uint8_t *)value,
	};
	int fd;

	for (uint32_t i = 0; i < n; i++)
		value[i] = i * 3;
	fd = ld_map_create(&m);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ld_map_fill(fd, &m), 0);
	ck_assert_int_eq(ld_map_lookup(fd, &at, &v), 0);
	ck_assert_uint_eq(v, at * 3);
	close(fd);
	free(value);
}
END_TEST

START_TEST(runs_one_packet)
{
	struct ld_prog l = load(0);
	uint8_t frame[64] = { 0 };

	ck_assert_int_eq(ld_test_run(l.fd, frame, sizeof(frame), 0), XDP_DROP);
	ck_assert_int_eq(ld_test_run(l.fd, frame, sizeof(frame), if_nametoindex("v0")), XDP_DROP);
	ck_assert_int_eq(ld_prog_gate(&l, 0), 0);
	ck_assert_int_eq(ld_test_run(l.fd, frame, sizeof(frame), 0), XDP_PASS);
	ck_assert_int_eq(ld_test_run(l.fd, frame, 3, 0), -EINVAL);
	ld_prog_close(&l);
}
END_TEST

/* ---- attach */

START_TEST(attach_list_count_detach)
{
	struct ld_state *st;

	attach("v0", 1, "what main stored");
	st = only_state();
	ck_assert_str_eq(st->id, "xdp-v0");
	ck_assert_str_eq(st->target, "xdp");
	ck_assert_str_eq(st->where.dev, "v0");
	ck_assert(!st->where.generic && !st->gone);
	ck_assert_uint_eq(st->where.ifindex, if_nametoindex("v0"));
	ck_assert_uint_eq(st->prog_id, live_xdp("v0"));
	ck_assert_uint_eq(st->n_slot, SLOTS);
	ck_assert_uint_eq(st->meta_len, 16);
	ck_assert_mem_eq(st->meta, "what main stored", 16);
	send_n(10);
	ck_assert_uint_ge(slot_of("xdp-v0", 1), 10);
	ck_assert_int_eq(ld_detach(&live_diags, "xdp-v0"), 0);
	ck_assert_uint_eq(live_xdp("v0"), 0);
	ck_assert_int_eq(access("/sys/fs/bpf/fwjit", F_OK), 0);
	ck_assert_int_eq(ld_detach(&live_diags, "xdp-v0"), -ENOENT);
}
END_TEST

START_TEST(large_meta_and_dotted_names)
{
	size_t len = 3 << 20;
	char *meta = malloc(len);
	struct ld_prog l = load(0);
	struct ld_state *st;

	memset(meta, 'x', len);
	live_sh("ip link set v0 down && ip link set v0 name v0.5 && ip link set v0.5 up");
	ck_assert_msg(!ld_xdp_attach(live_arena, &live_diags, &l, "v0.5", true, meta, len), "%s", live_said());
	st = only_state();
	ck_assert_str_eq(st->id, "xdp-v0.5");
	ck_assert(st->where.generic);
	ck_assert_uint_eq(st->meta_len, len);
	ck_assert_mem_eq(st->meta, meta, len);
	ck_assert_int_eq(ld_detach(&live_diags, "xdp-v0.5"), 0);
	ck_assert_uint_eq(live_xdp("v0.5"), 0);
	ld_prog_close(&l);
	free(meta);
}
END_TEST

START_TEST(gate_of_an_attachment)
{
	uint64_t before;

	attach("v0", 0, "");
	ck_assert_int_eq(ld_state_gate("xdp-v0", 0, 0), 0);
	before = slot_of("xdp-v0", 0);
	send_n(5);
	ck_assert_uint_eq(slot_of("xdp-v0", 0), before);
	ck_assert_int_eq(ld_state_gate("xdp-v0", live_xdp("v0") + 1, 1), -ESTALE);
	send_n(5);
	ck_assert_uint_eq(slot_of("xdp-v0", 0), before);
	ck_assert_int_eq(ld_state_gate("xdp-v0", live_xdp("v0"), 1), 0);
	send_n(5);
	ck_assert_uint_ge(slot_of("xdp-v0", 0), before + 5);
	ck_assert_int_eq(ld_state_gate("xdp-v1", 0, 1), -ENOENT);
}
END_TEST

/* A child floods v1 with frames of our own protocol until told to stop; it exits with nothing lost between. */
static pid_t flood(int *ret_count)
{
	int p[2];
	pid_t pid;

	ck_assert(!pipe(p));
	pid = fork();
	if (!pid) {
		int fd = packet_socket("v1", 0);
		volatile sig_atomic_t stop = 0;
		uint64_t n = 0;
		sigset_t set;
		struct timespec none = { 0 };

		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigprocmask(SIG_BLOCK, &set, NULL);
		for (; !stop; n++) {
			send_one(fd);
			if (n % 64 == 0)
				stop = sigtimedwait(&set, NULL, &none) == SIGUSR1;
		}
		_exit(write(p[1], &n, sizeof(n)) != sizeof(n));
	}
	close(p[1]);
	*ret_count = p[0];
	return pid;
}

static uint64_t flood_end(pid_t pid, int fd)
{
	uint64_t n = 0;
	int status;

	kill(pid, SIGUSR1);
	ck_assert(read(fd, &n, sizeof(n)) == sizeof(n));
	waitpid(pid, &status, 0);
	close(fd);
	return n;
}

/* Every packet is dropped by some program, and counted once, through 40 replacements. */
START_TEST(replace_under_traffic)
{
	uint32_t carry[SLOTS] = { UINT32_MAX, UINT32_MAX, UINT32_MAX };
	int leak = packet_socket("v0", 0x88b5), out;
	uint64_t sent, counted = 0;
	uint8_t buf[64];
	pid_t pid;

	attach("v0", 0, "0");
	pid = flood(&out);
	for (uint32_t i = 1; i <= 40; i++) {
		struct ld_prog l = load(i % SLOTS);

		for (int k = 0; k < SLOTS; k++)
			carry[k] = (k + 1) % SLOTS;	/* slots move: where they counted does not */
		usleep(5000);
		ck_assert_msg(!ld_xdp_replace(live_arena, &live_diags, &l, "v0", false, "n", 1, carry, SLOTS), "%s",
			      live_said());
		ck_assert_uint_eq(live_xdp("v0"), l.id);
		ld_prog_close(&l);
	}
	sent = flood_end(pid, out);
	usleep(20000);
	for (int k = 0; k < SLOTS; k++)
		counted += slot_of("xdp-v0", k);
	ck_assert_int_lt(recv(leak, buf, sizeof(buf), MSG_DONTWAIT), 0);
	/* Neighbour discovery of the two devices is counted too. */
	ck_assert_msg(counted >= sent && counted <= sent + 64, "%lu sent, %lu counted", sent, counted);
	ck_assert_uint_gt(sent, 1000);
	only_state();
	ck_assert_int_eq(system("test $(ls /sys/fs/bpf/fwjit/*/xdp-v0 | wc -l) = 2"), 0);
	close(leak);
}
END_TEST

/* Killed anywhere in a replacement, all that is left is either the old or the new, whole. */
START_TEST(killed_under_way)
{
	uint32_t carry[SLOTS] = { 0, 1, 2 };

	attach("v0", 0, "n");
	send_n(5);
	for (int i = 0; i < 60; i++) {
		struct ld_prog l = load(0);
		pid_t pid = fork();

		if (!pid)
			_exit(ld_xdp_replace(live_arena, &live_diags, &l, "v0", false, "n", 1, carry, SLOTS) != 0);
		usleep(500 * i);	/* a replacement takes up to 30 ms, most of it after the commit */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		ck_assert(!only_state()->gone);
		ck_assert_uint_ge(slot_of("xdp-v0", 0), 5);
		ld_prog_close(&l);
	}
	attach("v0", 0, "n");
	ck_assert_int_eq(system("test $(ls /sys/fs/bpf/fwjit/*/xdp-v0 | wc -l) = 2"), 0);
}
END_TEST

START_TEST(foreign_program_is_left_alone)
{
	struct bpf_insn pass[] = { count_drop[N_INSN - 2], count_drop[N_INSN - 1] };
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP);
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "someone_else", "GPL", pass, 2, &opts);
	struct ld_prog l = load(0);
	uint32_t id;

	ck_assert(!bpf_xdp_attach(if_nametoindex("v0"), fd, XDP_FLAGS_DRV_MODE, NULL));
	id = live_xdp("v0");
	ck_assert_int_eq(ld_xdp_attach(live_arena, &live_diags, &l, "v0", false, "", 0), -EBUSY);
	ck_assert_ptr_nonnull(strstr(live_said(), "someone_else"));
	ck_assert_int_eq(ld_xdp_attach(live_arena, &live_diags, &l, "v0", true, "", 0), -EBUSY);
	ck_assert_uint_eq(live_xdp("v0"), id);
	ck_assert_int_eq(ld_detach(&live_diags, "xdp-v0"), -ENOENT);
	ck_assert_uint_eq(live_xdp("v0"), id);
	close(fd);
	ld_prog_close(&l);
}
END_TEST

/* Whatever fails leaves the old program, its counters and its state. */
START_TEST(failures_change_nothing)
{
	struct bpf_insn zero[] = { count_drop[N_INSN - 2], count_drop[N_INSN - 1] };
	struct ld_prog bad = { .n_map = 0 }, again;
	struct ld_state *st;
	uint32_t id;

	attach("v0", 2, "old");
	send_n(3);
	id = live_xdp("v0");
	bad.fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "not_xdp", "GPL", zero, 2, NULL);
	bad.id = 0x7fffffff;
	ck_assert_int_ge(bad.fd, 0);
	ck_assert_int_lt(ld_xdp_attach(live_arena, &live_diags, &bad, "v0", false, "new", 3), 0);
	again = load(0);
	ck_assert_int_eq(ld_xdp_attach(live_arena, &live_diags, &again, "v0", true, "new", 3), -EBUSY);
	ck_assert_int_lt(ld_xdp_attach(live_arena, &live_diags, &again, "nothere", false, "new", 3), 0);
	ck_assert_int_lt(ld_xdp_attach(live_arena, &live_diags, &again, "../v0", false, "new", 3), 0);
	st = only_state();
	ck_assert_mem_eq(st->meta, "old", 3);
	ck_assert_uint_eq(live_xdp("v0"), id);
	ck_assert_uint_ge(slot_of("xdp-v0", 2), 3);
	ck_assert_int_eq(system("test $(ls /sys/fs/bpf/fwjit/*/xdp-v0 | wc -l) = 2"), 0);
	ld_prog_close(&again);
	close(bad.fd);
}
END_TEST

/* v0 replaced, v2 fresh, v3 taken by somebody else: nothing changes. */
START_TEST(several_devices_or_none)
{
	struct bpf_insn pass[] = { count_drop[N_INSN - 2], count_drop[N_INSN - 1] };
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP);
	struct ld_prog l[3] = { load(0), load(1), load(2) };
	struct ld_attach what[3] = {
		{ .prog = &l[0], .where.dev = "v0", .meta = "new", .meta_len = 3 },
		{ .prog = &l[1], .where.dev = "v2", .meta = "new", .meta_len = 3 },
		{ .prog = &l[2], .where.dev = "v3", .meta = "new", .meta_len = 3 },
	};
	uint32_t id;
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "someone_else", "GPL", pass, 2, &opts);

	live_sh("ip link add v2 type veth peer name v3 && ip link set v2 up && ip link set v3 up");
	attach("v0", 2, "old");
	send_n(3);
	id = live_xdp("v0");
	ck_assert(!bpf_xdp_attach(if_nametoindex("v3"), fd, XDP_FLAGS_SKB_MODE, NULL));
	ck_assert_int_eq(ld_attach_all(&live_diags, what, 3), -EBUSY);
	ck_assert_uint_eq(live_xdp("v0"), id);
	ck_assert_uint_eq(live_xdp("v2"), 0);
	ck_assert_mem_eq(only_state()->meta, "old", 3);
	ck_assert_uint_ge(slot_of("xdp-v0", 2), 3);
	ck_assert(!bpf_xdp_attach(if_nametoindex("v3"), -1, XDP_FLAGS_SKB_MODE, NULL));
	ck_assert_msg(!ld_attach_all(&live_diags, what, 3), "%s", live_said());
	ck_assert_uint_eq(live_xdp("v3"), l[2].id);
	ck_assert_uint_eq(live_xdp("v0"), l[0].id);
	for (int i = 0; i < 3; i++)
		ld_prog_close(&l[i]);
	close(fd);
}
END_TEST

/* What fails at the commit of the last undoes those before it: only the driver looks at the MTU. */
START_TEST(commits_are_undone)
{
	struct ld_prog l[2] = { load(0), load(1) };
	struct ld_attach what[3] = {
		{ .prog = &l[0], .where.dev = "v0", .meta = "new", .meta_len = 3 },
		{ .prog = &l[1], .where.dev = "v2", .meta = "new", .meta_len = 3 },
	};
	uint32_t id;

	live_sh("ip link add v2 mtu 9000 type veth peer name v3 mtu 9000 && ip link set v2 up && ip link set v3 up");
	ck_assert_int_lt(ld_attach_all(&live_diags, what, 2), 0);
	ck_assert_uint_eq(live_xdp("v0"), 0);
	ck_assert_int_eq(ld_detach(&live_diags, "xdp-v0"), -ENOENT);
	attach("v0", 2, "old");
	send_n(3);
	id = live_xdp("v0");
	ck_assert_int_lt(ld_attach_all(&live_diags, what, 2), 0);
	ck_assert_uint_eq(live_xdp("v0"), id);
	ck_assert_mem_eq(only_state()->meta, "old", 3);
	ck_assert_uint_ge(slot_of("xdp-v0", 2), 3);
	ck_assert_int_eq(system("test $(ls /sys/fs/bpf/fwjit/*/xdp-v0 | wc -l) = 2"), 0);
	for (int i = 0; i < 2; i++)
		ld_prog_close(&l[i]);
}
END_TEST

START_TEST(device_goes_and_comes)
{
	attach("v0", 0, "first");
	live_sh("ip link del v0");
	ck_assert(only_state()->gone);
	live_sh("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
	ck_assert(only_state()->gone);
	attach("v0", 0, "second");
	ck_assert(!only_state()->gone);
	ck_assert_mem_eq(only_state()->meta, "second", 6);
	live_sh("ip link del v0");
	ck_assert_int_eq(ld_detach(&live_diags, "xdp-v0"), 0);
	ck_assert_int_eq(ld_detach(&live_diags, "xdp-v0"), -ENOENT);
}
END_TEST

/* What an ended network namespace left is removed by the next attachment; a living one's is not. */
START_TEST(ended_namespaces_are_swept)
{
	attach("v0", 0, "ended");
	live_sh("mkdir $(echo /sys/fs/bpf/fwjit/*)/watch");	/* that of a killed watcher */
	ck_assert(!unshare(CLONE_NEWNET));
	live_sh("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
	for (int i = 0; i < 100; i++) {
		attach("v0", 0, "alive");
		if (system("test $(ls /sys/fs/bpf/fwjit | wc -l) = 1") == 0)
			return;
		usleep(20000);
	}
	ck_abort_msg("still there");
}
END_TEST

START_TEST(mtu_is_said)
{
	struct ld_prog l = load(0);

	live_sh("ip link set v0 mtu 9000 && ip link set v1 mtu 9000");
	ck_assert_int_lt(ld_xdp_attach(live_arena, &live_diags, &l, "v0", false, "", 0), 0);
	ck_assert_msg(strstr(live_said(), "MTU") != NULL, "%s", live_said());
	ck_assert_uint_eq(live_xdp("v0"), 0);
	ld_prog_close(&l);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("loader");
	TCase *t = tcase_create("live");

	tcase_add_checked_fixture(t, live_setup, live_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, loads_with_name_and_lines);
	tcase_add_test(t, refusal_names_the_rule);
	tcase_add_test(t, big_maps_are_filled);
	tcase_add_test(t, runs_one_packet);
	tcase_add_test(t, attach_list_count_detach);
	tcase_add_test(t, large_meta_and_dotted_names);
	tcase_add_test(t, gate_of_an_attachment);
	tcase_add_test(t, replace_under_traffic);
	tcase_add_test(t, killed_under_way);
	tcase_add_test(t, foreign_program_is_left_alone);
	tcase_add_test(t, failures_change_nothing);
	tcase_add_test(t, several_devices_or_none);
	tcase_add_test(t, commits_are_undone);
	tcase_add_test(t, device_goes_and_comes);
	tcase_add_test(t, ended_namespaces_are_swept);
	tcase_add_test(t, mtu_is_said);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return live_main(suite());
}
