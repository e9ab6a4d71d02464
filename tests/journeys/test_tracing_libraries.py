"""Each library's calls are spans, each once; and queries that are part of nothing are none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from collector import Collector

PROGRAM = """
import asyncio, os
import asyncpg, psycopg, redis, sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
from opentelemetry import trace
from orakul import telemetry

url = os.environ["DATABASE"]
early = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
memory = sqlalchemy.create_engine("sqlite://")
tracing = telemetry.set_up("libraries")
tracer = trace.get_tracer("test")

async def use():
    connection = await asyncpg.connect(url)
    await connection.fetch("SELECT 'asyncpg'")
    await connection.close()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("SELECT 'psycopg async'")
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.connect() as connection:
        await connection.execute(sqlalchemy.text("SELECT 'sqlalchemy over asyncpg'"))
    await engine.dispose()

def all_of_them():
    asyncio.run(use())
    with psycopg.connect(url) as connection:
        connection.execute("SELECT 'psycopg'")
    with early.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 'sqlalchemy over psycopg'"))
    with memory.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 'sqlalchemy over sqlite'"))
        try:
            connection.execute(sqlalchemy.text("SELECT 'wrong' FROM nowhere"))
        except sqlalchemy.exc.OperationalError:
            pass
    redis.Redis.from_url(os.environ["REDIS"]).set("a", "b")

all_of_them()  # part of nothing
with tracer.start_as_current_span("work"):
    all_of_them()
"""
TOLD = [
    "SELECT 'asyncpg'",
    "SELECT 'psycopg async'",
    "SELECT 'psycopg'",
    "SELECT 'sqlalchemy over asyncpg'",
    "SELECT 'sqlalchemy over psycopg'",
    "SELECT 'sqlalchemy over sqlite'",
    "SELECT 'wrong' FROM nowhere",
    "SET ? ?",
]


@pytest.mark.slow
def test_every_library_tells_once_and_only_within_a_span(database_url: str, redis_url: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with Collector() as collector:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORAKUL_", "OTEL_"))}
        environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "DATABASE": database_url, "REDIS": redis_url}
        subprocess.run([sys.executable, program], env=environment, check=True, timeout=120, cwd=tmp_path)
        spans = collector.until(lambda found: any(span.name == "work" for span in found))
    (root,) = [span for span in spans if span.parent_id is None]
    assert root.name == "work"
    below = [span for span in spans if span.parent_id == root.span_id and "db.statement" in span.attributes]
    statements = sorted(span.attributes["db.statement"] for span in below)
    assert [text for text in statements if text in TOLD] == TOLD, json.dumps(statements, indent=1)
    (wrong,) = [span for span in below if "wrong" in span.attributes["db.statement"]]
    assert wrong.failed
