"""Settings of replicas: what cannot work is refused by name, from a command line and from a config file."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pagoda.cli.console.options import REPLICA_OPTIONS
from pagoda.errors import ConfigError, PagodaError
from pagoda.server.config import ServerConfig
from pagoda.server.replicas.config import ReplicasConfig, check_one_server_only


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"data_parallel_size": 0}, "data_parallel_size is 0, but at least 1"),
        ({"data_parallel_size": 3, "max_replicas": 2}, "max_replicas is 2, but data_parallel_size, the fewest, is 3"),
        ({"target_ongoing_requests": 0.0}, r"target_ongoing_requests is 0\.0, but more than 0"),
        ({"num_cpus_per_replica": -1.0}, "num_cpus_per_replica is -1"),
        ({"routing": "prefix-afinity"}, 'did you mean "prefix-affinity"'),
        ({"imbalance": 0.5}, r"imbalance is 0\.5, but at least 1"),
        ({"imbalance": float("nan")}, "imbalance is nan"),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        ReplicasConfig(**values)


def test_one_replica_is_a_plain_server_unless_there_may_be_more() -> None:
    assert not ReplicasConfig().are_several
    assert ReplicasConfig(data_parallel_size=2).are_several
    assert ReplicasConfig(max_replicas=1).are_several


def test_the_command_line_has_every_setting() -> None:
    assert [option.name for option in REPLICA_OPTIONS] == [each.name for each in dataclasses.fields(ReplicasConfig)]


def test_folders_that_one_process_holds_are_refused() -> None:
    with pytest.raises(ConfigError, match="rag is a folder that one server holds"):
        check_one_server_only({"rag": "folder", "strict": True})
    check_one_server_only({"strict": True, "collections": ()})


def test_settings_of_a_config_file_are_sorted_by_whose_they_are() -> None:
    pytest.importorskip("ray")
    from pagoda.server.replicas.deployment import read_settings

    args = {"model": "builtin", "max_num_seqs": 8, "api_keys": ["k"], "data_parallel_size": 2, "routing": "round-robin"}
    engine, server, replicas = read_settings(args)
    assert (engine.max_num_seqs, server.api_keys) == (8, ("k",))
    assert (replicas.data_parallel_size, replicas.routing) == (2, "round-robin")
    for name, value, told in (
        ("port", 80, "port is among the arguments, but Ray Serve listens"),
        ("max_num_seq", 8, "did you mean"),
        ("rag", "folder", "one server holds"),
    ):
        with pytest.raises(PagodaError, match=told):
            read_settings({**args, name: value})


def test_below_ray_serve_no_replica_takes_itself_for_one_that_listens_on_the_loopback() -> None:
    deployment = pytest.importorskip("pagoda.server.replicas.deployment")
    _, config, _ = deployment.read_settings({"model": "builtin", "allowed_hosts": ["shop.example"]})
    assert (config.host, config.allowed_hosts) == ("0.0.0.0", ("shop.example",))


@pytest.mark.parametrize("name", ["shop.example:8000", "https://shop.example", "", "shop example"])
def test_an_allowed_host_that_no_request_could_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"allowed_hosts has .* without a port"):
        ServerConfig(allowed_hosts=("shop.example", name))
