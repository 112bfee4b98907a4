"""The offline façade: `LLM(model).generate(prompts, sampling_params)`, with vLLM's names and meanings.

First and last station of the token's path for a program that has all its prompts at hand. Batching is the
engine's business: give it everything at once, results come back in the order of the prompts.
"""

from __future__ import annotations

import itertools
import math
import operator
import reprlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar, cast

from pagoda.engine.args import EngineArgs
from pagoda.engine.beam_search import beam_search
from pagoda.engine.engine import LLMEngine
from pagoda.engine.outputs import (
    BeamSearchOutput,
    EmbeddingRequestOutput,
    PoolingOutput,
    PoolingRequestOutput,
    RequestOutput,
    ScoringOutput,
    ScoringRequestOutput,
)
from pagoda.engine.text.prompt import Prompt, are_token_ids, plain_list
from pagoda.errors import EngineDeadError, InvalidParameterError, InvalidRequestError, missing_method
from pagoda.models.tokenizer.chat_prompt import merged_fields
from pagoda.models.tokenizer.chat_template import read_template
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.progress import GenerationProgress
from pagoda.sampling_params import BeamSearchParams, PoolingParams, RequestOutputKind, SamplingParams
from pagoda.vllm_names import CALLS, METHODS

Params = TypeVar("Params", SamplingParams, PoolingParams)
Message = Mapping[str, Any]
ShowProgress = bool | Callable[..., object]


class LLM:
    """A model and its engine, in this process.

    model: directory, hub id, short name or llama2.c `.bin` file; None is the model that ships with pagoda.
    chat_template: a template's name, source or file in place of the checkpoint's, for `chat`.
    Further keywords are EngineArgs' fields: dtype, max_model_len, max_num_seqs, kv_cache_memory_fraction, ...
    `with LLM(...) as llm:` closes it at the end. Ranks that end by themselves are started again, and requests go on.
    What of vLLM's is accepted without effect or refused, also of the methods' keywords, stands in `vllm_names`.

    >>> llm = LLM(disable_log_stats=True)                                     # doctest: +SKIP
    >>> llm.generate("Once upon a time", SamplingParams(temperature=0))       # doctest: +SKIP
    """

    def __init__(
        self, model: str | Path | None = None, *, chat_template: str | Path | None = None, **engine_args: Any
    ) -> None:
        self._start(EngineArgs(model=model, **engine_args), chat_template)

    @classmethod
    def from_engine_args(cls, engine_args: EngineArgs) -> LLM:
        """Of settings that are in a record already."""
        llm = cls.__new__(cls)
        llm._start(engine_args, None)
        return llm

    def _start(self, args: EngineArgs, chat_template: str | Path | None) -> None:
        self._chat_template = None if chat_template is None else read_template(chat_template)
        self.llm_engine = LLMEngine.from_args(args)
        self._request_ids = itertools.count()
        self._streams: dict[str, deque[RequestOutput]] = {}  # what open streams have not yielded yet
        self._enqueued: list[str] = []
        self._arrived: dict[str, RequestOutput | EmbeddingRequestOutput] = {}  # of enqueued requests that have ended
        self._lost: dict[str, EngineDeadError] = {}  # requests under which ranks ended twice, until their caller asks

    def close(self) -> None:
        """Let go of the model and end its ranks; requests under way end. Calls afterwards raise EngineDeadError."""
        self.llm_engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> NoReturn:
        raise missing_method("LLM", name, METHODS)

    def get_tokenizer(self) -> Tokenizer:
        """The model's tokenizer. Raises InvalidRequestError where the checkpoint has none."""
        return self.llm_engine.get_tokenizer()

    def get_default_sampling_params(self) -> SamplingParams:
        """What the checkpoint's generation_config.json asks for, over SamplingParams' own defaults."""
        return SamplingParams(**self.llm_engine.parts.generation_defaults.sampling_params())

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt] | None = None,
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        use_tqdm: ShowProgress = True,
        priority: int | Sequence[int] | None = None,
        **vllm: Any,
    ) -> list[RequestOutput]:
        """Complete every prompt; one RequestOutput each, in order.

        prompts: strings, `{"prompt": str}` or `{"prompt_token_ids": [...]}`, one or many; a list of ids alone is
            taken for one prompt. They have a default only so that older programs' `prompt_token_ids=` is told what to
            write. sampling_params: one for all, or one for each. use_tqdm: show progress.
        Raises InvalidRequestError before anything runs if any prompt or parameter is unusable.
        """
        CALLS.sort("LLM.generate", vllm, ())
        request_ids = self._add_generations(cast(Prompt, prompts), sampling_params, priority)
        outputs = self._run(request_ids, use_tqdm)
        return [cast(RequestOutput, outputs[request_id]) for request_id in request_ids]

    def enqueue(
        self,
        prompts: Prompt | Sequence[Prompt],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        priority: int | Sequence[int] | None = None,
        use_tqdm: ShowProgress = True,
        **vllm: Any,
    ) -> list[str]:
        """As `generate`, but only queue the prompts; `wait_for_completion` runs them. Their request ids, in order."""
        CALLS.sort("LLM.enqueue", vllm, ())
        request_ids = self._add_generations(prompts, sampling_params, priority)
        self._enqueued += request_ids
        return request_ids

    def wait_for_completion(self, *, use_tqdm: ShowProgress = True, **vllm: Any) -> list[RequestOutput]:
        """Run all that was enqueued; one RequestOutput each, in the order in which they were."""
        CALLS.sort("LLM.wait_for_completion", vllm, ())
        request_ids, self._enqueued = self._enqueued, []
        outputs = self._run(request_ids, use_tqdm)
        return [cast(RequestOutput, outputs[request_id]) for request_id in request_ids]

    def beam_search(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: BeamSearchParams,
        *,
        use_tqdm: ShowProgress = False,
        concurrency_limit: int | None = None,
        priority: int | Sequence[int] | None = None,
        **vllm: Any,
    ) -> list[BeamSearchOutput]:
        """The best beams of every prompt. Needs `max_logprobs` of twice the beam width.

        concurrency_limit: prompts that are searched at once. priority: see `generate`; one for all.
        """
        CALLS.sort("LLM.beam_search", vllm, ())
        if not isinstance(params, BeamSearchParams):
            raise InvalidParameterError(f"params is {reprlib.repr(params)}, but BeamSearchParams are expected")
        if concurrency_limit is not None and concurrency_limit < 1:
            raise InvalidParameterError(f"concurrency_limit is {concurrency_limit}, but at least 1 is expected")
        engine, tokenizer = self.llm_engine, self.get_tokenizer()
        ids = [engine.input_processor.token_ids(prompt)[1] for prompt in _as_prompts(prompts)]
        found: list[BeamSearchOutput] = []
        for start in range(0, len(ids), concurrency_limit or len(ids) or 1):
            searched = beam_search(
                lambda beams, step: self.generate(beams, step, use_tqdm=use_tqdm, priority=priority),
                ids[start : start + (concurrency_limit or len(ids))],
                params,
                engine.parts.eos_token_ids,
                max_model_len=engine.max_model_len,
            )
            for beams in searched:
                texts = [tokenizer.decode(beam.tokens, params.skip_special_tokens) for beam in beams]
                found.append(BeamSearchOutput([replace(b, text=t) for b, t in zip(beams, texts, strict=True)]))
        return found

    def chat(
        self,
        messages: Sequence[Message] | Sequence[Sequence[Message]],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        use_tqdm: ShowProgress = True,
        *,
        chat_template: str | None = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: Sequence[Mapping[str, Any]] | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        priority: int | Sequence[int] | None = None,
        **vllm: Any,
    ) -> list[RequestOutput]:
        """Answer one conversation, or many; messages are `{"role": ..., "content": ...}`."""
        CALLS.sort("LLM.chat", vllm, ())
        conversations = _as_conversations(messages)
        tokenizer = self.get_tokenizer()
        # Its default counts as not set, so that a variable of its name may say otherwise.
        opens = None if add_generation_prompt and chat_template_kwargs else add_generation_prompt
        fields = merged_fields(
            {"add_generation_prompt": opens, "continue_final_message": continue_final_message}, chat_template_kwargs
        )
        prompts: list[Prompt] = []
        for conversation in conversations:
            template = chat_template or self._chat_template
            prompt_token_ids = tokenizer.encode_chat(conversation, tools, chat_template=template, **fields)
            prompts.append({"prompt_token_ids": prompt_token_ids})
        return self.generate(prompts, sampling_params, use_tqdm=use_tqdm, priority=priority)

    def embed(
        self,
        prompts: Prompt | Sequence[Prompt],
        pooling_params: PoolingParams | Sequence[PoolingParams] | None = None,
        *,
        use_tqdm: ShowProgress = True,
        **vllm: Any,
    ) -> list[EmbeddingRequestOutput]:
        """A vector for each prompt, pooled from its hidden states as the checkpoint says.

        Without such files: the last token's state, scaled to length 1. A prompt of the checkpoint's own goes before
        each text, by `PoolingParams(prompt_name=...)` or unasked where it is the default.
        """
        CALLS.sort("LLM.embed", vllm, ())
        all_prompts = _as_prompts(prompts)
        all_params = _one_each("pooling_params", pooling_params, all_prompts, PoolingParams())
        request_ids = self._add_all(all_prompts, all_params, [0] * len(all_prompts))
        outputs = self._run(request_ids, use_tqdm)
        return [cast(EmbeddingRequestOutput, outputs[request_id]) for request_id in request_ids]

    def encode(
        self,
        prompts: Prompt | Sequence[Prompt],
        pooling_params: PoolingParams | Sequence[PoolingParams] | None = None,
        *,
        use_tqdm: ShowProgress = True,
        pooling_task: str | None = None,
        **vllm: Any,
    ) -> list[PoolingRequestOutput[PoolingOutput]]:
        """As `embed`, with the embedding as a tensor [hidden_size] in `outputs.data`. pooling_task: "embed" or None."""
        # torch is there already: the engine has brought it.
        import torch

        CALLS.sort("LLM.encode", vllm, ())
        if pooling_task not in (None, "embed"):
            raise InvalidParameterError(
                f"pooling_task is {pooling_task!r}, but this version pools for 'embed' alone: {METHODS['classify']}",
                param="pooling_task",
            )
        return [
            PoolingRequestOutput(
                each.request_id, PoolingOutput(torch.tensor(each.outputs.embedding)), each.prompt_token_ids
            )
            for each in self.embed(prompts, pooling_params, use_tqdm=use_tqdm)
        ]

    def score(
        self,
        data_1: Prompt | Sequence[Prompt],
        data_2: Prompt | Sequence[Prompt],
        /,
        *,
        use_tqdm: ShowProgress = True,
        pooling_params: PoolingParams | None = None,
        **vllm: Any,
    ) -> list[ScoringRequestOutput]:
        """How alike the texts of each pair are: the cosine of their embeddings. One text against many, or in pairs."""
        CALLS.sort("LLM.score", vllm, ())
        left, right = _as_prompts(data_1), _as_prompts(data_2)
        if not left or not right or len(left) not in (1, len(right)):
            raise InvalidRequestError(
                f"{len(left)} texts cannot be paired with {len(right)}: give one and several, or as many of both"
            )
        told = self.embed([*left, *right], pooling_params, use_tqdm=use_tqdm)
        firsts = told[: len(left)] * (len(right) // len(left))
        return [_scored(first, second) for first, second in zip(firsts, told[len(left) :], strict=True)]

    def reset_prefix_cache(self, **vllm: Any) -> bool:
        """Forget all cached blocks, so that prompts are computed anew; False while requests run, which hold some."""
        CALLS.sort("LLM.reset_prefix_cache", vllm, ())
        return self.llm_engine.reset_prefix_cache()

    def stream(self, prompt: Prompt, sampling_params: SamplingParams | None = None) -> Iterator[RequestOutput]:
        """Complete one prompt and yield what is new after every step, or the whole so far by `output_kind`.

        The request is queued at once, so that a bad one raises here; leaving the loop early ends it.
        """
        params = sampling_params or self.get_default_sampling_params().clone(output_kind=RequestOutputKind.DELTA)
        (request_id,) = self._add_all([prompt], [params], [0])
        self._streams[request_id] = deque()
        return self._stream(request_id)

    def stream_chat(
        self, messages: Sequence[Message], sampling_params: SamplingParams | None = None
    ) -> Iterator[RequestOutput]:
        """`stream` for a conversation."""
        return self.stream({"prompt_token_ids": self.get_tokenizer().encode_chat(messages)}, sampling_params)

    def _stream(self, request_id: str) -> Iterator[RequestOutput]:
        arrived = self._streams[request_id]
        finished = False
        try:
            # Without the second condition a request that was aborted elsewhere would be waited for in vain.
            while not finished and (arrived or self.llm_engine.has_unfinished_requests()):
                if not arrived:
                    self._step()
                    self._raise_where_lost([request_id])
                    continue
                output = arrived.popleft()
                finished = output.finished
                yield output
            self._raise_where_lost([request_id])  # while another was read, and nothing is left to step
        finally:
            del self._streams[request_id]
            if not (finished or self.llm_engine.is_closed):
                self.llm_engine.abort_request(request_id)

    def _step(self) -> list[RequestOutput | EmbeddingRequestOutput]:
        """One step of the engine. What it brings for others than the caller waits for them."""
        try:
            outputs = self.llm_engine.step()
        except EngineDeadError as error:
            self._lost |= dict.fromkeys(self.llm_engine.give_up(), error)
            self.llm_engine.core.recover(error)
            return []
        for output in outputs:
            if output.request_id in self._streams:
                self._streams[output.request_id].append(cast(RequestOutput, output))
            elif output.request_id in self._enqueued:
                self._arrived[output.request_id] = output
        return outputs

    def _raise_where_lost(self, request_ids: Iterable[str]) -> None:
        """Raises what ended some of these requests."""
        if self._lost and (errors := [self._lost.pop(each) for each in request_ids if each in self._lost]):
            raise errors[0]

    def _add_generations(
        self,
        prompts: Prompt | Sequence[Prompt],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None,
        priority: int | Sequence[int] | None,
    ) -> list[str]:
        """Queue what `generate` was given; request ids, in order."""
        all_prompts = _as_prompts(prompts)
        all_params = _one_each("sampling_params", sampling_params, all_prompts, self.get_default_sampling_params())
        final = [params.clone(output_kind=RequestOutputKind.FINAL_ONLY) for params in all_params]
        return self._add_all(all_prompts, final, _priorities(priority, len(all_prompts)))

    def _add_all(self, prompts: Sequence[Prompt], params: Sequence[Params], priorities: Sequence[int]) -> list[str]:
        """Queue everything or nothing."""
        added: list[str] = []
        try:
            for prompt, own_params, priority in zip(prompts, params, priorities, strict=True):
                request_id = str(next(self._request_ids))
                self.llm_engine.add_request(request_id, prompt, own_params, priority=priority)
                added.append(request_id)
        except BaseException:
            self._abort(added)
            raise
        return added

    def _run(
        self, request_ids: Sequence[str], show_progress: ShowProgress
    ) -> dict[str, RequestOutput | EmbeddingRequestOutput]:
        """Step until all are done. Ctrl-C ends them and leaves the engine ready for more."""
        wanted = set(request_ids)
        outputs = {request_id: self._arrived.pop(request_id) for request_id in wanted & self._arrived.keys()}
        with GenerationProgress(len(request_ids), enabled=bool(show_progress)) as progress:
            try:
                while len(outputs) < len(wanted):
                    self._raise_where_lost(request_ids)
                    for output in self._step():
                        if output.request_id in wanted and output.finished:
                            outputs[output.request_id] = output
                            progress.advance(output)
            except BaseException:
                self._abort([request_id for request_id in request_ids if request_id not in outputs])
                raise
        return outputs

    def _abort(self, request_ids: Sequence[str]) -> None:
        for request_id in request_ids:
            self.llm_engine.abort_request(request_id)


def _as_prompts(prompts: Prompt | Sequence[Prompt]) -> list[Prompt]:
    if isinstance(prompts, (str, Mapping)):
        return [prompts]
    listed = plain_list(prompts)
    if listed is None:
        raise InvalidRequestError(
            f"prompts is {reprlib.repr(prompts)}, but a prompt or a list of them is expected", param="prompts"
        )
    return [listed] if listed and are_token_ids(listed) else listed


def _priorities(given: int | Sequence[int] | None, count: int) -> list[int]:
    if given is None or isinstance(given, int):
        return [given or 0] * count
    listed = plain_list(given)
    if listed is None or not are_token_ids(listed):
        raise InvalidParameterError(
            f"priority is {reprlib.repr(given)}, but a whole number or a list of them is expected", param="priority"
        )
    _check_count("priority", listed, count)
    return listed


def _check_count(name: str, given: Sequence[object], count: int) -> None:
    if len(given) != count:
        raise InvalidParameterError(
            f"{name} has {len(given)} entries for {count} prompts: give one for all, or one for each", param=name
        )


def _scored(first: EmbeddingRequestOutput, second: EmbeddingRequestOutput) -> ScoringRequestOutput:
    a, b = first.outputs.embedding, second.outputs.embedding
    lengths = math.hypot(*a) * math.hypot(*b)
    score = sum(map(operator.mul, a, b)) / lengths if lengths else 0.0
    return ScoringRequestOutput(
        second.request_id, ScoringOutput(score), (*first.prompt_token_ids, *second.prompt_token_ids)
    )


def _as_conversations(messages: Sequence[Message] | Sequence[Sequence[Message]]) -> list[Sequence[Message]]:
    listed = plain_list(messages)
    if listed == []:
        raise InvalidRequestError("messages is empty: give at least one message", param="messages")
    conversations: list[Any] = listed if listed and plain_list(listed[0]) is not None else [messages]
    for conversation in conversations:
        told = plain_list(conversation)
        # Clients' own message objects go by their fields.
        if told is None or not all(isinstance(each, Mapping) or hasattr(each, "model_dump") for each in told):
            raise InvalidRequestError(
                f"a conversation is a list of messages, but this is {reprlib.repr(conversation)}", param="messages"
            )
    return conversations


def _one_each(
    name: str, given: Params | Sequence[Params] | None, prompts: Sequence[Prompt], default: Params
) -> list[Params]:
    if given is None:
        return [default] * len(prompts)
    if isinstance(given, type(default)):
        return [given] * len(prompts)
    if not isinstance(given, (list, tuple)) or not all(isinstance(each, type(default)) for each in given):
        raise InvalidParameterError(
            f"{name} is {reprlib.repr(given)}, but {type(default).__name__} is expected, or a list of them", param=name
        )
    _check_count(name, given, len(prompts))
    return list(given)
