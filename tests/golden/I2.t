# I2: ! -p tcp.
-- iptables
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT ! -p tcp -j DROP
COMMIT
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 2 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 S => accept
