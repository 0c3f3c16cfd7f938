# I6: user chains, RETURN and falling off the end.
-- iptables
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:S - [0:0]
-A INPUT -j S
-A INPUT -j DROP
-A S -p udp -j RETURN
-A S -p tcp -j ACCEPT
COMMIT
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 2 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 S => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 icmp 8 0 => drop
