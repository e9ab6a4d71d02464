"""A Redis that a failover has made a replica: readers stand still, and read on when there is a master again."""

import asyncio
import logging
from collections.abc import Callable

import pytest
import redis
from servers import RedisServer

from orakul.delivery.broker import Outcome, Subscription, open_broker
from orakul.delivery.message import Message, message_of
from orakul.errors import BrokerUnavailableError
from orakul.events import Event

PATIENCE = 60.0


def message(number: int) -> Message:
    return message_of(Event(event_type="defect.created", data={"defect_id": number}), None)


def test_a_reader_outlives_its_master_becoming_a_replica(
    own_redis: Callable[[], RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    server, master = own_redis(), own_redis()

    async def law() -> None:
        broker = open_broker(server.url)
        await broker.connect()
        stream = await broker.subscribe(Subscription(queue="q", patterns=("#",)))
        async with asyncio.timeout(PATIENCE):
            await broker.publish([message(0)])
            [first] = await stream.take(1)
            await first.ack()
        with redis.Redis.from_url(server.url) as admin:
            admin.replicaof("127.0.0.1", str(master.port))
            async with asyncio.timeout(PATIENCE):
                while "stands still" not in caplog.text:  # noqa: ASYNC110 (it is a server that changes)
                    await asyncio.sleep(0.05)
            admin.replicaof("NO", "ONE")
        sent = message(1)
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    [receipt] = await broker.publish([sent])
                except BrokerUnavailableError:
                    continue
                if receipt.outcome is Outcome.CONFIRMED:
                    break
            [second] = await stream.take(1)
            assert second.message.message_id == sent.message_id
            await second.ack()
            await broker.close()

    with caplog.at_level(logging.WARNING, logger="orakul.broker"):
        asyncio.run(law())
