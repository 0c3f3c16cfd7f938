# F11: -f is an offset other than 0, not the flag of more fragments.
-- iptables
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -f -j DROP
COMMIT
-- hook forward
-- run
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 0+ proto 17 payload 0000003500000000 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 1 proto 17 payload 0000003500000000 => drop
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 flags 2 udp 1 > 2 => accept
