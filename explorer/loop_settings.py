"""The limits and the sampling of a run, and the defaults for each model.

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
    """The limits and the sampling of one run; ``defaults_for`` says what suits a model."""

    max_turns: int = 8
    """Model requests, the last of them without tools."""
    sampling: Sampling = field(default_factory=Sampling)
    limits: TokenLimits = field(default_factory=TokenLimits)
    concurrency: int = 8
    """Maximum number of tools running at once."""
    max_citations: int = 10
    corrections: int = 2
    """How often wrong citations are sent back, while turns are left."""
    nudges: int = 1
    """How often the model is asked to go on after a message with neither calls nor an answer."""
    retries: int = 2
    """How often a request is repeated at another seed when its answer cites nothing that holds.
    A fork of the harness measured 88.2% of tasks answered instead of 76.7%, at 1.38 times the
    cost."""

    def plain(self) -> dict[str, Any]:
        """The settings as a flat JSON object, for the record of a run."""
        values: dict[str, Any] = asdict(self)
        limits: dict[str, int] = values.pop("limits")
        sampling: dict[str, Any] = values.pop("sampling")
        return {**values, **sampling, **{f"{name}_tokens": n for name, n in limits.items()}}


@dataclass(frozen=True, slots=True)
class ModelDefaults:
    """What a model was trained with, or does best with in measurements."""

    sampling: Sampling
    max_turns: int = 8
    """Model requests per exploration. RL training allowed 8, the last without tools."""
    max_tokens: int = 2_048
    """New tokens per request, as in RL training."""
    context_tokens: int = 65_536
    """Prompt and answer together, as in RL training. With 4k, 60% of requests fail; 128k is no
    better than 64k."""


FASTCONTEXT = ModelDefaults(Sampling(temperature=0.2, top_p=0.95, top_k=20))
"""Near-greedy: a citation is either right or wrong, and each question gets only one run."""

OTHER = ModelDefaults(Sampling())
"""For an unknown model the server chooses the sampling."""


def defaults_for(model: str) -> ModelDefaults:
    """The defaults of the model that is served under ``model``."""
    return FASTCONTEXT if "fastcontext" in model.replace("-", "").casefold() else OTHER
