/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Policy for others: what holds against root of a network namespace, and what does not. Where it must hold, it goes on the
 * other end of the wire: what a container's device receives is what its peer outside sends, and the other way round.
 */
#include <string.h>

#include "cli.h"

const char *peer_evades(const struct ld_where *w)
{
	static const char by_root[] = "root there, who can delete the clsact qdisc or move the device into a nested "
				      "namespace, which loses the filter";

	switch (w->kind) {
	case LD_XDP:
		return "what the namespace sends, and devices that it gets later; the program stays with this one, in "
		       "nested namespaces too";
	case LD_TC:
		if (w->generic)
			return by_root;
		return w->egress ? "packet sockets with PACKET_QDISC_BYPASS, and devices that it gets later" :
				   "packet sockets, which see frames before it, and devices that it gets later";
	case LD_NETFILTER:
		return "packet sockets, and devices that are moved into a nested namespace, which has hooks of its own";
	case LD_CGROUP:
		return "packet sockets, and processes outside of the cgroup";
	case LD_SOCKET:
	case LD_XTCODE:
		return "root there, who can delete the table that holds the program, and packet sockets";
	case LD_CBPF:
		break;
	}
	return by_root;
}

static bool reads_mark(const struct imr_insn *insn, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (insn[i].op == OP_LD && insn[i].field == F_META_MARK)
			return true;
	return false;
}

/* A mark does not cross from one namespace to another (skb_scrub_packet). */
static int refuse_marks(struct cli *c, const struct plan_dev *d)
{
	const struct imr_chain *ch = &d->placed->chain[0];
	int r = 0;

	for (uint32_t k = 0; k < ch->n; k++)
		if (reads_mark(ch->entry, ch->n_entry) || reads_mark(ch->rule[k].insn, ch->rule[k].n)) {
			diag_add(c->diags, DIAG_UNSUPPORTED, &ch->rule[k].at,
				 "a packet's mark is another one at the other end of the wire");
			r = EXIT_INEXACT;
		}
	return r;
}

static int move(struct cli *c, struct plan_dev *d)
{
	const struct imr_chain *ch = &d->placed->chain[0];
	char peer[16];
	int r;

	if (!d->has_dev || d->where.kind != LD_TC) {
		diag_add(c->diags, DIAG_UNSUPPORTED, ch->n ? &ch->rule[0].at : &ch->at,
			 "%s on %s: at the other end of the wire there are only tc programs of a device", d->target->name,
			 d->on);
		return EXIT_INEXACT;
	}
	r = refuse_marks(c, d);
	if (r)
		return r;
	if (ld_broker_peer(c->diags, c->outside, d->env.dev, peer))
		return EXIT_INPUT;
	d->on = arena_printf(c->arena, "%s, the other end of %s", peer, d->on);
	d->where.egress = !d->where.egress;
	memcpy(d->where.dev, peer, sizeof(peer));
	return ld_where_id(&d->where, d->id) ? EXIT_INPUT : 0;
}

int peer_units(struct cli *c, struct plan *p)
{
	int r = 0;

	for (uint32_t i = 0; i < p->n && !r; i++)
		r = move(c, &p->dev[i]);
	if (!r && ld_broker_leave(c->diags, c->outside))
		r = EXIT_INPUT;
	return r;
}
