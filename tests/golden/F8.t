# F8: a TCP fragment at offset 1 is dropped wherever a tcp match looks at it.
-- iptables
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -p tcp --dport 9999 -j ACCEPT
COMMIT
-- hook forward
-- run
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 1 proto 6 payload 00000000000000000000000000020000 => drop
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 2 proto 6 payload 00000000000000000000000000020000 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 1 proto 17 payload 00000000000000000000000000020000 => accept
