"""Lines into Elasticsearch: against a counterparty that holds requests against the documented form of the bulk API."""

import base64
import gzip
import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from counterparties import Asked, Counterparty, counterparty
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from processes import free_port
from servers import wait_for

from orakul import instruments
from orakul.errors import SettingsError
from orakul.telemetry.elasticsearch import ElasticsearchHandler


class Elasticsearch:
    """Takes what the documentation of the bulk API says that it takes, and nothing else."""

    def __init__(self, party: Counterparty) -> None:
        self.party = party
        self.documents: dict[str, dict[str, Any]] = {}
        self.item: Callable[[dict[str, Any]], int] = lambda _: 201
        self.largest = 10_000_000
        party.answer = self.answer

    def answer(self, asked: Asked) -> tuple[int, Any]:
        assert (asked.method, asked.path) == ("POST", "/logs-orakul-default/_bulk")
        assert asked.headers["content-type"] in {"application/x-ndjson", "application/json"}
        assert asked.headers["content-encoding"] == "gzip"
        body = gzip.decompress(asked.body)
        if len(body) > self.largest:
            return 413, {}
        assert body.endswith(b"\n"), "the last line must end with a newline"
        lines = body[:-1].split(b"\n")
        assert len(lines) % 2 == 0
        items = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            said = json.loads(action)
            assert list(said) == ["create"], "a data stream takes nothing but create"
            assert set(said["create"]) <= {"_id", "_index"}
            document = json.loads(source)
            assert "@timestamp" in document, "a data stream's document needs its time"
            items.append({"create": self._take(said["create"]["_id"], document)})
        return 200, {"errors": any(item["create"]["status"] >= 300 for item in items), "items": items}

    def _take(self, document_id: str, document: dict[str, Any]) -> dict[str, Any]:
        status = self.item(document) if document_id not in self.documents else 409
        if status < 300:
            self.documents[document_id] = document
            return {"status": status}
        return {"status": status, "error": {"type": f"error_{status}", "reason": "for a reason"}}

    @property
    def messages(self) -> list[str]:
        return sorted(document["message"] for document in list(self.documents.values()))


@pytest.fixture
def elasticsearch() -> Iterator[Elasticsearch]:
    with counterparty() as party:
        yield Elasticsearch(party)


def counts() -> Counter[str]:
    found: Counter[str] = Counter()
    for each in instruments.collect():
        if each.name in {"orakul_telemetry_sent_total", "orakul_telemetry_dropped_total"}:
            for labels, value in each.samples.items():
                if labels[0] == "elasticsearch":
                    found["/".join(labels[1:]) or "sent"] += int(value)  # type: ignore[arg-type]
    return found


@contextmanager
def shipping(url: str, **options: Any) -> Iterator[logging.Logger]:
    handler = ElasticsearchHandler(url, **{"every": 0.05, "timeout": 5.0, "exit_seconds": 10.0, **options})
    logger = logging.Logger("shop")  # noqa: LOG001 (of this test alone)
    logger.addHandler(handler)
    logger.handler = handler  # type: ignore[attr-defined]
    try:
        yield logger
    finally:
        handler.close()


def test_lines_land_in_the_data_stream_in_batches_and_are_counted(elasticsearch: Elasticsearch) -> None:
    before = counts()
    with shipping(elasticsearch.party.url, api_key="id:key", every=0.3) as logger:
        for number in range(50):
            logger.info("line %02d", number)
    assert elasticsearch.messages == [f"line {number:02d}" for number in range(50)]
    assert len(elasticsearch.party.asked) <= 2
    assert elasticsearch.party.asked[0].headers["authorization"] == "ApiKey " + base64.b64encode(b"id:key").decode()
    assert (counts() - before) == Counter(sent=50)


@pytest.mark.parametrize("trouble", [429, 503, 502])
def test_what_passes_is_tried_again_and_nothing_is_lost(elasticsearch: Elasticsearch, trouble: int) -> None:
    elasticsearch.party.trouble, elasticsearch.party.retry_after = trouble, "1"
    with shipping(elasticsearch.party.url) as logger:
        logger.info("patient")
        wait_for(lambda: elasticsearch.party.asked, "the first attempt")
        elasticsearch.party.trouble = None
    assert elasticsearch.messages == ["patient"]


def test_a_broken_connection_is_made_again() -> None:
    port = free_port()
    with shipping(f"http://127.0.0.1:{port}", exit_seconds=0.2) as logger:
        logger.info("nobody there")
        before = counts()
    assert (counts() - before)["ended"] == 1


def test_of_a_batch_the_lines_are_told_apart(elasticsearch: Elasticsearch, caplog: pytest.LogCaptureFixture) -> None:
    tries: Counter[str] = Counter()

    def judge(document: dict[str, Any]) -> int:
        tries[document["message"]] += 1
        if document["message"] == "busy" and tries["busy"] < 3:
            return 429
        return 400 if document["message"] == "odd" else 201

    elasticsearch.item = judge
    before = counts()
    with shipping(elasticsearch.party.url, every=0.3) as logger:
        for message in ("good", "odd", "busy", "odd"):
            logger.info(message)
    assert elasticsearch.messages == ["busy", "good"]
    assert (tries["odd"], tries["good"]) == (2, 1)
    assert (counts() - before) == Counter({"sent": 2, "rejected": 2})
    assert [record.message for record in caplog.records if "rejects" in record.message] == [
        f"Elasticsearch at {elasticsearch.party.url}: it rejects a line (400 error_400: for a reason)"
    ]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_is_refused_is_dropped_counted_and_told_of_once(
    elasticsearch: Elasticsearch, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    elasticsearch.party.trouble = status
    elasticsearch.party.troubled[status] = {"error": {"type": "security_exception", "reason": "no such key"}}
    before = counts()
    with shipping(elasticsearch.party.url, token="s3cr3t-token") as logger:
        logger.info("one")
        wait_for(lambda: counts()["refused"] == before["refused"] + 1, "the first refusal")
        logger.info("two")
    assert (counts() - before) == Counter(refused=2)
    told = [record.message for record in caplog.records if "elasticsearch" in record.name]
    said = f"it answers {status}: security_exception: no such key; such lines are dropped"
    assert told == [f"Elasticsearch at {elasticsearch.party.url}: {said}"]
    assert "s3cr3t" not in caplog.text


def test_a_batch_that_is_too_large_goes_in_halves(elasticsearch: Elasticsearch) -> None:
    elasticsearch.largest = 4_000
    before = counts()
    with shipping(elasticsearch.party.url, every=0.3) as logger:
        for number in range(40):
            logger.info("line %02d", number)
        logger.info("x" * 10_000)
    assert len(elasticsearch.documents) == 40
    assert (counts() - before) == Counter(sent=40, too_large=1)


def test_a_batch_whose_answer_was_lost_is_there_once(elasticsearch: Elasticsearch) -> None:
    held = threading.Event()

    def slowly(asked: Asked) -> tuple[int, Any]:
        answer = Elasticsearch.answer(elasticsearch, asked)
        if len(elasticsearch.party.asked) == 1:
            held.wait(30)
        return answer

    elasticsearch.party.answer = slowly
    before = counts()
    with shipping(elasticsearch.party.url, timeout=0.3) as logger:
        logger.info("once")
        wait_for(lambda: len(elasticsearch.party.asked) > 1, "the second attempt")
        held.set()
    assert elasticsearch.messages == ["once"]
    assert (counts() - before) == Counter(sent=1)


def test_one_that_never_answers_costs_neither_the_work_nor_the_end(elasticsearch: Elasticsearch) -> None:
    elasticsearch.party.trouble = "never"
    before = counts()
    with shipping(elasticsearch.party.url, most=100, timeout=60.0, exit_seconds=0.2) as logger:
        for number in range(1_000):
            logger.info("line %d", number)
    lost = counts() - before
    assert lost["full"] >= 800
    assert lost["full"] + lost["ended"] == 1_000


def test_bytes_are_bounded_too() -> None:
    before = counts()
    with shipping("http://127.0.0.1:1", most_bytes=100_000, exit_seconds=0.1) as logger:
        for _ in range(100):
            logger.info("x" * 10_000)
    assert (counts() - before)["full"] >= 80


def test_a_forked_child_ships_its_own_lines_and_not_its_parents(elasticsearch: Elasticsearch) -> None:
    with shipping(elasticsearch.party.url) as logger:
        logger.info("parent before")
        logger.handler.drain(10)  # type: ignore[attr-defined]
        logger.info("parent queued")
        child = os.fork()
        if child == 0:
            logger.info("child")
            os._exit(0 if logger.handler.drain(10) else 1)  # type: ignore[attr-defined]
        assert os.waitpid(child, 0)[1] == 0
        logger.info("parent after")
    assert elasticsearch.messages == ["child", "parent after", "parent before", "parent queued"]


def test_what_the_sending_tells_goes_to_other_handlers_alone(elasticsearch: Elasticsearch) -> None:
    root = logging.getLogger()
    handler = ElasticsearchHandler(elasticsearch.party.url, every=0.05)
    level = root.level
    root.setLevel("DEBUG")
    root.addHandler(handler)
    try:
        logging.getLogger("shop").info("mine")
        assert handler.drain(10)
        assert handler.drain(10)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
    assert elasticsearch.messages == ["mine"]


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("es.example.com:9200", {}, "https://host:9200"),
        ("http://a:b@h", {"api_key": "x"}, "one way to sign in"),
        ("http://h", {"api_key": "x y\n"}, "line's end"),
        ("http://h", {"ca_file": "/nowhere/ca.pem"}, "/nowhere/ca.pem"),
    ],
)
def test_what_is_set_wrongly_is_said_at_once(url: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as raised:
        ElasticsearchHandler(url, **options)
    assert "x y" not in str(raised.value)


def test_secrets_are_not_shown() -> None:
    handler = ElasticsearchHandler("https://ann:s3cr3t@es.example.com:9200/path")
    assert repr(handler) == "<ElasticsearchHandler https://es.example.com:9200/path>"
    handler.close()


def test_a_house_with_an_authority_of_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its certificate is trusted where it is given, and not where it is not."""
    certificate = _certificate(tmp_path)
    with counterparty(tls=certificate) as party:
        elasticsearch = Elasticsearch(party)
        with shipping(party.url, ca_file=certificate) as logger:
            logger.info("trusted")
        with shipping(party.url, exit_seconds=0.5) as logger:
            logger.info("not trusted")
    assert elasticsearch.messages == ["trusted"]
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text


def _certificate(folder: Path) -> Path:
    """Make a certificate of 127.0.0.1 that signs itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    there = folder / "es.pem"
    plain = serialization.NoEncryption()
    encoded = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    there.write_bytes(encoded + made.public_bytes(serialization.Encoding.PEM))
    return there
