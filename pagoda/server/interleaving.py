"""Several prompts of one call, answered in one stream.

On the token's path: between the streams of the engine and the chunks of an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from pagoda.engine.outputs import RequestOutput


async def interleaved(
    sources: Sequence[AsyncGenerator[RequestOutput]],
) -> AsyncGenerator[tuple[int, RequestOutput]]:
    """Outputs of several sources in the order in which they come. A source's error ends all."""
    # A full queue holds the sources up, whose streams then merge what waits for a slow reader.
    arrived: asyncio.Queue[tuple[int, RequestOutput | BaseException | None]] = asyncio.Queue(maxsize=len(sources))

    async def forward(index: int, source: AsyncGenerator[RequestOutput]) -> None:
        try:
            async for output in source:
                await arrived.put((index, output))
            await arrived.put((index, None))
        except Exception as error:
            await arrived.put((index, error))

    tasks = [asyncio.ensure_future(forward(index, source)) for index, source in enumerate(sources)]
    try:
        num_open = len(tasks)
        while num_open:
            index, item = await arrived.get()
            if isinstance(item, RequestOutput):
                yield index, item
            elif item is None:
                num_open -= 1
            else:
                raise item
    finally:
        for task in tasks:
            task.cancel()
