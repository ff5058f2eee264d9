#!/usr/bin/env python3
"""A small real server that stands in for ``vllm serve``: its processes, routes and failures.

Reads ``fake.json`` in the model's folder: start_s, log, exit, leave_s, sleep_s, no_wake,
no_plugins. Its engine core is a process of its own that ignores SIGTERM and, without plug-ins,
outlives its parent.
"""

import http.server
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    asleep = False
    sleep_s = 0
    wakes = True
    requests = 0
    model = ""
    key = ""


class TcpServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    asleep = False
    sleep_s = 0
    wakes = True
    requests = 0
    model = ""
    key = ""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "local"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"{}"):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        server = self.server
        if self.path == "/v1/models":
            if self.headers.get("Authorization") != f"Bearer {server.key}":
                return self.answer(401)
            listed = {"object": "list", "data": [{"id": server.model, "object": "model"}]}
            return self.answer(200, json.dumps(listed).encode())
        if self.path == "/metrics":
            text = f'vllm:request_success_total{{finished_reason="stop"}} {server.requests}\n'
            return self.answer(200, text.encode())
        if self.path == "/is_sleeping":
            return self.answer(200, json.dumps({"is_sleeping": server.asleep}).encode())
        if self.path == "/core":
            return self.answer(200, str(server.core).encode())
        return self.answer(200 if self.path == "/health" else 404)

    def do_POST(self):
        server = self.server
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/sleep"):
            time.sleep(server.sleep_s)
            server.asleep = True
        elif self.path == "/wake_up" and server.wakes:
            server.asleep = False
        elif self.path == "/v1/chat/completions":
            server.requests += 1
        else:
            return self.answer(404)
        return self.answer(200)


def option(name, default=""):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def main():
    settings_file = Path(sys.argv[2]) / "fake.json"
    settings = json.loads(settings_file.read_text()) if settings_file.exists() else {}
    sys.stderr.write(settings.get("log", "starting") + "\n")
    time.sleep(settings.get("start_s", 0))
    if "exit" in settings:
        sys.exit(settings["exit"])
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); "
    if not settings.get("no_plugins"):
        # As vLLM loads them, in each of its processes.
        code += "from importlib.metadata import entry_points; "
        code += "[each.load()() for each in entry_points(group='vllm.general_plugins')]; "
    code += "time.sleep(600)"
    core = subprocess.Popen(["VLLM::EngineCore", "-c", code], executable=sys.executable)
    if option("--uds"):
        server = Server(option("--uds"), Handler)
    else:
        server = TcpServer((option("--host"), int(option("--port"))), Handler)
    server.model, server.key = option("--served-model-name"), os.environ["VLLM_API_KEY"]
    server.core = core.pid
    server.sleep_s, server.wakes = settings.get("sleep_s", 0), not settings.get("no_wake")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    core.wait()
    # As long as vLLM takes to leave.
    time.sleep(settings.get("leave_s", 0))
    sys.stderr.write("EngineDeadError: EngineCore encountered an issue.\n")
    os._exit(1)


if __name__ == "__main__":
    main()
