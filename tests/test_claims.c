/* SPDX-License-Identifier: GPL-2.0-only */
/* Who may attach and who has the last word: claims, expectations, what is left over, what is hidden. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "live.h"

static struct ld_prog load(int verdict)
{
	struct bpf_insn insn[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP);
	struct ld_prog p = { .fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "verdict", "GPL", insn, 2, &opts) };

	ck_assert_int_ge(p.fd, 0);
	ck_assert_int_eq(ld_prog_id(p.fd, &p.id, NULL), 0);
	return p;
}

static void attach(void)
{
	struct ld_prog l = load(XDP_PASS);

	ck_assert_msg(!ld_xdp_attach(live_arena, &live_diags, &l, "v0", false, "", 0), "%s", live_said());
	ld_prog_close(&l);
}

/* Who detaches everything has the last word, whatever a watcher has under way. */
START_TEST(claims_end)
{
	struct ld_prog l = load(XDP_PASS);
	struct ld_claim old, claim;
	struct ld_attach what = { .prog = &l, .where = { .dev = "v0" }, .claim = &old };
	uint32_t n;
	struct ld_state *st;

	ck_assert_int_eq(ld_claims_end(&live_diags), 0);
	ck_assert_int_eq(ld_claim_open(&live_diags, &old), 0);
	ck_assert_int_eq(ld_claim_open(&live_diags, &claim), 0);
	ck_assert(ld_claim_stands(&old) && ld_claim_stands(&claim));
	ck_assert(!ld_state_list(live_arena, &live_diags, &st, &n) && !n && !live_diags.n);
	ck_assert_int_eq(ld_claims_end(&live_diags), 1);
	ck_assert(!ld_claim_stands(&old) && !ld_claim_stands(&claim));
	ck_assert_int_eq(ld_attach_all(&live_diags, &what, 1), -ESTALE);
	ck_assert_uint_eq(live_xdp("v0"), 0);
	ld_claim_close(&claim);
	ck_assert_int_eq(ld_claim_open(&live_diags, &claim), 0);
	ck_assert(!ld_claim_stands(&old));
	what.claim = &claim;
	ck_assert_msg(!ld_attach_all(&live_diags, &what, 1), "%s", live_said());
	ld_claim_close(&old);
	ck_assert(ld_claim_stands(&claim));
	ld_claim_close(&claim);
	ck_assert_int_eq(ld_claims_end(&live_diags), 0);
	live_sh("test $(ls /sys/fs/bpf/fwjit/*/ | wc -l) = 1");
	ld_prog_close(&l);
}
END_TEST

START_TEST(what_was_expected_is_there)
{
	struct ld_prog l[2] = { load(XDP_PASS), load(XDP_DROP) };
	struct ld_attach what = { .prog = &l[0], .where = { .dev = "v0" }, .expect = LD_NONE };

	ck_assert_msg(!ld_attach_all(&live_diags, &what, 1), "%s", live_said());
	what.prog = &l[1];
	ck_assert_int_eq(ld_attach_all(&live_diags, &what, 1), -ESTALE);
	what.expect = l[1].id;
	ck_assert_int_eq(ld_attach_all(&live_diags, &what, 1), -ESTALE);
	ck_assert_uint_eq(live_xdp("v0"), l[0].id);
	what.expect = l[0].id;
	ck_assert_msg(!ld_attach_all(&live_diags, &what, 1), "%s", live_said());
	ck_assert_uint_eq(live_xdp("v0"), l[1].id);
	ck_assert_int_eq(ld_detach(&live_diags, "xdp-v0"), 0);
	ck_assert_int_eq(ld_attach_all(&live_diags, &what, 1), -ESTALE);
	ck_assert_uint_eq(live_xdp("v0"), 0);
	for (int i = 0; i < 2; i++)
		ld_prog_close(&l[i]);
}
END_TEST

/* The directory that a killed process had made is no attachment, and can be removed. */
START_TEST(leftovers_are_found)
{
	const char **left;
	uint32_t n;

	attach();
	live_sh("cd /sys/fs/bpf/fwjit/* && mkdir -p xdp-v1/4711 xdp-v0:5");
	ck_assert(!ld_leftovers(live_arena, &left, &n));
	ck_assert_uint_eq(n, 2);
	ck_assert(!strcmp(left[0], "xdp-v0.5") || !strcmp(left[1], "xdp-v0.5"));
	for (uint32_t i = 0; i < n; i++)
		ck_assert_int_eq(ld_detach(&live_diags, left[i]), 0);
	ck_assert(!ld_leftovers(live_arena, &left, &n) && !n);
	ck_assert_uint_ne(live_xdp("v0"), 0);
}
END_TEST

/* A user without rights is told apart from an empty place; our own namespaces hide nothing from us. */
START_TEST(hidden_is_not_empty)
{
	int status;
	pid_t pid;

	attach();
	ck_assert(!ld_state_hidden());
	pid = fork();
	if (!pid)
		_exit(setgid(12345) || setuid(12345) || !ld_state_hidden());
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	ck_assert(ld_bpffs_private());
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("claims");
	TCase *t = tcase_create("live");

	tcase_add_checked_fixture(t, live_setup, live_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, claims_end);
	tcase_add_test(t, what_was_expected_is_there);
	tcase_add_test(t, leftovers_are_found);
	tcase_add_test(t, hidden_is_not_empty);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return live_main(suite());
}
