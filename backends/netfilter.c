/* SPDX-License-Identifier: GPL-2.0-only */
/* Netfilter: the chain's own hook. Headers were checked by the stack; devices and the mark are those of struct nf_hook_state
 * and struct sk_buff, read where this kernel has them. */
#include "select.h"

/* R3 = the device that came in or that it goes out by; to `none` where there is none. */
static void device(struct be_cc *cc, const char *which, uint32_t none)
{
	be_load(&cc->e, 8, BPF_REG_3, R_CTX, BE_NF_CTX_STATE);
	be_load_field(&cc->e, 8, BPF_REG_3, BPF_REG_3, which);
	be_jmp64(&cc->e, BPF_JEQ, BPF_REG_3, 0, none);
}

/* 16 characters as one number, the first the highest: those behind the NUL are 0 there too (dev_change_name pads). */
static void name(struct be_cc *cc)
{
	be_load_field(&cc->e, 8, BPF_REG_2, BPF_REG_3, "net_device.name");
	be_load_field(&cc->e, 8, BPF_REG_1, BPF_REG_3, "net_device.name+8");
	be_to_host(&cc->e, 8, BPF_REG_2);
	be_to_host(&cc->e, 8, BPF_REG_1);
}

static bool meta(struct be_cc *cc, enum imr_field f)
{
	bool in = f == F_META_IIF || f == F_META_IIFNAME || f == F_META_IIFTYPE;
	uint32_t none;

	if (f == F_META_IIFTYPE && (cc->num == HN_OUTPUT || cc->num == HN_POSTROUTING))
		return false;	/* skb->dev's: imr/known.c */
	if (!cc->caps->var_offset)	/* CAP_PERFMON: the kernel's own structures are not for everybody */
		return false;
	none = be_label_new(&cc->e);
	be_mov(&cc->e, BPF_REG_1, 0);
	be_mov(&cc->e, BPF_REG_2, 0);
	if (f == F_META_MARK) {
		be_load(&cc->e, 8, BPF_REG_3, R_CTX, BE_NF_CTX_SKB);
		be_load_field(&cc->e, 4, BPF_REG_1, BPF_REG_3, "sk_buff.mark");
	} else {
		device(cc, in ? "nf_hook_state.in" : "nf_hook_state.out", none);
	}
	if (f == F_META_IIF || f == F_META_OIF)
		be_load_field(&cc->e, 4, BPF_REG_1, BPF_REG_3, "net_device.ifindex");
	else if (f == F_META_IIFTYPE)
		be_load_field(&cc->e, 2, BPF_REG_1, BPF_REG_3, "net_device.type");
	else if (f != F_META_MARK)
		name(cc);
	be_label_here(&cc->e, none);
	return true;
}

/* skb_mac_header_len, where skb_mac_header_was_set */
static void link_length(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;
	uint32_t set = be_label_new(e), done = be_label_new(e);

	be_load(e, 8, BPF_REG_3, R_CTX, BE_NF_CTX_SKB);
	be_load_field(e, 2, BPF_REG_2, BPF_REG_3, "sk_buff.mac_header");
	be_mov(e, BPF_REG_1, 0);
	be_jmp32(e, BPF_JNE, BPF_REG_2, UINT16_MAX, set);
	be_ja(e, done);
	be_label_here(e, set);
	be_load_field(e, 2, BPF_REG_1, BPF_REG_3, "sk_buff.network_header");
	be_alu64_reg(e, BPF_SUB, BPF_REG_1, BPF_REG_2);
	be_label_here(e, done);
}

/* Before skb->data there is no packet to the kernel's accessors: the bytes are read where they lie. */
static struct be_window link(struct be_cc *cc, unsigned int off, unsigned int len, uint32_t no)
{
	struct be_emit *e = &cc->e;

	be_load(e, 8, BPF_REG_5, R_CTX, BE_NF_CTX_SKB);
	be_load_field(e, 8, BPF_REG_3, BPF_REG_5, "sk_buff.head");
	be_load_field(e, 2, BPF_REG_4, BPF_REG_5, "sk_buff.mac_header");
	be_alu64_reg(e, BPF_ADD, BPF_REG_3, BPF_REG_4);
	be_alu64(e, BPF_ADD, BPF_REG_3, off);
	be_frame(e, BPF_REG_1, FP_BYTES);
	be_mov(e, BPF_REG_2, len);
	be_call(e, BPF_FUNC_probe_read_kernel);
	be_jmp64(e, BPF_JNE, BPF_REG_0, 0, no);
	return (struct be_window){ BPF_REG_10, FP_BYTES };
}

static const struct be_view view = { .type = BE_PROG_TYPE_NETFILTER, .attach_type = BE_ATTACH_NETFILTER, .access = &be_dynptr,
				     .l3 = true, .stack = true, .meta = meta, .link_length = link_length, .link = link };

/* Without CAP_PERFMON the link header, which is read where it lies, is out of reach. */
static const struct be_view plain_view = { .type = BE_PROG_TYPE_NETFILTER, .attach_type = BE_ATTACH_NETFILTER,
					   .access = &be_dynptr, .l3 = true, .stack = true, .meta = meta };

bool be_netfilter_compile(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret)
{
	return be_program(imr, be_target_find("netfilter"), caps->var_offset ? &view : &plain_view, caps, opts, ret);
}
