"""Replicas and their front as applications of Ray Serve: what `pagoda serve` runs, and what a config file names.

Off the token's path. Two applications, so that replicas can be restarted one by one while the front stays: `replicas`
has no route, `front` has all. Both are builders that Ray Serve calls with `args` of a config file, for which settings
have the names of `pagoda serve`'s flags.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import ray
from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, RequestRouterConfig
from ray.serve.schema import LoggingConfig

from pagoda.engine.args import EngineArgs
from pagoda.errors import ConfigError
from pagoda.server.config import ServerConfig
from pagoda.server.replicas.config import ReplicasConfig, check_one_server_only
from pagoda.server.replicas.front import AsgiFront, Front
from pagoda.server.replicas.replica import EngineReplica
from pagoda.server.replicas.router import TableRouter

REPLICAS, FRONT = "pagoda-replicas", "pagoda"
"""Names of the applications."""
_DEPLOYMENT = "Replica"
_UNBOUNDED = 1_000_000
"""Requests that Ray Serve lets through to a replica: how many may wait is the engine's business."""
_LOGGING = LoggingConfig(log_level="WARNING", enable_access_log=False)
_FRONT_TOKEN = {"node:__internal_head__": 0.001}
"""The front stands where the proxy is: a node that is lost takes no request of others along."""


def replicas_of(engine_args: EngineArgs, config: ServerConfig, wanted: ReplicasConfig) -> Application:
    """The application of the replicas alone."""
    how_many: dict[str, Any] = {"num_replicas": wanted.data_parallel_size}
    if wanted.max_replicas is not None:
        how_many = {
            "autoscaling_config": AutoscalingConfig(
                min_replicas=wanted.data_parallel_size,
                max_replicas=wanted.max_replicas,
                target_ongoing_requests=wanted.target_ongoing_requests,
                upscale_delay_s=5,
                downscale_delay_s=120,
            )
        }
    router: Any = TableRouter  # pydantic takes a class, its types do not
    routing = {"routing": wanted.routing, "imbalance": wanted.imbalance}
    deployment = serve.deployment(
        name=_DEPLOYMENT,
        max_ongoing_requests=_UNBOUNDED,
        max_queued_requests=_most_queued(engine_args, config, wanted),
        ray_actor_options={"num_cpus": _num_cpus(engine_args, wanted)},
        graceful_shutdown_wait_loop_s=0.5,
        graceful_shutdown_timeout_s=config.drain_timeout_s,
        health_check_period_s=2,
        request_router_config=RequestRouterConfig(request_router_class=router, request_router_kwargs=routing),
        logging_config=_LOGGING,
        **how_many,
    )(EngineReplica)
    return deployment.bind(engine_args, config)


def front_of(config: ServerConfig) -> Application:
    """The application of the front, which finds the replicas by name."""
    deployment = serve.deployment(
        name="Front",
        num_replicas=1,
        max_ongoing_requests=_UNBOUNDED,
        ray_actor_options={"num_cpus": 0, "resources": _FRONT_TOKEN},
        graceful_shutdown_wait_loop_s=0.5,
        graceful_shutdown_timeout_s=config.drain_timeout_s,
        logging_config=_LOGGING,
    )(serve.ingress(AsgiFront())(Front))
    return deployment.bind((REPLICAS, _DEPLOYMENT), config.max_body_bytes)


def replicas(args: dict[str, Any]) -> Application:
    """`import_path: pagoda.server.replicas.deployment:replicas`. Raises ConfigError."""
    engine_args, config, wanted = read_settings(args)
    return replicas_of(engine_args, config, wanted)


def front(args: dict[str, Any]) -> Application:
    """`import_path: pagoda.server.replicas.deployment:front`; takes the same settings. Raises ConfigError."""
    return front_of(read_settings(args)[1])


def read_settings(args: dict[str, Any]) -> tuple[EngineArgs, ServerConfig, ReplicasConfig]:
    """Settings of all three kinds under their names. Raises ConfigError."""
    rest = dict(args)
    wanted = ReplicasConfig.take(rest)
    of_server = {each.name for each in dataclasses.fields(ServerConfig)}
    server: dict[str, Any] = {name: rest.pop(name) for name in list(rest) if name in of_server}
    for name in ("host", "port", "ssl_keyfile", "ssl_certfile"):
        if name in server:
            raise ConfigError(f"{name} is among the arguments, but Ray Serve listens: give it under http_options")
    check_one_server_only(server)
    # Where Ray Serve listens is not known here: not on the loopback alone, as far as names in `Host` are concerned.
    config = ServerConfig(host="0.0.0.0", **{name: _fixed(each) for name, each in server.items()})
    return EngineArgs(**rest), config, wanted


def _fixed(given: Any) -> Any:
    """A list as a configuration keeps it."""
    return tuple(given) if isinstance(given, list) else given


def _most_queued(engine_args: EngineArgs, config: ServerConfig, wanted: ReplicasConfig) -> int:
    """Requests that wait in front while no replica is there: as many as all of them would have taken."""
    return wanted.data_parallel_size * (engine_args.max_num_seqs + config.max_num_waiting)


def _num_cpus(engine_args: EngineArgs, wanted: ReplicasConfig) -> float:
    """What Ray sets aside for a replica; ranks that are actors have their own."""
    if wanted.num_cpus_per_replica is not None:
        return wanted.num_cpus_per_replica
    if engine_args.distributed_executor_backend == "ray":
        return 0.0
    cpus = [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]
    share = min(sum(cpus) / (wanted.max_replicas or wanted.data_parallel_size), max(cpus))
    return float(int(share)) if share >= 1 else int(share * 100) / 100
