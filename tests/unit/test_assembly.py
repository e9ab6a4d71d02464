"""What the assembled parts say of themselves."""

from types import SimpleNamespace

import pytest

from orakul.assembly import Assembly
from orakul.assembly.chores import Chore
from orakul.assembly.joined import ORDERS
from orakul.errors import BrokerUnavailableError, JournalUnavailableError


def notices_after(error: Exception | None) -> dict[str, str]:
    """Return what is said after the standing orders were repeated once, with this outcome."""

    def repeat() -> None:
        chore.ask_to_stop()
        if error is not None:
            raise error

    chore = Chore(ORDERS, repeat, every=0.0)
    chore.run()
    return Assembly.notices(SimpleNamespace(relays=None, pipelines=None, _chores=[chore]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (None, "ok"),
        (BrokerUnavailableError("redis://h does not take commands"), "redis://h does not take commands"),
        (JournalUnavailableError("PostgreSQL does not answer"), "ok"),
    ],
)
def test_of_the_broker_only_its_own_troubles_are_told(error: Exception | None, says: str) -> None:
    assert notices_after(error) == {"broker": says}
