"""An order: what somebody wants exported. It is what waits, what travels to a worker, and what a retry is made of."""

from pathlib import Path

import msgspec

from orakul.errors import NotPossibleError
from orakul.exports.plan import Choice, Plan

__all__ = ["ExportOrder", "decode_order", "encode_order"]


class ExportOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt of a task: a whole run (`task_id` is `run_id`), or again a group or a script of one."""

    run_id: str
    task_id: str
    plan: str
    """Its name in the folders of plans, or the absolute path of its file."""
    group: str | None = None
    script: str | None = None
    columns: tuple[int, ...] | None = None
    user_id: str | None = None
    attempt: int = 1
    run: int = 0
    """As a task's `run`: 0, or epoch milliseconds where the same attempt was delivered again."""
    attempts: dict[str, int] = {}
    """Of tasks below that have been retried by themselves, the attempt that this one is for them."""

    @property
    def is_run(self) -> bool:
        """Whether it is a run, rather than a group or script of one again."""
        return self.task_id == self.run_id

    def choice(self, plan: Plan) -> Choice:
        """Return what of the plan is meant. Raises PlanError where the plan lacks it."""
        return plan.choose(group=self.group, script=self.script, columns=self.columns)

    def title(self, plan: str) -> str:
        """Return what its task is called: the plan, and what of it."""
        return "/".join(filter(None, (plan, self.group, self.script)))

    def plan_name(self) -> str:
        """Return the plan's name as far as it is known without its file."""
        return Path(self.plan).stem


def encode_order(order: ExportOrder) -> bytes:
    """Return the order as JSON."""
    return msgspec.json.encode(order)


def decode_order(text: bytes | str) -> ExportOrder:
    """Read an order; raise NotPossibleError where it is none."""
    try:
        return msgspec.json.decode(text, type=ExportOrder)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotPossibleError(f"The kept order of this export cannot be read: {error}") from error
