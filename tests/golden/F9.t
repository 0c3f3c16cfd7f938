# F9: the same iptables command is native expressions with iptables-nft, and means something else.
-- iptables-nft
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -p udp -m udp --dport 53 -j DROP
COMMIT
-- hook forward
-- run
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 5 proto 17 payload 0000003500000000 => drop
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 53 => drop
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 proto 17 payload 00010035 => drop
