# I5: device wildcards, and their negation.
-- iptables
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT ! -i tap+ -j DROP
-A INPUT -i ta -j DROP
-A INPUT -i t+ -p udp -j DROP
COMMIT
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 2 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 S => accept
