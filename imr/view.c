/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The view: which frames reach a hook, and what the hook sees of them.
 *
 * A rule speaks of the packet as its own hook sees it; a frame on the wire is not that. Between the two the kernel pops
 * VLAN tags, trims padding, checks headers and looks for the transport header, and drops what it does not like. This is
 * the exact model of that, from the frame's bytes alone: what needs a routing table or a socket is outside it. Each
 * part names the kernel's function that it follows; docs/SEMANTICS.md has the same in words.
 */
#include <net/if_arp.h>
#include <string.h>

#include "imr.h"

#define ETH_HLEN	14
#define VLAN_HLEN	4
#define VLAN_MAX_DEPTH	8
#define IP4_HLEN	20
#define IP6_HLEN	40
#define TYPE_802_3	0x0001
#define TYPE_802_2	0x0004
#define TYPE_IP4	0x0800
#define TYPE_VLAN	0x8100
#define TYPE_IP6	0x86dd
#define TYPE_QINQ	0x88a8
#define TYPE_MIN	0x0600	/* below: a length */

#define NEXT_HOP	0
#define NEXT_ROUTING	43
#define NEXT_FRAGMENT	44
#define NEXT_AUTH	51
#define NEXT_NONE	59
#define NEXT_DEST	60

#define HBH_OPTS_MAX	8	/* net.ipv6.max_hbh_opts_number, its default */

static unsigned int be16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static bool is_vlan(unsigned int type)
{
	return type == TYPE_VLAN || type == TYPE_QINQ;
}

/* eth_type_trans and vlan_set_encap_proto: what a type field says, with the payload behind it. */
static unsigned int protocol_of(const struct imr_pkt *p, uint32_t at)
{
	unsigned int type = be16(p->frame + at);

	if (type >= TYPE_MIN)
		return type;
	if (at + 4 <= p->len && be16(p->frame + at + 2) == 0xffff)
		return TYPE_802_3;
	return TYPE_802_2;
}

/* skb_vlan_untag: needs the tag and two bytes behind it, or the frame is dropped. */
static bool pop_tag(struct imr_view *v, const struct imr_pkt *p)
{
	if (v->nh + VLAN_HLEN + 2 > p->len)
		return false;
	v->protocol = protocol_of(p, v->nh + 2);
	v->nh += VLAN_HLEN;
	v->popped = true;
	return true;
}

/* __netif_receive_skb_core behind the ingress hook, no VLAN device being there: a tag of VLAN 0 is forgotten and the
 * next one looked at; any other makes the frame somebody else's. */
static bool forget_tags(struct imr_view *v, const struct imr_pkt *p)
{
	while (v->nh - v->ll > ETH_HLEN) {
		if ((be16(p->frame + v->nh - VLAN_HLEN) & 0x0fff) != 0)
			return false;
		v->ll += VLAN_HLEN;
		if (is_vlan(v->protocol) && !pop_tag(v, p))
			return false;
	}
	return true;
}

/* eth_type_trans: PACKET_OTHERHOST. */
static bool is_other_host(const struct imr_pkt *p)
{
	return !(p->frame[0] & 1) && memcmp(p->frame, p->mac, sizeof(p->mac)) != 0;
}

static bool is_ext_hdr(uint8_t next)
{
	return next == NEXT_HOP || next == NEXT_ROUTING || next == NEXT_FRAGMENT || next == NEXT_AUTH ||
	       next == NEXT_DEST;
}

struct walk {
	bool ok, frag;		/* frag: a fragment header stood on the way */
	uint8_t proto;
	uint32_t at;		/* of the header found; 0 in a later fragment */
	uint16_t fragoff;	/* in bytes: a multiple of 8 */
};

/* ipv6_find_hdr with target -1, as nftables calls it (stop_at_auth) and as xtables does. */
static void walk_ip6(struct walk *w, const struct imr_pkt *p, const struct imr_view *v, bool stop_at_auth, bool bound)
{
	uint32_t at = v->nh + IP6_HLEN;
	uint8_t next = p->frame[v->nh + 6];

	memset(w, 0, sizeof(*w));
	while (is_ext_hdr(next)) {
		uint32_t len = next == NEXT_ROUTING || next == NEXT_FRAGMENT ? 4 : 2;
		const uint8_t *h;

		w->frag |= next == NEXT_FRAGMENT;
		if (at > v->end || v->end - at < len)
			return;
		h = p->frame + at;
		if (next == NEXT_FRAGMENT && (be16(h + 2) & ~7)) {
			w->ok = !is_ext_hdr(h[0]);
			w->proto = h[0];
			w->fragoff = be16(h + 2) & ~7;
			return;
		}
		if (next == NEXT_AUTH && stop_at_auth)
			break;
		len = next == NEXT_FRAGMENT ? 8 : next == NEXT_AUTH ? (h[1] + 2) * 4 : (h[1] + 1) * 8;
		if (bound && v->end - at < len)
			return;
		next = h[0];
		at += len;
	}
	w->ok = true;
	w->proto = next;
	w->at = at;
}

/* In a later fragment the kernel leaves the offset at 0, which is skb->data: the network header, or the link header
 * where a packet leaves. `data` is skb->data. */
static void find_th6(struct imr_view *v, const struct imr_pkt *p, uint32_t data, bool bound)
{
	struct walk w;

	walk_ip6(&w, p, v, true, bound);
	v->th_ok = w.ok && (w.at == 0 || w.at - data <= UINT16_MAX);
	if (v->th_ok) {
		v->th_proto = w.proto;
		v->th_fragoff = w.fragoff;
		v->th = w.at ? w.at : data;
	}
	walk_ip6(&w, p, v, false, bound);
	v->tx_ok = w.ok;
	if (w.ok) {
		v->tx_proto = w.proto;
		v->tx_fragoff = w.fragoff;
		v->tx = w.at ? w.at : data;
	}
}

static void find_th4(struct imr_view *v, const struct imr_pkt *p)
{
	const uint8_t *h = p->frame + v->nh;

	v->th_ok = v->tx_ok = true;
	v->th_proto = v->tx_proto = h[9];
	v->th = v->tx = v->nh + (h[0] & 15) * 4;
	v->th_fragoff = v->tx_fragoff = be16(h + 6) & 0x1fff;
}

static bool csum_ok(const uint8_t *h, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i += 2)
		sum += be16(h + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* ip_rcv_core */
static bool receive_ip4(struct imr_view *v, const struct imr_pkt *p)
{
	const uint8_t *h = p->frame + v->nh;
	uint32_t avail = v->end - v->nh, hlen, len;

	if (avail < IP4_HLEN || h[0] >> 4 != 4)
		return false;
	hlen = (h[0] & 15) * 4;
	len = be16(h + 2);
	if (hlen < IP4_HLEN || avail < hlen || !csum_ok(h, hlen) || avail < len || len < hlen)
		return false;
	v->end = v->nh + len;
	return true;
}

/* One option of a hop-by-hop header: ip6_parse_tlv and the functions that it calls. An option that only a labelled
 * network accepts (CALIPSO) and one that no Ethernet frame is long enough for (jumbo) end here. */
static bool hop_option_ok(const uint8_t *opt, uint32_t off)
{
	switch (opt[0]) {
	case 5:		/* ipv6_hop_ra */
		return opt[1] == 2;
	case 7:		/* ipv6_hop_calipso */
	case 194:	/* ipv6_hop_jumbo */
		return false;
	case 49:	/* ipv6_hop_ioam, not enabled on the device */
		return (off & 3) == 0;
	default:	/* ip6_tlvopt_unknown */
		return (opt[0] & 0xc0) == 0;
	}
}

static bool is_zero(const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* ipv6_parse_hopopts, ip6_parse_tlv */
static bool hop_options_ok(const uint8_t *nh, uint32_t avail)
{
	uint32_t off = IP6_HLEN + 2, end, n = 0, pad = 0;

	if (avail < IP6_HLEN + 8)
		return false;
	end = IP6_HLEN + (nh[IP6_HLEN + 1] + 1) * 8;
	if (avail < end)
		return false;
	while (off < end) {
		const uint8_t *opt = nh + off;
		uint32_t len = 1;

		if (opt[0] != 0) {
			if (end - off < 2 || end - off < opt[1] + 2u)
				return false;
			len = opt[1] + 2;
		}
		pad = opt[0] <= 1 ? pad + len : 0;
		if (pad > 7 || (opt[0] == 1 && !is_zero(opt + 2, len - 2)))
			return false;
		if (opt[0] > 1 && (++n > HBH_OPTS_MAX || !hop_option_ok(opt, off)))
			return false;
		off += len;
	}
	return true;
}

static bool is_loopback6(const uint8_t *a)
{
	return is_zero(a, 15) && a[15] == 1;
}

static bool is_loopback(const char name[16])
{
	return strcmp(name, "lo") == 0;
}

unsigned int imr_iiftype(const char name[16])
{
	return is_loopback(name) ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
}

/* ip6_rcv_core's checks of addresses. What comes in through "lo" may be of the loopback's. */
static bool addresses_ok(const uint8_t *nh, bool lo)
{
	const uint8_t *src = nh + 8, *dst = nh + 24;
	unsigned int scope = dst[1] & 15;

	if (!lo && (is_loopback6(src) || is_loopback6(dst)))
		return false;
	if (dst[0] == 0xff && (scope == 0 || (scope == 1 && !lo)))
		return false;
	return src[0] != 0xff;
}

/* ip6_rcv_core */
static bool receive_ip6(struct imr_view *v, const struct imr_pkt *p)
{
	const uint8_t *h = p->frame + v->nh;
	uint32_t avail = v->end - v->nh, len;

	if (avail < IP6_HLEN || h[0] >> 4 != 6 || !addresses_ok(h, is_loopback(p->iifname)))
		return false;
	len = be16(h + 4);
	if (len || h[6] != NEXT_HOP) {
		if (avail - IP6_HLEN < len)
			return false;
		v->end = v->nh + IP6_HLEN + len;
	}
	return h[6] != NEXT_HOP || hop_options_ok(h, v->end - v->nh);
}

static bool is_fragment4(const struct imr_pkt *p, const struct imr_view *v)
{
	return (be16(p->frame + v->nh + 6) & 0x3fff) != 0;
}

static bool is_fragment6(const struct imr_pkt *p, const struct imr_view *v, bool bound)
{
	struct walk w;

	walk_ip6(&w, p, v, false, bound);
	return w.frag;
}

static bool receive(struct imr_view *v, const struct imr_pkt *p)
{
	if (is_other_host(p) || !forget_tags(v, p))
		return false;
	switch (v->protocol) {
	case TYPE_IP4:
		v->nfproto = FAM_IP;
		return receive_ip4(v, p);
	case TYPE_IP6:
		v->nfproto = FAM_IP6;
		return receive_ip6(v, p);
	default:
		return false;
	}
}

/* ip_forward, ip6_forward: a packet at the end of its life is answered, not forwarded. */
static bool may_forward(const struct imr_view *v, const struct imr_pkt *p)
{
	return p->frame[v->nh + (v->nfproto == FAM_IP ? 8 : 7)] > 1;
}

/* The L3 hooks; and early.l3: an untagged packet on its way there, no fragment and without hop-by-hop options. */
static bool view_l3(struct imr_view *v, const struct imr_pkt *p, const struct imr_hook_info *hook, bool bound)
{
	bool early = hook->num == HN_EARLY;

	if (early && v->nh != ETH_HLEN)
		return false;
	if (!receive(v, p) || (hook->family != FAM_INET && hook->family != v->nfproto))
		return false;
	v->len = v->end - v->nh;
	v->hop = hook->num == HN_FORWARD || hook->num == HN_POSTROUTING;
	if (v->hop && !may_forward(v, p))
		return false;
	if (hook->num == HN_OUTPUT)
		v->ll = v->nh;	/* no link layer header yet */
	if (v->nfproto == FAM_IP) {
		find_th4(v, p);
		return !((hook->facts & HF_NO_FRAG) && is_fragment4(p, v));
	}
	find_th6(v, p, v->nh, bound);
	return !early || (p->frame[v->nh + 6] != NEXT_HOP && !is_fragment6(p, v, bound));
}

/* __nft_set_pktinfo_ipv4_validate. `before`: bytes before the network header that some kernels count in where a packet
 * leaves. */
static bool validate_ip4(const struct imr_view *v, const struct imr_pkt *p, uint32_t before)
{
	const uint8_t *h = p->frame + v->nh;
	uint32_t len;

	if (v->end - v->nh < IP4_HLEN || h[0] >> 4 != 4 || (h[0] & 15) < 5)
		return false;
	len = be16(h + 2);
	return v->end - v->nh + before >= len && len >= before + (h[0] & 15) * 4;
}

/* __nft_set_pktinfo_ipv6_validate, but for the walk */
static bool validate_ip6(const struct imr_view *v, const struct imr_pkt *p, uint32_t before)
{
	const uint8_t *h = p->frame + v->nh;

	return v->end - v->nh >= IP6_HLEN && h[0] >> 4 == 6 && v->end - v->nh - IP6_HLEN + before >= be16(h + 4);
}

/* nft_do_chain_netdev, nft_do_chain_inet_ingress */
static bool view_netdev(struct imr_view *v, const struct imr_pkt *p, const struct imr_hook_info *hook,
			const struct imr_profile *prof)
{
	uint32_t data = hook->num == HN_EGRESS ? v->ll : v->nh;

	v->nfproto = FAM_NETDEV;
	v->len = v->end - data;
	if (v->protocol == TYPE_IP4 && validate_ip4(v, p, prof->egress_len4 ? v->nh - data : 0))
		find_th4(v, p);
	if (v->protocol == TYPE_IP6 && validate_ip6(v, p, prof->egress_len6 ? v->nh - data : 0))
		find_th6(v, p, data, prof->v6_exthdr_bound);
	if (hook->family != FAM_INET)
		return true;
	v->nfproto = v->protocol == TYPE_IP4 ? FAM_IP : FAM_IP6;
	return v->th_ok;
}

/* packet_parse_headers: of a frame that a packet socket sends, the protocol is its type field as it is, and the network
 * header stands behind all of its tags (vlan_get_protocol_and_depth) unless these are too many or cut off. */
static void view_sent(struct imr_view *v, const struct imr_pkt *p)
{
	unsigned int type = v->protocol = be16(p->frame + 12);
	uint32_t at = ETH_HLEN;

	for (int tags = 1; is_vlan(type); tags++) {
		if (tags == VLAN_MAX_DEPTH || at + VLAN_HLEN > p->len)
			return;
		type = be16(p->frame + at + 2);
		at += VLAN_HLEN;
	}
	v->nh = at;
}

void imr_view(struct imr_view *ret, const struct imr_pkt *pkt, enum imr_hook hook, const struct imr_profile *p)
{
	const struct imr_hook_info *info = &imr_hooks[hook];

	memset(ret, 0, sizeof(*ret));
	if (pkt->len < ETH_HLEN)
		return;
	ret->nh = ETH_HLEN;
	ret->end = pkt->len;
	if (info->num == HN_EGRESS)	/* what leaves has skb->dev alone, and its type is read */
		ret->iiftype = pkt->oif || *pkt->oifname ? imr_iiftype(pkt->oifname) : 0;
	else
		ret->iiftype = pkt->iif || *pkt->iifname ? imr_iiftype(pkt->iifname) : 0;
	ret->protocol = protocol_of(pkt, 12);
	if (info->num == HN_EGRESS)
		view_sent(ret, pkt);
	else if (is_vlan(ret->protocol) && !pop_tag(ret, pkt))
		return;
	if (info->num == HN_INGRESS || info->num == HN_EGRESS)
		ret->domain = view_netdev(ret, pkt, info, p);
	else
		ret->domain = view_l3(ret, pkt, info, p->v6_exthdr_bound);
}
