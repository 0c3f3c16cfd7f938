# X3: ip6tables walks through AH.
-- ip6tables
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p tcp --dport 22 -j DROP
COMMIT
-- hook input
-- run
in tap0 ip6 fd01::1 > fd02::2 ah tcp 1 > 22 S => drop
in tap0 ip6 fd01::1 > fd02::2 tcp 1 > 22 S => drop
in tap0 ip6 fd01::1 > fd02::2 hbh rt dst ah tcp 1 > 22 S => drop
in tap0 ip6 fd01::1 > fd02::2 tcp 1 > 23 S => accept
in tap0 ip6 fd01::1 > fd02::2 proto 59 len 20 => accept
in tap0 ip6 fd01::1 > fd02::2 frag 10 proto 60 len 30 => drop
in tap0 ip6 fd01::1 > fd02::2 frag 10 proto 6 len 30 => accept
in tap0 ip6 fd01::1 > fd02::2 frag 10 proto 17 len 30 => accept
