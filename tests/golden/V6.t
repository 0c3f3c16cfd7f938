# V6: a length in place of a type.
-- nft
table netdev t {
	chain c {
		type filter hook ingress device "tap0" priority 0; policy accept;
		meta protocol 0x0004 drop
	}
}
-- hook ingress
-- run
in tap0 type 16 payload 424203000000000000000000000000000000 => drop
in tap0 type 16 payload ffff03000000000000000000000000000000 => accept
