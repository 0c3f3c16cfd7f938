/* SPDX-License-Identifier: GPL-2.0-only */
/* Classic BPF as the kernel checks and runs it: bpf_check_classic, check_load_and_stores, ___bpf_prog_run. */
#include <string.h>

#include "cbpf_run.h"

bool cbpf_skb_make(struct cbpf_skb *ret, uint8_t *buf, const struct imr_view *v, const struct imr_pkt *pkt,
		   enum imr_hook hook)
{
	bool l2 = hook == HOOK_NETDEV_INGRESS || hook == HOOK_NETDEV_EGRESS;

	*ret = (struct cbpf_skb){ .data = buf, .protocol = v->protocol, .mark = pkt->mark };
	if (!v->domain)
		return false;
	if (!l2) {
		ret->len = v->end - v->nh;
		memcpy(buf, pkt->frame + v->nh, ret->len);
		return true;
	}
	ret->tagged = v->popped;
	ret->len = pkt->len - (v->popped ? 4 : 0);
	memcpy(buf, pkt->frame, 12);
	memcpy(buf + 12, pkt->frame + pkt->len - ret->len + 12, ret->len - 12);
	if (ret->tagged) {
		ret->vlan_tpid = pkt->frame[12] << 8 | pkt->frame[13];
		ret->vlan_tci = pkt->frame[14] << 8 | pkt->frame[15];
	}
	return true;
}

/* ------------------------------------------------------------------ the kernel's check */

static bool known_code(uint16_t c)
{
	switch (c) {
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_B | BPF_ABS:
	case BPF_LD | BPF_W | BPF_IND:
	case BPF_LD | BPF_H | BPF_IND:
	case BPF_LD | BPF_B | BPF_IND:
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LD | BPF_IMM:
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_B | BPF_MSH:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_RET | BPF_K:
	case BPF_MISC | BPF_TAX:
	case BPF_MISC | BPF_TXA:
		return true;
	}
	return BPF_CLASS(c) == BPF_ALU || BPF_CLASS(c) == BPF_JMP;
}

static const char *check_insn(const struct be_filter *f, uint32_t n)
{
	const struct sock_filter *i = &f->insn[n];

	if (!known_code(i->code))
		return "code";
	if ((BPF_CLASS(i->code) == BPF_ST || BPF_MODE(i->code) == BPF_MEM) && BPF_CLASS(i->code) != BPF_JMP &&
	    BPF_CLASS(i->code) != BPF_ALU && BPF_CLASS(i->code) < BPF_ALU && i->k >= BPF_MEMWORDS)
		return "memory";
	if (i->code == (BPF_JMP | BPF_JA) && i->k >= f->n - n - 1)
		return "jump";
	if (BPF_CLASS(i->code) == BPF_JMP && i->code != (BPF_JMP | BPF_JA) &&
	    (n + i->jt + 1 >= f->n || n + i->jf + 1 >= f->n))
		return "branch";
	return NULL;
}

/* No word of memory is read before it is written, whatever the way. */
static const char *check_memory(const struct be_filter *f)
{
	static uint16_t mask[BPF_MAXINSNS + 1];
	uint16_t valid = 0;

	memset(mask, 0xff, sizeof(mask));
	for (uint32_t n = 0; n < f->n; n++) {
		const struct sock_filter *i = &f->insn[n];

		valid &= mask[n];
		if (i->code == BPF_ST)
			valid |= 1 << i->k;
		if ((i->code == (BPF_LD | BPF_MEM) || i->code == (BPF_LDX | BPF_MEM)) && !(valid & 1 << i->k))
			return "memory is read before it is written";
		if (i->code == (BPF_JMP | BPF_JA)) {
			mask[n + 1 + i->k] &= valid;
			valid = ~0;
		} else if (BPF_CLASS(i->code) == BPF_JMP) {
			mask[n + 1 + i->jt] &= valid;
			mask[n + 1 + i->jf] &= valid;
			valid = ~0;
		}
	}
	return NULL;
}

const char *cbpf_check(const struct be_filter *f)
{
	if (!f->n || f->n > BPF_MAXINSNS)
		return "length";
	for (uint32_t n = 0; n < f->n; n++)
		if (check_insn(f, n))
			return check_insn(f, n);
	if (BPF_CLASS(f->insn[f->n - 1].code) != BPF_RET)
		return "end";
	return check_memory(f);
}

/* ------------------------------------------------------------------ running */

struct machine {
	struct cbpf_skb *skb;
	uint32_t a, x, mem[BPF_MEMWORDS];
};

static bool fetch(struct machine *m, uint32_t at, uint16_t code, uint32_t *ret)
{
	unsigned int len = BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
	uint32_t v = 0;

	if ((int32_t)at < 0 || (uint64_t)at + len > m->skb->len) {
		m->skb->wild++;
		return false;
	}
	for (unsigned int n = 0; n < len; n++)
		v = v << 8 | m->skb->data[at + n];
	*ret = v;
	return true;
}

static uint32_t ancillary(const struct cbpf_skb *s, uint32_t what)
{
	switch (what) {
	case SKF_AD_PROTOCOL:
		return s->protocol;
	case SKF_AD_MARK:
		return s->mark;
	case SKF_AD_VLAN_TAG:
		return s->vlan_tci;
	case SKF_AD_VLAN_TAG_PRESENT:
		return s->tagged;
	default:
		return s->vlan_tpid;
	}
}

static bool load(struct machine *m, const struct sock_filter *i)
{
	switch (BPF_MODE(i->code)) {
	case BPF_IMM:
		m->a = i->k;
		return true;
	case BPF_LEN:
		m->a = m->skb->len;
		return true;
	case BPF_MEM:
		m->a = m->mem[i->k];
		return true;
	case BPF_IND:
		return fetch(m, m->x + i->k, i->code, &m->a);
	default:
		if (i->k >= (uint32_t)SKF_AD_OFF) {
			m->a = ancillary(m->skb, i->k - SKF_AD_OFF);
			return true;
		}
		return fetch(m, i->k, i->code, &m->a);
	}
}

static bool load_index(struct machine *m, const struct sock_filter *i)
{
	if (BPF_MODE(i->code) == BPF_MEM)
		m->x = m->mem[i->k];
	else if (BPF_MODE(i->code) == BPF_LEN)
		m->x = m->skb->len;
	else if (!fetch(m, i->k, BPF_B, &m->x))
		return false;
	if (BPF_MODE(i->code) == BPF_MSH)
		m->x = (m->x & 15) * 4;
	return true;
}

static void alu(struct machine *m, const struct sock_filter *i)
{
	uint32_t v = BPF_SRC(i->code) == BPF_X ? m->x : i->k;

	switch (BPF_OP(i->code)) {
	case BPF_ADD:	m->a += v; break;
	case BPF_SUB:	m->a -= v; break;
	case BPF_OR:	m->a |= v; break;
	case BPF_AND:	m->a &= v; break;
	case BPF_XOR:	m->a ^= v; break;
	case BPF_LSH:	m->a = v < 32 ? m->a << v : 0; break;
	case BPF_RSH:	m->a = v < 32 ? m->a >> v : 0; break;
	}
}

static uint32_t jump(const struct machine *m, const struct sock_filter *i)
{
	uint32_t v = BPF_SRC(i->code) == BPF_X ? m->x : i->k;

	switch (BPF_OP(i->code)) {
	case BPF_JEQ:
		return m->a == v ? i->jt : i->jf;
	case BPF_JGT:
		return m->a > v ? i->jt : i->jf;
	case BPF_JGE:
		return m->a >= v ? i->jt : i->jf;
	default:
		return i->k;
	}
}

uint32_t cbpf_run(const struct be_filter *f, struct cbpf_skb *skb)
{
	struct machine m = { .skb = skb };

	for (uint32_t pc = 0;; pc++) {
		const struct sock_filter *i = &f->insn[pc];

		skb->steps++;
		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
			if (!load(&m, i))
				return 0;
			break;
		case BPF_LDX:
			if (!load_index(&m, i))
				return 0;
			break;
		case BPF_ST:
			m.mem[i->k] = m.a;
			break;
		case BPF_ALU:
			alu(&m, i);
			break;
		case BPF_JMP:
			pc += jump(&m, i);
			break;
		case BPF_RET:
			return i->k;
		default:
			if (BPF_MISCOP(i->code) == BPF_TAX)
				m.x = m.a;
			else
				m.a = m.x;
		}
	}
}
