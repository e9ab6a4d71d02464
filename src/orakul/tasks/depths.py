"""How many messages wait at the broker: what a runner may be able to tell, by the broker's own account."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from orakul.errors import OrakulError
from orakul.tasks.runner import Runner

__all__ = ["DepthTeller", "QueueDepth", "depths_of"]


class QueueDepth(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages wait in a queue; None where that is not known, and why.

    Some brokers know more: how many are in the hands of consumers, how many of these there are, and how many messages a
    minute come in and go out.
    """

    depth: int | None
    note: str | None = None
    unacknowledged: int | None = None
    consumers: int | None = None
    rate_in: float | None = None
    rate_out: float | None = None


@runtime_checkable
class DepthTeller(Protocol):
    """A runner that can ask its broker how deep its queues are."""

    def depths(self, queues: Sequence[str]) -> Mapping[str, int | QueueDepth | None]:
        """Return how many messages wait in each queue, or more of it; None for one that the broker does not know.

        Answers within two seconds or raises BrokerUnavailableError.
        """
        ...


def depths_of(runners: Mapping[str, Runner], queues: Sequence[str]) -> dict[str, QueueDepth]:
    """Return what the brokers say of the queues; a broker that does not answer is a note, not an error."""
    found = {queue: QueueDepth(depth=None, note="no broker is set that could be asked") for queue in queues}
    for runner in runners.values():
        if not queues or not isinstance(runner, DepthTeller):
            continue
        told: Mapping[str, int | QueueDepth | None]
        try:
            told = runner.depths(queues)
        except OrakulError as error:
            told, note = {}, str(error)
        else:
            note = "the broker has no such queue"
        for queue in queues:
            depth = told.get(queue)
            if depth is not None:
                found[queue] = depth if isinstance(depth, QueueDepth) else QueueDepth(depth=depth)
            elif found[queue].depth is None:
                found[queue] = QueueDepth(depth=None, note=note)
    return found
