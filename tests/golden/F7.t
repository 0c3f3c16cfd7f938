# F7: nor do inverted ports.
-- iptables
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -p udp ! --dport 53 -j DROP
COMMIT
-- hook forward
-- run
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 5 proto 17 payload 0000003600000000 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 53 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 54 => drop
