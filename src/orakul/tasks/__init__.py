"""The record of work: the status machine, the projection rule, the recorder; contracts for what stores and runs it."""

from orakul.tasks.feed import Entry, Feed
from orakul.tasks.journal import Journal, StoredEvent
from orakul.tasks.orders import Cancellation, Fleet, StandingOrders, Worker
from orakul.tasks.reader import Change, LogLine, Page, PausedQueue, Summary, TaskQuery, TaskReader
from orakul.tasks.runner import Runner
from orakul.tasks.status import Rank, Status
from orakul.tasks.task import Task, TaskError

__all__ = [
    "Cancellation",
    "Change",
    "Entry",
    "Feed",
    "Fleet",
    "Journal",
    "LogLine",
    "Page",
    "PausedQueue",
    "Rank",
    "Runner",
    "StandingOrders",
    "Status",
    "StoredEvent",
    "Summary",
    "Task",
    "TaskError",
    "TaskQuery",
    "TaskReader",
    "Worker",
]
