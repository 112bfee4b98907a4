"""Chat templates: messages become the one string that a chat model was trained on.

First step of a chat's path, before `tokenizer/tokenizer` encodes. Templates are Jinja programs that travel with a
checkpoint, so they are strangers' code: they run in Jinja's immutable sandbox, they see nothing but plain JSON values,
and they get so many turns of their loops and so many characters, since a loop within a loop within a loop would hold up
a server for good. The rendering follows transformers to the character (`apply_chat_template`): the same whitespace
rules, filters and globals, since one space more is text the model never saw.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from pagoda.errors import ConfigError, InvalidRequestError

# Where a message carries its reasoning; the first name is the one that templates read.
_REASONING_FIELDS = ("reasoning_content", "thinking", "reasoning")
# Marks the end of the message to be continued. The trailing space shows whether the template trims.
_END_MARK = "PAGODA_END_OF_FINAL_MESSAGE "
MAX_TURNS = 1_000_000
"""Of all loops of a rendering together: fifteen for each message of the longest conversation."""
MAX_CHARACTERS = 256 * 1024 * 1024
"""Of a prompt, and of any text that a template puts together."""
_MAX_EXPONENT = 1024
_WIDENING = ("center", "ljust", "rjust", "zfill", "expandtabs", "format", "format_map")
_WIDE = re.compile(r"%[^a-zA-Z%]*(?:\d{5}|\*)|:[^{}]*(?:\d{5}|\{)")


def read_template(given: str | Path) -> str:
    """A template's source, or its name, as an operator gives it: the content of the file, where it is one.

    Raises ConfigError for a path to no file.
    """
    text = str(given)
    if "\n" in text or "{" in text:
        return text
    path = Path(text).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(given, Path) or path.suffix or len(path.parts) > 1:
            raise ConfigError(f"chat_template: {text} cannot be read: give a file, a source or a name") from error
        return text


class ChatTemplate:
    """One template, or several by name ("default", "tool_use", "rag").

    >>> ChatTemplate("{% for m in messages %}{{ m.role }}: {{ m.content }}\\n{% endfor %}").render(
    ...     [{"role": "user", "content": "hi"}])
    'user: hi\\n'
    """

    def __init__(self, source: str | Mapping[str, str]) -> None:
        self._templates = {"default": source} if isinstance(source, str) else dict(source)

    @property
    def names(self) -> list[str]:
        """Names of the templates, sorted."""
        return sorted(self._templates)

    def select(self, name: str | None = None, *, has_tools: bool = False) -> str:
        """The source of a template: the named one, else "tool_use" where tools are given, else "default".

        A `name` that is no name is taken for the source of a template. Raises InvalidRequestError where there is
        no default.
        """
        if name is not None:
            return self._templates.get(name, name)
        if has_tools and "tool_use" in self._templates:
            return self._templates["tool_use"]
        if "default" in self._templates:
            return self._templates["default"]
        raise InvalidRequestError(
            f"the model has chat templates named {', '.join(self.names)} and none named default: "
            f"name one of them in chat_template",
            param="chat_template",
        )

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        chat_template: str | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """The prompt, with the special tokens the template writes: encode it without adding any.

        continue_final_message: leave the last message open, for the model to go on with it; excludes
            add_generation_prompt.
        chat_template: a template's name or source, in place of the checkpoint's choice.
        variables: further names for the template, such as bos_token, date_string or enable_thinking.

        Raises InvalidRequestError, with the template's own message where the template refuses.
        """
        _check_messages(messages)
        if continue_final_message and add_generation_prompt:
            raise InvalidRequestError(
                "continue_final_message and add_generation_prompt exclude each other: the one leaves the last "
                "message open, the other opens a new one; set one of them to false",
                param="continue_final_message",
            )
        source = self.select(chat_template, has_tools=tools is not None)
        chat = [_prepare_message(message) for message in messages]
        final_text = _mark_end(chat[-1]) if continue_final_message else ""
        names = _plain(dict(variables or {}))
        names |= {
            "messages": chat,
            "tools": _plain(tools),
            "documents": _plain(documents),
            "add_generation_prompt": add_generation_prompt,
        }
        rendered = _render(source, names)
        return _cut_at_mark(rendered, final_text) if continue_final_message else rendered


def _check_messages(messages: Sequence[Mapping[str, Any]]) -> None:
    if not messages:
        raise InvalidRequestError("messages is empty: a chat needs at least one message", param="messages")
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise InvalidRequestError(
                f"messages[{index}] is of type {type(message).__name__}: expected an object with role and content",
                param=f"messages[{index}]",
            )


def _prepare_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """A plain copy without null fields (templates test for presence) and with reasoning under every known name."""
    plain = {str(key): _plain(value) for key, value in message.items() if value is not None}
    reasoning = next((plain[field] for field in _REASONING_FIELDS if field in plain), None)
    if reasoning is None:
        return plain
    return {"thinking": reasoning, **plain, "reasoning_content": reasoning}


def _plain(value: Any) -> Any:
    """JSON values rebuilt from their base types, so that no method of a richer object is within a template's reach."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if callable(getattr(value, "model_dump", None)):
        return _plain(value.model_dump())
    raise InvalidRequestError(
        f"a chat template cannot be given a value of type {type(value).__name__}: expected text, numbers, lists or "
        f"objects",
        param="messages",
    )


def _mark_end(message: dict[str, Any]) -> str:
    """Puts the mark behind the last text of a message and returns that text without it."""
    content = message.get("content")
    if isinstance(content, str):
        message["content"] = content + _END_MARK
        return content
    for part in reversed(content if isinstance(content, list) else []):
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            text = part["text"]
            part["text"] = text + _END_MARK
            return text
    raise InvalidRequestError(
        "continue_final_message is set, but the last message has no text to continue", param="continue_final_message"
    )


def _cut_at_mark(rendered: str, final_text: str) -> str:
    """The prompt up to the end of the last message; where the template trims messages, so do we."""
    position = rendered.rfind(_END_MARK.strip())
    if position < 0 or final_text.strip() not in rendered:
        raise InvalidRequestError(
            "continue_final_message is set, but the chat template leaves the last message out of the prompt",
            param="continue_final_message",
        )
    kept = rendered[:position]
    return kept if rendered.startswith(_END_MARK, position) else kept.rstrip()


def _render(source: str, names: dict[str, Any]) -> str:
    """Raises InvalidRequestError for whatever goes wrong inside: the template and the messages do not fit."""
    turns = _turns_left.set([MAX_TURNS])
    try:
        return _whole(_compile(source).generate(names))
    except jinja2.TemplateSyntaxError as error:
        message = f"the chat template does not parse, line {error.lineno}: {error.message}"
        raise InvalidRequestError(message, param="chat_template") from error
    except jinja2.TemplateError as error:
        raise InvalidRequestError(error.message or type(error).__name__, param="messages") from error
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError) as error:
        message = f"the chat template failed on these messages: {str(error) or type(error).__name__}"
        raise InvalidRequestError(message, param="messages") from error
    finally:
        _turns_left.reset(turns)


def _whole(pieces: Iterable[str]) -> str:
    """The pieces joined. Raises TemplateError where there is no end to them."""
    told, num_characters = [], 0
    for piece in pieces:
        num_characters += len(piece)
        _check_size(num_characters)
        told.append(piece)
    return "".join(told)


def _check_size(num_characters: int) -> None:
    if num_characters > MAX_CHARACTERS:
        raise jinja2.TemplateError(
            f"the chat template makes a text of more than {MAX_CHARACTERS:,} characters: give a template that ends"
        )


@lru_cache(maxsize=32)
def _compile(source: str) -> jinja2.Template:
    return _environment().from_string(source)


def _environment() -> _BoundedEnvironment:
    environment = _BoundedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, _Bounds, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.filters |= {name: _sized(name, environment.filters[name]) for name in ("center", "indent", "format")}
    environment.globals.update(
        raise_exception=_raise_exception, strftime_now=_strftime_now, dict=_new_dict, namespace=_new_namespace
    )
    return environment


_turns_left: ContextVar[list[int]] = ContextVar("turns_left")


class _Bounds(jinja2.ext.Extension):
    """What a template calls where it would loop, or join texts."""

    def turn(self) -> str:
        """One more of a loop. Raises TemplateError where there were too many."""
        left = _turns_left.get()
        left[0] -= 1
        if left[0] < 0:
            raise jinja2.TemplateError(
                f"the chat template runs through more than {MAX_TURNS:,} turns of its loops: give one that ends"
            )
        return ""

    def joined(self, *values: Any) -> str:
        """What `~` makes of values. Raises TemplateError where that is too long."""
        texts = [str(value) for value in values]
        _check_size(sum(map(len, texts)))
        return "".join(texts)


class _Bounding(NodeTransformer):
    """Puts these calls into a template's tree."""

    def visit_For(self, node: jinja2.nodes.For) -> jinja2.nodes.Node:  # noqa: N802 - by which Jinja finds it
        """A loop, which counts each turn."""
        self.generic_visit(node)
        node.body.insert(0, jinja2.nodes.ExprStmt(_bounded("turn", [])))
        return node

    def visit_Concat(self, node: jinja2.nodes.Concat) -> jinja2.nodes.Node:  # noqa: N802 - by which Jinja finds it
        """Texts that are joined."""
        self.generic_visit(node)
        return _bounded("joined", node.nodes)


def _bounded(name: str, arguments: list[jinja2.nodes.Expr]) -> jinja2.nodes.Call:
    attribute = jinja2.nodes.ExtensionAttribute(_Bounds.identifier, name)
    return jinja2.nodes.Call(attribute, arguments, [], None, None)


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox, in which loops count their turns and neither operators nor methods make a text without end."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def _parse(self, source: str, name: str | None, filename: str | None) -> jinja2.nodes.Template:
        template = _Bounding().visit(super()._parse(source, name, filename))
        assert isinstance(template, jinja2.nodes.Template), "the transformer leaves the root as it is"
        template.set_environment(self)
        return template

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """The operator, unless what it makes is too large. Raises TemplateError."""
        if operator == "**" and isinstance(right, (int, float)) and abs(right) > _MAX_EXPONENT:
            raise jinja2.TemplateError(f"the chat template raises a number to more than {_MAX_EXPONENT}")
        if operator == "*":
            _check_size(max(_size(left) * _count(right), _size(right) * _count(left)))
        elif operator == "+":
            _check_size(_size(left) + _size(right))
        elif operator == "%" and isinstance(left, str):
            _check_width(left)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - Jinja's names
        """The call, unless a text is to be wider than any prompt. Raises TemplateError."""
        # The sandbox has put its own function around a text's `format`.
        method = getattr(__obj, "__wrapped__", __obj)
        text, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
        if isinstance(text, str) and name in _WIDENING:
            _check_width(text if name.startswith("format") else "", *args, *kwargs.values())
        return super().call(__context, __obj, *args, **kwargs)


def _sized(name: str, jinja_filter: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that makes texts as wide as a number or a format says."""

    @wraps(jinja_filter)
    def sized(*args: Any, **kwargs: Any) -> Any:
        _check_width(args[0] if name == "format" else "", *args, *kwargs.values())
        return jinja_filter(*args, **kwargs)

    return sized


def _check_width(form: Any, *values: Any) -> None:
    """Raises TemplateError for a format with a width of five digits or one from elsewhere, and for so wide a text."""
    if isinstance(form, str) and _WIDE.search(form):
        raise jinja2.TemplateError(f"the chat template formats with a width that is too large: {form!r:.80}")
    _check_size(max(map(_count, values), default=0))


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (str, list, tuple)) else 0


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


class _GenerationTag(jinja2.ext.Extension):
    """`{% generation %}...{% endgeneration %}` marks the model's own words for training; rendering sees through it."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own attribute

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=lineno)


class _PublicNamespace(Namespace):
    """Jinja's namespace; its attributes are set without the sandbox being asked, so underscored names are refused."""

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(name, str) or name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a namespace cannot hold the name {name!r}")
        super().__setitem__(name, value)


def _new_namespace(*items: Any, **entries: Any) -> _PublicNamespace:
    """`namespace(...)` for templates, checked like every later assignment."""
    namespace = _PublicNamespace()
    for name, value in dict(*items, **entries).items():
        namespace[name] = value
    return namespace


def _new_dict(*items: Any, **entries: Any) -> dict[Any, Any]:
    """`dict(...)` for templates: the function, not the class with its attributes."""
    return dict(*items, **entries)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own filter escapes HTML and non-ASCII text; models were trained on neither."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _strftime_now(format_string: str) -> str:
    return datetime.now().strftime(format_string)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
