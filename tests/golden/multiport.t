# Multiport on either port.
-- iptables
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p udp -m multiport --ports 22,80,1000:2000 -j DROP
COMMIT
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 22 > 5 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 5 > 80 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 5 > 1000 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 2000 > 5 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 2001 > 999 => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 22 > 80 S => accept
