# I3: any ICMP type, in a whole header.
-- iptables
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -p icmp --icmp-type any -j DROP
COMMIT
-- hook forward
-- run
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 icmp 8 0 => drop
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 proto 17 len 8 => accept
