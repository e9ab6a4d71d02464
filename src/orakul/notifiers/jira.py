"""Jira: one issue for each group of errors, a comment when it happens again.

Cloud: REST API v3 (https://developer.atlassian.com/cloud/jira/platform/rest/v3/), signed in by e-mail and API token.
Data Center: v2, by a personal access token. An open issue of the group is found by its label, so that another process,
or one that was killed in the middle, goes on with the same issue.
"""

import base64
import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import msgspec

from orakul.notifiers.request import Answer, ask
from orakul.reactions.notifier import Message, Notifier, Options, PermanentError, Receipt
from orakul.reactions.secret import Secret

__all__ = ["JiraNotifier", "JiraOptions"]

_LONGEST = 30_000


class JiraOptions(Options, frozen=True, kw_only=True):
    """`token` with `email` is Cloud's API token, without it a personal access token.

    `api` is the version of the REST API; `fields` are more of the issue's fields, as Jira writes them:
    `{priority = {name = "High"}}`.
    """

    url: str
    project: str
    token: Secret
    email: str | None = None
    api: Literal["2", "3"] = "3"
    issue_type: str = "Bug"
    labels: list[str] = msgspec.field(default_factory=lambda: ["orakul"])
    fields: dict[str, Any] = msgspec.field(default_factory=dict)


class JiraNotifier(Notifier):
    """Creates an issue, or comments on the one that is open for the same group."""

    kind = "jira"
    Options: ClassVar[type[Options]] = JiraOptions
    apart = True
    options: JiraOptions

    def send(self, messages: Sequence[Message]) -> Receipt:
        """Create or comment. "Recovered" is a comment, and nothing where no issue is open."""
        message = messages[0]
        label = label_of(message)
        found = self._open_issue(label)
        if found is not None:
            return self._comment(found, message)
        if message.severity == "recovered":
            return Receipt(said="recovered, and no issue was open")
        fields = {
            **self.options.fields,
            "project": {"key": self.options.project},
            "issuetype": {"name": self.options.issue_type},
            "summary": " ".join(message.title.split())[:250] or "Orakul",
            "description": self._document(message.plain()),
            "labels": [*self.options.labels, label],
        }
        key = (self._ask("issue", {"fields": fields}).json() or {}).get("key")
        if not isinstance(key, str):
            raise PermanentError("Jira created an issue and answered without its key: is the address that of Jira?")
        return Receipt(said=f"issue {key} created", reference=key)

    def _open_issue(self, label: str) -> str | None:
        query = f'project = "{_quoted(self.options.project)}" AND labels = "{label}" AND statusCategory != Done '
        body = {"jql": query + "ORDER BY created DESC", "maxResults": 1, "fields": ["status"]}
        answer = self._ask("search/jql" if self.options.api == "3" else "search", body)
        issues = (answer.json() or {}).get("issues") or []
        return str(issues[0]["key"]) if issues and "key" in issues[0] else None

    def _comment(self, key: str, message: Message) -> Receipt:
        again = "Recovered" if message.severity == "recovered" else "Again"
        text = f"{again}: {message.title}\n\n{message.plain()}"
        self._ask(f"issue/{key}/comment", {"body": self._document(text)})
        return Receipt(said=f"comment on {key}", reference=key)

    def _document(self, text: str) -> Any:
        text = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
        if self.options.api == "2":
            return text or "-"
        parts = [part for part in text.split("\n\n") if part.strip()] or ["-"]
        content = [{"type": "paragraph", "content": [{"type": "text", "text": part}]} for part in parts]
        return {"type": "doc", "version": 1, "content": content}

    def _ask(self, path: str, body: dict[str, Any]) -> Answer:
        token = self.options.token.reveal()
        if self.options.email:
            pair = base64.b64encode(f"{self.options.email}:{token}".encode()).decode()
            signed = f"Basic {pair}"
        else:
            signed = f"Bearer {token}"
        address = f"{self.options.url.rstrip('/')}/rest/api/{self.options.api}/{path}"
        headers = {"Authorization": signed, "Accept": "application/json", "X-Atlassian-Token": "no-check"}
        return ask("POST", address, json=body, headers=headers, timeout=self.options.timeout_seconds, hide=self.hide)

    @classmethod
    def example(cls, url: str) -> dict[str, Any]:
        """Return options such as somebody would write."""
        return {"url": url, "project": "OPS", "email": "orakul@example.com", "token": "env:JIRA_TOKEN"}


def label_of(message: Message) -> str:
    """Return the label by which a group's issue is found."""
    digest = hashlib.sha256((message.group or message.title).encode("utf-8", "replace")).hexdigest()
    return f"orakul-{digest[:16]}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
