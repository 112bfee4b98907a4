"""Programs written for OpenAI's API, unchanged, against a real server with the built-in model."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"type": "integer", "maximum": 9}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
ASK: list[Any] = [{"role": "user", "content": "Tell me about the weather in Paris."}]
MODEL = "pagoda-builtin"


@pytest.fixture
def url(server: Any) -> str:
    """The base URL of a running server."""
    return f"{server.url}/v1"


def test_openai(url: str) -> None:
    openai = pytest.importorskip("openai", reason="needs the openai package")
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    assert [model.id for model in client.models.list()] == [MODEL]
    settings = {"model": MODEL, "messages": ASK, "max_tokens": 30, "seed": 3}
    whole = client.chat.completions.create(**settings, logprobs=True, top_logprobs=2)
    pieces = [chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**settings, stream=True)]
    assert "".join(pieces) == whole.choices[0].message.content
    told = b"".join(bytes(token.bytes) for token in whole.choices[0].logprobs.content)
    assert told.decode(errors="ignore").strip().startswith(whole.choices[0].message.content[:20].strip())
    assert len(client.embeddings.create(model=MODEL, input=["a", "b"]).data[1].embedding) == 256
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**{**settings, "temperature": 9})
    assert refused.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**{**settings, "model": "gpt-5"})
    with pytest.raises(openai.BadRequestError, match="maximum context length is 1024 tokens") as too_long:
        client.completions.create(model=MODEL, prompt="word " * 3000)
    assert too_long.value.code == "context_length_exceeded"


def test_pydantic_ai_with_arguments_that_no_grammar_holds_a_call_to(url: str) -> None:
    """A set asks for uniqueItems, a SecretStr for the format password, a Decimal is a number or a string."""
    agents = pytest.importorskip("pydantic_ai", reason="needs pydantic-ai-slim[openai]")
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=url, api_key="none"))
    agent = agents.Agent(model, model_settings={"max_tokens": 20, "temperature": 0.0})

    def pay(city: str, tags: set[str], amount: Decimal, password: SecretStr) -> str:
        """Pay for something."""
        return f"paid {amount} in {city} for {tags} with {password}"

    agent.tool_plain(pay)
    parameters = agent._function_toolset.tools["pay"].function_schema.json_schema
    assert all(word in str(parameters) for word in ("uniqueItems", "password"))
    assert isinstance(agent.run_sync("hi").output, str)


def test_langchain(url: str) -> None:
    langchain = pytest.importorskip("langchain_openai", reason="needs langchain-openai")
    model = langchain.ChatOpenAI(base_url=url, api_key="none", model=MODEL, max_tokens=60, seed=5)
    answer = model.invoke("Tell me a story.")
    assert "".join(str(chunk.content) for chunk in model.stream("Tell me a story.")) == answer.content
    assert answer.usage_metadata["output_tokens"] > 0
    called = model.bind_tools([WEATHER], tool_choice="required").invoke("Weather in Paris?")
    assert called.tool_calls[0]["name"] == "get_weather"
    assert set(called.tool_calls[0]["args"]) == {"city", "days"}
    embeddings = langchain.OpenAIEmbeddings(base_url=url, api_key="none", model=MODEL, check_embedding_ctx_length=False)
    assert len(embeddings.embed_documents(["a", "b"])) == 2


def test_litellm(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm = pytest.importorskip("litellm", reason="needs litellm")
    litellm.telemetry = False
    settings = {"model": f"openai/{MODEL}", "api_base": url, "api_key": "none", "num_retries": 0}
    whole = litellm.completion(**settings, messages=ASK, max_tokens=30, seed=3)
    stream = litellm.completion(**settings, messages=ASK, max_tokens=30, seed=3, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == whole.choices[0].message.content
    called = litellm.completion(**settings, messages=ASK, max_tokens=60, tools=[WEATHER], tool_choice="required")
    assert called.choices[0].message.tool_calls[0].function.name == "get_weather"
    with pytest.raises(litellm.ContextWindowExceededError):
        litellm.completion(**settings, messages=[{"role": "user", "content": "word " * 3000}], max_tokens=5)


def test_instructor(url: str) -> None:
    instructor = pytest.importorskip("instructor", reason="needs instructor")
    openai = pytest.importorskip("openai", reason="needs the openai package")
    from pydantic import BaseModel, Field

    class Person(BaseModel):
        name: str = Field(max_length=10)
        age: int = Field(ge=0, le=99)

    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
        person = instructor.from_openai(client, mode=mode).chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Tom is 7."}],
            response_model=Person,
            max_tokens=200,
            max_retries=0,
            seed=1,
        )
        assert isinstance(person, Person)


def test_litellm_falls_back_where_the_context_is_full(url: str) -> None:
    litellm = pytest.importorskip("litellm", reason="needs litellm")
    settings = {"api_base": url, "api_key": "none", "max_retries": 0, "max_tokens": 4}
    for num_tokens in (1024, 1025):
        with pytest.raises(litellm.ContextWindowExceededError):
            litellm.text_completion(model=f"text-completion-openai/{MODEL}", prompt=[[504] * num_tokens], **settings)
    text = "fox " * 1100
    parameters = {**settings, "model": f"openai/{MODEL}"}
    small = {"model_name": "small", "litellm_params": parameters}
    mock = {"model_name": "large", "litellm_params": {**parameters, "mock_response": "from the larger one"}}
    router = litellm.Router([small, mock], context_window_fallbacks=[{"small": ["large"]}], num_retries=0)
    answer = router.completion(model="small", messages=[{"role": "user", "content": text}])
    assert answer.choices[0].message.content == "from the larger one"
