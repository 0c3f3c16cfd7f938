# F2: three bytes are loaded the slow way, which knows of fragments.
-- nft
table ip t {
	chain c {
		type filter hook forward priority 0; policy accept;
		@th,8,24 0x003500 drop
	}
}
-- hook forward
-- run
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 5 proto 17 payload 0000350000003500 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 proto 17 payload 0000350000350000 => drop
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 proto 17 payload 0100360000000000 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 proto 17 payload 00003500 => drop
