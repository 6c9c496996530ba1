# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP proxy that makes a server on this host a distant one: it delays data, and limits the rate of each connection if asked to.

python -m tests.bench.proxy PORT ROUND_TRIP_MS [MB_PER_SECOND]; prints its own port and works until its standard input ends.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import typing as t

HOST = "127.0.0.1"
PIECE = 128 * 1024
# Bytes under way in one direction: far more than any line of the benchmark holds, so that only the delay counts.
PIECES = 256


def main() -> None:
    """Serve connections until nobody needs the proxy any more."""
    port, delay = int(sys.argv[1]), float(sys.argv[2]) / 2000
    rate = float(sys.argv[3]) * 1e6 if len(sys.argv) > 3 else 0.0
    listener = socket.create_server((HOST, 0), backlog=512)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=_accept, args=(listener, port, delay, rate), daemon=True).start()
    sys.stdin.read()
    os._exit(0)  # threads may sit in a read


def _accept(listener: socket.socket, port: int, delay: float, rate: float) -> None:
    while True:
        near, _ = listener.accept()
        threading.Thread(target=_serve, args=(near, port, delay, rate), daemon=True).start()


def _serve(near: socket.socket, port: int, delay: float, rate: float) -> None:
    time.sleep(2 * delay)  # the round trip of the TCP handshake, which the near end has behind it already
    far = socket.create_connection((HOST, port))
    for sock in (near, far):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ways = [Way(near, far, delay, 0.0), Way(far, near, delay, rate)]
    for way in ways:
        way.join()
    near.close()
    far.close()


class Way:
    """One direction of a connection."""

    def __init__(self, source: socket.socket, target: socket.socket, delay: float, rate: float) -> None:
        self._source, self._target, self._delay, self._rate = source, target, delay, rate
        self._pieces: queue.Queue[tuple[float, bytes]] = queue.Queue(PIECES)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._take, self._give)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait for the end of the stream."""
        for thread in self._threads:
            thread.join()

    def _take(self) -> None:
        data = b"."
        while data:
            try:
                data = self._source.recv(PIECE)
            except OSError:
                data = b""
            self._pieces.put((time.monotonic() + self._delay, data))

    def _give(self) -> None:
        free = 0.0
        while True:
            due, data = self._pieces.get()
            if self._rate:
                free = max(free, due) + len(data) / self._rate
                due = free
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            try:
                if not data:
                    self._target.shutdown(socket.SHUT_WR)
                    return
                self._target.sendall(data)
            except OSError:
                with contextlib.suppress(OSError):
                    self._source.shutdown(socket.SHUT_RD)
                if not data:
                    return


@contextlib.contextmanager
def distant(port: int, round_trip_ms: float, mb_per_second: float = 0.0) -> t.Iterator[int]:
    """A proxy before ``port`` in a process of its own; yields the port to connect to."""
    words = [str(port), str(round_trip_ms), *([str(mb_per_second)] if mb_per_second else [])]
    command = [sys.executable, "-m", "tests.bench.proxy", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the proxy has no pipes")
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)


if __name__ == "__main__":
    main()
