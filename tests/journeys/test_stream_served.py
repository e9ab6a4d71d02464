"""The stream of `orakul serve`, as it is: signed in by token and by cookie, each user with their own."""

import asyncio
import base64
import json
import os
from pathlib import Path
from typing import Any

import httpx2
import pytest
from stacks import PASSWORD, PEOPLE, Stack
from streams import Listener

from orakul.events import Event
from orakul.journals.postgres import PostgresJournal


def lives(prefix: str) -> list[Event]:
    """Return the events of tasks of user 7, of user 8 and of nobody; and what is no task's."""
    events = []
    for owner in ("7", "8", None):
        task_id = f"{prefix}-{owner}"
        facts = {"attempt": 1, "name": f"secret-of-{owner}"}
        line = {"attempt": 1, "level": "INFO", "logger": "shop", "message": f"secret-of-{owner}"}
        events += [
            Event(event_type="task.pending", task_id=task_id, user_id=owner, data=facts),
            Event(event_type="task.in_progress", task_id=task_id, user_id=owner, data={"attempt": 1}),
            Event(event_type="task.log", task_id=task_id, user_id=owner, data=line),
            Event(event_type="task.completed", task_id=task_id, user_id=owner, data={"attempt": 1}),
        ]
    return [*events, Event(event_type="shop.opened", user_id="7", data={"by": "secret-of-admin"})]


def signed_in(stack: Stack, who: str, last_id: str = "") -> Listener:
    return Listener(stack.port, "", last_id=last_id, headers={"Authorization": f"Bearer {stack.token(who)}"})


def cookie_of(stack: Stack, who: str) -> str:
    with httpx2.Client(base_url=stack.url) as client:
        answer = client.post(
            "/api/session",
            headers={"Authorization": f"Bearer {stack.token(who)}", "Sec-Fetch-Site": "same-origin"},
        )
        assert answer.status_code < 300, answer.text
        return f"orakul_session={client.cookies['orakul_session']}"


def check(listener: Listener, who: str, count: int) -> None:
    """Whoever sees all has heard all; an owner has heard of their own tasks, and not a word of others'."""
    seqs = [said.seq for said in listener.of("task", "log", "event")]
    assert seqs == sorted(set(seqs))
    text = json.dumps([said.data for said in listener.said])
    role, user_id = PEOPLE[who]
    if role in {"admin", "viewer"}:
        assert len(seqs) == 13 * count
        return
    assert len(seqs) == 4 * count
    assert listener.of("event") == []
    assert f"secret-of-{user_id}" in text
    for other in {"7", "8", "None", "admin"} - {user_id}:
        assert f"secret-of-{other}" not in text


def test_each_hears_their_own_by_token_and_by_cookie_also_after_a_crash_of_the_server(stack: Stack) -> None:
    journal = PostgresJournal(stack.database_url)

    async def law() -> None:
        readers = {who: signed_in(stack, who) for who in PEOPLE}
        cookie = Listener(stack.port, "", headers={"Cookie": cookie_of(stack, "user")})
        everybody = [*readers.items(), ("user", cookie)]
        for _, reader in everybody:
            assert (await reader.open()).status == 200
            await reader.until(lambda me: me.last_id != "")
            await reader.hear(1, "metrics")
        await asyncio.to_thread(journal.append, lives("one"))
        for who, reader in everybody:
            await reader.hear(13 if PEOPLE[who][0] in {"admin", "viewer"} else 4, "task", "log", "event")
            await reader.quiet(0.1)
            check(reader, who, 1)

        stack.serve.kill9()
        await asyncio.to_thread(journal.append, lives("two"))
        stack.start_serve()
        for who, reader in everybody:
            again = Listener(stack.port, "", last_id=reader.last_id, headers=reader.headers, said=reader.said)
            await again.open()
            await again.hear(26 if PEOPLE[who][0] in {"admin", "viewer"} else 8, "task", "log", "event")
            await again.quiet(0.1)
            check(again, who, 2)
            again.close()

    try:
        asyncio.run(law())
    finally:
        journal.connections.close()


def _unsigned(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in parts) + "."


@pytest.mark.parametrize("token", [None, "nonsense", _unsigned({"sub": "1", "role": "admin", "exp": 4_000_000_000})])
def test_whoever_is_not_signed_in_gets_no_stream(stack: Stack, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = httpx2.get(f"{stack.url}/api/tasks/subscribe", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_a_thousand_readers_of_a_served_stream_leave_nothing_behind(stack: Stack) -> None:
    pid = stack.serve.pid
    page = os.sysconf("SC_PAGE_SIZE")

    def footprint() -> tuple[int, float]:
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
        return len(list(Path(f"/proc/{pid}/fd").iterdir())), resident / 1e6

    async def come_and_go(rounds: int) -> None:
        for number in range(rounds):
            readers = [signed_in(stack, "admin" if n % 2 else "user", "0" if number % 2 else "") for n in range(50)]
            await asyncio.gather(*(reader.open() for reader in readers))
            for reader in readers:
                reader.close()
        await asyncio.sleep(1)

    asyncio.run(come_and_go(4))
    files, megabytes = footprint()
    asyncio.run(come_and_go(20))
    files_after, megabytes_after = footprint()
    assert files_after <= files + 2
    assert megabytes_after < megabytes + 20
    assert PASSWORD not in stack.serve.text()
