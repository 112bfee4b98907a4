"""Streams: their form as openai-python reads it, and their equality with whole answers.

openai-python stops at `[DONE]`, raises on a chunk with `error`, and naive clients take `choices[0]` of every chunk.
"""

from __future__ import annotations

from pagoda.conformance.check import CHAT, CHINESE, COMPLETIONS, Context, check, equal, expect
from pagoda.conformance.shapes import contents, texts

_BOTH = (COMPLETIONS, CHAT)
_USAGE = {"include_usage": True}


@check("openai-python, browsers, proxies")
async def headers(server: Context) -> None:
    """A stream is text/event-stream and is not to be cached."""
    for path in _BOTH:
        stream = await server.stream(path)
        kind = stream.headers.get("content-type", "")
        expect(kind.startswith("text/event-stream"), "content-type text/event-stream", kind, stream)
        cache = stream.headers.get("cache-control", "")
        expect("no-cache" in cache or "no-store" in cache, "cache-control no-cache", cache or "no such header", stream)


@check("openai-python")
async def done_is_last(server: Context) -> None:
    """A stream ends with one `data: [DONE]`, and nothing comes after it."""
    for path in _BOTH:
        stream = await server.stream(path)
        ends = [number for number, (_, data) in enumerate(stream.events) if data.strip() == "[DONE]"]
        expect(ends == [len(stream.events) - 1], "[DONE] once, as the last event", stream.text[-200:], stream)


@check("plain HTTP: curl, shell scripts")
async def events_are_single_lines(server: Context) -> None:
    """Each event is `data: ` with one line of JSON, then an empty line."""
    for path in _BOTH:
        stream = await server.stream(path)
        for block in stream.text.strip().split("\n\n"):
            sound = block.startswith(("data: ", ":")) and "\n" not in block
            expect(sound, "one line that begins with `data: `", repr(block[:200]), stream)


@check("openai-python, LangChain: chunks are joined by their id")
async def chunks_agree(server: Context) -> None:
    """All chunks have the same id, created and model, and the endpoint's object."""
    for path, kind in ((COMPLETIONS, "text_completion"), (CHAT, "chat.completion.chunk")):
        stream = await server.stream(path)
        heads = {(chunk["id"], chunk["created"], chunk["model"]) for chunk in stream.chunks}
        expect(len(heads) == 1, "one id, created and model", heads, stream)
        equal({chunk["object"] for chunk in stream.chunks}, {kind}, "object")


@check("openai-python, LangChain")
async def first_chat_chunk_has_the_role(server: Context) -> None:
    """A chat's first chunk has the role `assistant`, which is not repeated."""
    stream = await server.stream(CHAT)
    roles = [choice["delta"].get("role") for choice in stream.choices()]
    equal(roles[0], "assistant", "the first role")
    expect(not any(roles[1:]), "no role in later chunks", roles, stream)


@check("openai-python, LangChain")
async def ends_once(server: Context) -> None:
    """One chunk, the choice's last, has a finish_reason; all others have null."""
    for path in _BOTH:
        stream = await server.stream(path)
        reasons = [choice["finish_reason"] for choice in stream.choices()]
        expect(reasons[-1] in ("stop", "length"), "a finish_reason in the last chunk", reasons, stream)
        expect(not any(reasons[:-1]), "one finish_reason", reasons, stream)


@check("naive clients: chunk.choices[0]")
async def no_usage_unless_asked(server: Context) -> None:
    """Without include_usage every chunk has a choice."""
    for path in _BOTH:
        stream = await server.stream(path)
        expect(all(chunk["choices"] for chunk in stream.chunks), "choices in every chunk", stream.text[-300:], stream)


@check("openai-python, LangChain's stream_usage, billing")
async def usage_comes_last(server: Context) -> None:
    """With include_usage the last chunk has no choices and the usage; all others have `usage: null`."""
    for path in _BOTH:
        stream = await server.stream(path, stream_options=_USAGE)
        *others, last = stream.chunks
        expect(last["choices"] == [] and last.get("usage"), "a last chunk with choices [] and usage", last, stream)
        nulls = all("usage" in chunk and chunk["usage"] is None for chunk in others)
        expect(nulls, "usage: null in all others", [chunk.get("usage", "no usage") for chunk in others], stream)


@check("billing")
async def usage_is_that_of_the_whole(server: Context) -> None:
    """A stream's usage is that of the whole answer, n choices included."""
    for path in _BOTH:
        whole = await server.answer(path, n=2)
        streamed = (await server.stream(path, n=2, stream_options=_USAGE)).usage() or {}
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            equal(streamed.get(name), whole["usage"][name], name)


@check("every streaming client")
async def text_is_that_of_the_whole(server: Context) -> None:
    """A stream's pieces, joined, are the whole answer, with the same finish_reason."""
    whole = await server.complete(max_tokens=40)
    stream = await server.stream(COMPLETIONS, max_tokens=40)
    equal(stream.content_text(), texts(whole)[0], "the completion")
    equal(stream.finish_reasons(), [whole["choices"][0]["finish_reason"]], "finish reasons")
    answer = await server.chat(max_tokens=40)
    stream = await server.stream(CHAT, max_tokens=40)
    equal(stream.content_text(), contents(answer)[0], "the answer")
    equal(stream.finish_reasons(), [answer["choices"][0]["finish_reason"]], "finish reasons")


@check("LangChain's n")
async def choices_are_told_apart(server: Context) -> None:
    """n=3 streamed with a seed: each index has the text of the whole answer's and ends once."""
    fields = {"n": 3, "seed": 5, "temperature": 1.2, "max_tokens": 12}
    for path, read in ((COMPLETIONS, texts), (CHAT, contents)):
        whole = await server.answer(path, **fields)
        stream = await server.stream(path, **fields)
        equal([stream.content_text(index) for index in range(3)], read(whole), "the three texts")
        equal([len(stream.finish_reasons(index)) for index in range(3)], [1, 1, 1], "ends of each index")


@check("every person who waits")
async def pieces_come_one_by_one(server: Context) -> None:
    """An answer of many tokens comes in several pieces, not as one."""
    stream = await server.stream(COMPLETIONS, max_tokens=32, ignore_eos=True)
    pieces = [choice["text"] for choice in stream.choices() if choice["text"]]
    expect(len(pieces) > 3, "more than 3 pieces", pieces, stream)


@check("lm-eval, playgrounds")
async def echo_is_streamed(server: Context) -> None:
    """A streamed echo of Chinese and emoji is whole: UTF-8, not escaped, no replacement characters."""
    stream = await server.stream(COMPLETIONS, prompt=CHINESE, echo=True, max_tokens=1)
    expect(stream.content_text().startswith(CHINESE), f"a text that begins with {CHINESE}", stream.content_text())
    expect("月亮".encode() in stream.content, "月亮 in UTF-8", stream.text[:300], stream)


@check("Chinese and emoji users")
async def no_half_characters(server: Context) -> None:
    """Characters of several tokens come whole: no piece has U+FFFD, and all pieces are the whole answer."""
    text = "月亮🌕狐狸🦊龘𠮷"
    schema = {"type": "object", "properties": {"text": {"enum": [text]}}, "required": ["text"]}
    form = {"type": "json_schema", "json_schema": {"name": "text", "schema": schema}}
    stream = await server.stream(CHAT, response_format=form, max_tokens=150)
    said = stream.content_text()
    expect(text in said and "\ufffd" not in stream.text, f"{text} without replacement characters", said, stream)
