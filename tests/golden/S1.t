# S1: only the bytes that are loaded must be there.
-- nft
table inet t {
	chain c {
		type filter hook input priority 0; policy accept;
		tcp dport 22 drop
	}
}
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 proto 6 payload 00010016 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 proto 6 payload 0001 => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 proto 6 payload 000100 => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 opt 4 tcp 1 > 22 S => drop
in tap0 ip6 fd01::1 > fd02::2 tcp 1 > 22 S => drop
in tap0 ip6 fd01::1 > fd02::2 hbh tcp 1 > 22 S => drop
in tap0 ip6 fd01::1 > fd02::2 dst dst dst tcp 1 > 22 S => drop
in tap0 ip6 fd01::1 > fd02::2 ah tcp 1 > 22 S => accept
in tap0 ip6 fd01::1 > fd02::2 proto 59 payload 0001001600000000000000000000000000000000 => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S badsum => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 ver 7 tcp 1 > 22 S => unseen
in tap0 ip 10.1.1.1 > 10.2.2.2 ihl 4 tcp 1 > 22 S => unseen
in tap0 eth 02:00:00:00:00:09 > 02:00:00:00:00:77 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => unseen
in tap0 vlan 5 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => unseen
in tap0 vlan 0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => drop
