"""A topic of Kafka's, each message an item in JSON; its offset moves when the item is committed.

On the path *feed -> item*. aiokafka is an extra, and is imported only where a topic is configured. Offsets are
committed by hand after our own commit: a process that ends in between reads some messages again, whose keys are known.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from pagoda.errors import InvalidRequestError, MissingExtraError
from pagoda.opinions.connectors.connector import ItemBatch
from pagoda.opinions.connectors.items import item_of
from pagoda.opinions.errors import ConnectorError
from pagoda.opinions.story import Item

_WAIT_MS = 1_000
_MOST_MESSAGES = 64


class KafkaConnector:
    """One topic. make: what gives a consumer with aiokafka's face, for tests. Raises MissingExtraError."""

    def __init__(
        self, servers: Sequence[str], topic: str, group: str, name: str = "", *, make: Callable[..., Any] | None = None
    ) -> None:
        self.name, self._topic = name or topic, topic
        self._consumer: Any = (make or _aiokafka())(
            topic,
            bootstrap_servers=list(servers),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        self._runs = False

    async def batches(self) -> AsyncIterator[ItemBatch]:
        """What the topic has, as it comes. Raises ConnectorError where the servers cannot be reached."""
        try:
            # One that could not start has threads and sockets to give back, too.
            self._runs = True
            await self._consumer.start()
            while True:
                found = await self._consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MOST_MESSAGES)
                messages = [message for part in found.values() for message in part]
                if messages:
                    yield self._batch(messages, {place: part[-1].offset + 1 for place, part in found.items() if part})
        except (OSError, RuntimeError) as error:  # aiokafka's own are of the second kind
            raise ConnectorError(f"the topic {self._topic} cannot be read: {error}") from error

    async def close(self) -> None:
        """Leave the group."""
        if self._runs:
            self._runs = False
            await self._consumer.stop()

    def _batch(self, messages: Sequence[Any], offsets: dict[Any, int]) -> ItemBatch:
        items: list[Item] = []
        faults: list[str] = []
        now = datetime.now(UTC)
        for message in messages:
            try:
                items.append(item_of(_record(message.value), self.name, now))
            except InvalidRequestError as error:
                faults.append(f"{self._topic}, partition {message.partition}, offset {message.offset}: {error}")

        async def committed() -> None:
            await self._consumer.commit(offsets)

        return ItemBatch(tuple(items), committed, tuple(faults))


def _record(value: bytes | None) -> dict[str, Any]:
    try:
        record = json.loads(value or b"")
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"not JSON ({error})") from error
    if not isinstance(record, dict):
        raise InvalidRequestError(f"a {type(record).__name__}, expected an object with title, text, ...")
    return record


def _aiokafka() -> Callable[..., Any]:
    try:
        from aiokafka import AIOKafkaConsumer
    except ModuleNotFoundError as error:
        raise MissingExtraError("a topic of Kafka's", "kafka") from error
    consumer: Callable[..., Any] = AIOKafkaConsumer
    return consumer
