"""What the checks of a checkpoint have found."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check has found."""

    name: str
    status: Status
    detail: str
    """What is there, or the first things that are wrong."""
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verification:
    """All verdicts, in the order in which they were made."""

    checkpoint: str
    checks: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed. Skipped checks do not count."""
        return all(check.status != "failed" for check in self.checks)

    def as_record(self) -> dict[str, Any]:
        """The verdicts as JSON's types."""
        checks = [asdict(check) for check in self.checks]
        return {"checkpoint": self.checkpoint, "passed": self.passed, "checks": checks}


def verdict(name: str, problems: list[str], good: str, **figures: Any) -> Verdict:
    """A failed verdict with the first problems, or a passed one with ``good`` as its detail."""
    if not problems:
        return Verdict(name, "passed", good, figures)
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return Verdict(name, "failed", "; ".join(problems[:3]) + more, figures)
