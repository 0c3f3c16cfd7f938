/* SPDX-License-Identifier: GPL-2.0-only */
#include "gen.h"

uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return n ? rng_next(r) % n : 0;
}

bool rng_chance(struct rng *r, unsigned int percent)
{
	return rng_below(r, 100) < percent;
}

/* Few distinct values, so that rules overlap and packets meet them. */
static const char *const nets4[] = { "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "10.128.0.0/9", "192.0.2.16/28",
				     "192.0.2.0/31", "192.0.2.1", "172.16.0.0/12", "0.0.0.0/1" };
static const char *const nets6[] = { "2001:db8::/32", "2001:db8::1", "2001:db8:1::/48", "fd00::/8", "fd01::/33", "fe80::/10",
				     "2001:db8::/127", "fd02::2", "2001:db8:1:8000::/49" };
static const char *const protos[] = { "tcp", "udp", "icmp", "47", "6", "17", "50", "58" };
static const char *const ports[] = { "22", "53", "80", "443", "1000", "1024", "65535", "0" };
static const char *const flags[] = { "fin", "syn", "rst", "psh", "ack", "urg" };
static const char *const names[] = { "tap0", "tap", "eth0", "t", "tap00", "lo" };

#define PICK(r, list) (list)[rng_below(r, sizeof(list) / sizeof(*(list)))]

struct words { struct rng *r; struct strbuf *out; bool v6, netdev, inet, typed, egress; };

static const char *eq(struct rng *r)
{
	static const char *const ops[] = { "", "", "", "!= " };

	return PICK(r, ops);
}

static const char *cmp(struct rng *r)
{
	static const char *const ops[] = { "", "!= ", "< ", "<= ", "> ", ">= " };

	return PICK(r, ops);
}

static void nft_addr(struct words *w)
{
	const char *dir = rng_chance(w->r, 50) ? "saddr" : "daddr", *op = eq(w->r);

	if (w->v6)
		strbuf_add(w->out, "ip6 %s %s%s ", dir, op, PICK(w->r, nets6));
	else if (rng_chance(w->r, 10))
		strbuf_add(w->out, "ip %s & 255.0.255.0 %s 10.0.2.0 ", dir, *op ? "!=" : "==");
	else if (rng_chance(w->r, 15))
		strbuf_add(w->out, "ip %s %s10.1.2.3-10.1.3.9 ", dir, op);
	else
		strbuf_add(w->out, "ip %s %s%s ", dir, op, PICK(w->r, nets4));
}

static void nft_port(struct words *w)
{
	const char *proto = rng_chance(w->r, 50) ? "tcp" : "udp", *dir = rng_chance(w->r, 60) ? "dport" : "sport";

	if (rng_chance(w->r, 20))
		strbuf_add(w->out, "%s %s %s1000-2000 ", proto, dir, eq(w->r));
	else if (rng_chance(w->r, 15))
		strbuf_add(w->out, "%s sport %s %s dport %s ", proto, PICK(w->r, ports), proto, PICK(w->r, ports));
	else
		strbuf_add(w->out, "%s %s %s%s ", proto, dir, rng_chance(w->r, 40) ? eq(w->r) : "!= ", PICK(w->r, ports));
}

static void nft_flags(struct words *w)
{
	const char *a = PICK(w->r, flags), *b = PICK(w->r, flags);

	if (rng_chance(w->r, 50))
		strbuf_add(w->out, "tcp flags & (%s | %s) == %s ", a, b, a);
	else
		strbuf_add(w->out, "tcp flags %s ", a);
}

static void nft_header(struct words *w)
{
	static const char *const h4[] = { "ip ttl", "ip length", "ip id", "ip frag-off", "ip dscp", "ip protocol" };
	static const char *const h6[] = { "ip6 hoplimit", "ip6 length", "ip6 nexthdr", "ip6 dscp", "ip6 flowlabel" };
	static const char *const v[] = { "1", "6", "17", "8", "40", "63" };

	strbuf_add(w->out, "%s %s%s ", w->v6 ? PICK(w->r, h6) : PICK(w->r, h4), cmp(w->r), PICK(w->r, v));
}

static void nft_raw(struct words *w)
{
	static const char *const raw[] = { "@th,8,24 0x003500", "@nh,64,8 0x40", "@th,0,32 0x00160035", "@th,16,16 0x0035",
					   "@nh,96,32 0x0a010203", "@th,104,8 0x02", "@nh,72,16 0x1122" };

	/* Or, where a frame leaves, whose network header is meant cannot be seen. */
	if (w->egress && !w->typed && rng_chance(w->r, 90))
		strbuf_add(w->out, "meta protocol %s ", w->v6 ? "ip6" : "ip");
	strbuf_add(w->out, "%s ", PICK(w->r, raw));
}

static void nft_meta(struct words *w)
{
	switch (rng_below(w->r, 5)) {
	case 0: strbuf_add(w->out, "%sname %s\"%s%s\" ", w->egress && rng_chance(w->r, 90) ? "oif" : "iif", eq(w->r), PICK(w->r, names), rng_chance(w->r, 30) ? "*" : ""); break;
	case 1: strbuf_add(w->out, "meta length %s%u ", cmp(w->r), 40 + rng_below(w->r, 40)); break;
	case 2: strbuf_add(w->out, "meta l4proto %s%s ", eq(w->r), PICK(w->r, protos)); break;
	case 3:
		if (w->typed)
			nft_raw(w);
		else if (w->netdev)
			strbuf_add(w->out, "meta protocol %s ", w->v6 ? "ip6" : "ip");
		else
			strbuf_add(w->out, "meta protocol %s%s ", eq(w->r), rng_chance(w->r, 50) ? "ip" : "ip6");
		break;
	default:
		if (w->netdev)
			strbuf_add(w->out, "%s %s\"tap0\" ", w->egress ? "oif" : "iif", eq(w->r));
		else
			strbuf_add(w->out, "oifname %s\"out0\" ", eq(w->r));
		break;
	}
}

static void nft_icmp(struct words *w)
{
	strbuf_add(w->out, "%s %s%u ", w->v6 ? "icmpv6 type" : rng_chance(w->r, 50) ? "icmp type" : "icmp code", eq(w->r),
		   rng_below(w->r, 10) * (w->v6 ? 13 : 1));
}

/* What the tool takes beside any other match. */
static void nft_link(struct words *w)
{
	static const char *const l[] = { "ether saddr 02:00:00:00:00:09", "ether saddr != 02:00:00:00:00:08",
					 "ether daddr != 02:00:00:00:00:01", "ether daddr 02:00:00:00:00:77",
					 "ether saddr & ff:ff:ff:00:00:00 == 02:00:00:00:00:00",
					 "ether saddr 02:00:00:00:00:00-02:00:00:00:00:08", "ether daddr ff:ff:ff:ff:ff:ff",
					 "iiftype ether", "iiftype != loopback", "iiftype < 3", "@ll,48,32 0x02000000" };

	strbuf_add(w->out, "%s ", PICK(w->r, l));
}

/* A tag says nothing of what is behind it, and so the tool takes a network header's matches after it. */
static void nft_tag(struct words *w)
{
	static const char *const l[] = { "vlan id 5", "vlan id != 5", "vlan id 1-100", "vlan pcp 3", "vlan id 5 vlan pcp != 3",
					 "vlan dei 1", "vlan id > 5" };

	strbuf_add(w->out, "%s ", PICK(w->r, l));
}

/* A type leaves no room for matches of another. */
static void nft_type(struct words *w)
{
	static const char *const l[] = { "ether type ip", "ether type ip6", "ether type != ip", "ether type arp", "ether type vlan",
					 "ether type 8021ad", "ether type vlan vlan type ip", "vlan id 5 vlan type ip6",
					 "meta protocol arp", "meta protocol 0x0004", "meta protocol vlan", "meta protocol ip",
					 "meta protocol != ip6", "arp operation 1", "ether type < 0x0800" };

	strbuf_add(w->out, "%s ", PICK(w->r, l));
}

static void nft_end(struct words *w, const char *const *chains, unsigned int n_chain, bool always)
{
	if (rng_chance(w->r, 40))
		strbuf_add(w->out, "counter ");
	switch (rng_below(w->r, 8)) {
	case 0: case 1: case 2: strbuf_add(w->out, "drop"); break;
	case 3: case 4: strbuf_add(w->out, "accept"); break;
	case 5: strbuf_add(w->out, always ? "continue" : "return"); break;
	default:
		if (n_chain)
			strbuf_add(w->out, "%s %s", rng_chance(w->r, 70) ? "jump" : "goto", chains[rng_below(w->r, n_chain)]);
		else
			strbuf_add(w->out, "counter");
	}
	strbuf_add(w->out, "\n");
}

static void nft_rule(struct words *w, const char *const *chains, unsigned int n_chain)
{
	static void (*const matches[])(struct words *w) = { nft_addr, nft_addr, nft_port, nft_port, nft_flags, nft_header,
							    nft_raw, nft_meta, nft_icmp, nft_link };
	static const uint8_t beside[] = { 6, 7, 9 };
	unsigned int n = rng_below(w->r, 4), kind = w->netdev ? rng_below(w->r, 100) : 100;

	/* One protocol a rule: the tool refuses two that exclude each other. */
	if (w->inet || w->netdev)
		w->v6 = rng_below(w->r, 2);
	w->typed = kind < 15 || (w->egress && kind < 30 && rng_chance(w->r, 90));
	if (kind < 15)
		nft_type(w);
	else if (kind < 30)
		nft_tag(w);
	for (unsigned int i = 0; i < n; i++) {
		unsigned int k = w->typed ? PICK(w->r, beside) : rng_below(w->r, 10);

		if (w->out->len && n > 1 && (k == 2 || k == 3 || k == 4 || k == 8) && i)
			k = 0;
		matches[k](w);
	}
	nft_end(w, chains, n_chain, !n && kind >= 30);
}

static char *gen_nft(struct arena *a, struct rng *r, enum judge_hook hook, unsigned int n)
{
	static const char *const l3[] = { "inet", "ip", "ip6" }, *const hooks[] = { "ingress", "prerouting", "input", "forward", "egress" };
	static const char *const chains[] = { "c2", "c1" };
	struct strbuf out = { .arena = a };
	struct words w = { .r = r, .out = &out, .netdev = hook == JUDGE_INGRESS || hook == JUDGE_EGRESS,
			   .egress = hook == JUDGE_EGRESS };
	const char *family = w.netdev ? "netdev" : l3[rng_below(r, 3)];

	w.inet = family[2] == 'e' && !w.netdev;
	w.v6 = family[2] == '6';
	strbuf_add(&out, "table %s t {\n", family);
	for (unsigned int c = 0; c < 2; c++) {
		strbuf_add(&out, "chain %s {\n", chains[c]);
		for (unsigned int i = rng_below(r, 3) + 1; i; i--)
			nft_rule(&w, chains, c);
		strbuf_add(&out, "}\n");
	}
	strbuf_add(&out, "chain base {\ntype filter hook %s %s priority 0; policy %s;\n", hooks[hook],
		   w.netdev ? "device \"tap0\"" : "", rng_chance(r, 25) ? "drop" : "accept");
	for (unsigned int i = 0; i < n; i++)
		nft_rule(&w, chains, 2);
	strbuf_add(&out, "}\n}\n");
	return out.s;
}

static void ipt_match(struct words *w)
{
	static const char *const types[] = { "any", "8", "0", "3/1", "11" };
	const char *not = rng_chance(w->r, 25) ? "! " : "";

	switch (rng_below(w->r, 7)) {
	case 0: strbuf_add(w->out, "-p tcp -m tcp %s--%s %s ", not, rng_chance(w->r, 50) ? "dport" : "sport",
			   rng_chance(w->r, 30) ? "1000:2000" : PICK(w->r, ports)); break;
	case 1: strbuf_add(w->out, "-p udp -m udp %s--%s %s ", not, rng_chance(w->r, 50) ? "dport" : "sport",
			   rng_chance(w->r, 30) ? "1000:" : PICK(w->r, ports)); break;
	case 2: strbuf_add(w->out, "-p tcp -m tcp %s--tcp-flags SYN,ACK,FIN %s ", not, rng_chance(w->r, 50) ? "SYN" : "NONE"); break;
	case 3: strbuf_add(w->out, "-p %s -m multiport %s--%s 22,53,1000:2000 ", rng_chance(w->r, 50) ? "tcp" : "udp", not,
			   rng_chance(w->r, 40) ? "ports" : rng_chance(w->r, 50) ? "dports" : "sports"); break;
	case 4: strbuf_add(w->out, "-p tcp -m tcp %s--tcp-option %u ", not, 1 + rng_below(w->r, 5)); break;
	case 5:
		if (w->v6)
			strbuf_add(w->out, "-p ipv6-icmp -m icmp6 %s--icmpv6-type %u ", not, 128 + rng_below(w->r, 2));
		else
			strbuf_add(w->out, "-p icmp -m icmp %s--icmp-type %s ", rng_chance(w->r, 80) ? "" : "! ", PICK(w->r, types));
		break;
	default: strbuf_add(w->out, "%s-p %s ", not, PICK(w->r, protos));
	}
}

static void ipt_rule(struct words *w, const char *chain, const char *const *chains, unsigned int n_chain, bool forward)
{
	strbuf_add(w->out, "-A %s ", chain);
	if (rng_chance(w->r, 40))
		strbuf_add(w->out, "%s-s %s ", rng_chance(w->r, 25) ? "! " : "", w->v6 ? PICK(w->r, nets6) : PICK(w->r, nets4));
	if (rng_chance(w->r, 30))
		strbuf_add(w->out, "%s-d %s ", rng_chance(w->r, 25) ? "! " : "",
			   w->v6 ? PICK(w->r, nets6) : rng_chance(w->r, 20) ? "10.0.2.0/255.0.255.0" : PICK(w->r, nets4));
	if (rng_chance(w->r, 20))
		strbuf_add(w->out, "%s-i %s%s ", rng_chance(w->r, 30) ? "! " : "", PICK(w->r, names), rng_chance(w->r, 40) ? "+" : "");
	if (forward && rng_chance(w->r, 15))
		strbuf_add(w->out, "%s-o out%s ", rng_chance(w->r, 30) ? "! " : "", rng_chance(w->r, 40) ? "+" : "0");
	if (!w->v6 && rng_chance(w->r, 8))
		strbuf_add(w->out, "%s-f ", rng_chance(w->r, 30) ? "! " : "");
	else if (rng_chance(w->r, 60))
		ipt_match(w);
	switch (rng_below(w->r, 8)) {
	case 0: case 1: case 2: strbuf_add(w->out, "-j DROP"); break;
	case 3: case 4: strbuf_add(w->out, "-j ACCEPT"); break;
	case 5: strbuf_add(w->out, "-j RETURN"); break;
	default:
		if (n_chain)
			strbuf_add(w->out, "-%s %s", rng_chance(w->r, 70) ? "j" : "g", chains[rng_below(w->r, n_chain)]);
	}
	strbuf_add(w->out, "\n");
}

static char *gen_ipt(struct arena *a, struct rng *r, bool v6, enum judge_hook hook, unsigned int n)
{
	static const char *const chains[] = { "c2", "c1" };
	struct strbuf out = { .arena = a };
	struct words w = { .r = r, .out = &out, .v6 = v6 };
	bool pre = hook == JUDGE_PREROUTING, fwd = hook == JUDGE_FORWARD;
	const char *base = pre ? "PREROUTING" : fwd ? "FORWARD" : "INPUT";

	strbuf_add(&out, "*%s\n:%s %s [0:0]\n:OUTPUT ACCEPT [0:0]\n", pre ? "raw" : "filter", base,
		   rng_chance(r, 25) ? "DROP" : "ACCEPT");
	strbuf_add(&out, ":c1 - [0:0]\n:c2 - [0:0]\n");
	for (unsigned int i = 0; i < n; i++)
		ipt_rule(&w, base, chains, 2, fwd);
	for (unsigned int c = 0; c < 2; c++)
		for (unsigned int i = rng_below(r, 3) + 1; i; i--)
			ipt_rule(&w, chains[c], chains, c, fwd);
	strbuf_add(&out, "COMMIT\n");
	return out.s;
}

char *gen_rules(struct arena *a, struct rng *r, enum judge_tool tool, enum judge_hook hook, unsigned int n)
{
	if (tool == JUDGE_NFT)
		return gen_nft(a, r, hook, n);
	return gen_ipt(a, r, tool == JUDGE_IP6T || tool == JUDGE_IP6T_NFT, hook, n);
}
