/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Puts the rulesets of genrules.c together: tables get names of their own, priorities that interleave, and words that
 * fwjit does not understand. What a word keeps from one packet to the next (a set that packets add to, a quota, a nth
 * packet) is welcome, as long as no clock, no CPU number and no dice is in it: see slices.c.
 */
#include "slices.h"

#include <stdio.h>
#include <string.h>

const struct wall_kind wall_kinds[] = {
	/*                        fwd    nft ingress legacy compat nat    odd effects */
	{ "nft",                  true,  3,  false,  false, false, false,  0,  0 },
	{ "nft, ingress too",     true,  3,  true,   false, false, false,  8,  2 },
	{ "iptables",             true,  0,  false,  true,  false, false,  0,  0 },
	{ "iptables, unknowns",   true,  0,  false,  true,  false, false, 25,  5 },
	{ "iptables-nft",         true,  1,  false,  false, true,  false, 15,  3 },
	{ "nft and iptables",     true,  3,  false,  true,  false, false, 10,  3 },
	{ "many unknowns",        true,  4,  true,   true,  false, false, 40, 10 },
	{ "nat",                  true,  2,  false,  true,  false, true,  10,  2 },
	{ "end host",             false, 3,  true,   true,  false, false, 10,  3 },
	{ "end host, nat",        false, 2,  false,  true,  false, true,  10,  3 },
	{ NULL, false, 0, false, false, false, false, 0, 0 },
};

#define N(list) (sizeof(list) / sizeof(*(list)))

/* The family a word is for: any, one, and whether it stands at ingress too. */
enum { FOR_ANY, FOR_4, FOR_6, FOR_L3 };
struct word { int family; const char *text; };

static const struct word nft_odd[] = {
	{ FOR_L3, "ct state new" }, { FOR_L3, "ct state invalid" }, { FOR_L3, "ct state established,related" },
	{ FOR_L3, "ct state != new" }, { FOR_L3, "ct mark 0" }, { FOR_L3, "ct direction original" },
	{ FOR_L3, "fib daddr type local" }, { FOR_L3, "fib saddr . iif oif missing" },
	{ FOR_L3, "fib saddr type != local" },
	{ FOR_ANY, "limit rate 400000000/second burst 4000000000 packets" },
	{ FOR_ANY, "limit rate over 400000000/second burst 4000000000 packets" }, { FOR_ANY, "meta mark 7" },
	{ FOR_ANY, "meta mark != 7" }, { FOR_ANY, "meta pkttype host" }, { FOR_4, "ip saddr @s4" },
	{ FOR_4, "ip daddr != @s4" }, { FOR_6, "ip6 saddr @s6" }, { FOR_ANY, "tcp dport @p" },
	{ FOR_4, "ip saddr @d4" }, { FOR_4, "ip daddr @d4" }, { FOR_6, "ip6 saddr @d6" },
	{ FOR_6, "ip6 daddr != @d6" }, { FOR_4, "ip saddr . tcp dport { 10.1.2.3 . 22, 192.0.2.1 . 53 }" },
	{ FOR_L3, "tcp option maxseg size 500" }, { FOR_6, "exthdr frag exists" },
	{ FOR_6, "exthdr hbh missing" }, { FOR_ANY, "quota over 200 kbytes" }, { FOR_ANY, "quota 50 kbytes" },
	{ FOR_ANY, "numgen inc mod 3 0" }, { FOR_4, "ip saddr & 0.0.0.1 == 1 numgen inc mod 2 1" },
	{ FOR_4, "ip saddr @q4" }, { FOR_4, "ip saddr != @q4" }, { FOR_4, "ip daddr @q4" },
};

static const struct word nft_effects[] = {
	{ FOR_ANY, "meta mark set 7" }, { FOR_4, "ip saddr 10.1.0.0/16 meta mark set 7" },
	{ FOR_ANY, "tcp dport 22 meta mark set 7" }, { FOR_L3, "tcp dport 53 ct mark set 1" },
	{ FOR_4, "add @d4 { ip saddr }" }, { FOR_4, "tcp dport 22 update @d4 { ip daddr }" },
	{ FOR_6, "udp dport 53 add @d6 { ip6 saddr }" }, { FOR_6, "add @d6 { ip6 daddr }" },
	{ FOR_4, "ip daddr 10.1.2.3 ip dscp set cs1" }, { FOR_4, "ip daddr 192.0.2.1 ip daddr set 10.1.2.3" },
	{ FOR_4, "udp dport 1000 ip ttl set 5" }, { FOR_ANY, "tcp dport 80 tcp dport set 22" },
	{ FOR_L3, "tcp sport 22 meta priority set 1:2" },
	{ FOR_L3, "ct state vmap { invalid : drop, established : accept }" },
	{ FOR_ANY, "tcp dport vmap { 22 : accept, 53 : drop }" },
	{ FOR_4, "ip saddr vmap { 10.1.2.3 : drop, 192.0.2.0/28 : accept }" },
	{ FOR_ANY, "quota over 300 kbytes drop" },
	{ FOR_4, "update @q4 { ip saddr quota over 20 kbytes } drop" },
	{ FOR_ANY, "numgen inc mod 5 vmap { 0 : drop, 1 : accept }" },
};

static const struct word ipt_odd[] = {
	{ FOR_ANY, "-m conntrack --ctstate NEW" }, { FOR_ANY, "-m conntrack ! --ctstate NEW,ESTABLISHED" },
	{ FOR_ANY, "-m state --state INVALID" }, { FOR_ANY, "-m mark --mark 7" },
	{ FOR_ANY, "-m mark ! --mark 7" }, { FOR_ANY, "-m addrtype --dst-type LOCAL" },
	{ FOR_ANY, "-m addrtype ! --src-type LOCAL" }, { FOR_ANY, "-m length --length 40:80" },
	{ FOR_4, "-m ttl --ttl-gt 5" }, { FOR_6, "-m hl --hl-lt 9" },
	{ FOR_ANY, "-m pkttype --pkt-type unicast" }, { FOR_ANY, "-m dscp --dscp 0" },
	{ FOR_ANY, "-m tos --tos 16" }, { FOR_4, "-m iprange --src-range 10.1.2.3-10.1.3.4" },
	{ FOR_ANY, "-m mac --mac-source 02:00:00:00:00:09" }, { FOR_ANY, "-m comment --comment x" },
	{ FOR_ANY, "-m statistic --mode nth --every 3 --packet 0" }, { FOR_4, "-m u32 --u32 12=0x0a010203" },
	{ FOR_ANY, "-m quota --quota 100000" }, { FOR_ANY, "-m recent --set --name w --rsource" },
	{ FOR_ANY, "-m recent --rcheck --name w --rsource" }, { FOR_6, "-m frag --fragmore" },
	{ FOR_6, "-m ipv6header --soft --header hop" },
};

static const struct word ipt_effects[] = {
	{ FOR_4, "-s 10.1.0.0/16 -j MARK --set-mark 7" }, { FOR_ANY, "-p tcp --dport 22 -j MARK --set-mark 7" },
	{ FOR_ANY, "-p udp --dport 53 -j CONNMARK --set-mark 1" },
	{ FOR_ANY, "-p tcp --sport 22 -j CLASSIFY --set-class 1:2" }, { FOR_ANY, "-m recent --name w --set" },
	{ FOR_ANY, "-p udp -j NFQUEUE --queue-bypass" },
};

static const char *word(struct rng *r, const struct word *list, size_t n, int fits)
{
	for (;;) {
		const struct word *w = &list[rng_below(r, n)];

		if (w->family == FOR_ANY || (fits >> w->family & 1))
			return w->text;
	}
}

static const char *const nft_sets =
	"set s4 { type ipv4_addr; flags interval; elements = { 10.1.0.0/16, 192.0.2.0/31, 172.16.0.0-172.16.0.9 }; }\n"
	"set s6 { type ipv6_addr; flags interval; elements = { 2001:db8::/127, fd00::/8 }; }\n"
	"set p { type inet_service; elements = { 22, 53, 1000 }; }\n"
	"set d4 { type ipv4_addr; flags dynamic; size 4096; }\nset d6 { type ipv6_addr; flags dynamic; size 4096; }\n"
	"set q4 { type ipv4_addr; flags dynamic; size 4096; quota over 9 kbytes; elements = { 10.1.2.3 }; }\n";

struct adapt {
	struct arena *a;
	struct rng *r;
	const struct wall_kind *k;
	struct strbuf out;
	int fits;			/* bits of FOR_ */
	unsigned int number;
};

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

static void nft_base(struct adapt *d, const char *line)
{
	static const int l3[] = { -390, -301, -300, -150, -101, -100, -99, -1, 0, 0, 0, 1, 10, 97, 98, 99, 100, 101 };
	const char *prio = strstr(line, "priority 0;");
	bool netdev = strstr(line, "hook ingress");
	bool drop = strstr(line, "policy drop") && rng_chance(d->r, 50);

	strbuf_add_bytes(&d->out, line, prio - line);
	strbuf_add(&d->out, "priority %d; policy %s;\n", netdev ? (int)rng_below(d->r, 3) : l3[rng_below(d->r, N(l3))],
		   drop ? "drop" : "accept");
}

static void nft_line(struct adapt *d, const char *line)
{
	char family[8];

	if (sscanf(line, "table %7s t {", family) == 1) {
		bool netdev = starts(family, "netdev");

		d->fits = netdev ? 0 : 1 << FOR_L3;
		d->fits |= (strcmp(family, "ip6") ? 1 << FOR_4 : 0) | (strcmp(family, "ip") ? 1 << FOR_6 : 0);
		strbuf_add(&d->out, "table %s t%u {\n%s", family, d->number,
			   d->k->odd || d->k->effects ? nft_sets : "");
	} else if (starts(line, "type filter")) {
		nft_base(d, line);
	} else if (starts(line, "chain") || starts(line, "}")) {
		strbuf_add(&d->out, "%s\n", line);
	} else {
		if (rng_chance(d->r, d->k->effects))
			strbuf_add(&d->out, "%s\n", word(d->r, nft_effects, N(nft_effects), d->fits));
		if (rng_chance(d->r, d->k->odd))
			strbuf_add(&d->out, "%s ", word(d->r, nft_odd, N(nft_odd), d->fits));
		strbuf_add(&d->out, "%s\n", line);
	}
}

/* A rule of an iptables text: -A CHAIN, what is not understood, the rest. Chains c1, c2 of a second text are d1, d2. */
static void ipt_rule(struct adapt *d, const char *line, bool second)
{
	const char *rest = strchr(line + 3, ' ');
	struct strbuf chain = { .arena = d->a }, tail = { .arena = d->a };
	const char *to = rest ? strstr(rest, "-j c") : NULL;

	if (!rest)
		rest = line + strlen(line);
	to = to ? to : strstr(rest, "-g c");
	strbuf_add(&chain, "%.*s", (int)(rest - line - 3), line + 3);
	strbuf_add(&tail, "%s", rest);
	if (second && chain.s[0] == 'c')
		chain.s[0] = 'd';
	if (second && to)
		tail.s[to - rest + 3] = 'd';
	if (rng_chance(d->r, d->k->effects))
		strbuf_add(&d->out, "-A %s %s\n", chain.s, word(d->r, ipt_effects, N(ipt_effects), d->fits));
	strbuf_add(&d->out, "-A %s ", chain.s);
	if (rng_chance(d->r, d->k->odd))
		strbuf_add(&d->out, "%s ", word(d->r, ipt_odd, N(ipt_odd), d->fits));
	strbuf_add(&d->out, "%s\n", tail.s);
}

/* The lines of one iptables text into a table's section: chains first (rules false), then rules. */
static void ipt_lines(struct adapt *d, const char *text, bool rules, bool second)
{
	char *copy = arena_strndup(d->a, text, strlen(text)), *save = NULL;

	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (rules && starts(l, "-A "))
			ipt_rule(d, l, second);
		else if (!rules && l[0] == ':' && !starts(l, ":OUTPUT"))
			strbuf_add(&d->out, "%s\n", second && l[1] == 'c' ? arena_printf(d->a, ":d%s", l + 2) : l);
	}
}

static void part_add(struct wall *w, enum judge_tool tool, char *text)
{
	if (w->n < WALL_MAX) {
		w->part[w->n].tool = tool;
		w->part[w->n++].text = text;
	}
}

static void add_nft(struct adapt d, struct wall *w, unsigned int number, enum judge_hook hook)
{
	char *text = gen_rules(d.a, d.r, JUDGE_NFT, hook, 1 + rng_below(d.r, 6)), *save = NULL;

	d.number = number;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		nft_line(&d, l);
	part_add(w, JUDGE_NFT, d.out.s);
}

/* A table with input and forward chains, or (raw, mangle) with prerouting. */
static void ipt_table(struct adapt *d, enum judge_tool tool, const char *table, bool pre)
{
	const char *one = gen_rules(d->a, d->r, tool, pre ? JUDGE_PREROUTING : JUDGE_INPUT, 1 + rng_below(d->r, 6));
	const char *two = pre ? "" : gen_rules(d->a, d->r, tool, JUDGE_FORWARD, 1 + rng_below(d->r, 6));

	strbuf_add(&d->out, "*%s\n", table);
	ipt_lines(d, one, false, false);
	ipt_lines(d, two, false, true);
	ipt_lines(d, one, true, false);
	ipt_lines(d, two, true, true);
	strbuf_add(&d->out, "COMMIT\n");
}

static void add_ipt(struct adapt d, struct wall *w, enum judge_tool tool)
{
	bool v6 = tool == JUDGE_IP6T || tool == JUDGE_IP6T_NFT;

	d.fits = v6 ? 1 << FOR_6 : 1 << FOR_4;
	ipt_table(&d, tool, "filter", false);
	if (rng_chance(d.r, 40))
		ipt_table(&d, v6 ? JUDGE_IP6T : JUDGE_IPT, "raw", true);
	if (rng_chance(d.r, 40))
		ipt_table(&d, tool, "mangle", false);
	part_add(w, tool, d.out.s);
}

static void add_nat(struct adapt d, struct wall *w)
{
	static const char v4[] =
		"table ip nat { chain p { type nat hook prerouting priority %d; ip daddr 192.0.2.1 dnat to 10.0.0.1\n"
		"ip daddr 10.1.2.3 dnat to 8.8.8.8\ntcp dport 22 dnat to 10.1.2.3:53\n"
		"udp dport 53 redirect to :1000\n}\n"
		"chain i { type nat hook input priority 100; ip saddr 10.1.2.3 snat to 10.0.0.9\n}\n}\n";
	static const char v6[] =
		"table ip6 nat { chain p { type nat hook prerouting priority %d;\n"
		"ip6 daddr 2001:db8::1 dnat to fd02::2\nip6 daddr fd02::2 dnat to 2001:db8::2\n"
		"tcp dport 80 drop\n}\n}\n";
	static const char both[] =
		"table inet nat { chain p { type nat hook prerouting priority %d;\n"
		"tcp dport 443 dnat ip to 10.0.0.1\n}\n}\n";
	const char *const nft[] = { v4, v6, both };

	for (size_t i = 0; i < N(nft); i++) {
		struct strbuf s = { .arena = d.a };

		if (rng_chance(d.r, 40)) {
			strbuf_add(&s, nft[i], (int)rng_below(d.r, 3) - 101);
			part_add(w, JUDGE_NFT, s.s);
		}
	}
	if (rng_chance(d.r, 40))
		part_add(w, JUDGE_IPT,
			 "*nat\n:PREROUTING ACCEPT [0:0]\n"
			 "-A PREROUTING -d 192.0.2.1 -j DNAT --to-destination 10.1.2.3\n"
			 "-A PREROUTING -p udp --dport 53 -j REDIRECT --to-ports 1000\nCOMMIT\n");
}

static void shuffle(struct rng *r, struct wall *w)
{
	for (unsigned int i = w->n; i > 1; i--) {
		unsigned int k = rng_below(r, i);
		__typeof__(w->part[0]) t = w->part[k];

		w->part[k] = w->part[i - 1];
		w->part[i - 1] = t;
	}
}

void wall_make(struct arena *a, struct rng *r, const struct wall_kind *k, struct wall *ret)
{
	struct adapt d = { .a = a, .r = r, .k = k, .out = { .arena = a } };

	*ret = (struct wall){ 0 };
	for (unsigned int i = 0; i < k->nft; i++)
		add_nft(d, ret, i, JUDGE_PREROUTING + rng_below(r, 3));
	if (k->ingress && rng_chance(r, 70))
		add_nft(d, ret, k->nft, JUDGE_INGRESS);
	if (k->legacy && rng_chance(r, 80))
		add_ipt(d, ret, JUDGE_IPT);
	if (k->legacy && rng_chance(r, 80))
		add_ipt(d, ret, JUDGE_IP6T);
	if (k->compat)
		add_ipt(d, ret, JUDGE_IPT_NFT);
	if (k->compat && rng_chance(r, 50))
		add_ipt(d, ret, JUDGE_IP6T_NFT);
	if (k->nat)
		add_nat(d, ret);
	shuffle(r, ret);
}

/* ------------------------------------------------------------------ rules as people have them */

static char blocklist[] =
	"table inet f {\nset b { type ipv4_addr; flags interval; elements = { 10.1.0.0/16, 192.0.2.0/28 }; }\n"
	"chain i {\ntype filter hook input priority 0; policy accept;\n"
	"ip saddr @b counter drop\nip saddr 172.16.0.0/12 drop\n"
	"ct state established,related accept\ntcp dport { 22, 443 } counter accept\n}\n"
	"chain f {\ntype filter hook forward priority 0; policy accept;\nip saddr 10.128.0.0/9 counter drop\n"
	"ip6 saddr fd00::/8 counter drop\nudp dport 53 drop\n}\n}\n";
static char closed4[] =
	"*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\n"
	"-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
	"-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -p udp -m multiport --dports 53,1000:2000 -j ACCEPT\n"
	"-A INPUT -s 10.0.0.0/8 -j DROP\nCOMMIT\n";
static char closed6[] =
	"*filter\n:INPUT DROP [0:0]\n-A INPUT -p ipv6-icmp -j ACCEPT\n"
	"-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n";
static char raw4[] =
	"*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 172.16.0.0/12 -j DROP\n"
	"-A PREROUTING -p tcp -m tcp --tcp-flags SYN,FIN SYN,FIN -j DROP\n"
	"-A PREROUTING -p udp -m udp --sport 53 ! -s 10.0.0.0/8 -j DROP\nCOMMIT\n";
static char ingress[] =
	"table netdev n {\nchain i {\ntype filter hook ingress device \"tap0\" priority 0; policy accept;\n"
	"udp dport 53 counter drop\nip6 saddr 2001:db8::/127 counter drop\n}\n}\n";
/* Who only asks the set uses up its elements' quota. */
static char quota_set[] =
	"table ip f {\nset q { type ipv4_addr; size 64; flags dynamic; quota over 9 kbytes;\n"
	"elements = { 10.1.2.3, 192.0.2.1 }; }\nchain i {\ntype filter hook input priority 0; policy accept;\n"
	"ip saddr @q drop\nudp dport 1000-65535 counter drop\n}\n}\n";

const struct wall_common wall_common[] = {
	{ "a blocklist", true, { 1, { { JUDGE_NFT, blocklist } } } },
	{ "closed but for", false, { 2, { { JUDGE_IPT, closed4 }, { JUDGE_IP6T, closed6 } } } },
	{ "raw and ingress", true, { 2, { { JUDGE_IPT, raw4 }, { JUDGE_NFT, ingress } } } },
	{ "a set with quotas", true, { 1, { { JUDGE_NFT, quota_set } } } },
	{ NULL, false, { 0 } },
};

static char counting_inet[] =
	"table inet f {\nchain i {\ntype filter hook input priority 0; policy accept;\n"
	"ip saddr 10.1.0.0/16 counter drop\ntcp dport 22 counter drop\n}\n"
	"chain f {\ntype filter hook forward priority 0; policy accept;\n"
	"ip saddr 192.0.2.0/28 counter drop\nip6 saddr 2001:db8::/32 counter drop\n}\n}\n";
static char counting_ip[] =
	"table ip p {\nchain p {\ntype filter hook prerouting priority -300; policy accept;\n"
	"udp sport 53 counter drop\nct state invalid accept\n}\n}\n";

const struct wall wall_counting = { 2, { { JUDGE_NFT, counting_inet }, { JUDGE_NFT, counting_ip } } };
