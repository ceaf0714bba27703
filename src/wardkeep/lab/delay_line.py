"""A slow cable: carries every frame between two interfaces after a delay, loses some, and holds to a rate.

`python delay_line.py PORT OTHER DELAY LOSS RATE READY` in the network namespace of both. It stands in for netem, which many
kernels do not have; READY is a file that it makes when it carries. Offloaded frames keep what the kernel knows of them (virtio_net header). Standard library only.
"""

import heapq
import random
import select
import socket
import sys
import time

ETH_P_ALL, SOL_PACKET, PACKET_VNET_HDR, PACKET_OUTGOING = 0x0003, 263, 15, 4
MOST = 20_000  # frames under way; more are lost, as in any queue


def opened(interface: str) -> socket.socket:
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.bind((interface, ETH_P_ALL))
    s.setblocking(False)
    return s


def main(port: str, other: str, delay: float, loss: float, rate: float, ready: str) -> None:
    ends = {one.fileno(): one for one in (opened(port), opened(other))}
    across = dict(zip(ends, reversed(list(ends.values())), strict=True))
    free = dict.fromkeys(ends, 0.0)  # when the line of that direction has sent what it holds
    waiting: list[tuple[float, int, bytes, int]] = []
    count = 0
    with open(ready, "w"):
        pass
    poll = select.poll()
    for fd in ends:
        poll.register(fd, select.POLLIN)
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) * 1000 if waiting else None
        for fd, _ in poll.poll(pause):
            while True:
                try:
                    frame, origin = ends[fd].recvfrom(1 << 17)
                except OSError:  # nothing more, or the cable was pulled
                    break
                if origin[2] == PACKET_OUTGOING or len(waiting) >= MOST or random.random() < loss:  # noqa: S311
                    continue
                now = time.monotonic()
                free[fd] = max(now, free[fd]) + (len(frame) / rate if rate else 0.0)
                count += 1
                heapq.heappush(waiting, (free[fd] + delay, count, frame, fd))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, frame, fd = heapq.heappop(waiting)
            try:
                across[fd].send(frame)
            except OSError:
                continue


if __name__ == "__main__":
    slow, lost, most = (float(word) for word in sys.argv[3:6])
    main(sys.argv[1], sys.argv[2], slow, lost, most, sys.argv[6])
