"""Finds free TCP ports of 127.0.0.1 and keeps them free.

    ports.py COUNT      prints that many numbers, and ends when its input does

Until then the ports are bound, though nothing listens: whoever sets
SO_REUSEADDR, as servers do, can listen there; whoever looks for a free port, as
this program does, goes elsewhere. So clusters that start at the same time
never choose the same ports.
"""
import random
import socket
import sys


def candidates():
    """Ports that the kernel gives to no outgoing connection, in random order."""
    try:
        with open('/proc/sys/net/ipv4/ip_local_port_range') as text:
            end = max(int(text.read().split()[0]), 20000)
    except OSError:
        end = 32768
    return random.sample(range(10000, end), end - 10000)


def keep(port):
    """A socket bound to the port, or None when it is not free."""
    kept = socket.socket()
    try:
        kept.bind(('127.0.0.1', port))
    except OSError:
        kept.close()
        return None
    # Set before, it would not see that another keeper has the port.
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return kept


def main(count):
    kept = []
    for port in candidates():
        if len(kept) == count:
            break
        if one := keep(port):
            kept.append(one)
    print(*(one.getsockname()[1] for one in kept), flush=True)
    sys.stdin.read()


if __name__ == '__main__':
    main(int(sys.argv[1]))
