"""How long and how hard a model explores, and what each model was made for.

Sources of the defaults: the training harness and code of ``microsoft/fastcontext`` (turns, new
tokens, trajectory length), the model card of ``microsoft/FastContext-1.0-4B-RL`` and the
measurements that its forks published (temperature: 14 of 15 tasks at 0.2, 12 of 15 at 0.7; few
samples, so the matter is not settled).
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from explorer.engines.protocol import Sampling
from explorer.transcript import TokenLimits


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How long and how hard to explore. ``models.defaults_for`` says what a model was made for."""

    max_turns: int = 8
    """Model requests, the last of them without tools."""
    sampling: Sampling = field(default_factory=Sampling)
    limits: TokenLimits = field(default_factory=TokenLimits)
    concurrency: int = 8
    """Tools at work at one time."""
    max_citations: int = 10
    corrections: int = 2
    """How often wrong citations are sent back, while turns are left."""
    nudges: int = 1
    """How often a message without calls and without an answer is asked to go on."""
    retries: int = 2
    """Requests repeated at another seed when nothing citable came: 76.7% to 88.2% of tasks
    answered at 1.38 times the cost, as a fork of the harness measured."""

    def plain(self) -> dict[str, Any]:
        """The settings as JSON types, one level deep, for the record of a run."""
        values: dict[str, Any] = asdict(self)
        limits: dict[str, int] = values.pop("limits")
        sampling: dict[str, Any] = values.pop("sampling")
        return {**values, **sampling, **{f"{name}_tokens": n for name, n in limits.items()}}


@dataclass(frozen=True, slots=True)
class ModelDefaults:
    """What a model was trained for or was measured to do best with."""

    sampling: Sampling
    max_turns: int = 8
    """Model requests per exploration. RL training allowed 8, the last without tools."""
    max_tokens: int = 2_048
    """New tokens per request, as in RL training."""
    context_tokens: int = 65_536
    """Prompt and answer together, as in RL training. 4k fails 60% of requests, 128k gains none."""


FASTCONTEXT = ModelDefaults(Sampling(temperature=0.2, top_p=0.95, top_k=20))
"""Near-greedy: a citation is right or wrong, and one run per question has to be the good one."""

OTHER = ModelDefaults(Sampling())
"""An unknown model samples as its server thinks best."""


def defaults_for(model: str) -> ModelDefaults:
    """The defaults of the model that is served under ``model``."""
    return FASTCONTEXT if "fastcontext" in model.replace("-", "").casefold() else OTHER
