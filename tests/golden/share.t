# Two rules that test TCP header bits: each header field is loaded once, in the chain's entry.
-- nft
table ip t {
	chain c {
		type filter hook input priority 0; policy accept;
		tcp flags ack counter accept
		tcp flags syn counter drop
	}
}
-- hook input
-- imr
imr 1
profile th_fast_frag
chain @"ip/t/c" from nft "ip t c" hook ip.input kind filter prio 0 policy accept {
rule nft "ip t c" 1 handle 2 "tcp flags ack counter accept"
	%0 =u1 ld th.ok
	eq %0, 1
	%1 =u8 ld th.proto
	eq %1, 6
	need th, 14
	%2 =u8 ld raw th+13:1
	%3 =u8 and %2, 0x10
	ne %3, 0
	count
	accept
rule nft "ip t c" 2 handle 3 "tcp flags syn counter drop"
	%0 =u1 ld th.ok
	eq %0, 1
	%1 =u8 ld th.proto
	eq %1, 6
	need th, 14
	%2 =u8 ld raw th+13:1
	%3 =u8 and %2, 0x2
	ne %3, 0
	count
	drop
}
-- imr opt
imr 1
profile th_fast_frag
chain @"ip/t/c" from nft "ip t c" hook ip.input kind filter prio 0 policy accept count {
entry
	%0 =u8 ld ip.protocol
	%1 =u8 ld tcp.flags
rule nft "ip t c" 1 handle 2 "tcp flags ack counter accept"
	need th, 14
	eq %0, 6
	%2 =u8 and %1, 0x10
	eq %2, 16
	count
	accept
rule nft "ip t c" 2 handle 3 "tcp flags syn counter drop"
	need th, 14
	eq %0, 6
	%2 =u8 and %1, 0x2
	eq %2, 2
	count
	drop
}
-- imr placed
imr 1
profile th_fast_frag
chain @"slice tap0" from fwjit "slice tap0" hook early.l3 kind filter prio 0 policy pass {
entry
	%0 =u8 ld meta.nfproto
	%1 =u8 ld ip.protocol
	%2 =u8 ld tcp.flags
rule fwjit "family" 1
	eq %0, 10
	pass
rule nft "ip t c" 1 handle 2 "tcp flags ack counter accept"
	need th, 14
	eq %1, 6
	%3 =u8 and %2, 0x10
	eq %3, 16
	pass
rule nft "ip t c" 2 handle 3 "tcp flags syn counter drop"
	need th, 14 else pass
	eq %1, 6 else pass
	%3 =u8 and %2, 0x2
	eq %3, 2 else pass
	count
	drop
}
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 F => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 SF => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 SFA => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 A => accept
