# X4: and drops what it cannot walk.
-- ip6tables
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p tcp --dport 9999 -j ACCEPT
COMMIT
-- hook input
-- run
in tap0 ip6 fd01::1 > fd02::2 proto 60 payload 06c8000000000000 => drop
in tap0 ip6 fd01::1 > fd02::2 proto 43 payload 06 => drop
in tap0 ip6 fd01::1 > fd02::2 udp 1 > 2 => accept
