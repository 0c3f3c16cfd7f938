# S3: xt_tcpudp wants a whole header, and drops what has none.
-- iptables
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p tcp --dport 9999 -j ACCEPT
COMMIT
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 proto 6 payload 00010002 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 proto 6 len 19 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 proto 6 len 20 => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 proto 17 len 4 => accept
