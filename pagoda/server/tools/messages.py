"""Conversations as chat templates read them, tools and their answers included.

On the token's path: the first step of a chat, before `chat_prompt` renders. Templates differ in what they know. Where
one ignores tools, a system text describes them; where it knows no role for a tool's answer, the answer becomes the
user's words and the call the assistant's, in the spelling of the model's tool format. So a round trip through a tool
works with every model that can chat.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pagoda.chat.openai_types import ChatMessage, ContentPart, Tool
from pagoda.errors import InvalidParameterError
from pagoda.server.tools.formats import HERMES, ToolFormat

_TEXT_PARTS = ("text", "input_text", "output_text", "refusal")
_TOOL_ROLE = re.compile(r"""['"](tool|ipython|tool_response)['"]""")


def plain_messages(
    messages: Sequence[ChatMessage], tools: Sequence[Tool] | None, template: str, form: ToolFormat = HERMES
) -> list[dict[str, Any]]:
    """Messages as plain values for the template of this source; what it does not know is told in words.

    Raises InvalidParameterError, `.param` names the part, for what cannot be read: images, audio, files.
    """
    plain = [_plain_message(message, index) for index, message in enumerate(messages)]
    if not (_TOOL_ROLE.search(template) and "tool_calls" in template):
        plain = _merged([_in_words(message, form) for message in plain])
    if tools and not knows_tools(template):
        plain = _with_system_text(plain, describe(tools, form), knows_system="system" in template)
    return plain


def knows_tools(template: str) -> bool:
    """Whether a template of this source writes `tools` into the prompt."""
    return re.search(r"\btools\b", template) is not None


def describe(tools: Sequence[Tool], form: ToolFormat) -> str:
    """What a model is told whose template ignores tools."""
    listed = "\n".join(json.dumps(tool.model_dump(exclude_none=True), ensure_ascii=False) for tool in tools)
    example = form.write([{"name": "NAME", "arguments": {"ARGUMENT": "VALUE"}}])
    return (
        f"You may call functions. These exist, one a line, with JSON schemas of their arguments:\n{listed}\n"
        f"To call one, answer with:\n{example}"
    )


def _plain_message(message: ChatMessage, index: int) -> dict[str, Any]:
    """Text parts joined, the developer a system, a call's arguments as the object that templates write out."""
    given = message.model_dump(exclude_none=True)
    place = f"messages[{index}]"
    if "function_call" in given:
        raise InvalidParameterError(
            f"{place}.function_call is OpenAI's old form of a call: use tool_calls", param=f"{place}.function_call"
        )
    given["content"] = _text(message.content, place)
    if given["role"] == "developer":
        given["role"] = "system"
    for call in given.get("tool_calls", ()):
        call["function"]["arguments"] = _object_or_text(call["function"]["arguments"])
    return given


def _text(content: str | list[ContentPart] | None, place: str) -> str:
    if isinstance(content, list):
        return "\n".join(_text_of(part, f"{place}.content[{index}]") for index, part in enumerate(content))
    return content or ""


def _text_of(part: ContentPart, place: str) -> str:
    text = part.text if part.type != "refusal" else (part.model_extra or {}).get("refusal")
    if part.type not in _TEXT_PARTS:
        raise InvalidParameterError(f"{place} is of type {part.type!r}, but this model reads text only", param=place)
    if not isinstance(text, str):
        raise InvalidParameterError(f"{place} is of type {part.type!r} but has no text: give text", param=place)
    return text


def _object_or_text(arguments: str) -> Any:
    """A call that was cut short is shown to the model as it is."""
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def _in_words(message: Mapping[str, Any], form: ToolFormat) -> dict[str, Any]:
    """For a template that knows neither calls nor a tool's answer."""
    if message["role"] == "tool":
        return {"role": "user", "content": f"<tool_response>\n{message['content']}\n</tool_response>", "folded": True}
    plain = {key: value for key, value in message.items() if key != "tool_calls"}
    calls = message.get("tool_calls")
    if calls:
        written = form.write([call["function"] for call in calls])
        plain["content"] = "\n".join(text for text in (message["content"], written) if text)
    return plain


def _merged(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tools' answers and the user's words beside them as one message: such templates often ask for strict turns."""
    merged: list[dict[str, Any]] = []
    for message in messages:
        folded = message.pop("folded", False)
        previous = merged[-1] if merged else None
        if previous is not None and previous["role"] == message["role"] == "user" and (folded or previous["folded"]):
            previous["content"] += "\n" + message["content"]
        else:
            merged.append({**message, "folded": folded})
    return [{key: value for key, value in message.items() if key != "folded"} for message in merged]


def _with_system_text(messages: list[dict[str, Any]], text: str, *, knows_system: bool) -> list[dict[str, Any]]:
    """In front of the conversation, as a part of what the system, or else the user, says first."""
    role = "system" if knows_system else "user"
    if messages and messages[0]["role"] == role:
        parts = (messages[0]["content"], text) if knows_system else (text, messages[0]["content"])
        return [{**messages[0], "content": "\n\n".join(parts)}, *messages[1:]]
    return [{"role": role, "content": text}, *messages]
