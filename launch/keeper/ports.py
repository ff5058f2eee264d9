"""Loopback ports: finding a free one, and telling who listens on one."""

import errno
import os
import socket
import sys
from pathlib import Path

from launch import process
from launch.errors import EngineStartFailed

HINT = "set FASTCONTEXT_ENGINE_PORT to another, 0 for a free one"
_LISTENING = "0A"
_REACHED = ("127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::")
"""A connection to 127.0.0.1 may reach listeners on these addresses."""


def take(port: int) -> int:
    """The port if it is free; for 0 any free port.

    Raises:
        EngineStartFailed: another program listens on it, or this user may not.
    """
    with socket.socket() as probe:
        # Without this, a port counts as used for a minute after its last connection.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            why = "is used by another program"
            if error.errno != errno.EADDRINUSE:
                why = f"cannot be listened on: {error.strerror}"
            raise EngineStartFailed(f"port {port} {why}", HINT) from None
        return int(probe.getsockname()[1])


def is_listened_on_by(port: int, leader: int) -> bool:
    """Whether only processes of that session listen on a loopback port.

    Also True where the system does not tell (all but Linux): there ``take`` must suffice.
    """
    try:
        listening = _listening(port)
        return bool(listening) and listening <= _sockets(process.session(leader))
    except OSError:
        return True


def _listening(port: int) -> set[str]:
    """Inodes of the listening sockets that a connection to the port may reach.

    Raises:
        OSError: the kernel's table cannot be read.
    """
    found, reached = set(), {_in_table(address) for address in _REACHED}
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    six = Path("/proc/net/tcp6")
    if six.exists():
        lines += six.read_text(encoding="ascii").splitlines()[1:]
    for line in lines:
        fields = line.split()
        address, _, number = fields[1].partition(":")
        if fields[3] == _LISTENING and int(number, 16) == port and address in reached:
            found.add(fields[9])
    return found


def _in_table(address: str) -> str:
    """An address as the kernel's table writes it: words of 32 bits in the machine's byte order."""
    packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    words = [packed[at : at + 4] for at in range(0, len(packed), 4)]
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


def _sockets(pids: list[int]) -> set[str]:
    """Inodes of the sockets that processes hold.

    Raises:
        OSError: this user may not look into one of them.
    """
    found = set()
    for pid in pids:
        try:
            held = list(Path(f"/proc/{pid}/fd").iterdir())
        except FileNotFoundError:
            continue
        for each in held:
            try:
                name = os.readlink(each)  # noqa: PTH115 - it names no path
            except FileNotFoundError:
                continue
            if name.startswith("socket:["):
                found.add(name[8:-1])
    return found
