"""Requests of OpenAI's API as HTTP carries them, with the further fields that vLLM's clients send.

First station of a request's path: types are checked here, ranges by `SamplingParams`, which names the field. Unknown
fields are kept aside, so that the server can ignore them, or refuse them by name when it is strict.
Source: OpenAI's API reference (2025) and vLLM's OpenAI-compatible server.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

Number = StrictInt | StrictFloat
TokenIds = list[StrictInt]


class OpenAIRequest(BaseModel):
    """What every request has. `refused` names fields that would change the answer and are not supported."""

    model_config = ConfigDict(extra="allow")
    refused: ClassVar[dict[str, str]] = {}
    ignored: ClassVar[frozenset[str]] = frozenset({"user", "store", "metadata", "service_tier", "safety_identifier"})

    model: StrictStr | None = Field(None, description="Name from /v1/models; may be left out.")


class StreamOptions(BaseModel):
    """What a stream carries besides."""

    include_usage: StrictBool = Field(False, description="A last chunk with token counts.")
    continuous_usage_stats: StrictBool = Field(False, description="Token counts in every chunk.")


class JsonSchemaFormat(BaseModel):
    """The schema of a `json_schema` response format."""

    name: StrictStr | None = None
    description: StrictStr | None = None
    json_schema: dict[str, Any] | None = Field(None, alias="schema")
    strict: StrictBool | None = None


class ResponseFormat(BaseModel):
    """The shape of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None


class StructuredOutputs(BaseModel):
    """vLLM's structured outputs: exactly one constraint."""

    model_config = ConfigDict(extra="forbid")

    json_: StrictStr | dict[str, Any] | None = Field(None, alias="json")
    regex: StrictStr | None = None
    choice: list[StrictStr] | None = None
    grammar: StrictStr | None = None
    json_object: StrictBool | None = None
    structural_tag: StrictStr | dict[str, Any] | None = None
    disable_any_whitespace: StrictBool = False
    whitespace_pattern: StrictStr | None = None


class SamplingFields(OpenAIRequest):
    """Fields of SamplingParams, under its names; ranges are there."""

    n: StrictInt | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    top_k: StrictInt | None = None
    min_p: Number | None = None
    seed: StrictInt | None = None
    stop: StrictStr | list[StrictStr] | None = None
    stop_token_ids: TokenIds | None = None
    ignore_eos: StrictBool | None = None
    min_tokens: StrictInt | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    repetition_penalty: Number | None = None
    logit_bias: dict[str, Number] | None = None
    bad_words: list[StrictStr] | None = None
    allowed_token_ids: TokenIds | None = None
    include_stop_str_in_output: StrictBool | None = None
    skip_special_tokens: StrictBool | None = None
    spaces_between_special_tokens: StrictBool | None = None
    prompt_logprobs: StrictInt | None = None

    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: StrictStr | dict[str, Any] | None = None
    guided_regex: StrictStr | None = None
    guided_choice: list[StrictStr] | None = None
    guided_grammar: StrictStr | None = None

    priority: StrictInt = Field(0, description="Smaller is served first, if the engine's policy is priority.")
    cache_salt: StrictStr | None = Field(None, description="Only requests of equal salt share cached prefixes.")
    return_token_ids: StrictBool = Field(False, description="Token ids of prompt and answer beside the text.")
    return_timings: StrictBool = Field(False, description="Where the time went: queue, prefill, decode.")


class CompletionRequest(SamplingFields):
    """POST /v1/completions."""

    prompt: StrictStr | TokenIds | list[StrictStr] | list[TokenIds]
    max_tokens: StrictInt | None = Field(None, description="16 if left out; 0 with echo only scores.")
    echo: StrictBool = False
    logprobs: StrictInt | None = None
    best_of: StrictInt | None = None
    suffix: StrictStr | None = Field(None, description="What follows the completion, where the model can fill in.")
    add_special_tokens: StrictBool = True
    return_tokens_as_token_ids: StrictBool = False


class FunctionCall(BaseModel):
    """A call that the model made."""

    name: StrictStr
    arguments: StrictStr = Field(description="A JSON object, as text.")


class ToolCall(BaseModel):
    """A call with its id, to which the tool's message refers."""

    id: StrictStr | None = None
    type: Literal["function"] = "function"
    function: FunctionCall


class ContentPart(BaseModel):
    """A part of a message; only text can be read here."""

    model_config = ConfigDict(extra="allow")

    type: StrictStr
    text: StrictStr | None = None


class ChatMessage(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: StrictStr
    content: StrictStr | list[ContentPart] | None = None
    name: StrictStr | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: StrictStr | None = None


class FunctionDefinition(BaseModel):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: Annotated[StrictStr, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]
    description: StrictStr | None = None
    parameters: dict[str, Any] | None = None
    strict: StrictBool | None = None


class Tool(BaseModel):
    """A tool; functions are the only kind."""

    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(BaseModel):
    """The name of a function."""

    name: StrictStr


class NamedToolChoice(BaseModel):
    """Call this function."""

    type: Literal["function"] = "function"
    function: NamedFunction


ToolChoice = Literal["none", "auto", "required"] | NamedToolChoice


class ChatFields(OpenAIRequest):
    """What makes the prompt of a chat."""

    messages: list[ChatMessage]
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: StrictBool | None = None
    documents: list[dict[str, Any]] | None = None
    chat_template: StrictStr | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    add_generation_prompt: StrictBool | None = None
    continue_final_message: StrictBool = False


class ChatCompletionRequest(ChatFields, SamplingFields):
    """POST /v1/chat/completions."""

    refused: ClassVar[dict[str, str]] = {
        "functions": "functions is OpenAI's old form: use tools",
        "function_call": "function_call is OpenAI's old form: use tool_choice",
        "audio": "this model gives text only",
        "prediction": "predicted outputs are not supported",
        "web_search_options": "this server searches no web",
    }

    max_tokens: StrictInt | None = Field(None, description="Older name of max_completion_tokens.")
    max_completion_tokens: StrictInt | None = Field(None, description="The rest of the context if left out.")
    logprobs: StrictBool | None = None
    top_logprobs: StrictInt | None = None
    modalities: list[StrictStr] | None = None
    echo: StrictBool = Field(False, description="Begin with the last message, where the model goes on with it.")


class EmbeddingRequest(OpenAIRequest):
    """POST /v1/embeddings."""

    input: StrictStr | TokenIds | list[StrictStr] | list[TokenIds]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: StrictInt | None = None
    add_special_tokens: StrictBool = True
    prompt_name: StrictStr | None = None


class TokenizeRequest(OpenAIRequest):
    """POST /tokenize: a prompt, or the messages of a chat."""

    prompt: StrictStr | None = None
    messages: list[ChatMessage] | None = None
    tools: list[Tool] | None = None
    add_special_tokens: StrictBool = True
    return_token_strs: StrictBool = False
    chat_template: StrictStr | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    add_generation_prompt: StrictBool | None = None
    continue_final_message: StrictBool = False


class DetokenizeRequest(OpenAIRequest):
    """POST /detokenize."""

    tokens: TokenIds
    skip_special_tokens: StrictBool = False


class ErrorInfo(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | int | None


class ErrorResponse(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorInfo
