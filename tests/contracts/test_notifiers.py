"""Every notifier there is, by its entry point, against a counterparty that checks what it is sent and answers badly.

A newcomer is tested unasked: its `example` options lead to the counterparty. What is said of its API's own form is in
`FORMS`; a kind that is not there is held to the rest.
"""

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from certificates import Authority
from counterparties import Asked, Counterparty, MailServer, counterparty, mail_server
from processes import free_port

from orakul import extensions, notifiers
from orakul.errors import SettingsError
from orakul.notifiers.email import EmailNotifier
from orakul.notifiers.jira import label_of
from orakul.reactions import Message, Notifier, PassingError, PermanentError, Receipt, Secret
from orakul.reactions.making import GROUP, Notifiers, make_notifier

SECRET = "s3cret-of-tests-0123456789"
KINDS = extensions.names(GROUP)
HTTP = [kind for kind in KINDS if kind not in {"email", "log"}]
MESSAGE = Message(
    key="0190-aa",
    title="shop.pay failed <5 times> & more",
    text="ValueError: no money\nнет денег 🙂",
    severity="error",
    link="https://orakul.example.com/tasks/t-1",
    group="shop.pay ValueError",
    count=5,
    fields={"task": "t-1", "queue": "celery"},
    event={"event_type": "task.failed", "task_id": "t-1", "data": {"name": "shop.pay"}},
)
RECOVERED = Message(key="0190-bb", title="shop.pay recovered", severity="recovered", group=MESSAGE.group)


@dataclass
class Form:
    """What an API documents: what it answers when all is well, and what it is to be sent."""

    check: Callable[[list[Asked]], None]
    answer: Callable[[Asked], tuple[int, Any]] = lambda _: (200, {})
    troubled: dict[int, Any] = field(default_factory=dict)
    address: str | None = None


def telegram(asked: list[Asked]) -> None:
    (one,) = asked
    assert (one.method, one.path) == ("POST", f"/bot{SECRET}/sendMessage")
    assert one.headers["content-type"] == "application/json"
    body = one.json
    documented = {"chat_id", "message_thread_id", "text", "parse_mode", "link_preview_options", "disable_notification"}
    assert set(body) <= documented
    assert (body["chat_id"], body["parse_mode"]) == ("-1001234567890", "HTML")
    assert "&lt;5 times&gt; &amp; more" in body["text"], "what is no markup is escaped"
    assert "нет денег 🙂" in body["text"]


def slack(asked: list[Asked]) -> None:
    (one,) = asked
    assert (one.method, one.path, set(one.json)) == ("POST", f"/services/{SECRET}", {"text", "blocks"})
    for block in one.json["blocks"]:
        assert block["type"] == "section"
        for part in [block["text"]] if "text" in block else block["fields"]:
            assert part["type"] == "mrkdwn"
            assert 0 < len(part["text"]) <= 3000
    assert "&lt;5 times&gt; &amp; more" in one.json["text"]


def webhook(asked: list[Asked]) -> None:
    (one,) = asked
    assert (one.method, one.path, one.headers["webhook-id"]) == ("POST", "/hooks/orakul", MESSAGE.key)
    signed = f"{one.headers['webhook-id']}.{one.headers['webhook-timestamp']}.".encode() + one.body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert one.headers["webhook-signature"] == f"v1,{expected}"
    assert one.json["data"]["group"] == MESSAGE.group
    assert one.json["data"]["event"]["task_id"] == "t-1"


def airflow(asked: list[Asked]) -> None:
    (one,) = asked
    assert (one.method, one.path) == ("POST", "/api/v2/dags/reload/dagRuns")
    assert one.headers["authorization"] == f"Bearer {SECRET}"
    body = one.json
    assert set(body) <= {
        "dag_run_id",
        "data_interval_start",
        "data_interval_end",
        "logical_date",
        "run_after",
        "conf",
        "note",
    }
    assert body["logical_date"] is None, "demanded, and may be null"
    assert body["dag_run_id"] == "orakul__0190-aa"
    assert body["conf"]["event"]["task_id"] == "t-1"


def clickhouse(asked: list[Asked]) -> None:
    (one,) = asked
    assert (one.method, one.path) == ("POST", "/")
    assert one.query["query"] == ["INSERT INTO `ops`.`orakul_events` FORMAT JSONEachRow"]
    assert (one.headers["x-clickhouse-user"], one.headers["x-clickhouse-key"]) == ("orakul", SECRET)
    (row,) = [json.loads(line) for line in one.body.splitlines()]
    assert (row["key"], row["count"], row["task_id"], row["event_type"]) == ("0190-aa", 5, "t-1", "task.failed")


def jira(asked: list[Asked]) -> None:
    search, create = asked
    pair = base64.b64encode(f"orakul@example.com:{SECRET}".encode()).decode()
    assert {one.headers["authorization"] for one in asked} == {f"Basic {pair}"}
    assert (search.method, search.path) == ("POST", "/rest/api/3/search/jql")
    assert f'labels = "{label_of(MESSAGE)}"' in search.json["jql"]
    assert (create.method, create.path) == ("POST", "/rest/api/3/issue")
    fields = create.json["fields"]
    assert (fields["project"], fields["issuetype"]) == ({"key": "OPS"}, {"name": "Bug"})
    assert (fields["description"]["type"], fields["description"]["version"]) == ("doc", 1)
    assert label_of(MESSAGE) in fields["labels"]
    assert "\n" not in fields["summary"]


def of_jira(asked: Asked) -> tuple[int, Any]:
    return (201, {"id": "1", "key": "OPS-1"}) if asked.path.endswith("/issue") else (200, {"issues": []})


def through_apprise(asked: list[Asked]) -> None:
    (one,) = asked
    assert (one.method, one.path) == ("POST", f"/{SECRET}")
    assert (one.json["title"], one.json["type"]) == (MESSAGE.title, "failure")
    assert "нет денег 🙂" in one.json["message"]


FORMS = {
    "telegram": Form(
        telegram,
        lambda _: (200, {"ok": True, "result": {"message_id": 7}}),
        {429: {"ok": False, "error_code": 429, "parameters": {"retry_after": 7}}},
    ),
    "slack": Form(slack, lambda _: (200, b"ok"), address="{url}/services/" + SECRET),
    "webhook": Form(webhook),
    "airflow": Form(airflow, lambda asked: (200, {"dag_run_id": asked.json["dag_run_id"]})),
    "clickhouse": Form(clickhouse),
    "jira": Form(jira, of_jira),
    "apprise": Form(through_apprise, address="json://{host}/" + SECRET),
}


@pytest.fixture
def party() -> Iterator[Counterparty]:
    with counterparty() as found:
        yield found


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Notifier]:
    """Make a notifier of a kind, as its example says, with the counterparty at `url`."""

    def make(kind: str, url: str, **more: Any) -> Notifier:
        options = extensions.load(GROUP, kind).example(url)
        form = FORMS.get(kind)
        secret = SECRET
        if form and form.address:
            secret = form.address.format(url=url, host=url.removeprefix("http://"))
        for value in options.values():
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, str) and each.startswith("env:"):
                    monkeypatch.setenv(each.removeprefix("env:"), secret)
        return make_notifier("ops", {"kind": kind, **options, "timeout_seconds": 5.0, **more})

    return make


def test_there_are_those_that_the_docs_promise() -> None:
    assert set(KINDS) >= {"airflow", "apprise", "clickhouse", "email", "jira", "slack", "telegram", "webhook"}


@pytest.mark.parametrize("kind", HTTP)
def test_a_message_is_delivered_in_the_documented_form(kind: str, party: Counterparty, made: Any) -> None:
    form = FORMS.get(kind)
    if form:
        party.answer = form.answer
    receipt = made(kind, party.url).send([MESSAGE])
    assert isinstance(receipt, Receipt)
    assert party.asked
    if form:
        form.check(party.asked)


@pytest.mark.parametrize("trouble", [400, 401, 403, 404, 302])
@pytest.mark.parametrize("kind", HTTP)
def test_what_trying_again_does_not_help_is_permanent(
    kind: str, trouble: int, party: Counterparty, made: Any, caplog: pytest.LogCaptureFixture
) -> None:
    party.trouble = trouble
    caplog.set_level(logging.DEBUG)
    notifier = made(kind, party.url)
    with pytest.raises(PermanentError) as caught:
        notifier.send([MESSAGE])
    assert str(trouble) in str(caught.value)
    told = f"{caught.value} {caught.value!r} {notifier.options!r}"
    assert SECRET not in told, "a secret is never shown"
    assert SECRET not in caplog.text, "nor logged"


@pytest.mark.parametrize("kind", HTTP)
def test_too_many_is_passing_and_says_until_when(kind: str, party: Counterparty, made: Any) -> None:
    party.trouble, party.retry_after = 429, "7"
    party.troubled = FORMS[kind].troubled if kind in FORMS else {}
    with pytest.raises(PassingError) as caught:
        made(kind, party.url).send([MESSAGE])
    if kind != "apprise":  # which does not tell
        assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("trouble", [500, 502, 503, 408])
@pytest.mark.parametrize("kind", HTTP)
def test_trouble_of_the_other_side_is_passing(kind: str, trouble: int, party: Counterparty, made: Any) -> None:
    party.trouble = trouble
    with pytest.raises(PassingError) as caught:
        made(kind, party.url).send([MESSAGE])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("kind", HTTP)
def test_one_that_never_answers_is_left_in_time(kind: str, party: Counterparty, made: Any) -> None:
    party.trouble = "never"
    with pytest.raises(PassingError) as caught:
        made(kind, party.url, timeout_seconds=0.5).send([MESSAGE])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("kind", [*HTTP, "email"])
def test_one_that_is_not_there_is_passing(kind: str, made: Any) -> None:
    scheme = "smtp" if kind == "email" else "http"
    with pytest.raises(PassingError) as caught:
        made(kind, f"{scheme}://127.0.0.1:{free_port()}").send([MESSAGE])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("kind", HTTP)
def test_an_answer_that_is_no_json_is_no_crash(kind: str, party: Counterparty, made: Any) -> None:
    party.answer = lambda _: (200, b"\xff<html>")
    notifier = made(kind, party.url)
    if kind == "jira":
        with pytest.raises(PermanentError, match="without its key"):
            notifier.send([MESSAGE])
    else:
        assert notifier.send([MESSAGE])


@pytest.mark.parametrize("kind", KINDS)
def test_options_are_checked_by_name_and_value(kind: str, made: Any) -> None:
    with pytest.raises(SettingsError, match=f"notifiers.ops: {kind} has no option timeout_second; did you mean"):
        made(kind, "http://127.0.0.1:1", timeout_second=3)
    with pytest.raises(SettingsError, match=r"notifiers\.ops\.timeout_seconds: expected float"):
        made(kind, "http://127.0.0.1:1", timeout_seconds="soon")


# -- e-mail


@pytest.fixture
def post() -> Iterator[MailServer]:
    with mail_server() as found:
        yield found


def test_a_letter_arrives_whole(post: MailServer, made: Any) -> None:
    import email
    import email.policy

    notifier = made("email", post.url, to=["ann@example.com", "bob@example.com"])
    notifier.send([MESSAGE])
    notifier.send([MESSAGE])
    first, again = (email.message_from_bytes(each.content, policy=email.policy.default) for each in post.letters)
    assert first["subject"] == "[✗] shop.pay failed <5 times> & more"
    assert first["to"] == "ann@example.com, bob@example.com"
    body = first.get_body()
    assert body is not None
    assert "нет денег 🙂" in body.get_content()
    assert first["message-id"] == again["message-id"], "sent again, it is the same letter"
    assert first["auto-submitted"] == "auto-generated"


@pytest.mark.parametrize(("code", "kind"), [(550, PermanentError), (554, PermanentError), (450, PassingError)])
def test_refusals_of_letters_are_told_apart(post: MailServer, made: Any, code: int, kind: type[Exception]) -> None:
    post.trouble = code
    with pytest.raises(kind, match=str(code)):
        made("email", post.url).send([MESSAGE])


def test_a_mail_server_that_never_answers_is_left(post: MailServer, made: Any) -> None:
    post.trouble = "never"
    with pytest.raises(PassingError):
        made("email", post.url, timeout_seconds=0.5).send([MESSAGE])


def test_a_password_goes_to_no_mail_server_without_tls(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    with mail_server(password=SECRET) as post:
        notifier = made("email", post.url, username="orakul", password="env:MAIL_PASSWORD")
        with pytest.raises(PermanentError, match="STARTTLS") as caught:
            notifier.send([MESSAGE])
        assert SECRET not in str(caught.value)
        assert post.signed_in == []
    with pytest.raises(SettingsError, match="smtp://host:port"):
        made("email", "http://mail.example.com")


@pytest.mark.parametrize("implicit", [False, True])
def test_a_password_goes_to_a_mail_server_over_tls_whose_certificate_is_trusted(
    implicit: bool,  # noqa: FBT001 (a parameter)
    made: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    signed = {"username": "orakul", "password": "env:MAIL_PASSWORD"}
    with mail_server(password=SECRET, tls=authority.context(), implicit=implicit) as post:
        with pytest.raises(PassingError, match="certificate verify failed") as caught:
            made("email", post.url, **signed).send([MESSAGE])
        assert SECRET not in str(caught.value)
        assert (post.signed_in, post.letters) == ([], [])
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with mail_server(password=SECRET, tls=authority.context(), implicit=implicit) as post:
        made("email", post.url, **signed).send([MESSAGE])
        assert (post.signed_in, len(post.letters)) == (["orakul"], 1)
        monkeypatch.setenv("MAIL_PASSWORD", "mistaken")
        with pytest.raises(PermanentError, match="535"):
            made("email", post.url, **signed).send([MESSAGE])


# -- what is particular


def test_a_message_is_a_line_of_the_log(made: Any, caplog: pytest.LogCaptureFixture) -> None:
    made("log", "").send([MESSAGE])
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("house.messages", "ERROR")
    assert record.getMessage().startswith("shop.pay failed <5 times> & more: ValueError: no money нет денег")


def test_jira_has_one_issue_a_group_and_comments_on_it(party: Counterparty, made: Any) -> None:
    issues: list[str] = []

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.path.endswith("/issue"):
            issues.extend(label for label in asked.json["fields"]["labels"] if label.startswith("orakul-"))
            return 201, {"key": f"OPS-{len(issues)}"}
        if "/comment" in asked.path:
            return 201, {"id": "9"}
        found = [f"OPS-{number}" for number, label in enumerate(issues, 1) if label in asked.json["jql"]]
        return 200, {"issues": [{"key": key} for key in found]}

    party.answer = answer
    notifier = made("jira", party.url)
    assert "no issue was open" in notifier.send([RECOVERED]).said
    assert notifier.send([MESSAGE]).said == "issue OPS-1 created"
    assert made("jira", party.url).send([MESSAGE]).said == "comment on OPS-1", "another process finds it"
    assert notifier.send([RECOVERED]).said == "comment on OPS-1"
    assert len(issues) == 1
    comment = [asked for asked in party.asked if asked.path.endswith("/comment")][-1]
    assert comment.path == "/rest/api/3/issue/OPS-1/comment"
    assert comment.json["body"]["content"][0]["content"][0]["text"].startswith("Recovered: ")


def test_jira_data_center_is_asked_by_version_2(party: Counterparty, made: Any) -> None:
    party.answer = of_jira
    made("jira", party.url, api="2", email=None).send([MESSAGE])
    search, create = party.asked
    assert (search.path, create.path) == ("/rest/api/2/search", "/rest/api/2/issue")
    assert search.headers["authorization"] == f"Bearer {SECRET}"
    assert "нет денег" in create.json["fields"]["description"]


def test_airflow_is_signed_in_to_and_a_run_is_started_once(
    party: Counterparty, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_PASSWORD", SECRET)
    tokens: list[str] = []
    runs: set[str] = set()

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.path == "/auth/token":
            assert asked.json == {"username": "ann", "password": SECRET}
            tokens.append(f"token-{len(tokens)}")
            return 201, {"access_token": tokens[-1]}
        if asked.headers["authorization"] != f"Bearer {tokens[-1]}" or ended:
            ended.clear()
            return 401, {"detail": "expired"}
        run = asked.json["dag_run_id"]
        status = 409 if run in runs else 200
        runs.add(run)
        return status, {"dag_run_id": run}

    ended: set[str] = set()
    party.answer = answer
    notifier = made("airflow", party.url, username="ann", password="env:AIRFLOW_PASSWORD")
    notifier.options = type(notifier.options)(
        url=party.url, dag_id="reload", username="ann", password=Secret(SECRET), timeout_seconds=5.0
    )
    assert notifier.send([MESSAGE]).said == "run started"
    assert notifier.send([MESSAGE]).said == "had been started already"
    ended.add("now")
    assert notifier.send([RECOVERED]).said == "run started"
    assert (len(tokens), runs) == (2, {"orakul__0190-aa", "orakul__0190-bb"})


def test_clickhouse_takes_batches(party: Counterparty, made: Any) -> None:
    notifier = made("clickhouse", party.url)
    messages = [Message(key=f"k-{number}", title="t") for number in range(500)]
    assert notifier.batch >= 500
    assert notifier.send(messages).said == "500 rows inserted"
    (asked,) = party.asked
    assert [json.loads(line)["key"] for line in asked.body.splitlines()] == [each.key for each in messages]
    assert asked.query["insert_deduplication_token"] == ["k-0-500"]
    with pytest.raises(SettingsError, match="table is a name"):
        made("clickhouse", party.url, table="t; DROP TABLE x")


@pytest.mark.parametrize("text", ["x" * 10_000, "🙂" * 10_000, "<&" * 5_000])
def test_telegram_is_sent_no_more_than_it_takes(text: str, party: Counterparty, made: Any) -> None:
    import html
    import re

    made("telegram", party.url).send([Message(key="k", title="long", text=text)])
    shown = html.unescape(re.sub(r"</?b>", "", party.asked[0].json["text"]))
    assert 1_000 < len(shown.encode("utf-16-le")) // 2 <= 4096


# -- the four functions of the TDTP worker


def test_the_four_functions_use_the_settings(
    party: Counterparty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORAKUL_CONFIG", str(tmp_path / "orakul.toml"))
    for name in ("TELEGRAM_TOKEN", "JIRA_TOKEN", "AIRFLOW_TOKEN", "CLICKHOUSE_PASSWORD"):
        monkeypatch.setenv(name, SECRET)
    lines = []
    for kind in ("telegram", "jira", "airflow", "clickhouse"):
        lines.append(f"[notifiers.{kind}]")
        lines += [
            f"{key} = {json.dumps(value)}" for key, value in extensions.load(GROUP, kind).example(party.url).items()
        ]
    (tmp_path / "orakul.toml").write_text("\n".join(lines))
    party.answer = of_jira
    notifiers.trigger_airflow_dag("MASK_V001")
    notifiers.upload_to_clickhouse("MASK_V001")
    notifiers.send_telegram_alert("[TDTP] erp_mask_sync failed: no disk")
    assert notifiers.create_jira_incident("erp_mask_sync", "no disk").reference == "OPS-1"
    dag, row, alert, _search, issue = party.asked
    assert dag.json["conf"]["event"]["data"] == {"result_name": "MASK_V001"}
    assert json.loads(json.loads(row.body)["event"])["data"] == {"result_name": "MASK_V001"}
    assert "[TDTP] erp_mask_sync failed: no disk" in alert.json["text"]
    assert issue.json["fields"]["summary"] == "[TDTP] erp_mask_sync failed"


def test_without_settings_they_say_what_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"write \[notifiers.telegram\] in orakul.toml"):
        notifiers.send_telegram_alert("hello")


# -- secrets and settings


def test_secrets_are_named_and_come_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TOKEN", SECRET)
    (tmp_path / "token").write_text(f"{SECRET}\n")
    assert Secret.named("env:A_TOKEN").reveal() == Secret.named(f"file:{tmp_path}/token").reveal() == SECRET
    (tmp_path / "token").write_text("renewed")
    assert Secret.named(f"file:{tmp_path}/token").reveal() == "renewed"
    for wrong, said in {SECRET: "is named rather than written", "env:NO_SUCH": "NO_SUCH is not set"}.items():
        with pytest.raises(SettingsError, match=said) as caught:
            Secret.named(wrong)
        assert SECRET not in str(caught.value)
    with pytest.raises(SettingsError, match="cannot be read"):
        Secret.named(f"file:{tmp_path}/none")
    assert SECRET not in f"{Secret(SECRET)} {Secret(SECRET)!r}"


def test_a_secret_written_in_the_settings_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="is named rather than written here") as caught:
        make_notifier("ops", {"kind": "telegram", "token": SECRET, "chat_id": 1})
    assert SECRET not in str(caught.value)


def test_one_that_is_set_up_wrongly_is_named_and_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orakul.toml").write_text('port = 1\n[notifiers.ops]\nkind = "telegrm"\n')
    monkeypatch.chdir(tmp_path)
    given = {
        "ops": {"kind": "telegrm"},
        "mail": {"kind": "email", "to": ["a@example.com"], "sender": "b@example.com"},
        "jira": {"url": "https://jira.example.com"},
    }
    found = Notifiers(given)
    troubles = found.troubles()
    assert f"{tmp_path}/orakul.toml:2: notifiers.ops: there is no notifier of the kind 'telegrm'" in troubles["ops"]
    assert "did you mean telegram?" in troubles["ops"]
    assert "project" in troubles["jira"]
    assert "mail" not in troubles
    assert isinstance(found.get("mail"), EmailNotifier)
    with pytest.raises(SettingsError, match=r"there is no notifier 'mial' in the settings; did you mean mail"):
        found.get("mial")
