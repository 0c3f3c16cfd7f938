# C2-like rules are refused, not skipped: what is not understood is said.
-- nft
table inet t {
	chain c {
		type filter hook input priority 0; policy accept;
		ct state established accept
		udp dport 53 drop
	}
}
-- hook input
-- diag
inet t c rule 1 (handle 2): error: ct state: cannot be said exactly
ct state established accept
^^^^^^^^
