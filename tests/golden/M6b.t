# M6: the link type is the incoming device's; input has one.
-- nft
table inet t {
	chain c {
		type filter hook input priority 0; policy accept;
		udp dport 1 iiftype loopback drop
		udp dport 2 iiftype != ether drop
		udp dport 3 iiftype ether drop
		udp dport 4 iiftype != loopback drop
	}
}
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 9 > 1 => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 9 > 2 => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 9 > 3 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 9 > 4 => drop
-- imr placed
imr 1
profile th_fast_frag
chain @"slice tap0" from fwjit "slice tap0" hook early.l3 kind filter prio 0 policy pass {
entry
	%0 =u8 ld meta.nfproto
	%1 =u8 ld th.proto
	%2 =u8 ld ip.protocol
	%3 =be16 ld th.dport
rule fwjit "family" 1
	eq %0, 10
	next 4
rule nft "inet t c" 3 handle 4 "udp dport 3 meta iiftype ether drop"
	need th, 4
	eq %2, 17
	eq %3, 3
	drop
rule nft "inet t c" 4 handle 5 "udp dport 4 meta iiftype != loopback drop"
	need th, 4 else pass
	eq %2, 17 else pass
	eq %3, 4 else pass
	drop
rule nft "inet t c" 3 handle 4 "udp dport 3 meta iiftype ether drop"
	need th, 4
	eq %1, 17
	eq %3, 3
	drop
rule nft "inet t c" 4 handle 5 "udp dport 4 meta iiftype != loopback drop"
	need th, 4 else pass
	eq %1, 17 else pass
	eq %3, 4 else pass
	drop
}
