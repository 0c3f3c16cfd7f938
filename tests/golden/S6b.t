# S6, behind it.
-- nft
table inet t {
	chain c {
		type filter hook input priority 0; policy accept;
		tcp dport 22 drop
	}
}
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 tot 20 proto 6 payload 000100160000 => accept
