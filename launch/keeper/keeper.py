"""The process that owns an engine: starts it, watches it, lets it sleep, ends it.

``main`` is its entry. It takes the engine's lock, or ends at once if another keeper has it, and
detaches itself from the process that started it. It runs for hours and should be small, so it
imports only the standard library, anyio and watchfiles.
"""

import json
import logging
import os
import signal
import sys
from typing import NoReturn

import anyio

from launch import process
from launch.errors import LaunchError
from launch.files import Lock
from launch.keeper.control import serve_control
from launch.keeper.supervisor import Supervisor
from launch.keeper.upkeep import mind_home, mind_idleness, mind_sources
from launch.places import prepare
from launch.plan.spec import ALREADY_KEPT, Spec, read_spec
from launch.state import read_state

logger = logging.getLogger(__name__)


def main(_arguments: list[str]) -> NoReturn:
    """Keep the engine that standard input describes. Never returns."""
    try:
        spec = read_spec(json.load(sys.stdin))
        prepare(spec.places)
    except (LaunchError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    lock = Lock(spec.places.lock)
    if not lock.take():
        sys.exit(ALREADY_KEPT)
    _detach(spec)
    status = 0
    try:
        anyio.run(_keep, spec)
    except BaseException:
        logger.exception("the keeper ends on an error")
        status = 1
    spec.places.clear()
    logging.shutdown()
    lock.drop()
    # A thread may still be waiting for an answer that will not come.
    os._exit(status)


def _detach(spec: Spec) -> None:
    """Continue in the background, in a session of its own, with the log as output."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    log = os.open(spec.places.keeper_log, flags, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    process.adopt_orphans()


async def _keep(spec: Spec) -> None:
    _clear_leftovers(spec)
    supervisor = Supervisor(spec)
    async with anyio.create_task_group() as group:
        group.start_soon(_end_on_signals, supervisor)
        group.start_soon(mind_idleness, supervisor)
        group.start_soon(mind_sources, supervisor)
        await group.start(serve_control, supervisor)
        group.start_soon(mind_home, supervisor)
        await supervisor.run()
        group.cancel_scope.cancel()


def _clear_leftovers(spec: Spec) -> None:
    """End the processes of an earlier keeper that was killed together with its guard."""
    earlier = read_state(spec.places.state)
    if earlier is not None:
        ended = process.end_session(earlier.guard_pid, earlier.guard_birth)
        logger.warning("ended %d process(es) of an earlier keeper that was killed", len(ended))
    spec.places.clear()


async def _end_on_signals(supervisor: Supervisor) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            logger.info("ending on %s", signal.Signals(number).name)
            supervisor.ask_to_end("a signal")
