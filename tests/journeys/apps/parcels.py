"""Consumers of the tests of monitoring: one that works, one that fails as long as a file is there, one that waits."""

import os
import pathlib

from orakul.delivery import Consumers, PermanentError, Retries

consumers = Consumers()
broken = pathlib.Path(os.environ.get("PARCELS_BROKEN", "/nonexistent"))


@consumers.consumer("labels", on="parcel.*")
async def labels(event):
    assert event.data["parcel_id"]


@consumers.consumer("customs", on="parcel.sent")
def customs(event):
    if broken.exists():
        raise PermanentError("the form 42 is missing")


@consumers.consumer("airline", on="parcel.flown", retries=Retries(attempts=9, first=600))
def airline(event):
    raise OSError("no plane today")
