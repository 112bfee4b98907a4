"""An engine without a model, and clients of a whole application around it, all in one process and one event loop.

`FakeEngine` is the real `AsyncEngine` with its process replaced: admission, streams and departures are the real ones,
and what the process would answer is written by the test.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

import pagoda
from pagoda.engine.args import EngineArgs
from pagoda.engine.outputs import (
    CompletionOutput,
    EmbeddingOutput,
    EmbeddingRequestOutput,
    Logprob,
    RequestMetrics,
    RequestOutput,
    merge_outputs,
)
from pagoda.engine.process.async_engine import AsyncEngine, EngineState
from pagoda.engine.process.messages import Abort, Accepted, Add, EngineInfo, StepStats, refusal, stepped
from pagoda.engine.scheduling.plan import SchedulerStats
from pagoda.engine.text.detokenizer import IncrementalDetokenizer
from pagoda.errors import EngineDeadError, PagodaError
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.sampling_params import PoolingParams, RequestOutputKind, SamplingParams
from pagoda.server.app import build_app
from pagoda.server.config import ServerConfig
from patience import HANG_S

INFO = EngineInfo(
    model="fake",
    path="",
    max_model_len=64,
    vocab_size=8192,
    hidden_size=4,
    num_parameters=1,
    dtype="float32",
    device="cpu",
    kernels="reference",
    block_size=16,
    num_blocks=64,
    max_num_seqs=8,
    max_logprobs=20,
    eos_token_ids=(0,),
    default_sampling_params={},
    startup_s={"load": 0.1},
    pid=0,
)
EMBEDDING = (0.5, -0.25, 1.0, 0.0)
_CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "北京 🦊"}}\n</tool_call>'
ANSWERS = [
    "好的。🦊",
    _CALL,
    f'我来看看。\n{_CALL}\n<tool_call>\n{{"name": "now", "arguments": {{}}}}\n</tool_call>',
    '<tool_call>\n{"name": "unknown", "arguments": {}}\n</tool_call>',
    "a <tool_call b",
    _CALL[:60],
]


class FakeEngine(AsyncEngine):
    """Says `text` to whatever it is asked, one token a step.

    text: the completion; one for each of n where it is a list. finish_reason: how each ends, unless max_tokens does;
    stop_reason: beside it.
    refusal: raised at the door, as the engine's process would. hold: when cleared, nothing more is said.
    dies_after: steps of one request after which the process is lost. added, aborted: what the process was told.
    """

    def __init__(self, tokenizer: Tokenizer, **changes: Any) -> None:
        names = changes.pop("served_model_name", changes.get("model", INFO.model))
        super().__init__(EngineArgs(served_model_name=names), max_num_waiting=changes.pop("max_num_waiting", 1024))
        self._fake_info = dataclasses.replace(INFO, **changes)
        self._fake_tokenizer = tokenizer
        self.text: str | list[str] = "从前 fox 🦊, 月亮。"
        self.finish_reason = "stop"
        self.stop_reason: str | None = None
        self.refusal: PagodaError | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self.dies_after: int | None = None
        self.added: list[Add] = []
        self.aborted: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def params(self) -> list[SamplingParams | PoolingParams]:
        """Of all requests, in order."""
        return [add.params for add in self.added]

    @property
    def prompts(self) -> list[str]:
        """Of all requests, in order, with their special tokens."""
        return [self._fake_tokenizer.decode(add.prompt_token_ids, skip_special_tokens=False) for add in self.added]

    async def start(self) -> None:
        """Be there at once."""
        self._info, self.tokenizer, self.state = self._fake_info, self._fake_tokenizer, EngineState.READY

    def _send(self, message: object) -> None:
        if isinstance(message, Abort):
            self.aborted.append(message.request_id)
            return
        assert isinstance(message, Add)
        self.added.append(message)
        task = asyncio.ensure_future(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, add: Add) -> None:
        if self.refusal is not None:
            self._take(refusal(add.request_id, self.refusal))
            return
        self._take(Accepted(add.request_id))
        if isinstance(add.params, PoolingParams):
            self._step(EmbeddingRequestOutput(add.request_id, EmbeddingOutput(EMBEDDING)))
            return
        for number, output in enumerate(self._outputs(add, add.params)):
            await asyncio.sleep(0)
            await self.hold.wait()
            if number == self.dies_after:
                self._fail(EngineDeadError("the engine's process has ended (killed by signal 9)"))
                return
            self._step(output)

    def _step(self, output: RequestOutput | EmbeddingRequestOutput) -> None:
        self._take(stepped([output], [StepStats(SchedulerStats(num_running=1), 1)]))

    def _outputs(self, add: Add, params: SamplingParams) -> list[RequestOutput]:
        completions = [list(self._completion(add, index, params)) for index in range(params.n)]
        rounds = range(max(map(len, completions)))
        order = [one[step] for step in rounds for one in completions if step < len(one)]
        outputs = [self._output(add, params, part, number, len(order)) for number, part in enumerate(order)]
        return [merge_outputs(outputs)] if params.output_kind is RequestOutputKind.FINAL_ONLY else outputs

    def _output(
        self, add: Add, params: SamplingParams, part: CompletionOutput, number: int, total: int
    ) -> RequestOutput:
        scores = None
        if params.prompt_logprobs is not None and number == 0:
            scores = (None, *(self._entry(i, params.prompt_logprobs) for i in add.prompt_token_ids[1:]))
        metrics = RequestMetrics(0.0, 0.001, 0.003, 0.007, time.monotonic())
        return RequestOutput(
            add.request_id, None, add.prompt_token_ids, scores, (part,), number == total - 1, metrics, 2
        )

    def _completion(self, add: Add, index: int, params: SamplingParams) -> Iterator[CompletionOutput]:
        text = self.text if isinstance(self.text, str) else self.text[index]
        ids = self._fake_tokenizer.encode(text, add_special_tokens=False)
        cut = params.max_tokens is not None and params.max_tokens < len(ids)
        ids = ids[: params.max_tokens] if cut else ids
        detokenizer = IncrementalDetokenizer(self._fake_tokenizer)
        if not ids:
            yield CompletionOutput(index, "", (), None, None if params.logprobs is None else (), "length")
        for position, token_id in enumerate(ids):
            last = position == len(ids) - 1
            piece = detokenizer.push(token_id) + (detokenizer.flush() if last else "")
            logprobs = None if params.logprobs is None else (self._entry(token_id, params.logprobs),)
            reason = ("length" if cut else self.finish_reason) if last else None
            stop_reason = self.stop_reason if last else None
            yield CompletionOutput(index, piece, (token_id,), None, logprobs, reason, stop_reason)

    def _entry(self, token_id: int, count: int) -> dict[int, Logprob]:
        """The token itself ranks second, behind the one before it in the vocabulary; then an impossible one."""
        likely = {token_id: (-1.5, 2), token_id - 1: (-0.5, 1), token_id - 2: (float("-inf"), 3)}
        kept = {i: value for i, value in likely.items() if i == token_id or value[1] <= count}
        return {i: Logprob(value, rank, self._fake_tokenizer.token_text(i)) for i, (value, rank) in kept.items()}


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """The built-in model's: 8192 byte-level pieces, with a chat template."""
    return Tokenizer.from_directory(Path(pagoda.__file__).parent / "builtin")


@pytest.fixture
def fake_engine(tokenizer: Tokenizer) -> FakeEngine:
    """A loaded FakeEngine, for tests that build an application of their own."""
    engine = FakeEngine(tokenizer)
    asyncio.run(engine.start())
    return engine


@pytest.fixture
def engine(tokenizer: Tokenizer) -> FakeEngine:
    """A loaded FakeEngine with room for templates and tools; `text` is a list, one for each of n."""
    engine = FakeEngine(tokenizer, model="scripted", max_model_len=1024)
    engine.text = ["好的。🦊"]
    asyncio.run(engine.start())
    return engine


@pytest.fixture
def client(engine: FakeEngine) -> openai.AsyncOpenAI:
    """OpenAI's own client of an application around `engine`."""
    transport = httpx.ASGITransport(build_app(engine, ServerConfig(access_log=False)))
    http_client = httpx.AsyncClient(transport=transport)
    return openai.AsyncOpenAI(api_key="x", base_url="http://localhost/v1", http_client=http_client, max_retries=0)


@pytest.fixture(params=ANSWERS)
def answer_text(request: pytest.FixtureRequest) -> str:
    """What a model may say: text, calls, both, and what looks like a call and is none."""
    return request.param


class Server:
    """One application around a fake engine, and a client of it."""

    def __init__(self, engine: FakeEngine, client: httpx.AsyncClient, app: Any) -> None:
        self.engine, self.client, self.app = engine, client, app

    @property
    def state(self) -> Any:
        """The ServerState."""
        return self.app.state.server

    async def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """POST a JSON body."""
        return await self.client.post(path, json=body, **options)

    async def exchange(self, path: str, body: bytes) -> Exchange:
        """Begin a POST whose client can leave, which httpx's in-process transport cannot."""
        return Exchange(self.app, path, body)


class Exchange:
    """One POST at the level of ASGI. `leave()` closes the connection; `sent` is what came so far."""

    def __init__(self, app: Any, path: str, body: bytes) -> None:
        self.sent: list[dict[str, Any]] = []
        self._gone = asyncio.Event()
        self._body: bytes | None = body
        headers = [(b"content-type", b"application/json"), (b"host", b"localhost")]
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
        }
        scope |= {"raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http"}
        scope |= {"headers": headers, "client": ("127.0.0.1", 1), "server": ("test", 80)}
        self.running = asyncio.ensure_future(app(scope, self._receive, self._send))

    def leave(self) -> None:
        """Close the connection."""
        self._gone.set()

    async def finished(self) -> None:
        """Wait until the application is done with it."""
        await asyncio.wait_for(self.running, HANG_S)

    async def has_events(self, count: int) -> None:
        """Wait until so many pieces of the body were sent."""
        while sum(message["type"] == "http.response.body" for message in self.sent) < count:
            await asyncio.sleep(0)

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        await asyncio.sleep(0)


@pytest.fixture
def serve(tokenizer: Tokenizer) -> Callable[..., Any]:
    """`async with serve(config, **changes_of_the_engine_info) as server`."""

    @asynccontextmanager
    async def make(
        config: ServerConfig | None = None, *, loaded: bool = True, raises: bool = True, **changes: Any
    ) -> AsyncIterator[Server]:
        engine = FakeEngine(tokenizer, **changes)
        app = build_app(engine, config or ServerConfig(access_log=False))
        if loaded:
            await engine.start()
            app.state.server.metrics.on_loaded(engine.info, app.state.server.model_names[0])
        transport = httpx.ASGITransport(app, raise_app_exceptions=raises)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield Server(engine, client, app)

    return make


def settled(check: Callable[[], bool], what: str) -> Any:
    """Awaitable that ends when `check` holds, and fails where that never comes."""

    async def wait() -> None:
        for _ in range(1000):
            if check():
                return
            await asyncio.sleep(0)
        raise AssertionError(f"never came: {what}")

    return wait()


@pytest.fixture
def until() -> Callable[[Callable[[], bool], str], Any]:
    """`await until(check, "what it waits for")`."""
    return settled


@pytest.fixture
def events() -> Callable[[str], list[Any]]:
    """`events(text)`: the data of a stream's events, parsed; `[DONE]` must be the last and is left out."""

    def parse(text: str) -> list[Any]:
        lines: Sequence[str] = [line for line in text.split("\n\n") if line and not line.startswith(":")]
        assert lines[-1] == "data: [DONE]"
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]

    return parse
