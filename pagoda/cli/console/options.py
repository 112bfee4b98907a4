"""Options that commands share, and the records they become: EngineArgs' and SamplingParams' fields under their names.

An option that is not given stays out of the record, so each default is written once, in the record itself, and
shown in the help from there.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pagoda.engine.args import EngineArgs, plain_value
from pagoda.errors import InvalidParameterError
from pagoda.sampling_params import SamplingParams, StructuredOutputsParams

Settings = dict[str, Any]
Options = tuple[inspect.Parameter, ...]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ApiKeyEnv = Annotated[
    str | None, typer.Option("--api-key-env", metavar="VAR", help="Environment variable that holds the API key.")
]
API_KEY_ENV = inspect.Parameter("api_key_env", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ApiKeyEnv)
"""The same, for a group of options."""

DEFAULT_MAX_TOKENS = 256  # vLLM's 16 are too few for a person


def with_options(**groups: Options) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of each group; its keyword of the group's name receives those that were set."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name not in groups]
        parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in own] + [p for group in groups.values() for p in group]

        @functools.wraps(command)
        def with_settings(**values: Any) -> None:
            settings = {name: _take(values, group) for name, group in groups.items()}
            command(**values, **settings)

        setattr(with_settings, "__signature__", inspect.Signature(parameters))  # noqa: B010 - mypy knows no such field
        with_settings.__annotations__ = {p.name: p.annotation for p in parameters}
        del with_settings.__wrapped__  # typer would read its signature
        return with_settings

    return decorate


def without(options: Options, *names: str) -> Options:
    """The same options, except some."""
    return tuple(option for option in options if option.name not in names)


def option(name: str, kind: Any, text: str, *flags: str, default: object = None) -> inspect.Parameter:
    """One optional option; `default` is only shown."""
    shown = "" if default is None or default is False else f" (default {default})"
    declared = typer.Option(*flags, help=text + shown, show_default=False)
    annotation = Annotated[kind | None, declared]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def sampling_params(settings: Settings, defaults: SamplingParams | None = None) -> SamplingParams:
    """What the caller set, over `defaults`. Raises InvalidParameterError."""
    values = dict(settings)
    structured = _structured_outputs(values)
    values.setdefault("max_tokens", DEFAULT_MAX_TOKENS)
    if structured is not None:
        values["structured_outputs"] = structured
    return SamplingParams(**values) if defaults is None else defaults.clone(**values)


def engine_settings(settings: Settings) -> Settings:
    """Keywords for LLM, checked without torch. Raises ConfigError.

    Unseeded requests differ from run to run, as a person expects; an engine's own default repeats itself.
    """
    keywords = {"seed": secrets.randbits(31), **settings}
    for name in ("hf_overrides", "override_generation_config", "speculative_config"):
        if name in keywords:
            keywords[name] = plain_value(keywords[name])
    EngineArgs(**keywords)
    return keywords


def server_settings(settings: Settings) -> Settings:
    """Keywords for ServerConfig, whose fields are tuples where the command line has lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


def _take(values: Settings, group: Options) -> Settings:
    """Remove a group's values; those that were given."""
    taken = {option.name: values.pop(option.name) for option in group}
    return {name: value for name, value in taken.items() if value is not None and value not in ([], ())}


def _structured_outputs(values: Settings) -> StructuredOutputsParams | None:
    """Remove the options about the shape of the text and put them together."""
    shape: dict[str, Any] = {name: values.pop(name) for name in ("regex", "choice", "json_object") if name in values}
    if "json_schema" in values:
        shape["json"] = _read_schema(values.pop("json_schema"))
    if "grammar" in values:
        shape["grammar"] = _read(values.pop("grammar"), "grammar")
    return StructuredOutputsParams(**shape) if shape else None


def _read_schema(path: Path) -> dict[str, Any]:
    try:
        schema = json.loads(_read(path, "json_schema"))
    except ValueError as error:
        raise InvalidParameterError(f"json_schema: {path} is not valid JSON ({error})", param="json_schema") from error
    if not isinstance(schema, dict):
        raise InvalidParameterError(
            f"json_schema: {path} holds a {type(schema).__name__}, but a JSON object is expected", param="json_schema"
        )
    return schema


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidParameterError(f"{name}: cannot read {path}: {reason}", param=name) from error


def _defaults(record: type) -> dict[str, object]:
    return {
        field.name: field.default for field in dataclasses.fields(record) if field.default is not dataclasses.MISSING
    }


def _group(record: type, rows: Sequence[tuple[Any, ...]]) -> Options:
    """Options from rows of (name, kind, help text, flags...)."""
    shown = {**_defaults(record), "max_tokens": DEFAULT_MAX_TOKENS, "seed": None}
    return tuple(option(name, kind, text, *flags, default=shown.get(name)) for name, kind, text, *flags in rows)


SAMPLING_OPTIONS = _group(
    SamplingParams,
    (
        ("max_tokens", int, "Most tokens to generate."),
        ("temperature", float, "0 takes the likeliest token, up to 2 is wilder.", "--temperature", "-t"),
        ("top_p", float, "Draw from the likeliest tokens that reach this probability together."),
        ("top_k", int, "Draw from the k likeliest tokens; 0 for all."),
        ("min_p", float, "Leave out tokens below this share of the likeliest one's probability."),
        ("seed", int, "Same seed, same text; otherwise every run differs."),
        ("n", int, "Completions of each prompt."),
        ("stop", list[str], "End at this string; may be repeated."),
        ("stop_token_ids", list[int], "End at this token id; may be repeated.", "--stop-token-id"),
        ("ignore_eos", bool, "Go on past the end-of-sequence token.", "--ignore-eos"),
        ("min_tokens", int, "Do not stop before so many tokens."),
        ("presence_penalty", float, "Against tokens that occurred in the completion, -2 to 2."),
        ("frequency_penalty", float, "The same, by how often they occurred."),
        ("repetition_penalty", float, "Above 1 against tokens of prompt and completion."),
        ("bad_words", list[str], "Never generate this word; may be repeated.", "--bad-word"),
        ("include_stop_str_in_output", bool, "Keep the stop string in the text.", "--include-stop-str-in-output"),
        ("skip_special_tokens", bool, "Leave special tokens out.", "--skip-special-tokens/--no-skip-special-tokens"),
        ("json_schema", Path, "File with a JSON schema that the text must follow."),
        ("json_object", bool, "The text must be a JSON object.", "--json-object"),
        ("regex", str, "The whole text must match it."),
        ("choice", list[str], "The text must be one of these; repeat it for each."),
        ("grammar", Path, "File with a context-free grammar (Lark or GBNF) that the text must follow."),
    ),
)
ENGINE_OPTIONS = _group(
    EngineArgs,
    (
        ("model", str, "Directory, .gguf or llama2.c .bin file, name, hub id; builtin is what ships.", "--model", "-m"),
        ("tokenizer", str, "Directory or file of another tokenizer."),
        ("revision", str, "Branch, tag or commit on the hub."),
        ("dtype", str, "Of weights and KV cache: auto, float32, bfloat16, float16."),
        ("quantization", str, "Round floats while they are loaded: int8 or int4."),
        ("kv_cache_dtype", str, "int8 keeps keys and values in half of 16 bits' memory; auto: as the weights."),
        ("device", str, "auto, cpu or cuda."),
        ("kernels", str, "Implementation of the tensor operations."),
        ("max_model_len", int, "Tokens of the longest sequence; the checkpoint's limit if left out."),
        ("max_num_seqs", int, "Requests that run at once."),
        ("max_num_batched_tokens", int, "Tokens of one step."),
        (
            "max_decode_slowdown",
            float,
            "How many times longer a step of answers may take because of prompts beside it.",
        ),
        ("speculative_config", str, 'Propose tokens ahead: JSON, {"method": "ngram", "num_speculative_tokens": 5}.'),
        ("scheduling_policy", str, "Who waits less: fcfs, or priority (a request's own)."),
        ("kv_cache_memory_fraction", float, "On CPU: share of the free memory for weights and KV cache."),
        ("kv_cache_memory_bytes", int, "Bytes for the KV cache instead."),
        ("gpu_memory_utilization", float, "On GPU: share of its memory for weights and KV cache."),
        ("block_size", int, "Tokens of a KV block."),
        (
            "enable_prefix_caching",
            bool,
            "Share the KV blocks of equal beginnings.",
            "--enable-prefix-caching/--no-enable-prefix-caching",
        ),
    ),
)
SERVED_ENGINE_OPTIONS = (
    option("served_model_name", list[str], "Name of the model in the API; may be repeated, the first is shown."),
    *_group(
        EngineArgs,
        (
            ("generation_config", str, "Sampling defaults: auto (the checkpoint's), vllm (none) or a folder."),
            ("override_generation_config", str, "JSON object of sampling defaults in place of these."),
            ("hf_overrides", str, "JSON object of config.json's keys in place of the checkpoint's."),
            ("tokenizer_revision", str, "Branch, tag or commit of the tokenizer on the hub."),
            ("skip_tokenizer_init", bool, "Load no tokenizer: requests bring token ids.", "--skip-tokenizer-init"),
            ("download_dir", Path, "Folder for what is downloaded."),
            ("hf_token", str, "Token for the hub; HF_TOKEN is not seen in the list of processes."),
            ("num_gpu_blocks_override", int, "KV blocks, whatever memory there is."),
            ("max_logprobs", int, "Most logprobs of a request; -1 for no limit."),
            ("seed", int, "Where the seeds of unseeded requests start."),
            (
                "enable_chunked_prefill",
                bool,
                "Compute long prompts in pieces.",
                "--enable-chunked-prefill/--no-enable-chunked-prefill",
            ),
            ("long_prefill_token_threshold", int, "Most tokens of one prompt in a step; 0 for no limit."),
            ("tensor_parallel_size", int, "Processes that share every layer."),
            ("pipeline_parallel_size", int, "Stages that the layers are divided over."),
            (
                "distributed_executor_backend",
                str,
                "mp: ranks are processes of this host; ray: actors on a cluster; uni: one rank.",
            ),
            ("distributed_timeout_seconds", float, "Seconds for a step, after which silent ranks are ended."),
            ("fixed_reduction_tree", bool, "Logits of the same bits on 1, 2 and 4 ranks.", "--fixed-reduction-tree"),
            ("disable_log_stats", bool, "Say nothing at start.", "--disable-log-stats"),
        ),
    ),
)
"""Of `pagoda serve` alone. vLLM's other flags are met in `vllm_flags`."""
GRAPH_OPTIONS = (
    option("graph", str, "Address of a Neo4j server, such as bolt://localhost:7687; otherwise a graph in the folder."),
    option("graph_user", str, "Its user.", default="neo4j"),
    option(
        "graph_password_env",
        str,
        "Environment variable that holds the password, if there is one.",
        default="NEO4J_PASSWORD",
    ),
    option("graph_database", str, "Its database, if not the user's own."),
)
"""Where a graph is, see `GraphAddress`."""
DIALOGUE_OPTIONS = (
    option("domain", Path, "Domain of your own, a YAML file; otherwise the shipped one."),
    *GRAPH_OPTIONS,
    option("trained", Path, "Folder that `pagoda dialogue train` wrote; otherwise the domain's examples are learned."),
    option("timezone", str, 'Zone that tells what "tonight" means, such as Asia/Shanghai; otherwise the machine\'s.'),
)
"""What is talked over, and when."""
ADDRESS_OPTIONS = (
    option("host", str, "Address to listen on; others than this machine reach 0.0.0.0.", default="127.0.0.1"),
    option("port", int, "Port to listen on; 0 takes a free one.", default=8000),
    option("allowed_hosts", list[str], "Name the server may be called by; may be repeated.", "--allowed-host"),
)
"""Of every command that starts a server, see `ServerConfig`."""
SERVER_OPTIONS = (
    *ADDRESS_OPTIONS,
    option("chat_template", str, "Another chat template: a file, its source, or a name of one of the checkpoint's."),
    option("tool_call_parser", str, "How the model writes tool calls: hermes, llama3_json or mistral.", default="auto"),
    option(
        "trust_request_chat_template",
        bool,
        "Requests may bring chat templates of their own.",
        "--trust-request-chat-template",
    ),
    option("strict", bool, "Refuse unknown fields of a request instead of ignoring them.", "--strict"),
    option("refuse_overlong", bool, "Refuse max_tokens beyond the context; otherwise it is cut.", "--refuse-overlong"),
    option("allowed_origins", list[str], "Web origin that may call (CORS); may be repeated.", "--allowed-origin"),
    option("ssl_keyfile", Path, "Private key for TLS."),
    option("ssl_certfile", Path, "Certificate for TLS."),
    option("max_body_bytes", int, "Bytes of the largest request.", default=8 * 1024 * 1024),
    option("max_prompt_tokens", int, "Tokens of the longest prompt, if less than the context."),
    option("max_num_waiting", int, "Requests that may wait; more get 503.", default=1024),
    option("max_requests_per_key", int, "Requests of one API key at a time; more get 429."),
    option("drain_timeout_s", float, "Seconds that running requests have at shutdown.", default=30),
    option("keep_alive_s", float, "Seconds of silence after which a stream sends a comment.", default=15),
    option(
        "max_chunks_per_s",
        float,
        "Of all streams together; beyond it each gets larger chunks, which leaves the processor to the engine.",
        default=500,
    ),
    option("metrics_prefix", str, "Of the metrics' names: pagoda or vllm.", default="pagoda"),
    option("otlp_endpoint", str, "OpenTelemetry collector that gets a span for each request (OTLP over HTTP)."),
    option("rag", Path, "Folder of an index of documents: /v1/rag answers from it and takes uploads."),
    option(
        "collections",
        list[str],
        "NAME=DIR, a further index by name, or a TOML file of indexes and the keys that open them; may be repeated.",
        "--collection",
    ),
    option(
        "dialogue", Path, "Folder of a graph and its sessions: /v1/dialogue talks over it, with a page at /dialogue."
    ),
    *DIALOGUE_OPTIONS,
    option("opinions", Path, "Watch file: /v1/opinions tells of its companies, with a page at /opinions."),
    option("recommend", Path, "Folder of `pagoda recommend train`: /v1/recommend answers, with a page at /recommend."),
    option(
        "recommend_graph",
        str,
        "embedded, or the address of a graph, which then tells why something was recommended (NEO4J_PASSWORD).",
    ),
    option(
        "service",
        Path,
        "Folder of a service desk: /v1/service talks and hands over to people, with a page at /service; "
        "PAGODA_STAFF_KEY holds keys of theirs.",
    ),
    option("service_documents", list[Path], "What the service desk answers from, instead of the handbook that ships."),
    option("page", bool, "Serve the chat page at /.", "--page/--no-page", default="page"),
    option("access_log", bool, "A line of JSON on stderr for each request.", "--access-log/--no-access-log"),
)
REPLICA_OPTIONS = (
    option("data_parallel_size", int, "Replicas behind this address, each a whole engine, by Ray Serve.", default=1),
    option("max_replicas", int, "As many as may be started while requests queue; data_parallel_size if left out."),
    option("target_ongoing_requests", float, "Under way on a replica, above which one more is started.", default=32),
    option("num_cpus_per_replica", float, "That Ray sets aside for each; an equal share if left out."),
    option(
        "routing", str, "Who gets a request: prefix-affinity, least-loaded, round-robin.", default="prefix-affinity"
    ),
    option("imbalance", float, "Most work of one replica over the mean of all.", default=1.2),
)
"""Of several engines, see `server/replicas/config`."""
