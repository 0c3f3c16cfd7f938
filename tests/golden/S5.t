# S5: a scan for options drops a header that is too short for itself.
-- iptables
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p tcp --tcp-option 3 -j DROP
COMMIT
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 S doff 4 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 S doff 15 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 S topt 03030700 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 S topt 01030307 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 S topt 00030307 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 S topt 0204050c => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 S topt 09000101 => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 S topt 01010103 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 2 S => accept
