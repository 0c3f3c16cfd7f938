# F10, S4: nor does it hotdrop.
-- iptables-nft
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -p tcp -m tcp --dport 9999 -j ACCEPT
COMMIT
-- hook forward
-- run
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 1 proto 6 payload 00000000000000000000000000020000 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 proto 6 payload 00010002 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 proto 6 payload 0001 => accept
