"""A flow of work goes on in other processes and in Celery tasks, by its ids."""

import multiprocessing
from typing import Any

from celery import Celery
from celery.app.trace import build_tracer

from orakul.operations import OperationContext, OperationLog, collector, operation
from orakul.runners.celery import install


class Trees:
    def __init__(self) -> None:
        self.trees: list[OperationLog] = []

    def on_calls(self, calls: Any) -> None: ...

    def on_running(self, log: Any) -> None: ...

    def on_tree(self, log: OperationLog) -> None:
        self.trees.append(log)


def in_another_process(told: dict[str, Any], answer: Any) -> None:
    sink = Trees()
    collector.sinks.append(sink)
    with OperationContext.resume(told), operation("there"):
        pass
    collector.flush()
    answer.send([(log.name, log.root_id, log.parent_id, log.context) for log in sink.trees])


def test_another_process_goes_on_below_the_operation() -> None:
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    with OperationContext(session="s", secret=object()), operation("here"):
        told = OperationContext.to_ids()
        process = multiprocessing.get_context("spawn").Process(target=in_another_process, args=(told, theirs))
        process.start()
        (there,) = ours.recv()
        process.join()
    assert there == ("there", told["trace"], told["span"], {"session": "s"})


def test_what_a_celery_task_does_stands_below_it_in_the_flow_it_was_sent_from(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("ORAKUL_DATA", str(tmp_path))
    app = Celery("flows", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = False
    install(app)

    @app.task(name="flows.work")
    def work() -> None:
        with operation("inside"):
            pass

    sink = Trees()
    collector.flush()
    collector.sinks.append(sink)
    try:
        with OperationContext(session="s"), operation("sender"):
            sent = OperationContext.to_ids()
            work.apply_async(task_id="t1")
        with app.connection_for_read() as connection:
            message = connection.SimpleQueue("celery").get(timeout=5)
        header = message.headers["orakul_operation"]
        # As a worker does it with the message that it received.
        build_tracer(work.name, work, app=app)("t1", [], {}, {**message.headers, "hostname": "w", "is_eager": False})
        collector.flush()
    finally:
        collector.sinks.remove(sink)
    inside = next(log for log in sink.trees if log.name == "inside")
    assert header["trace"] == sent["trace"] == inside.root_id
    assert (inside.parent_id, inside.context["task_id"], inside.context["session"]) == (None, "t1", "s")
