"""From messages in all their spellings to a prompt in which none of them is missing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pagoda.errors import InvalidParameterError, InvalidRequestError
from pagoda.models.tokenizer.chat_prompt import ChatPrompt, merged_fields
from pagoda.models.tokenizer.chat_template import ChatTemplate
from pagoda.models.tokenizer.messages import read_messages, read_tools

HI = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": '{"a": 1}'}}

# In the styles of published templates: what each knows, and what it does with the rest.
VERBATIM = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
TWO_ROLES = (
    "{% for m in messages %}{% if m.role == 'user' %}<u>{{ m.content | trim }}"
    "{% elif m.role == 'assistant' %}<a>{{ m.content.split('</think>')[-1] | trim }}{% endif %}{% endfor %}"
)
FIRST_SYSTEM = (
    "{% if messages[0].role == 'system' %}<s>{{ messages[0].content }}{% set messages = messages[1:] %}{% endif %}"
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System message must be first') }}{% endif %}"
    "<{{ m.role }}>{{ m.content }}{% endfor %}"
)
KNOWS_TOOLS = (
    "{{ tools | tojson if tools }}{% for m in messages %}{% if m.role == 'tool' %}<tool {{ m.name }}>{{ m.content }}"
    "{% elif m.tool_calls %}<a>{% for c in m.tool_calls %}{{ c.function | tojson }}{% endfor %}"
    "{% elif m.role in ('user', 'assistant', 'developer') %}<{{ m.role }}>{{ m.content }}{% endif %}{% endfor %}"
)
PARTS_ONLY = "{% for m in messages %}<{{ m.role }}>{% for part in m.content %}{{ part.text }}{% endfor %}{% endfor %}"
JSON_CONTENT = "{% for m in messages %}{{ m.content | tojson }}{% endfor %}"


def rendered(template: str, *messages: Any, **options: Any) -> str:
    return ChatPrompt(template=ChatTemplate(template), variables={}, **options).render(messages)


def message(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


# --- spellings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "a\nb",
        [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        [{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}],
        [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}],
        ("a", "b"),
        [SimpleNamespace(model_dump=lambda **_: {"type": "text", "text": "a\nb"})],
    ],
)
def test_content_in_any_spelling_is_one_text(content: Any) -> None:
    assert read_messages([message("user", content)]) == [message("user", "a\nb")]


def test_what_the_assistant_refused_is_what_it_said() -> None:
    given = {"role": "assistant", "content": None, "refusal": "No.", "tool_calls": [], "audio": None}
    assert read_messages([given]) == [message("assistant", "No.")]


@pytest.mark.parametrize("arguments", ['{"a": 1}', {"a": 1}])
def test_arguments_are_the_object_that_templates_write(arguments: Any) -> None:
    call = {"id": "c1", "type": "function", "function": {"arguments": arguments, "name": "now"}}
    flat = {"name": "now", "arguments": arguments}
    for given in (call, flat):
        (read,) = read_messages([message("assistant", None, tool_calls=[given])])
        assert list(read["tool_calls"][0]["function"].items()) == [("name", "now"), ("arguments", {"a": 1})]


@pytest.mark.parametrize("arguments", ['{"a": "\\ud83d"}', '{"a": 1', "[" * 100_000, "9" * 5000])
def test_arguments_that_are_no_sound_json_are_shown_as_they_are(arguments: str) -> None:
    given = message("assistant", None, tool_calls=[{**CALL, "function": {"name": "now", "arguments": arguments}}])
    text = rendered(KNOWS_TOOLS, HI, given)
    text.encode()
    assert "now" in text


def test_calls_of_the_old_form_are_calls_of_tools() -> None:
    old = [HI, message("assistant", None, function_call=CALL["function"]), message("function", "noon", name="now")]
    new = [HI, message("assistant", None, tool_calls=[CALL]), message("tool", "noon", tool_call_id="c1")]
    for template in (VERBATIM, KNOWS_TOOLS, TWO_ROLES):
        assert rendered(template, *old) == rendered(template, *new)
    ids = [read_messages(old)[1]["tool_calls"][0]["id"], read_messages(old)[2]["tool_call_id"]]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 9  # Mistral's templates ask for this.
    assert ids[0].isalnum()


def test_a_tool_s_answer_has_the_name_of_its_function() -> None:
    chat = [HI, message("assistant", None, tool_calls=[CALL]), message("tool", "noon", tool_call_id="c1")]
    assert rendered(KNOWS_TOOLS, *chat).endswith("<tool now>noon")


@pytest.mark.parametrize("tools", [True, 7, {"a": 1}, frozenset({1})])
def test_tools_that_are_no_list_are_refused(tools: Any) -> None:
    with pytest.raises(InvalidRequestError, match="a list of tools is expected"):
        read_tools(tools)


def test_tools_read_alike_whatever_the_order_of_their_fields() -> None:
    given = {
        "function": {"parameters": {"b": 1, "a": None}, "strict": None, "name": "f", "returns": 1},
        "type": "function",
    }
    (read,) = read_tools([given]) or []
    assert str(read) == str(
        {"type": "function", "function": {"name": "f", "parameters": {"b": 1, "a": None}, "returns": 1}}
    )
    assert read_tools([]) is None


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("hi", "messages[1]"),
        ({"content": "x"}, "messages[1].role"),
        (message("", "x"), "messages[1].role"),
        (message(5, "x"), "messages[1].role"),
        (message("user", 5), "messages[1].content"),
        (message("user", {"a": 1}), "messages[1].content"),
        (message("user", [{"type": "text"}]), "messages[1].content[0]"),
        (message("user", ["a", {"type": "image_url", "image_url": {"url": "x"}}]), "messages[1].content[1]"),
        (message("user", [{"type": "input_audio", "input_audio": {}}]), "messages[1].content[0]"),
        (message("user", [{"text": "no type"}]), "messages[1].content[0]"),
        (message("user", [5]), "messages[1].content[0]"),
        (message("user", "x", name=5), "messages[1].name"),
        (message("assistant", "x", audio={"id": "a"}), "messages[1].audio"),
        (message("assistant", None, tool_calls={}), "messages[1].tool_calls"),
        (message("assistant", None, tool_calls=[5]), "messages[1].tool_calls[0]"),
        (message("assistant", None, tool_calls=[{"type": "custom", "custom": {}}]), "messages[1].tool_calls[0].type"),
        (message("assistant", None, tool_calls=[{"function": {}}]), "messages[1].tool_calls[0].function.name"),
        (message("assistant", None, function_call={}), "messages[1].function_call.function.name"),
        (message("tool", "x", tool_call_id=5), "messages[1].tool_call_id"),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_stands(given: Any, param: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"expected|give|reads text only|only calls|missing") as refusal:
        read_messages([HI, given])
    assert refusal.value.param == param


def test_an_answer_to_a_call_that_was_not_made_is_refused_but_not_one_whose_call_was_cut_away() -> None:
    calls = message("assistant", None, tool_calls=[CALL])
    with pytest.raises(InvalidParameterError, match=r"'c2'.*there are 'c1'") as refusal:
        read_messages([HI, calls, message("tool", "x", tool_call_id="c2")])
    assert refusal.value.param == "messages[2].tool_call_id"
    assert len(read_messages([message("tool", "x", tool_call_id="c2"), HI, calls])) == 3


# --- what templates know ------------------------------------------------------------------------------------------


def test_the_developer_is_the_system_where_a_template_does_not_know_it() -> None:
    assert rendered(VERBATIM, message("developer", "brief"), HI) == "<system>brief<user>hi"
    assert rendered(KNOWS_TOOLS, message("developer", "brief"), HI) == "<developer>brief<user>hi"


def test_several_system_messages_are_one_where_a_template_takes_one_alone() -> None:
    chat = [message("system", "a"), message("developer", "b"), HI]
    assert rendered(FIRST_SYSTEM, *chat) == "<s>a\n\nb<user>hi"
    assert rendered(VERBATIM, *chat) == "<system>a<system>b<user>hi"


def test_a_template_that_forbids_a_system_message_later_says_so_itself() -> None:
    with pytest.raises(InvalidRequestError, match="System message must be first") as refusal:
        rendered(FIRST_SYSTEM, HI, message("system", "a"))
    assert refusal.value.param == "messages"


def test_a_template_that_reads_parts_alone_gets_parts() -> None:
    assert rendered(PARTS_ONLY, HI, message("assistant", "ho")) == "<user>hi<assistant>ho"


def test_a_template_that_writes_arguments_as_they_come_gets_json() -> None:
    template = (
        "{% for m in messages %}{{ m.content }}{% if m.role == 'tool' %}!{% endif %}{% for c in m.tool_calls or [] %}"
        "{{ c.function.name + ' ' + c.function.arguments }}{% endfor %}{% endfor %}"
    )
    chat = [HI, message("assistant", None, tool_calls=[CALL]), message("tool", "noon", tool_call_id="c1")]
    assert rendered(template, *chat) == 'hinow {"a": 1}noon!'
    systems = [message("system", "a"), message("system", "b")]
    only_first = template.replace("{{ m.content }}", "{{ m.content if m.role != 'system' or loop.first }}")
    assert rendered(only_first, *systems, *chat) == 'a\n\nbhinow {"a": 1}noon!'


def test_a_template_without_a_system_role_has_tools_described_by_the_user() -> None:
    text = rendered(TWO_ROLES, HI, tools=[TOOL])
    assert text.startswith("<u>You may call functions.")
    assert text.endswith("hi")
    assert '"name": "now"' in text


def test_answers_of_several_tools_become_one_message() -> None:
    text = rendered(TWO_ROLES, message("tool", "1"), message("tool", "2"), message("user", "and?"))
    assert text == "<u><tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>\nand?"


def test_documents_that_a_template_does_not_know_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="knows no documents") as refusal:
        rendered(VERBATIM, HI, documents=[{"text": "x"}])
    assert refusal.value.param == "documents"


# --- nothing vanishes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "chat", "index"),
    [
        (TWO_ROLES, [message("system", "be brief"), HI], 0),
        (TWO_ROLES, [HI, message("wizard", "hi"), HI], 1),
        (TWO_ROLES, [HI, message("assistant", "u"), message("critic", "u")], 2),
        (KNOWS_TOOLS, [message("system", "be brief"), HI], 0),
        ("{{ messages[-1].content }}", [message("user", "a"), message("user", "b")], 0),
        ("{{ messages[0].content }}", [message("user", "a"), message("user", "a")], 1),
        ("{{ bos_token }}", [message("user", "a")], 0),
    ],
)
def test_a_message_that_a_template_leaves_out_is_refused_by_its_place(
    template: str, chat: list[dict[str, Any]], index: int
) -> None:
    with pytest.raises(InvalidRequestError, match="leaves it out") as refusal:
        rendered(template, *chat)
    assert refusal.value.param == f"messages[{index}]"


@pytest.mark.parametrize(
    ("template", "chat"),
    [
        (TWO_ROLES, [message("user", "  \n spaced \t"), message("assistant", "<think>why</think>\n\nso")]),
        (TWO_ROLES, [HI, message("assistant", ""), message("user", "")]),
        (TWO_ROLES, [message("tool", "same"), message("user", "same"), message("user", "same")]),
        (JSON_CONTENT, [message("user", 'say "hi"\n\\')]),
        (KNOWS_TOOLS, [HI, message("assistant", "Let me look.", tool_calls=[CALL])]),
        (VERBATIM, [HI, message("assistant", "4", reasoning_content="two and two")]),
        ("{% if messages[-1].content != 'hi' %}{{ raise_exception('say hi') }}{% endif %}ok", [HI]),
    ],
)
def test_what_a_template_trims_or_drops_on_purpose_is_no_loss(template: str, chat: list[dict[str, Any]]) -> None:
    assert rendered(template, *chat) == ChatTemplate(template).render(read_messages(chat)) or template == TWO_ROLES


def test_thousands_of_answers_are_joined_in_one_go() -> None:
    """A joining that is quadratic took 8 s here."""
    chat = [HI, *(message("tool", "y" * 100, tool_call_id="x") for _ in range(40_000))]
    assert rendered(TWO_ROLES, *chat).count("y" * 100) == 40_000


# --- further variables --------------------------------------------------------------------------------------------


def test_variables_of_the_template_may_carry_the_chat_s_own_fields() -> None:
    fields = {"add_generation_prompt": None, "continue_final_message": False, "documents": None}
    assert merged_fields(fields, None) == fields
    given = {"add_generation_prompt": False, "enable_thinking": False}
    assert merged_fields(fields, given) == {**fields, **given}
    assert merged_fields({**fields, "add_generation_prompt": True}, {"add_generation_prompt": True}) == {
        **fields,
        "add_generation_prompt": True,
    }


@pytest.mark.parametrize(
    "name",
    ["messages", "conversation", "tools", "chat_template", "tokenize", "return_dict", "tool_call_parser", "self"],
)
def test_variables_with_names_that_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(InvalidParameterError, match="no variable of a template") as refusal:
        merged_fields({}, {name: []})
    assert refusal.value.param == f"chat_template_kwargs.{name}"


@pytest.mark.parametrize(("field", "value"), [(True, False), (False, True), (None, "yes")])
def test_a_variable_that_contradicts_its_field_is_refused(field: Any, value: Any) -> None:
    with pytest.raises(InvalidParameterError, match=r"keep one|true or false") as refusal:
        merged_fields({"add_generation_prompt": field}, {"add_generation_prompt": value})
    assert refusal.value.param == "chat_template_kwargs.add_generation_prompt"
