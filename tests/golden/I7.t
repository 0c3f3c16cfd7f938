# I7: masks need not be contiguous.
-- iptables
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -s 10.0.1.0/255.0.255.0 -j DROP
COMMIT
-- hook input
-- run
in tap0 ip 10.9.1.7 > 10.2.2.2 udp 1 > 2 => drop
in tap0 ip 10.9.2.7 > 10.2.2.2 udp 1 > 2 => accept
