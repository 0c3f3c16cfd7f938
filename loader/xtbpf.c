/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A program as the match of a rule of nftables (xt_bpf by way of nft_compat), for callers who may not attach one to a hook: a
 * socket's filter by its descriptor, or the bytecode itself, which takes no bpf(2) at all. A table of our own has the
 * chain of the hook and priority, "hook", and one more for each program, "program-N", with the match and the drop. What
 * decides is the one that the chain of the hook jumps to, so N is the truth of what runs, and the commit is the exchange of
 * that jump, which is one step for every packet. The old chain is there until all is committed, and can be jumped to again.
 *
 * The kernel gives no descriptor of a program back that a rule holds. So where nothing can be pinned, its counters are out
 * of reach, and what is remembered is a file.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_bpf.h>

#include "priv.h"

#define HOOK	"hook"
#define PROGRAM	"program-"

struct live {
	const char *table;
	uint32_t gen;		/* of what decides; 0: nothing */
	uint64_t handle;	/* of the jump to it */
};

struct ld_match {
	char table[80];
	struct live live;	/* as it was before */
	uint32_t gen;		/* of the new one; 0: it is not there yet */
};

static void table_of(const char *id, char ret[80])
{
	snprintf(ret, 80, LD_NFT_OWN "%.64s", id);
}

static void program_of(uint32_t gen, char ret[24])
{
	snprintf(ret, 24, PROGRAM "%" PRIu32, gen);
}

/* ---- reading */

static uint32_t gen_of(const char *chain)
{
	char back[24];
	uint32_t gen = strncmp(chain, PROGRAM, strlen(PROGRAM)) ? 0 : strtoul(chain + strlen(PROGRAM), NULL, 10);

	program_of(gen, back);
	return strcmp(back, chain) ? 0 : gen;
}

static const struct nlattr *within(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *a;

	if (nest)
		mnl_attr_for_each_nested(a, nest)
			if (mnl_attr_get_type(a) == type)
				return a;
	return NULL;
}

/* The chain that the rule's first expression jumps to. */
static uint32_t jump_of(const struct nlattr *expressions)
{
	const struct nlattr *data = within(within(expressions, NFTA_LIST_ELEM), NFTA_EXPR_DATA);
	const struct nlattr *verdict = within(within(data, NFTA_IMMEDIATE_DATA), NFTA_DATA_VERDICT);
	const struct nlattr *chain = within(verdict, NFTA_VERDICT_CHAIN);
	char name[64];

	return chain ? gen_of(ld_nft_str(chain, name, sizeof(name))) : 0;
}

static int on_rule(const struct nlmsghdr *nlh, void *data)
{
	char table[80] = "", chain[64] = "";
	const struct nlattr *a, *expressions = NULL;
	struct live *l = data;
	uint64_t handle = 0;
	uint32_t gen;

	mnl_attr_for_each(a, nlh, sizeof(struct nfgenmsg))
		switch (mnl_attr_get_type(a)) {
		case NFTA_RULE_TABLE: ld_nft_str(a, table, sizeof(table)); break;
		case NFTA_RULE_CHAIN: ld_nft_str(a, chain, sizeof(chain)); break;
		case NFTA_RULE_HANDLE: ld_nl_copy(&handle, sizeof(handle), a); break;
		case NFTA_RULE_EXPRESSIONS: expressions = a; break;
		}
	gen = strcmp(table, l->table) || strcmp(chain, HOOK) ? 0 : jump_of(expressions);
	if (gen && !l->gen) {
		l->gen = gen;
		l->handle = handle;
	}
	return MNL_CB_OK;
}

static int read_live(struct ld_nl *nl, uint8_t pf, const char *table, struct live *ret)
{
	*ret = (struct live){ .table = table };
	return ld_nft_each(nl, NFT_MSG_GETRULE, pf, table, HOOK, on_rule, ret);
}

static int live_of(const char *name, const char *id, struct ld_where *w, struct live *ret)
{
	_cleanup_nl_ struct ld_nl nl = { 0 };
	int err = ld_parse_hook(name, id, w);
	char table[80];

	table_of(id, table);
	err = err ? err : ld_nl_open(&nl, NETLINK_NETFILTER);
	err = err ? err : read_live(&nl, w->pf, table, ret);
	ret->table = NULL;
	return err ? err : ret->gen ? 0 : -ENOENT;
}

/* ---- writing */

static struct nlattr *expression(struct nlmsghdr *nlh, const char *name, struct nlattr **ret_data)
{
	struct nlattr *elem = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);

	mnl_attr_put_strz(nlh, NFTA_EXPR_NAME, name);
	*ret_data = mnl_attr_nest_start(nlh, NFTA_EXPR_DATA);
	return elem;
}

static void put_match(struct nlmsghdr *nlh, const struct xt_bpf_info_v1 *info)
{
	struct nlattr *data, *elem = expression(nlh, "match", &data);

	mnl_attr_put_strz(nlh, NFTA_MATCH_NAME, "bpf");
	mnl_attr_put_u32(nlh, NFTA_MATCH_REV, htonl(1));
	mnl_attr_put(nlh, NFTA_MATCH_INFO, sizeof(*info), info);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, elem);
}

static void put_verdict(struct nlmsghdr *nlh, int32_t code, const char *chain)
{
	struct nlattr *data, *elem = expression(nlh, "immediate", &data), *value, *verdict;

	mnl_attr_put_u32(nlh, NFTA_IMMEDIATE_DREG, htonl(NFT_REG_VERDICT));
	value = mnl_attr_nest_start(nlh, NFTA_IMMEDIATE_DATA);
	verdict = mnl_attr_nest_start(nlh, NFTA_DATA_VERDICT);
	mnl_attr_put_u32(nlh, NFTA_VERDICT_CODE, htonl(code));
	if (chain)
		mnl_attr_put_strz(nlh, NFTA_VERDICT_CHAIN, chain);
	mnl_attr_nest_end(nlh, verdict);
	mnl_attr_nest_end(nlh, value);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, elem);
}

/* A rule at the end of the chain: the match, if there is one, and the verdict. */
static void add_rule(struct ld_nft *t, const struct ld_job *j, const char *chain, const struct xt_bpf_info_v1 *info, int32_t code,
		     const char *to)
{
	struct nlmsghdr *nlh = ld_nft_put(t, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, j->st.where.pf);
	struct nlattr *list;

	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, j->match->table);
	mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, chain);
	list = mnl_attr_nest_start(nlh, NFTA_RULE_EXPRESSIONS);
	if (info)
		put_match(nlh, info);
	put_verdict(nlh, code, to);
	mnl_attr_nest_end(nlh, list);
	ld_nft_end(t, nlh);
}

static void drop_rule(struct ld_nft *t, const struct ld_job *j, uint64_t handle)
{
	struct nlmsghdr *nlh = ld_nft_put(t, NFT_MSG_DELRULE, 0, j->st.where.pf);

	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, j->match->table);
	mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, HOOK);
	mnl_attr_put(nlh, NFTA_RULE_HANDLE, sizeof(handle), &handle);
	ld_nft_end(t, nlh);
}

static struct nlmsghdr *put_chain(struct ld_nft *t, uint16_t type, const struct ld_job *j, const char *name)
{
	struct nlmsghdr *nlh = ld_nft_put(t, type, type == NFT_MSG_NEWCHAIN ? NLM_F_CREATE : 0, j->st.where.pf);

	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, j->match->table);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, name);
	return nlh;
}

static void add_hook(struct ld_nft *t, const struct ld_job *j)
{
	struct nlmsghdr *nlh = put_chain(t, NFT_MSG_NEWCHAIN, j, HOOK);
	struct nlattr *hook = mnl_attr_nest_start(nlh, NFTA_CHAIN_HOOK);

	mnl_attr_put_u32(nlh, NFTA_HOOK_HOOKNUM, htonl(j->st.where.hooknum));
	mnl_attr_put_u32(nlh, NFTA_HOOK_PRIORITY, htonl(j->st.where.prio));
	mnl_attr_nest_end(nlh, hook);
	mnl_attr_put_u32(nlh, NFTA_CHAIN_POLICY, htonl(NF_ACCEPT));
	mnl_attr_put_strz(nlh, NFTA_CHAIN_TYPE, "filter");
	ld_nft_end(t, nlh);
}

static void drop_program(struct ld_nft *t, const struct ld_job *j, uint32_t gen)
{
	char name[24];

	program_of(gen, name);
	ld_nft_end(t, put_chain(t, NFT_MSG_DELCHAIN, j, name));
}

struct sweep { struct ld_nft *t; const struct ld_job *j; };

static int on_chain(const struct nlmsghdr *nlh, void *data)
{
	const struct sweep *s = data;
	char table[80] = "", chain[64] = "";
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct nfgenmsg))
		switch (mnl_attr_get_type(a)) {
		case NFTA_CHAIN_TABLE: ld_nft_str(a, table, sizeof(table)); break;
		case NFTA_CHAIN_NAME: ld_nft_str(a, chain, sizeof(chain)); break;
		}
	if (!strcmp(table, s->j->match->table) && gen_of(chain) && gen_of(chain) != s->j->match->live.gen)
		drop_program(s->t, s->j, gen_of(chain));
	return MNL_CB_OK;
}

/* ---- steps */

static int find(struct ld_job *j)
{
	j->name = j->st.id;
	j->match = calloc(1, sizeof(*j->match));
	if (!j->match)
		return -ENOMEM;
	table_of(j->st.id, j->match->table);
	return 0;
}

static int find_code(struct ld_job *j)
{
	if (j->what->n_filter == 1 && j->what->filter[0].n && j->what->filter[0].n <= XT_BPF_MAX_NUM_INSTR)
		return find(j);
	j->name = j->st.id;
	diag_add(j->ds, DIAG_ERROR, NULL, "%u classic programs: a match has one, of at most %d instructions", j->what->n_filter,
		 XT_BPF_MAX_NUM_INSTR);
	return -E2BIG;
}

static int look(struct ld_job *j)
{
	_cleanup_nl_ struct ld_nl nl = { 0 };
	int err = ld_nl_open(&nl, NETLINK_NETFILTER);

	err = err ? err : read_live(&nl, j->st.where.pf, j->match->table, &j->match->live);
	j->replace = !err && j->match->live.gen;
	return err;
}

static void state_name(const char *id, uint32_t gen, char ret[80])
{
	snprintf(ret, 80, "%.48s=%08" PRIx32, id, gen);
}

static int write_state(struct ld_job *j)
{
	char name[80];

	if (j->pinned)
		return 0;
	if (j->what->prog && ld_role_fd(j->what->prog, BE_MAP_COUNTERS) >= 0)
		diag_add(j->ds, DIAG_NOTE, NULL, "the counters of \"%s\" cannot be read: there is no BPF file system to pin them in",
			 j->st.id);
	state_name(j->st.id, j->match->gen, name);
	return ld_run_state_write(j, name);
}

/* The program is there, and nothing jumps to it. */
static int put_program(struct ld_job *j, const struct xt_bpf_info_v1 *info)
{
	_cleanup_nft_ struct ld_nft t = { 0 };
	struct sweep s = { &t, j };
	_cleanup_nl_ struct ld_nl nl = { 0 };
	char name[24];
	int err = ld_nft_open(&t);

	err = err ? err : ld_nl_open(&nl, NETLINK_NETFILTER);
	if (err)
		return err;
	ld_nft_table(&t, j->st.where.pf, j->match->table);
	add_hook(&t, j);
	err = ld_nft_each(&nl, NFT_MSG_GETCHAIN, j->st.where.pf, NULL, NULL, on_chain, &s);
	program_of(j->match->gen, name);
	ld_nft_end(&t, put_chain(&t, NFT_MSG_NEWCHAIN, j, name));
	add_rule(&t, j, name, info, NF_DROP, NULL);
	return err ? err : ld_nft_commit(&t);
}

static int prepare(struct ld_job *j)
{
	struct xt_bpf_info_v1 info = { .mode = XT_BPF_MODE_FD_ELF, .fd = j->what->prog->fd };
	int err;

	j->match->gen = j->what->prog->id;
	err = put_program(j, &info);
	return err ? err : write_state(j);
}

static int prepare_code(struct ld_job *j)
{
	const struct be_filter *f = &j->what->filter[0];
	struct xt_bpf_info_v1 info = { .mode = XT_BPF_MODE_BYTECODE, .bpf_program_num_elem = f->n, .fd = -1 };
	int err;

	memcpy(info.bpf_program, f->insn, f->n * sizeof(*f->insn));
	do
		if (getrandom(&j->match->gen, sizeof(j->match->gen), 0) < 0)
			return -errno;
	while (!j->match->gen || j->match->gen == j->match->live.gen);
	err = put_program(j, &info);
	return err ? err : write_state(j);
}

/* The chain of the hook jumps to gen, and to nothing else. */
static int jump_to(struct ld_job *j, uint32_t gen, const struct live *instead)
{
	_cleanup_nft_ struct ld_nft t = { 0 };
	char name[24];
	int err = ld_nft_open(&t);

	if (err)
		return err;
	program_of(gen, name);
	add_rule(&t, j, HOOK, NULL, NFT_JUMP, name);
	if (instead->gen)
		drop_rule(&t, j, instead->handle);
	return ld_nft_commit(&t);
}

static int commit(struct ld_job *j)
{
	j->st.prog_id = j->match->gen;
	return jump_to(j, j->match->gen, &j->match->live);
}

static int restore(struct ld_job *j)
{
	_cleanup_nl_ struct ld_nl nl = { 0 };
	struct live now = { 0 };
	int err = ld_nl_open(&nl, NETLINK_NETFILTER);

	err = err ? err : read_live(&nl, j->st.where.pf, j->match->table, &now);
	return err ? err : jump_to(j, j->match->live.gen, &now);
}

static void drop_one(struct ld_job *j, uint32_t gen)
{
	_cleanup_nft_ struct ld_nft t = { 0 };

	if (ld_nft_open(&t))
		return;
	if (gen)
		drop_program(&t, j, gen);
	else
		ld_nft_table_drop(&t, j->st.where.pf, j->match->table);
	ld_nft_commit(&t);
}

static void undo(struct ld_job *j)
{
	char name[80];

	if (!j->match || !j->match->gen)
		return;
	drop_one(j, j->replace ? j->match->gen : 0);
	state_name(j->st.id, j->match->gen, name);
	if (j->run_fd >= 0)
		unlinkat(j->run_fd, name, 0);
}

/* "id=", with which the names of all states of a place begin, and of none of another. */
static void forget(int run_fd, const char *id, uint32_t keep_gen)
{
	char any[80], keep[80];

	snprintf(any, sizeof(any), "%.64s=", id);
	state_name(id, keep_gen, keep);
	ld_run_forget(run_fd, any, keep);
}

static void finish(struct ld_job *j)
{
	if (j->match->live.gen)
		drop_one(j, j->match->live.gen);
	forget(j->run_fd, j->st.id, j->pinned ? 0 : j->match->gen);
}

static void close_job(struct ld_job *j)
{
	free(j->match);
	j->match = NULL;
}

/* ---- reading back */

struct tables {
	const char *name;
	uint32_t n;
	char (*id)[64];
};

static int on_table(const struct nlmsghdr *nlh, void *data)
{
	struct tables *t = data;
	char table[80] = "", (*more)[64];
	const struct nlattr *a;
	struct ld_where w;

	mnl_attr_for_each(a, nlh, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(a) == NFTA_TABLE_NAME)
			ld_nft_str(a, table, sizeof(table));
	if (strncmp(table, LD_NFT_OWN, strlen(LD_NFT_OWN)) || strlen(table) >= sizeof(*more) ||
	    ld_parse_hook(t->name, table + strlen(LD_NFT_OWN), &w))
		return MNL_CB_OK;
	more = reallocarray(t->id, t->n + 1, sizeof(*more));
	if (!more) {
		errno = ENOMEM;
		return MNL_CB_ERROR;
	}
	t->id = more;
	snprintf(more[t->n++], sizeof(*more), "%.63s", table + strlen(LD_NFT_OWN));
	return MNL_CB_OK;
}

static bool listed(const struct ld_state *st, uint32_t n, const char *id)
{
	for (uint32_t i = 0; i < n; i++)
		if (!strcmp(st[i].id, id))
			return true;
	return false;
}

static void list_one(struct arena *a, const struct ld_hook *hook, enum ld_kind kind, int run_fd, const char *id, struct ld_state *ret)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct ld_where w;
	struct live live;
	size_t len;
	char name[80], *meta;

	*ret = (struct ld_state){ .meta = "" };
	if (live_of(hook->name, id, &w, &live))
		return;
	state_name(id, live.gen, name);
	bytes = run_fd < 0 ? NULL : ld_run_read(run_fd, name, &len);
	if (bytes && !ld_state_parse(bytes, len, ret) && !strcmp(ret->id, id)) {
		meta = arena_alloc(a, ret->meta_len + 1);
		memcpy(meta, ret->meta, ret->meta_len);
		ret->meta = meta;
	} else {
		*ret = (struct ld_state){ .meta = "", .where = w };
	}
	ret->where.kind = kind;
	ret->prog_id = live.gen;
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	snprintf(ret->target, sizeof(ret->target), "%s", hook->target);
}

static int list(struct arena *a, const struct ld_hook *hook, enum ld_kind kind, struct ld_state **ret, uint32_t *ret_n)
{
	_cleanup_close_ int run_fd = ld_run_lock(false);
	_cleanup_nl_ struct ld_nl nl = { 0 };
	struct tables t = { .name = hook->name };
	struct ld_state *all;
	int err = ld_nl_open(&nl, NETLINK_NETFILTER);

	err = err ? err : ld_nft_each(&nl, NFT_MSG_GETTABLE, AF_UNSPEC, NULL, NULL, on_table, &t);
	all = err || !t.n ? NULL : arena_alloc(a, (*ret_n + t.n) * sizeof(*all));
	if (all && *ret_n)
		memcpy(all, *ret, *ret_n * sizeof(*all));
	for (uint32_t i = 0; all && i < t.n; i++) {
		if (listed(all, *ret_n, t.id[i]))
			continue;
		list_one(a, hook, kind, run_fd, t.id[i], &all[*ret_n]);
		*ret_n += all[*ret_n].prog_id != 0;
	}
	if (all)
		*ret = all;
	free(t.id);
	/* No right to read the rules, or a kernel that has none: then none of them are ours. */
	return err == -EPERM || err == -EPROTONOSUPPORT || err == -EINVAL ? 0 : err;
}

static int remove_table(const char *name, const char *id)
{
	_cleanup_nft_ struct ld_nft t = { 0 };
	struct ld_where w;
	char table[80];
	int err = ld_parse_hook(name, id, &w);

	err = err ? err : ld_nft_open(&t);
	if (err)
		return err;
	table_of(id, table);
	ld_nft_table_drop(&t, w.pf, table);
	return ld_nft_commit(&t);
}

static int remove_id(const char *name, const char *id)
{
	_cleanup_close_ int run_fd = ld_run_lock(true);
	int err = remove_table(name, id);

	if (!err)
		forget(run_fd, id, 0);
	return err;
}

/* ---- what the two rows differ in */

static const char *id_of(const struct ld_att *att)
{
	return strrchr(att->dir, '/') + 1;
}

static int socket_id(const struct ld_where *w, char *ret, size_t size)
{
	return ld_id_hook(ld_hook_socket.name, w, ret, size);
}

static int socket_unlinked(struct ld_att *att)
{
	struct ld_where w;
	struct live live;
	int err = live_of(ld_hook_socket.name, id_of(att), &w, &live);

	att->alive = !err;
	att->prog_id = live.gen;
	return err;
}

static int socket_detach(struct ld_att *att)
{
	int err = remove_table(ld_hook_socket.name, id_of(att));

	return err == -ENOENT ? 0 : err;
}

static int socket_list(struct arena *a, struct diags *ds, struct ld_state **ret, uint32_t *ret_n)
{
	return list(a, &ld_hook_socket, LD_SOCKET, ret, ret_n);
}

static int socket_remove(const char *id)
{
	return remove_id(ld_hook_socket.name, id);
}

const struct ld_hook ld_hook_socket = {
	.name = "socket", .target = "socket", .pinned = true, .unpinned = true, .id = socket_id, .find = find, .look = look,
	.prepare = prepare, .create = commit, .replace = commit, .restore = restore, .undo = undo, .finish = finish,
	.close = close_job, .unlinked = socket_unlinked, .detach = socket_detach, .list = socket_list, .remove = socket_remove,
};

static int code_id(const struct ld_where *w, char *ret, size_t size)
{
	return ld_id_hook(ld_hook_xtcode.name, w, ret, size);
}

static int code_list(struct arena *a, struct diags *ds, struct ld_state **ret, uint32_t *ret_n)
{
	return list(a, &ld_hook_xtcode, LD_XTCODE, ret, ret_n);
}

static int code_remove(const char *id)
{
	return remove_id(ld_hook_xtcode.name, id);
}

const struct ld_hook ld_hook_xtcode = {
	.name = "xtbpf", .target = "xt_bpf", .id = code_id, .find = find_code, .look = look, .prepare = prepare_code,
	.create = commit, .replace = commit, .restore = restore, .undo = undo, .finish = finish, .close = close_job,
	.list = code_list, .remove = code_remove,
};
