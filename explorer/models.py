"""Defaults per model, in one place: how it samples and how long it explores.

Sources: the training harness and code of ``microsoft/fastcontext`` (turns, new tokens, trajectory
length), the model card of ``microsoft/FastContext-1.0-4B-RL`` and the measurements that its forks
published (temperature: 14 of 15 tasks at 0.2, 12 of 15 at 0.7; few samples, nothing settled).
"""

from dataclasses import dataclass

from explorer.engines.protocol import Sampling


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
