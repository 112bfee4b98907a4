"""Requests of OpenAI's API as HTTP carries them, with the further fields that vLLM's clients send.

First station of a request's path: types are checked here, ranges by `SamplingParams`, which names the field. Unknown
fields are kept aside, so that the server can ignore them, or refuse them by name when it is strict.
Source: OpenAI's API reference (2025) and vLLM's OpenAI-compatible server.
"""

from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from pagoda.chat.file_search import with_functions
from pagoda.parameter_rules import MAX_MEMBERS, MAX_TOKEN_IDS

T = TypeVar("T")

MAX_PROMPTS = 2048
MAX_TOOLS = 1024
"""A thousand take the engine half a second to make a grammar of."""


def _give_way(value: Any) -> Any:
    """Nothing to the value. But while pydantic calls Python, Python's lock may go to whoever waits for it."""
    return value


def _first_fault(*kinds: type) -> BeforeValidator:
    """Of a mapping whose values must be of these kinds: where one is not, it alone is left to be refused.

    pydantic stops at the first fault of a list where it is told to, but tells all the million of a mapping.
    """

    def shortened(value: Any) -> Any:
        items = value.items() if isinstance(value, dict) else ()
        return next(({key: item} for key, item in items if type(item) not in kinds), value)

    return BeforeValidator(shortened)


def _no_arguments(value: Any) -> Any:
    """Servers and libraries write a call without arguments as null, too."""
    return "" if value is None else value


Stepwise = Annotated[T, BeforeValidator(_give_way)]
Strings = Annotated[list[StrictStr], Field(max_length=MAX_MEMBERS, fail_fast=True)]
Many = Annotated[list[Stepwise[T]], Field(max_length=MAX_MEMBERS, fail_fast=True)]
"""A list whose first fault is enough: of a million, each would be an error of its own."""
Number = StrictInt | StrictFloat
TokenIds = Annotated[list[StrictInt], Field(max_length=MAX_TOKEN_IDS, fail_fast=True)]
Prompts = Annotated[list[Stepwise[T]], Field(max_length=MAX_PROMPTS, fail_fast=True)]
Biases = Annotated[dict[str, Stepwise[Number]], Field(max_length=MAX_TOKEN_IDS), _first_fault(int, float)]
Texts = Annotated[dict[str, Stepwise[StrictStr]], Field(max_length=MAX_MEMBERS), _first_fault(str)]


class ApiObject(BaseModel):
    """A request, or an object within one. Fields that it does not know are kept in `model_extra`.

    refused: fields that would change the answer and are not supported, with the reason; neutral: values of theirs,
    besides null, zero and nothing, that change nothing; ignored: fields that change nothing.
    """

    model_config = ConfigDict(extra="allow")
    refused: ClassVar[dict[str, str]] = {}
    neutral: ClassVar[dict[str, Any]] = {}
    ignored: ClassVar[frozenset[str]] = frozenset()


class OpenAIRequest(ApiObject):
    """What every request has."""

    ignored: ClassVar[frozenset[str]] = frozenset({"user", "store", "metadata", "service_tier", "safety_identifier"})

    model: StrictStr | None = Field(None, description="Name from /v1/models; may be left out.")


class StreamOptions(ApiObject):
    """What a stream carries besides."""

    ignored: ClassVar[frozenset[str]] = frozenset({"include_obfuscation"})

    include_usage: StrictBool = Field(False, description="A last chunk with token counts.")
    continuous_usage_stats: StrictBool = Field(False, description="Token counts in every chunk.")


class JsonSchemaFormat(ApiObject):
    """The schema of a `json_schema` response format."""

    name: StrictStr | None = None
    description: StrictStr | None = None
    json_schema: dict[str, Any] | None = Field(None, alias="schema")
    strict: StrictBool | None = None


class ResponseFormat(ApiObject):
    """The shape of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None
    object_schema: dict[str, Any] | None = Field(
        None, alias="schema", description="Where llama.cpp's server and Together put the schema."
    )


class StructuredOutputs(BaseModel):
    """vLLM's structured outputs: exactly one constraint."""

    model_config = ConfigDict(extra="forbid")

    json_: StrictStr | dict[str, Any] | None = Field(None, alias="json")
    regex: StrictStr | None = None
    choice: Strings | None = None
    grammar: StrictStr | None = None
    json_object: StrictBool | None = None
    structural_tag: StrictStr | dict[str, Any] | None = None
    disable_any_whitespace: StrictBool = False
    whitespace_pattern: StrictStr | None = None


class SchemaHolder(OpenAIRequest):
    """A request whose answer may be held to a shape."""

    shaping: ClassVar[tuple[str, ...]] = ()
    """The fields that say to which."""

    @property
    def has_schema(self) -> bool:
        """Whether one of them is given."""
        return any(getattr(self, name) is not None for name in self.shaping)


_NO_SUCH_SAMPLER = "this engine has no such sampler: use temperature, top_p, top_k or min_p"


class SamplingFields(SchemaHolder):
    """Fields of SamplingParams, under its names; ranges are there."""

    shaping: ClassVar[tuple[str, ...]] = (
        "response_format",
        "structured_outputs",
        "guided_json",
        "guided_regex",
        "guided_choice",
        "guided_grammar",
    )
    refused: ClassVar[dict[str, str]] = {
        "dry_multiplier": _NO_SUCH_SAMPLER,
        "extra_body": "that is a client library's word: put what it holds beside the other fields",
        "format": "use response_format",
        "grammar": "use structured_outputs with grammar",
        "json_schema": "use response_format with json_schema",
        "logits_processors": "this server runs no code of a request's",
        "max_new_tokens": "use max_tokens",
        "max_output_tokens": "use max_tokens",
        "mirostat": _NO_SUCH_SAMPLER,
        "n_predict": "use max_tokens",
        "n_probs": "use logprobs",
        "num_predict": "use max_tokens",
        "options": "put what it holds beside the other fields",
        "repeat_penalty": "use repetition_penalty",
        "stop_sequences": "use stop",
        "typical_p": _NO_SUCH_SAMPLER,
        "xtc_probability": _NO_SUCH_SAMPLER,
        "truncate_prompt_tokens": "shorten the prompt before it is sent",
        "use_beam_search": "beam search is not supported",
    }
    neutral: ClassVar[dict[str, Any]] = {"repeat_penalty": 1, "typical_p": 1}

    n: StrictInt | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    top_k: StrictInt | None = None
    min_p: Number | None = None
    seed: StrictInt | None = None
    stop: StrictStr | Strings | None = None
    stop_token_ids: TokenIds | None = None
    ignore_eos: StrictBool | None = None
    min_tokens: StrictInt | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    repetition_penalty: Number | None = None
    logit_bias: Biases | None = None
    bad_words: Strings | None = None
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
    guided_choice: Strings | None = None
    guided_grammar: StrictStr | None = None

    priority: StrictInt = Field(0, description="Smaller is served first, if the engine's policy is priority.")
    cache_salt: StrictStr | None = Field(None, description="Only requests of equal salt share cached prefixes.")
    return_token_ids: StrictBool = Field(False, description="Token ids of prompt and answer beside the text.")
    return_timings: StrictBool = Field(False, description="Where the time went: queue, prefill, decode.")


class CompletionRequest(SamplingFields):
    """POST /v1/completions."""

    refused: ClassVar[dict[str, str]] = SamplingFields.refused | {
        "max_completion_tokens": "use max_tokens",
        "tools": "use /v1/chat/completions",
        "top_logprobs": "use logprobs, which is a number here",
    }

    prompt: StrictStr | TokenIds | Prompts[StrictStr] | Prompts[TokenIds]
    max_tokens: StrictInt | None = Field(None, description="16 if left out; 0 with echo only scores.")
    echo: StrictBool = False
    logprobs: StrictInt | None = None
    best_of: StrictInt | None = None
    suffix: StrictStr | None = Field(None, description="What follows the completion, where the model can fill in.")
    add_special_tokens: StrictBool = True
    return_tokens_as_token_ids: StrictBool = False


class FunctionCall(ApiObject):
    """A call that the model made."""

    name: StrictStr
    arguments: Annotated[StrictStr | dict[str, Any], BeforeValidator(_no_arguments)] = Field(
        "", description="A JSON object, as text."
    )


class ToolCall(ApiObject):
    """A call with its id, to which the tool's message refers."""

    ignored: ClassVar[frozenset[str]] = frozenset({"index"})

    id: StrictStr | None = None
    type: Literal["function"] = "function"
    function: FunctionCall


class ContentPart(ApiObject):
    """A part of a message. Only text can be read here: `models/tokenizer/messages` refuses the others by their type."""

    ignored: ClassVar[frozenset[str]] = frozenset(
        {"annotations", "audio", "cache_control", "file", "image_url", "input_audio", "logprobs", "video_url"}
    )

    type: StrictStr
    text: StrictStr | None = None
    refusal: StrictStr | None = None


class ChatMessage(ApiObject):
    """One message of a conversation."""

    ignored: ClassVar[frozenset[str]] = frozenset(
        {"annotations", "cache_control", "file_search_calls", "id", "partial", "prefix"}
    )

    role: StrictStr
    content: StrictStr | Many[ContentPart] | None = None
    name: StrictStr | None = None
    tool_calls: Many[ToolCall] | None = None
    tool_call_id: StrictStr | None = None
    function_call: FunctionCall | None = Field(None, description="OpenAI's old form of a call.")
    refusal: StrictStr | None = None
    audio: dict[str, Any] | None = None
    reasoning_content: StrictStr | None = None
    reasoning: StrictStr | None = None
    thinking: StrictStr | None = None


class FunctionDefinition(ApiObject):
    """A function that the model may call; `parameters` is a JSON schema. Templates also write what it returns."""

    ignored: ClassVar[frozenset[str]] = frozenset({"cache_control", "return", "returns"})

    refused: ClassVar[dict[str, str]] = {
        "inputSchema": "use parameters",
        "input_schema": "use parameters",
    }

    name: Annotated[StrictStr, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]
    description: StrictStr | None = None
    parameters: dict[str, Any] | None = None
    strict: StrictBool | None = None


class Tool(ApiObject):
    """A tool; functions are the only kind."""

    ignored: ClassVar[frozenset[str]] = frozenset({"cache_control"})

    type: Literal["function"] = "function"
    function: FunctionDefinition


class FileSearchTool(ApiObject):
    """The server's own search of documents, which stands among `tools` as in the Responses API."""

    refused: ClassVar[dict[str, str]] = {"ranking_options": "documents are ranked in one way here"}

    type: Literal["file_search"]
    vector_store_ids: Strings | None = Field(
        None, description="The collection by its name, one; left out, the first that is served."
    )
    max_num_results: StrictInt | None = Field(None, description="Passages of each search; 5 if left out.")
    filters: dict[str, Any] | None = Field(None, description="Comparisons and compounds, as OpenAI writes them.")


class NamedFunction(ApiObject):
    """The name of a function."""

    name: StrictStr


class NamedToolChoice(ApiObject):
    """Call this function."""

    type: Literal["function"] = "function"
    function: NamedFunction


Tools = Annotated[list[Stepwise[Tool]], Field(max_length=MAX_TOOLS, fail_fast=True)]
ToolChoice = Literal["none", "auto", "required"] | NamedToolChoice


class ChatFields(OpenAIRequest):
    """What makes the prompt of a chat."""

    messages: Many[ChatMessage]
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: StrictBool | None = None
    documents: Many[dict[str, Any]] | None = None
    chat_template: StrictStr | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    add_generation_prompt: StrictBool | None = None
    continue_final_message: StrictBool = False
    reasoning_effort: StrictStr | None = Field(None, description="For templates that read it.")


class ChatCompletionRequest(ChatFields, SamplingFields):
    """POST /v1/chat/completions."""

    shaping: ClassVar[tuple[str, ...]] = (*SamplingFields.shaping, "tools")
    refused: ClassVar[dict[str, str]] = SamplingFields.refused | {
        "add_special_tokens": "the chat template writes the special tokens",
        "functions": "functions is OpenAI's old form: use tools",
        "function_call": "function_call is OpenAI's old form: use tool_choice",
        "audio": "this model gives text only",
        "prediction": "predicted outputs are not supported",
        "web_search_options": "this server searches no web",
        "instructions": "send them as a message of the role system",
        "suffix": "use /v1/completions",
        "system": "send it as a message of the role system",
    }
    ignored: ClassVar[frozenset[str]] = OpenAIRequest.ignored | {
        "prompt_cache_key",
        "prompt_cache_retention",
        "verbosity",
    }

    max_tokens: StrictInt | None = Field(None, description="Older name of max_completion_tokens.")
    max_completion_tokens: StrictInt | None = Field(None, description="The rest of the context if left out.")
    logprobs: StrictBool | None = None
    top_logprobs: StrictInt | None = None
    modalities: Strings | None = None
    echo: StrictBool = Field(False, description="Begin with the last message, where the model goes on with it.")
    file_search: Many[FileSearchTool] = Field(
        default_factory=list, description="Where the tools of this type are kept; send them among `tools`."
    )
    max_tool_calls: StrictInt | None = Field(None, description="Searches of documents at most; 4 if left out.")

    @model_validator(mode="before")
    @classmethod
    def _with_functions(cls, request: Any) -> Any:
        return with_functions(request)


class EmbeddingRequest(OpenAIRequest):
    """POST /v1/embeddings."""

    input: StrictStr | TokenIds | Prompts[StrictStr] | Prompts[TokenIds]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: StrictInt | None = None
    add_special_tokens: StrictBool = True
    prompt_name: StrictStr | None = None


class TokenizeRequest(OpenAIRequest):
    """POST /tokenize: a prompt, or the messages of a chat."""

    prompt: StrictStr | None = None
    messages: Many[ChatMessage] | None = None
    tools: Tools | None = None
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
