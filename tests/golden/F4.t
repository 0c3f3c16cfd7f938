# F4, S2: a negated port over what is there, and over what is not.
-- nft
table ip t {
	chain c {
		type filter hook forward priority 0; policy accept;
		tcp dport != 22 drop
	}
}
-- hook forward
-- run
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 5 proto 6 payload 0000001600000000 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 5 proto 6 payload 0000001700000000 => drop
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 proto 6 payload 0016 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 proto 6 payload 00160016 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 proto 6 payload 00160017 => drop
