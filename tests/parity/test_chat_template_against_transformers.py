"""Rendering against transformers' apply_chat_template, over templates written here in the styles that models use."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer as BackendTokenizer
from tokenizers import models
from transformers import PreTrainedTokenizerFast

from pagoda.models.tokenizer.chat_template import ChatTemplate
from pagoda.models.tokenizer.tokenizer import Tokenizer

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}

CHATML = """
{%- if messages[0]['role'] != 'system' %}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

LLAMA2 = """{% if messages[0]['role'] == 'system' %}
{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}
{% else %}{% set rest = messages %}{% set system = false %}{% endif %}
{% for message in rest %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('roles must alternate user/assistant/user/assistant/...') }}
    {% endif %}
    {% if loop.index0 == 0 and system %}
        {% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}
    {% else %}
        {% set content = message['content'] %}
    {% endif %}
    {% if message['role'] == 'user' %}
        {{- bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
    {% elif message['role'] == 'assistant' %}
        {{- ' ' + content.strip() + ' ' + eos_token }}
    {% endif %}
{% endfor %}"""

LLAMA3 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {{- "You have these functions:\\n" }}
    {%- for tool in tools %}
        {{- tool | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message + "<|eot_id|>" }}
{%- for message in messages %}
    {%- if message.role == 'ipython' or message.role == 'tool' %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable and message.content is not string %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- elif 'tool_calls' in message %}
        {%- if message.tool_calls | length != 1 %}
            {{- raise_exception("only one tool call at a time") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}
        {{- "}<|eot_id|>" }}
    {%- else %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim }}
        {{- '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

MISTRAL = """{%- set ns = namespace(index=0, system='') -%}
{{ bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'system' %}{% set ns.system = message['content'] ~ '\\n\\n' %}{% continue %}{% endif %}
    {%- if message['role'] == 'user' %}
        {%- if tools and loop.last %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}
        {{- '[INST] ' ~ ns.system ~ message['content'] ~ '[/INST]' }}{% set ns.system = '' %}
    {%- elif message['role'] == 'assistant' and message.get('content') %}
        {{- ' ' ~ message['content'] ~ eos_token }}
    {%- endif %}
    {%- set ns.index = ns.index + 1 %}
{%- endfor %}"""

QWEN = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == "user" or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = message.reasoning_content if message.reasoning_content is string else '' %}
        {{- '<|im_start|>' + message.role + '\\n' }}
        {%- if reasoning_content and loop.index0 > ns.last_query_index %}
            {{- '<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' }}
        {%- endif %}
        {{- content.lstrip('\\n') }}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {{- '\\n<tool_call>\\n{"name": "' + tool_call.function.name + '", "arguments": ' }}
                {{- tool_call.function.arguments | tojson + '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' + content + '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

GENERATION = """{% for message in messages %}
{% if message.role == 'assistant' %}
{{ message.role }}: {% generation %}{{ message.content }}{{ eos_token }}{% endgeneration %}

{% else %}
{{ message.role }}: {{ message.content }}
{% endif %}
{% endfor %}
{% for document in documents or [] %}
Document {{ loop.index }}: {{ document['title'] }} / {{ document['text'] }}
{% endfor %}
{{ dict(a=1) | tojson }} {{ namespace(x=2).x }} {{ pad_token }} {{ unk_token }} {{ sep_token is defined }}"""

TEMPLATES = {
    "chatml": CHATML,
    "llama 2": LLAMA2,
    "llama 3": LLAMA3,
    "mistral": MISTRAL,
    "qwen": QWEN,
    "generation": GENERATION,
}

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": 'The weather in a city, e.g. <北京> & "Zürich"',
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
CALL = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "北京", "days": 2}}}
CHATS: dict[str, list[dict[str, Any]]] = {
    "one question": [{"role": "user", "content": "What is a pagoda?"}],
    "with a system message": [
        {"role": "system", "content": "  Answer briefly.\n"},
        {"role": "user", "content": " 你好，世界 😀 <b>&amp;</b>\n"},
    ],
    "several turns": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": " Hello! \n"},
        {"role": "user", "content": "{{ 7 * 7 }} {% raw %}"},
    ],
    "null fields": [{"role": "user", "content": "Hi", "name": None, "tool_calls": None}],
    "ends with the assistant": [
        {"role": "user", "content": "Tell a story"},
        {"role": "assistant", "content": "Once upon a time"},
    ],
    "reasoning": [
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "\n4", "reasoning": "\nadd them\n"},
    ],
    "tool calls": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": '{"sunny": true}', "tool_call_id": "1"},
        {"role": "assistant", "content": "Sunny."},
        {"role": "user", "content": "Thanks"},
    ],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "generation prompt": {"add_generation_prompt": True},
    "tools": {"tools": TOOLS, "add_generation_prompt": True},
    "documents": {"documents": [{"title": "塔", "text": "A tower."}]},
    "variables": {"add_generation_prompt": True, "enable_thinking": False, "date_string": "1 Jan 2025"},
    "special token overridden": {"bos_token": "<bos>", "eos_token": "<eos>"},
    "continued": {"continue_final_message": True},
}
RENDERING = {"tools", "documents", "add_generation_prompt", "continue_final_message"}


@pytest.fixture(scope="module")
def theirs() -> PreTrainedTokenizerFast:
    vocabulary = {token: i for i, token in enumerate([*SPECIAL.values(), "a"])}
    return PreTrainedTokenizerFast(tokenizer_object=BackendTokenizer(models.WordLevel(vocabulary, "<unk>")), **SPECIAL)


def outcome(render: Any, *arguments: Any, **options: Any) -> str | None:
    """The rendered text, or None where it is refused."""
    try:
        return render(*arguments, **options)
    except Exception:
        return None


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
@pytest.mark.parametrize("chat", CHATS.values(), ids=list(CHATS))
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=list(TEMPLATES))
def test_rendered_text_is_equal(
    theirs: PreTrainedTokenizerFast, template: str, chat: list[dict[str, Any]], options: dict[str, Any]
) -> None:
    expected = outcome(theirs.apply_chat_template, chat, chat_template=template, tokenize=False, **options)
    known = {name: options[name] for name in RENDERING & options.keys()}
    variables = {**SPECIAL, **{name: value for name, value in options.items() if name not in known}}
    assert outcome(ChatTemplate(template).render, chat, variables=variables, **known) == expected


@pytest.mark.parametrize("chat", [name for name in CHATS if name != "tool calls"])
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=list(TEMPLATES))
def test_a_tokenizer_adds_nothing_to_a_chat_that_a_template_knows(
    theirs: PreTrainedTokenizerFast, template: str, chat: str
) -> None:
    """It reads messages in more spellings, and tells tools to templates that know none: see test_chat_prompt."""
    ours = Tokenizer(theirs.backend_tokenizer, special_tokens=SPECIAL, chat_template=ChatTemplate(template))
    expected = outcome(theirs.apply_chat_template, CHATS[chat], chat_template=template, tokenize=False)
    assert outcome(ours.apply_chat_template, CHATS[chat], add_generation_prompt=False) == expected


def test_most_combinations_render(theirs: PreTrainedTokenizerFast) -> None:
    """Guards the test above: two refusals are equal as well."""
    rendered = [
        outcome(theirs.apply_chat_template, chat, chat_template=template, tokenize=False)
        for template in TEMPLATES.values()
        for chat in CHATS.values()
    ]
    assert sum(text is not None for text in rendered) > 0.8 * len(rendered)


@pytest.mark.parametrize("tools", [None, TOOLS])
def test_named_templates_are_chosen_alike(theirs: PreTrainedTokenizerFast, tools: list[Any] | None) -> None:
    named = {"default": CHATML, "tool_use": QWEN}
    theirs.chat_template = named
    chat = CHATS["several turns"]
    expected = theirs.apply_chat_template(chat, tools=tools, tokenize=False, add_generation_prompt=True)
    assert ChatTemplate(named).render(chat, tools=tools, add_generation_prompt=True) == expected
