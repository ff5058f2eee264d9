"""Leaves unloaded what the SDK imports and stdio does not use, until it is used.

``import mcp.server`` loads its client, a web framework, OAuth, telemetry and the wire models of
every protocol version, which takes most of the time to the answer to ``initialize``. Python gets
lazy imports with PEP 810; until then a finder does the same for a fixed list of modules. Their
code is not run when they are imported: what is imported from them is a stand-in, whose first use
runs it, as it stands. A stand-in cannot be caught as an exception, nor compared like a constant,
which nothing in the list is used as by what remains.

To be called where a process serves stdio, and by nothing else.
"""

import importlib.machinery
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

TRIED = "mcp-2.3."
"""The releases of the SDK with which this was tried; with others everything is imported."""

_HTTP = (
    "httpx2",
    "mcp.server._streamable_http_modern",
    "mcp.server.auth.handlers",
    "mcp.server.auth.middleware",
    "mcp.server.auth.provider",
    "mcp.server.auth.routes",
    "mcp.server.sse",
    "mcp.shared.auth",
    "sse_starlette",
    "starlette",
)
_TELEMETRY = ("mcp.shared._otel", "opentelemetry")
_PACKAGE = "mcp"
"""Its own code alone, which imports the client, and not the modules in it."""
GROUPS = (_HTTP, _TELEMETRY, ("mcp_types._v2026_07_28",), ("importlib.metadata",))
"""What is loaded together: the first use of a group ends its stand-ins."""

# One for all, since the modules import each other.
_LOADING = threading.RLock()


class _Group:
    """Modules that stand-ins are taken from until one of them is used."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.waits = True

    def holds(self, name: str) -> bool:
        return any(name == each or name.startswith(f"{each}.") for each in self.names)


class _Unloaded(ModuleType):
    """A module whose code has not been run."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        loader: Any = self.__spec__ and self.__spec__.loader
        if loader.group is not None and loader.group.waits:
            return _StandIn(self, name)
        with _LOADING:
            if isinstance(self, _Unloaded):
                loader.run(self)
        return getattr(self, name)


class _Running(ModuleType):
    """A module whose code is being run; other threads wait for its names, and this one does not."""

    def __getattr__(self, name: str) -> Any:
        with _LOADING:
            if name in self.__dict__:
                return self.__dict__[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class _Later:
    """Makes modules whose code is run when it is needed."""

    def __init__(self, loader: Any, group: _Group | None) -> None:
        self.group = group
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Unloaded(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing, yet."""

    def run(self, module: ModuleType) -> None:
        """Run the module's code, as importing it would have done."""
        module.__class__ = _Running
        try:
            self._loader.exec_module(module)
        except BaseException:
            module.__class__ = _Unloaded
            raise
        module.__class__ = ModuleType


class _StandIn:
    """A name imported from a module whose code has not been run."""

    __slots__ = ("_module", "_name")

    def __init__(self, module: _Unloaded, name: str) -> None:
        self._module = module
        self._name = name

    def _real(self) -> Any:
        loader: Any = self._module.__spec__ and self._module.__spec__.loader
        loader.group.waits = False
        return getattr(self._module, self._name)

    def __repr__(self) -> str:
        return f"<{self._module.__name__}.{self._name}, not loaded>"

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._real()(*given, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real(), name)

    def __getitem__(self, item: Any) -> Any:
        return self._real()[item]

    def __or__(self, other: Any) -> "_StandIn":
        return _Union(self, other)

    def __ror__(self, other: Any) -> "_StandIn":
        return _Union(other, self)

    def __mro_entries__(self, _bases: Any) -> tuple[Any, ...]:
        return (self._real(),)

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, self._real())

    def __subclasscheck__(self, subclass: Any) -> bool:
        return issubclass(subclass, self._real())

    def __get_pydantic_core_schema__(self, _source: Any, handler: Any) -> Any:
        return handler.generate_schema(self._real())


class _Union(_StandIn):
    """A union with a stand-in, as annotations contain it."""

    __slots__ = ("_arms",)

    def __init__(self, *arms: Any) -> None:
        self._arms = arms

    def _real(self) -> Any:
        first, second = (arm._real() if isinstance(arm, _StandIn) else arm for arm in self._arms)
        return first | second

    def __repr__(self) -> str:
        return " | ".join(map(repr, self._arms))


class _Finder:
    def __init__(self, groups: Sequence[_Group]) -> None:
        self._groups = groups

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        group = next((each for each in self._groups if each.holds(name)), None)
        if name != _PACKAGE and (group is None or not group.waits):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            later: Any = _Later(spec.loader, group)
            spec.loader = later
        return spec


def defer() -> bool:
    """Leave the list unloaded from now on; False, and nothing changes, with an unknown SDK."""
    if not _is_tried():
        return False
    # Whoever has loaded telemetry in this process wants the spans.
    groups = [
        each for each in GROUPS if each is not _TELEMETRY or "opentelemetry" not in sys.modules
    ]
    sys.meta_path.insert(0, _Finder([_Group(names) for names in groups]))
    from mcp_types._wire_base import WireModel

    # Of the 200 models of a version's messages, a conversation needs a dozen.
    WireModel.model_config["defer_build"] = True
    return True


def load(names: Sequence[str]) -> None:
    """Run what was left of those modules that have been imported."""
    for name in names:
        module = sys.modules.get(name)
        if isinstance(module, _Unloaded):
            _StandIn(module, "__spec__")._real()
            getattr(module, "anything", None)


def _is_tried() -> bool:
    if any(name == _PACKAGE or name.startswith("mcp_types") for name in sys.modules):
        return False
    spec = importlib.machinery.PathFinder.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return False
    # importlib.metadata would say it too, but takes 30 ms to import.
    return any(Path(spec.origin).parents[1].glob(f"{TRIED}*.dist-info"))


@contextmanager
def without_rich() -> Iterator[None]:
    """Hide rich from the SDK, which imports it for a log handler that is never installed."""
    hidden = [name for name in ("rich.console", "rich.logging") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
