"""What the operator decides about the server: where it listens, who may call, how much at once.

Beside `engine/args`, which decides about the engine. Read once at start by `server.app` and `server.serve`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pagoda.errors import ConfigError
from pagoda.server.access import DEFAULT_COLLECTION, Collection, check_collections

METRICS_PREFIXES = ("pagoda", "vllm")
_LEAST = {
    "max_body_bytes": 1,
    "max_prompt_tokens": 1,
    "max_num_waiting": 0,
    "max_requests_per_key": 1,
    "drain_timeout_s": 0,
    "keep_alive_s": 0.001,
    "max_chunks_per_s": 1,
}
EMBEDDED = "embedded"
"""For the address of a graph: one of the server's own."""
_OF_DIALOGUE = ("domain", "graph", "graph_user", "graph_password_env", "graph_database", "trained", "timezone")


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Settings of one server. Raises ConfigError for a value that cannot work.

    host, port: where it listens; port 0 takes a free one
    api_keys: any of these opens every endpoint but the page and the health checks; none given, none is asked for
    chat_template: a template's name or source in place of the checkpoint's
    tool_call_parser: how the model writes tool calls: auto, hermes, llama3_json, mistral
    trust_request_chat_template: requests may bring templates of their own
    strict: unknown fields of a request are refused instead of ignored
    refuse_overlong: prompt and max_tokens together beyond the context are refused instead of cut to fit
    allowed_origins: web pages of these origins may call (CORS); "*" for all
    allowed_hosts: names in `Host` by which the server may be called beside localhost and addresses, "*" for any; asked
        where it listens on the loopback without keys, or where any are given
    ssl_keyfile, ssl_certfile: TLS, both or neither
    max_body_bytes: of a request
    max_prompt_tokens: of one prompt, where that is to be less than the model's context
    max_num_waiting: requests that may wait beside those that run; more get 503
    max_requests_per_key: requests of one key at a time; more get 429
    drain_timeout_s: seconds that running requests have after the first SIGTERM
    keep_alive_s: seconds of silence in a stream after which a comment is sent
    max_chunks_per_s: of all streams together; beyond it each gets its tokens in fewer, larger chunks. None is no limit
    metrics_prefix: "pagoda", or "vllm" for dashboards made for vLLM
    otlp_endpoint: URL of an OpenTelemetry collector that gets a span for each request
    rag: folder of an index of documents, which /v1/rag then serves; made if it is not there
    collections: further ones by name; see `all_collections`
    dialogue: folder of a graph and its sessions, which /v1/dialogue and the page /dialogue then serve; made likewise
    domain, graph, graph_user, graph_password_env, graph_database, trained, timezone: of that dialogue, as for
        `pagoda dialogue chat`: domain file, address of a graph elsewhere, its user, variable of the password, database,
        folder of a trained understanding, zone of the clock
    opinions: watch file; /v1/opinions and the page /opinions then serve what it says
    recommend: folder that `pagoda recommend train` wrote, from which /v1/recommend and the page /recommend answer
    recommend_graph: "embedded", in that folder, or the address of a graph, such as bolt://localhost:7687, its password
        in NEO4J_PASSWORD: people, items, what was shown and refused, of which "why this one?" is asked
    service: folder of a service desk, which /v1/service and the page /service then serve; filled if it is not there
    service_documents: files and folders that it answers from, none for the handbook that ships; its clock's zone is
        `timezone`
    staff_keys: keys of the people who take conversations over, which open /v1/service/queue and nothing else; a desk
        with api_keys needs them, and with neither whoever reaches the address may do both
    page: serve the chat page at /
    access_log: a line of JSON for each request, on stderr
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_keys: tuple[str, ...] = ()
    chat_template: str | None = None
    tool_call_parser: str = "auto"
    trust_request_chat_template: bool = False
    strict: bool = False
    refuse_overlong: bool = False
    allowed_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    ssl_keyfile: Path | None = None
    ssl_certfile: Path | None = None
    max_body_bytes: int = 8 * 1024 * 1024
    max_prompt_tokens: int | None = None
    max_num_waiting: int = 1024
    max_requests_per_key: int | None = None
    drain_timeout_s: float = 30.0
    keep_alive_s: float = 15.0
    max_chunks_per_s: float | None = 500.0
    metrics_prefix: str = "pagoda"
    otlp_endpoint: str | None = None
    rag: Path | None = None
    collections: tuple[Collection, ...] = ()
    dialogue: Path | None = None
    domain: Path | None = None
    graph: str | None = None
    graph_user: str | None = None
    graph_password_env: str | None = None
    graph_database: str | None = None
    trained: Path | None = None
    timezone: str | None = None
    opinions: Path | None = None
    recommend: Path | None = None
    recommend_graph: str | None = None
    service: Path | None = None
    service_documents: tuple[Path, ...] = ()
    staff_keys: tuple[str, ...] = field(default=(), repr=False)
    page: bool = True
    access_log: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port is {self.port}, but ports are 0 (any free one) to 65535")
        odd = next((name for name in self.allowed_hosts if not name or set(name) & set("/: ")), None)
        if odd is not None:
            raise ConfigError(
                f"allowed_hosts has {odd!r}, expected a name as it stands in addresses, without https:// and without a "
                'port, such as shop.example or "*.shop.example"'
            )
        if (self.ssl_keyfile is None) != (self.ssl_certfile is None):
            raise ConfigError("ssl_keyfile and ssl_certfile go together: give both or neither")
        if self.dialogue is None:
            others = {"timezone"} if self.service is not None else set()
            stray = next(
                (name for name in _OF_DIALOGUE if name not in others and getattr(self, name) is not None), None
            )
            if stray is not None:
                raise ConfigError(f"{stray} is of a dialogue, and none is served: give dialogue, its folder, too")
        if self.recommend is None and self.recommend_graph is not None:
            raise ConfigError(
                "recommend_graph is of a recommender, and none is served: give recommend, its folder, too"
            )
        if self.metrics_prefix not in METRICS_PREFIXES:
            raise ConfigError(f"metrics_prefix is {self.metrics_prefix!r}: give one of {', '.join(METRICS_PREFIXES)}")
        if self.service is None and (self.service_documents or self.staff_keys):
            raise ConfigError("service_documents and staff_keys are of a service desk: give service, its folder, too")
        if self.service is not None and self.api_keys and not self.staff_keys:
            raise ConfigError(
                "there are API keys for customers and none for staff, so that every customer's key would open the "
                "staff's queue: set PAGODA_STAFF_KEY, too, or no keys at all"
            )
        if any(not key.strip() for key in self.api_keys):
            raise ConfigError("one of the API keys is empty: remove it, or give it some characters")
        check_collections(self.all_collections)
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name} is {value}, but at least {least} is expected")

    @property
    def all_collections(self) -> tuple[Collection, ...]:
        """That of `rag` first; the first answers where a request names none."""
        first = () if self.rag is None else (Collection(DEFAULT_COLLECTION, self.rag),)
        return (*first, *self.collections)
