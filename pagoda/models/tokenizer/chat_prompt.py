"""From a chat to its prompt: messages are fitted to what the template knows, rendered, and looked for in the result.

On the token's path: between `messages` and `chat_template`, behind `Tokenizer.apply_chat_template`, so that every door
makes the same prompt of the same chat. Templates differ in what they know. Where one ignores tools, a system text
describes them; where it knows no role for a tool's answer, the answer becomes the user's words and the call the
assistant's, in the spelling of the model's tool format. And many pass over what they do not know in silence: the chat
is rendered once more with a mark in every message, and a message whose mark does not come out is refused by its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from pagoda.errors import InvalidParameterError, InvalidRequestError
from pagoda.models.tokenizer.chat_template import ChatTemplate
from pagoda.models.tokenizer.messages import read_messages, read_tools
from pagoda.models.tokenizer.tool_formats import ToolFormat, tool_format

Messages = Sequence[dict[str, Any]]
_TOOL_ROLE = re.compile(r"""['"](tool|ipython|tool_response)['"]""")
_DEVELOPER_ROLE = re.compile(r"""['"]developer['"]""")
_READS_PARTS = re.compile(r"""\bin\s+\w+(\.content|\[['"]content['"]\])""")
_SYSTEM = ("system", "developer")
_MARK = re.compile(r"PAGODA_MESSAGE_(\d+)_")
_FIELDS = ("add_generation_prompt", "continue_final_message", "documents")
_ELSEWHERE = {
    "messages": "give them in messages",
    "conversation": "give it in messages",
    "tools": "give them in tools",
    "chat_template": "give it in chat_template",
    "tool_call_parser": "it is a setting of the server",
    "tokenize": "a prompt is always tokenized here",
    "return_dict": "a prompt is a list of token ids here",
    "return_tensors": "a prompt is a list of token ids here",
    "self": "the template has this name for itself",
}


def merged_fields(fields: Mapping[str, Any], chat_template_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Keywords for `Tokenizer.apply_chat_template`: the chat's own fields and the template's further variables.

    fields: of _FIELDS' names; None where they are not set
    Raises InvalidParameterError for a variable whose name means something else here, or contradicts its field.
    """
    given = dict(chat_template_kwargs or {})
    for name, value in given.items():
        param = f"chat_template_kwargs.{name}"
        if name in _ELSEWHERE:
            raise InvalidParameterError(f"{param} is no variable of a template: {_ELSEWHERE[name]}", param=param)
        unset = (None, False) if name == "continue_final_message" else (None,)
        if name in _FIELDS and fields.get(name) not in (*unset, value):
            raise InvalidParameterError(
                f"{param} is {value!r:.80} and {name} is {fields[name]!r:.80}: keep one of them", param=param
            )
        if name in _FIELDS[:2] and not isinstance(value, bool):
            raise InvalidParameterError(f"{param} is {value!r:.80}, expected true or false", param=param)
    return {**fields, **given}


class _Way(NamedTuple):
    """How messages are given to a template.

    systems_joined: the system messages that a chat begins with as one; parts: content as lists; json_arguments: of
    calls as JSON text
    """

    systems_joined: bool = False
    parts: bool = False
    json_arguments: bool = False


@dataclass(frozen=True, kw_only=True)
class ChatPrompt:
    """Everything of a chat but its messages.

    chat_template, tools, documents, add_generation_prompt, continue_final_message, variables: as `ChatTemplate.render`
    takes them; tool_call_parser: the name of the format of calls, "auto" goes by the template
    """

    template: ChatTemplate
    chat_template: str | None = None
    tools: Sequence[Any] | None = None
    documents: Sequence[Mapping[str, Any]] | None = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    tool_call_parser: str = "auto"
    variables: Mapping[str, Any]

    def render(self, messages: Sequence[Any]) -> str:
        """The prompt. Raises InvalidRequestError: the template's own words, or the message that it leaves out."""
        read = read_messages(messages)
        if self.documents and not re.search(r"\bdocuments\b", self._source):
            raise InvalidParameterError(
                "this model's chat template knows no documents: leave them out", param="documents"
            )
        refusal: InvalidRequestError | None = None
        for way in _ways(read, self._source):
            try:
                rendered = self._rendered(read, way)
                self._check_nothing_vanished(read, way)
                return rendered
            except InvalidRequestError as error:
                # Once the first system messages are one, what is still wrong lies elsewhere.
                refusal = error if refusal is None or way.systems_joined else refusal
        assert refusal is not None, "there is one way at least"
        raise refusal

    # Cached, since a chat is rendered twice at the least.

    @cached_property
    def _source(self) -> str:
        return self.template.select(self.chat_template, has_tools=bool(self._tools))

    @cached_property
    def _tools(self) -> list[dict[str, Any]] | None:
        return read_tools(self.tools)

    @cached_property
    def _form(self) -> ToolFormat:
        return tool_format(self.tool_call_parser, self.template.select(self.chat_template, has_tools=True))

    def _rendered(self, messages: Messages, way: _Way) -> str:
        joined = _with_systems_joined(messages) if way.systems_joined else messages
        known = fitted(joined, self._tools, self._source, self._form)
        known = _with_json_arguments(known) if way.json_arguments else known
        return self.template.render(
            _with_parts(known) if way.parts else known,
            tools=self._tools,
            documents=self.documents,
            add_generation_prompt=self.add_generation_prompt,
            continue_final_message=self.continue_final_message,
            chat_template=self.chat_template,
            variables=self.variables,
        )

    def _check_nothing_vanished(self, messages: Messages, way: _Way) -> None:
        """Raises InvalidRequestError for a message of which neither text nor calls come out of the template."""
        try:
            rendered = self._rendered([_marked(message, index) for index, message in enumerate(messages)], way)
        except InvalidRequestError:
            return  # The template looks into the texts, so that marks tell nothing.
        seen = {int(index) for index in _MARK.findall(rendered)}
        for index, message in enumerate(messages):
            if index not in seen and (message["content"].strip() or "tool_calls" in message):
                raise InvalidRequestError(
                    f"messages[{index}] has the role {message['role']!r}, and this model's chat template leaves it out "
                    "of the prompt: send its text in a message of another role or place, or without it",
                    param=f"messages[{index}]",
                )


def fitted(messages: Messages, tools: Sequence[Any] | None, source: str, form: ToolFormat) -> list[dict[str, Any]]:
    """Messages for the template of this source; what it does not know is told in words.

    messages, tools: as `messages.read_messages` and `read_tools` give them; form: in which calls are written
    """
    known = [dict(message) for message in messages]
    if not _DEVELOPER_ROLE.search(source):
        for message in known:
            message["role"] = "system" if message["role"] == "developer" else message["role"]
    if not (_TOOL_ROLE.search(source) and "tool_calls" in source):
        known = _merged([_in_words(message, form) for message in known])
    if tools and not knows_tools(source):
        known = _with_system_text(known, describe(tools, form), knows_system="system" in source)
    return known


def knows_tools(template: str) -> bool:
    """Whether a template of this source writes `tools` into the prompt."""
    return re.search(r"\btools\b", template) is not None


def describe(tools: Sequence[Any], form: ToolFormat) -> str:
    """What a model is told whose template ignores tools."""
    listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    example = form.write([{"name": "NAME", "arguments": {"ARGUMENT": "VALUE"}}])
    return (
        f"You may call functions. These exist, one a line, with JSON schemas of their arguments:\n{listed}\n"
        f"To call one, answer with:\n{example}"
    )


def _ways(messages: Messages, source: str) -> list[_Way]:
    """The plain way first; the others are for templates that refuse it, or lose something by it."""
    ways = [_Way()]
    if len(messages) > 1 and messages[0]["role"] in _SYSTEM and messages[1]["role"] in _SYSTEM:
        ways.append(_Way(systems_joined=True))
    if any("tool_calls" in message for message in messages):
        ways += [way._replace(json_arguments=True) for way in ways]
    if _READS_PARTS.search(source):
        ways.append(_Way(parts=True))
    return ways


def _with_systems_joined(messages: Messages) -> list[dict[str, Any]]:
    """The system messages that a chat begins with as one: many templates read the first alone."""
    count = next((i for i, message in enumerate(messages) if message["role"] not in _SYSTEM), len(messages))
    if count < 2:
        return list(messages)
    text = "\n\n".join(message["content"] for message in messages[:count])
    return [{**messages[0], "content": text}, *messages[count:]]


def _with_json_arguments(messages: Messages) -> list[dict[str, Any]]:
    """For templates that write arguments as they come, as DeepSeek's do."""
    return [
        message
        if "tool_calls" not in message
        else {**message, "tool_calls": [_with_json(call) for call in message["tool_calls"]]}
        for message in messages
    ]


def _with_json(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    given = function["arguments"]
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return {**call, "function": {**function, "arguments": text}}


def _with_parts(messages: Messages) -> list[dict[str, Any]]:
    """Content as a list, for templates that read nothing else."""
    return [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in messages]


def _marked(message: Mapping[str, Any], index: int) -> dict[str, Any]:
    """A mark behind the text and in the calls' names. A call without text stays without: some templates insist."""
    mark = f"PAGODA_MESSAGE_{index}_"
    marked = dict(message)
    if message["content"] or "tool_calls" not in message:
        marked["content"] = f"{message['content']} {mark}"
    if "tool_calls" in message:
        functions = [call["function"] for call in message["tool_calls"]]
        named = [{**function, "name": f"{function['name']}{mark}"} for function in functions]
        pairs = zip(message["tool_calls"], named, strict=True)
        marked["tool_calls"] = [{**call, "function": function} for call, function in pairs]
    return marked


def _in_words(message: dict[str, Any], form: ToolFormat) -> dict[str, Any]:
    """For a template that knows neither calls nor a tool's answer."""
    if message["role"] == "tool":
        return {"role": "user", "content": f"<tool_response>\n{message['content']}\n</tool_response>", "folded": True}
    plain = {key: value for key, value in message.items() if key != "tool_calls"}
    if "tool_calls" in message:
        written = form.write([call["function"] for call in message["tool_calls"]])
        plain["content"] = "\n".join(text for text in (message["content"], written) if text)
    return plain


def _merged(messages: Messages) -> list[dict[str, Any]]:
    """Tools' answers and the user's words beside them as one message: such templates often ask for strict turns."""
    merged: list[dict[str, Any]] = []
    texts: list[list[str]] = []
    beside_folded = False
    for message in messages:
        folded = message.pop("folded", False)
        beside_folded = beside_folded or folded
        if merged and merged[-1]["role"] == message["role"] == "user" and beside_folded:
            texts[-1].append(message["content"])
            continue
        merged.append(message)
        texts.append([message["content"]])
        beside_folded = folded
    return [{**message, "content": "\n".join(parts)} for message, parts in zip(merged, texts, strict=True)]


def _with_system_text(messages: list[dict[str, Any]], text: str, *, knows_system: bool) -> list[dict[str, Any]]:
    """In front of the conversation, as a part of what the system, or else the user, says first."""
    role = "system" if knows_system else "user"
    if messages and messages[0]["role"] == role:
        parts = (messages[0]["content"], text) if knows_system else (text, messages[0]["content"])
        return [{**messages[0], "content": "\n\n".join(parts)}, *messages[1:]]
    return [{"role": role, "content": text}, *messages]
