"""A topic, behind a consumer with aiokafka's face: offsets move after the commit, and no sooner."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, ClassVar

from pagoda.opinions.connectors.kafka import KafkaConnector


@dataclass
class Message:
    """As aiokafka's."""

    value: bytes | None
    offset: int
    partition: int = 0


class Consumer:
    """A topic of one partition that is read from what was committed last."""

    values: ClassVar[list[bytes | None]] = []
    position = 0

    def __init__(self, topic: str, **settings: Any) -> None:
        self.topic, self.settings, self.is_started = topic, settings, False
        self._at = type(self).position

    async def start(self) -> None:
        self.is_started = True

    async def stop(self) -> None:
        self.is_started = False

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[str, list[Message]]:
        found = [Message(value, at) for at, value in enumerate(self.values) if at >= self._at][:2]
        self._at += len(found)
        await asyncio.sleep(0)
        return {"place": found} if found else {}

    async def commit(self, offsets: dict[str, int]) -> None:
        type(self).position = offsets["place"]


def test_messages_become_items_and_are_read_again_where_they_were_not_committed() -> None:
    class Topic(Consumer):
        pass

    Topic.values = [json.dumps({"title": f"n {n}", "id": str(n)}).encode() for n in range(3)]
    Topic.values.insert(1, b"broken")

    async def read(num_batches: int, commits: bool) -> tuple[list[str], list[str]]:
        connector = KafkaConnector(["localhost:9092"], "news", "pagoda", make=Topic)
        assert connector._consumer.settings["enable_auto_commit"] is False
        titles: list[str] = []
        faults: list[str] = []
        async for batch in connector.batches():
            titles += [item.title for item in batch.items]
            faults += batch.faults
            if commits:
                await batch.committed()
            num_batches -= 1
            if not num_batches:
                break
        await connector.close()
        assert not connector._consumer.is_started
        return titles, faults

    assert asyncio.run(read(1, commits=False))[0] == ["n 0"]
    titles, faults = asyncio.run(read(1, commits=True))
    assert titles == ["n 0"]
    assert faults[0].startswith("news, partition 0, offset 1: not JSON")
    assert asyncio.run(read(1, commits=True))[0] == ["n 1", "n 2"]
