"""Chat templates: choice, variables, the sandbox, and errors that a caller can act on."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest

from pagoda.errors import InvalidRequestError
from pagoda.models.tokenizer.chat_template import ChatTemplate

USER = [{"role": "user", "content": "hi"}]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TRIMMING = "{% for message in messages %}[{{ message.content | trim }}]{% endfor %}"


def render(source: str, messages: list[dict[str, Any]] | None = None, **options: Any) -> str:
    return ChatTemplate(source).render(USER if messages is None else messages, **options)


def test_messages_become_the_prompt_of_the_template() -> None:
    assert render(CHATML, add_generation_prompt=True) == ("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")


def test_blocks_leave_no_blank_lines() -> None:
    assert render("a\n    {% if true %}\nb\n    {% endif %}\nc") == "a\nb\nc"


def test_json_is_written_as_it_is_without_escapes() -> None:
    tools = [{"name": "search", "description": "<搜索> & more"}]
    assert render("{{ tools[0] | tojson }}", tools=tools) == '{"name": "search", "description": "<搜索> & more"}'
    assert (
        render("{{ {'b': 1, 'a': [2]} | tojson(indent=2, sort_keys=true) }}") == '{\n  "a": [\n    2\n  ],\n  "b": 1\n}'
    )


def test_today_is_available() -> None:
    assert render("{{ strftime_now('%Y') }}") == str(datetime.now().year)


def test_loops_can_break_and_continue() -> None:
    source = (
        "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}"
    )
    assert render(source + "{% endfor %}") == "02"


def test_generation_blocks_are_seen_through_and_keep_their_variables() -> None:
    source = "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ messages[0].content }}{% endgeneration %}{{ x }}"
    assert render(source) == "hi1"


def test_variables_reach_the_template_and_absent_ones_are_undefined() -> None:
    source = "{{ bos_token }}|{{ date_string if date_string is defined else 'none' }}|{{ documents[0].title }}"
    documents = [{"title": "Pagodas"}]
    assert render(source, documents=documents, variables={"bos_token": "<s>"}) == "<s>|none|Pagodas"


def test_null_fields_count_as_absent() -> None:
    messages = [{"role": "assistant", "content": "x", "tool_calls": None}]
    assert render("{{ messages[0].tool_calls is defined }}", messages) == "False"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_is_found_under_each_of_its_names(field: str) -> None:
    messages = [{"role": "assistant", "content": "x", field: "because"}]
    assert render("{{ messages[0].reasoning_content }} {{ messages[0].thinking }}", messages) == "because because"


def test_the_caller_s_messages_are_left_as_they_were() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    render("{{ messages[0].content[0].text }}", messages, continue_final_message=True)
    assert messages == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]


def test_named_templates_are_chosen_by_name_then_by_tools_then_by_default() -> None:
    template = ChatTemplate({"default": "plain", "tool_use": "tools", "rag": "documents"})
    assert template.render(USER) == "plain"
    assert template.render(USER, tools=[{"name": "f"}]) == "tools"
    assert template.render(USER, chat_template="rag") == "documents"
    assert template.render(USER, chat_template="{{ messages[0].content }}!") == "hi!"


def test_templates_without_a_default_ask_for_a_name() -> None:
    with pytest.raises(InvalidRequestError, match="named a, b") as caught:
        ChatTemplate({"b": "", "a": ""}).render(USER)
    assert caught.value.param == "chat_template"


def test_the_final_message_can_be_continued() -> None:
    messages = [*USER, {"role": "assistant", "content": "Once upon "}]
    assert render(CHATML, messages, continue_final_message=True).endswith("<|im_start|>assistant\nOnce upon ")


def test_a_template_that_trims_messages_trims_the_continued_one() -> None:
    messages = [*USER, {"role": "assistant", "content": "Once upon "}]
    assert render(TRIMMING, messages, continue_final_message=True) == "[hi][Once upon"


def test_the_last_text_part_is_the_one_continued() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}, {"type": "image"}]
    source = "{% for part in messages[0].content %}<{{ part.text }}>{% endfor %}"
    assert render(source, [{"role": "assistant", "content": parts}], continue_final_message=True) == "<one><two"


@pytest.mark.parametrize(
    ("messages", "source"),
    [
        ([{"role": "assistant"}], CHATML),
        ([{"role": "assistant", "content": [{"type": "image"}]}], CHATML),
        ([{"role": "assistant", "content": "lost"}], "{{ messages[0].role }}"),
    ],
)
def test_a_message_that_cannot_be_continued_is_refused(messages: list[dict[str, Any]], source: str) -> None:
    with pytest.raises(InvalidRequestError, match="continue_final_message is set, but"):
        render(source, messages, continue_final_message=True)


def test_continuing_and_a_new_turn_exclude_each_other() -> None:
    with pytest.raises(InvalidRequestError, match="exclude each other"):
        render(CHATML, continue_final_message=True, add_generation_prompt=True)


def test_a_refusing_template_is_quoted_to_the_caller() -> None:
    source = "{{ raise_exception('Conversation roles must alternate user/assistant') }}"
    with pytest.raises(InvalidRequestError, match=r"^Conversation roles must alternate user/assistant$") as caught:
        render(source)
    assert caught.value.param == "messages"


def test_a_template_that_does_not_parse_names_the_line() -> None:
    with pytest.raises(InvalidRequestError, match=r"does not parse, line 2: "):
        render("fine\n{% for %}")


@pytest.mark.parametrize("source", ["{{ messages[0].content + 1 }}", "{{ 1 / 0 }}", "{{ messages[7].content }}"])
def test_whatever_fails_inside_is_the_request_s_error(source: str) -> None:
    with pytest.raises(InvalidRequestError):
        render(source)


@pytest.mark.parametrize("messages", [[], ["hi"], [None]])
def test_messages_must_be_objects(messages: list[Any]) -> None:
    with pytest.raises(InvalidRequestError, match="messages") as caught:
        render(CHATML, messages)
    assert caught.value.param is not None


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__ }}",
        "{{ messages[0]['content'].__class__.__base__ }}",
        "{{ raise_exception.__globals__ }}",
        "{{ strftime_now.__globals__['__builtins__'] }}",
        "{{ dict.__init__.__globals__ }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ lipsum.__globals__['os'].popen('id').read() }}",
        "{{ ''|attr('__class__') }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ ('{0.__class__.__mro__}' | string).format_map({'0': 1}) }}",
        "{% set ns = namespace(__class__='x') %}{{ ns.__class__.__mro__ }}",
        "{{ (messages | map(attribute='__class__') | list)[0].__mro__ }}",
        "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    ],
)
def test_attacks_on_python_s_internals_fail_or_yield_nothing(attack: str) -> None:
    try:
        rendered = render(attack)
    except InvalidRequestError:
        return
    assert not re.search(r"<class|<function|module|subclasses|uid=|object at", rendered), rendered


@pytest.mark.parametrize(
    "mutation",
    [
        "{{ messages.append(1) }}",
        "{{ messages.clear() }}",
        "{{ messages[0].update({'role': 'system'}) }}",
        "{{ messages[0].pop('role') }}",
        "{% set messages[0].content = 'x' %}",
        "{% set ns = namespace() %}{% set ns.__class__ = 1 %}",
        "{% set ns = namespace(_secret=1) %}",
    ],
)
def test_templates_cannot_change_what_they_are_given(mutation: str) -> None:
    with pytest.raises(InvalidRequestError):
        render(mutation)


def test_a_namespace_serves_its_purpose() -> None:
    source = "{% set ns = namespace(count=0) %}{% for m in messages %}{% set ns.count = ns.count + 1 %}{% endfor %}"
    assert render(source + "{{ ns.count }}", USER * 3) == "3"


def test_no_file_of_the_machine_can_be_included() -> None:
    with pytest.raises(InvalidRequestError):
        render("{% include '/etc/hostname' %}")


def test_loops_are_bounded() -> None:
    with pytest.raises(InvalidRequestError, match=r"[Rr]ange too big"):
        render("{% for i in range(999999999) %}{% endfor %}")


def test_rich_objects_reach_the_template_as_plain_values() -> None:
    class Shouting(str):
        def run(self) -> str:
            return "ran"

    with pytest.raises(InvalidRequestError):
        render("{{ messages[0].content.run() }}", [{"role": "user", "content": Shouting("x")}])
    with pytest.raises(InvalidRequestError, match="of type object"):
        render(CHATML, [{"role": "user", "content": object()}])


def loops(*bodies: str) -> str:
    """One loop within another, with this in the innermost."""
    return "".join("{% for i in range(9999) %}" for _ in bodies) + "".join(f"{body}{{% endfor %}}" for body in bodies)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (loops("", "", "x"), "runs through more than 1,000,000 turns of its loops"),
        ("{% macro f() %}" + loops("") + "{% endmacro %}" + loops("{{ f() }}"), "turns of its loops"),
        ("{% set n = namespace(x='ab') %}" + loops("{% set n.x = n.x ~ n.x %}"), "a text of more than"),
        ("{% set n = namespace(x='ab') %}" + loops("{% set n.x = n.x + n.x %}"), "a text of more than"),
        ("{{ 'a' * 99999999999 }}", "a text of more than"),
        ("{{ 99999999999 * [1] }}", "a text of more than"),
        ("{{ 9 ** 99999999 }}", "raises a number to more than 1024"),
        ("{{ '%99999999999d' % 3 }}", "a width that is too large"),
        ("{{ '%*d'|format(99999999999, 3) }}", "a width that is too large"),
        ("{{ '{:99999999999}'.format(3) }}", "a width that is too large"),
        ("{{ 'a'.ljust(99999999999) }}", "a text of more than"),
        ("{{ 'a'|center(99999999999) }}", "a text of more than"),
    ],
)
def test_a_template_without_end_is_refused_and_ends(source: str, told: str) -> None:
    with pytest.raises(InvalidRequestError, match=told):
        ChatTemplate(source).render([{"role": "user", "content": "hi"}])


def test_what_is_bounded_makes_what_it_made_before() -> None:
    source = (
        "{% for m in messages %}{{ loop.index }}:{{ m.role ~ '|' ~ 1 ~ nothing }}{% else %}none{% endfor %} "
        "{{ '%s-%03d' % ('a', 7) }} {{ '%05d'|format(7) }} {{ '{:>4}'.format(2) }} {{ 'b'|center(5) }}"
        "{{ 'c'.rjust(3) }} {{ 'a' * 3 }} {{ [1] + [2] }} {{ 2 ** 8 }} {{ 7 % 4 }} "
        "{{ '%*d {:99999}'.split(' ')|length }}"
    )
    told = ChatTemplate(source).render([{"role": "user", "content": "hi"}])
    assert told == "1:user|1 a-007 00007    2   b    c aaa [1, 2] 256 3 2"
