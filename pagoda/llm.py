"""The offline façade: `LLM(model).generate(prompts, sampling_params)`, with vLLM's names and meanings.

First and last station of the token's path for a program that has all its prompts at hand. Batching is the
engine's business: give it everything at once, results come back in the order of the prompts.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from pagoda.engine.args import EngineArgs
from pagoda.engine.engine import LLMEngine
from pagoda.engine.outputs import EmbeddingRequestOutput, RequestOutput
from pagoda.engine.text.input_processor import Prompt
from pagoda.errors import InvalidParameterError, InvalidRequestError
from pagoda.models.tokenizer.chat_prompt import merged_fields
from pagoda.models.tokenizer.tokenizer import Tokenizer
from pagoda.progress import GenerationProgress
from pagoda.sampling_params import PoolingParams, RequestOutputKind, SamplingParams

Params = TypeVar("Params", SamplingParams, PoolingParams)
Message = Mapping[str, Any]


class LLM:
    """A model and its engine, in this process.

    model: directory, hub id, short name or llama2.c `.bin` file; None is the model that ships with pagoda.
    Further keywords are EngineArgs' fields: dtype, max_model_len, max_num_seqs, kv_cache_memory_fraction, ...

    >>> llm = LLM(disable_log_stats=True)                                     # doctest: +SKIP
    >>> llm.generate("Once upon a time", SamplingParams(temperature=0))       # doctest: +SKIP
    """

    def __init__(self, model: str | Path | None = None, **engine_args: Any) -> None:
        self.llm_engine = LLMEngine.from_args(EngineArgs.from_keywords({"model": model, **engine_args}))
        self._request_ids = itertools.count()
        self._streams: dict[str, deque[RequestOutput]] = {}  # what open streams have not yielded yet

    def get_tokenizer(self) -> Tokenizer:
        """The model's tokenizer. Raises InvalidRequestError where the checkpoint has none."""
        if self.llm_engine.tokenizer is None:
            raise InvalidRequestError("this checkpoint has no tokenizer: pass tokenizer=... to LLM")
        return self.llm_engine.tokenizer

    def get_default_sampling_params(self) -> SamplingParams:
        """What the checkpoint's generation_config.json asks for, over SamplingParams' own defaults."""
        return SamplingParams(**self.llm_engine.parts.generation_defaults.sampling_params())

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        use_tqdm: bool = True,
        priority: Sequence[int] | None = None,
    ) -> list[RequestOutput]:
        """Complete every prompt; one RequestOutput each, in order.

        prompts: strings, `{"prompt": str}` or `{"prompt_token_ids": [...]}`, one or many; a list of ids alone is
            taken for one prompt. sampling_params: one for all, or one for each. use_tqdm: show progress.
        Raises InvalidRequestError before anything runs if any prompt or parameter is unusable.
        """
        all_prompts = _as_prompts(prompts)
        all_params = _one_each("sampling_params", sampling_params, all_prompts, self.get_default_sampling_params())
        priorities = [0] * len(all_prompts) if priority is None else list(priority)
        if len(priorities) != len(all_prompts):
            raise InvalidParameterError(
                f"priority has {len(priorities)} entries for {len(all_prompts)} prompts: give one for each",
                param="priority",
            )
        final = [params.clone(output_kind=RequestOutputKind.FINAL_ONLY) for params in all_params]
        request_ids = self._add_all(all_prompts, final, priorities)
        outputs = self._run(request_ids, use_tqdm)
        return [cast(RequestOutput, outputs[request_id]) for request_id in request_ids]

    def chat(
        self,
        messages: Sequence[Message] | Sequence[Sequence[Message]],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        use_tqdm: bool = True,
        chat_template: str | None = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: Sequence[Mapping[str, Any]] | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> list[RequestOutput]:
        """Answer one conversation, or many; messages are `{"role": ..., "content": ...}`."""
        conversations = _as_conversations(messages)
        tokenizer = self.get_tokenizer()
        # Its default counts as not set, so that a variable of its name may say otherwise.
        opens = None if add_generation_prompt and chat_template_kwargs else add_generation_prompt
        fields = merged_fields(
            {"add_generation_prompt": opens, "continue_final_message": continue_final_message}, chat_template_kwargs
        )
        prompts: list[Prompt] = []
        for conversation in conversations:
            prompt_token_ids = tokenizer.encode_chat(conversation, tools, chat_template=chat_template, **fields)
            prompts.append({"prompt_token_ids": prompt_token_ids})
        return self.generate(prompts, sampling_params, use_tqdm=use_tqdm)

    def embed(
        self,
        prompts: Prompt | Sequence[Prompt],
        pooling_params: PoolingParams | Sequence[PoolingParams] | None = None,
        *,
        use_tqdm: bool = True,
    ) -> list[EmbeddingRequestOutput]:
        """The final hidden state of each prompt's last token, scaled to length 1 unless told otherwise."""
        all_prompts = _as_prompts(prompts)
        all_params = _one_each("pooling_params", pooling_params, all_prompts, PoolingParams())
        request_ids = self._add_all(all_prompts, all_params, [0] * len(all_prompts))
        outputs = self._run(request_ids, use_tqdm)
        return [cast(EmbeddingRequestOutput, outputs[request_id]) for request_id in request_ids]

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
                    continue
                output = arrived.popleft()
                finished = output.finished
                yield output
        finally:
            del self._streams[request_id]
            if not finished:
                self.llm_engine.abort_request(request_id)

    def _step(self) -> list[RequestOutput | EmbeddingRequestOutput]:
        """One step of the engine. What it brings for a stream waits there, whoever asked for the step."""
        outputs = self.llm_engine.step()
        for output in outputs:
            if output.request_id in self._streams:
                self._streams[output.request_id].append(cast(RequestOutput, output))
        return outputs

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
        self, request_ids: Sequence[str], show_progress: bool
    ) -> dict[str, RequestOutput | EmbeddingRequestOutput]:
        """Step until all are done. Ctrl-C ends them and leaves the engine ready for more."""
        outputs: dict[str, RequestOutput | EmbeddingRequestOutput] = {}
        wanted = set(request_ids)
        with GenerationProgress(len(request_ids), enabled=show_progress) as progress:
            try:
                while len(outputs) < len(wanted):
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
    if not isinstance(prompts, Sequence):
        raise InvalidRequestError(f"prompts is {prompts!r:.80}, but a prompt or a list of them is expected")
    if prompts and all(isinstance(item, int) for item in prompts):
        return [{"prompt_token_ids": cast(Sequence[int], prompts)}]
    return list(prompts)


def _as_conversations(messages: Sequence[Message] | Sequence[Sequence[Message]]) -> list[Sequence[Message]]:
    if not messages:
        raise InvalidRequestError("messages is empty: give at least one message", param="messages")
    if isinstance(messages[0], Mapping):
        return [cast(Sequence[Message], messages)]
    return list(cast(Sequence[Sequence[Message]], messages))


def _one_each(
    name: str, given: Params | Sequence[Params] | None, prompts: Sequence[Prompt], default: Params
) -> list[Params]:
    if given is None:
        return [default] * len(prompts)
    if not isinstance(given, Sequence):
        return [given] * len(prompts)
    if len(given) != len(prompts):
        raise InvalidParameterError(
            f"{name} has {len(given)} entries for {len(prompts)} prompts: give one for all, or one for each", param=name
        )
    return list(given)
