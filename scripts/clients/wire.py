"""Stands between a client and the server, and keeps what they say in ``wire.jsonl`` at home.

Started as the server is: ``python -I -m scripts.clients.wire``.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

LOG = "wire.jsonl"


def main() -> int:
    """Carry lines both ways until the client closes its end; the server's exit status."""
    with (Path(os.environ["HOME"]) / LOG).open("a", encoding="utf-8") as log:

        def keep(**event: Any) -> None:
            log.write(json.dumps({"at": time.time(), **event}) + "\n")
            log.flush()

        command = [sys.executable, "-P", "-m", "server.main", *sys.argv[1:]]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert server.stdin is not None
        assert server.stdout is not None

        def pass_on(number: int, _: object) -> None:
            keep(signal=signal.Signals(number).name)
            server.send_signal(number)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, pass_on)
        said = server.stdout

        def answers() -> None:
            for line in said:
                keep(server=json.loads(line))
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()

        threading.Thread(target=answers, daemon=True).start()
        for line in sys.stdin.buffer:
            keep(client=json.loads(line))
            server.stdin.write(line)
            server.stdin.flush()
        keep(closed=True)
        server.stdin.close()
        return server.wait()


if __name__ == "__main__":
    sys.exit(main())
