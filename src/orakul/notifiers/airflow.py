"""Airflow 3: starts a run of a DAG, by its REST API v2.

https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

import re
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from orakul.notifiers.request import Answer, ask
from orakul.reactions.notifier import Message, Notifier, Options, PermanentError, Receipt
from orakul.reactions.secret import Secret

__all__ = ["AirflowNotifier", "AirflowOptions"]

_THERE_ALREADY = 409
_REFUSED = 401


class AirflowOptions(Options, frozen=True, kw_only=True):
    """`dag_id` is the DAG; `token`, or `username` and `password`, which are swapped for one."""

    url: str
    dag_id: str
    token: Secret | None = None
    username: str | None = None
    password: Secret | None = None


class AirflowNotifier(Notifier):
    """Starts a DAG run whose `conf` is the message with its event. A message delivered again starts no second run."""

    kind = "airflow"
    Options: ClassVar[type[Options]] = AirflowOptions
    apart = True
    options: AirflowOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        if self.options.token is None and (self.options.username is None or self.options.password is None):
            raise PermanentError("airflow needs a token, or username and password")
        self._token: str | None = None

    def send(self, messages: Sequence[Message]) -> Receipt:
        """Start the run."""
        message = messages[0]
        conf = {
            "title": message.title,
            "text": message.text,
            "severity": message.severity,
            "group": message.group,
            "count": message.count,
            "fields": dict(message.fields),
            "event": dict(message.event),
        }
        return self.trigger(_run_id(message.key), conf, message.title)

    def trigger(self, run_id: str, conf: dict[str, Any], note: str, dag_id: str | None = None) -> Receipt:
        """Start a run of the DAG (or of another one) under an id of one's own."""
        path = f"/api/v2/dags/{quote(dag_id or self.options.dag_id, safe='')}/dagRuns"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf, "note": note[:1000]}
        answer = self._ask(path, body)
        if answer.status == _THERE_ALREADY:
            return Receipt(said="had been started already", reference=run_id)
        return Receipt(said="run started", reference=str((answer.json() or {}).get("dag_run_id", run_id)))

    def _ask(self, path: str, body: dict[str, Any]) -> Answer:
        known = self._token is not None
        address = self.options.url.rstrip("/") + path
        for last in (False, True):
            headers = {"Authorization": f"Bearer {self._bearer()}", "Accept": "application/json"}
            accept = (_THERE_ALREADY,) if last or not known else (_THERE_ALREADY, _REFUSED)
            answer = ask(
                "POST", address, json=body, headers=headers, timeout=self.options.timeout_seconds, hide=self.hide,
                accept=accept,
            )  # fmt: skip
            if answer.status != _REFUSED:
                break
            self._token = None  # it has ended: a new one, once
        return answer

    def _bearer(self) -> str:
        options = self.options
        if options.token is not None:
            return options.token.reveal()
        if self._token is None and options.password is not None:
            body = {"username": options.username, "password": options.password.reveal()}
            address = f"{options.url.rstrip('/')}/auth/token"
            answer = ask("POST", address, json=body, timeout=options.timeout_seconds, hide=self.hide)
            found = (answer.json() or {}).get("access_token")
            if not isinstance(found, str):
                raise PermanentError("Airflow's /auth/token answered without an access_token")
            self._token = found
        return self._token or ""

    def hide(self, text: str) -> str:
        """Return the text without secrets, that of the session included."""
        text = super().hide(text)
        return text.replace(self._token, "…") if self._token else text

    @classmethod
    def example(cls, url: str) -> dict[str, Any]:
        """Return options such as somebody would write."""
        return {"url": url, "dag_id": "reload", "token": "env:AIRFLOW_TOKEN"}


def _run_id(key: str) -> str:
    return "orakul__" + re.sub(r"[^A-Za-z0-9_.~:+-]", "_", key)[:200]
