"""One channel of evidence of the detector."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol


class Weight(NamedTuple):
    """How much a channel's evidence speaks for a runaway: 0 and up; 1 is enough from one side.

    `about` is what the channel needs to say why: plain values, known to that channel alone.
    """

    value: float
    about: tuple[Any, ...] = ()


class Evidence(Protocol):
    """Looks at the facts of an episode and says how much they speak for a runaway, and why.

    Holds its own bounded state: plain values (dicts, lists, numbers, texts), equal for equal inputs.
    """

    name: str

    def learn(self, facts: Any) -> None:
        """Take a closed episode as usual. Not called for one that was alerted and not acknowledged."""
        ...

    def weigh(self, facts: Any) -> Weight | None:
        """The weight of the evidence now, or None where the channel has no opinion."""
        ...

    def explain(self, facts: Any, weight: Weight) -> str:
        """One sentence a person understands: usual against now."""
        ...

    def state(self) -> Any: ...

    def restore(self, state: Any) -> None: ...
