# Two rules that test TCP header bits: each header field is loaded once, in the chain's entry.
-- nft
table ip t {
	chain c {
		type filter hook input priority 0; policy accept;
		tcp flags & (syn | ack) == syn counter accept
		tcp flags & (fin | syn) == fin | syn counter drop
	}
}
-- hook input
-- imr
-- imr opt
-- imr placed
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 S => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 SF => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 SFA => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 A => accept
