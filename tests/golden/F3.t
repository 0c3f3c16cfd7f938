# F3: flags of a fragment at offset 1: byte 13 of its payload.
-- nft
table ip t {
	chain c {
		type filter hook forward priority 0; policy accept;
		tcp flags syn drop
	}
}
-- hook forward
-- run
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 1 proto 6 payload 00000000000000000000000000020000 => drop
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 1 proto 6 payload 0000000000000000 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 S => drop
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 A => accept
