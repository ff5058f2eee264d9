import os
import socket
import sys

import pytest

from launch.errors import EngineStartFailed
from launch.keeper import ports

NO_SESSION = 1 << 30
"""Above what Linux numbers processes with."""


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")],
)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_listener_is_known_by_the_session_of_its_process(
    family: socket.AddressFamily, address: str
) -> None:
    with socket.socket(family) as mine:
        mine.bind((address, 0))
        port = mine.getsockname()[1]
        assert not ports.is_listened_on_by(port, os.getsid(0))
        mine.listen()
        assert ports.is_listened_on_by(port, os.getsid(0))
        assert not ports.is_listened_on_by(port, NO_SESSION)


def test_a_port_with_a_listener_is_taken_and_one_whose_listener_has_gone_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(EngineStartFailed, match=f"port {port} is used") as told:
            ports.take(port)
        assert "0 for a free one" in told.value.hint
        with socket.create_connection(server.getsockname()) as asker:
            # Whoever hangs up first keeps the connection's address for a minute.
            server.accept()[0].close()
            assert asker.recv(1) == b""
    assert ports.take(port) == port
