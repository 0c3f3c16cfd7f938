# I4: multiport: no later fragments, and four bytes or a drop.
-- iptables
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -p tcp -m multiport ! --dports 22 -j DROP
COMMIT
-- hook forward
-- run
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 5 proto 6 payload 0000001700000000 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 proto 6 payload 0016 => drop
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 proto 6 payload 00010016 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 proto 6 payload 00010002 => drop
