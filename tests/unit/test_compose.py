"""The image and the compose file, without an engine: checked against the specification and our own rules."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from compose_spec import PyCompose

from adventureworks.embedded.postgres import LOCALE
from adventureworks.settings import Settings
from deploy import images
from tests.conftest import REPOSITORY
from tests.production.compose import (
    COMPOSE_FILE,
    Compose,
    Unset,
    image_environment,
    instructions,
    set_up,
    variables,
)

REQUIRED = re.compile(r"(?:[^$]|\$\{\w+:\?[^}]*\})*\$\{\w+:\?[^}]*\}(?:[^$]|\$\{\w+:\?[^}]*\})*")
"""A value that requires an `.env`."""
DURABLE = {
    "postgres": ("postgres", "/var/lib/postgresql"),
    "warehouse": ("warehouse", "/var/lib/postgresql"),
    "redis": ("redis", "/data"),
    "sqlserver": ("sqlserver", "/var/opt/mssql"),
    "worker": ("reports", "/data/reports"),
    "scheduler": ("logs", "/data/logs"),
}
UNDESCRIBED = {"AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES"}
"""Options that Airflow's scheduler reads but that Airflow's own list lacks."""
RUN_ONCE = {"prepare", "sqlserver-restore", "superset-prepare"}
SECRET = re.compile(r"PASSWORD|SECRET|FERNET_KEY|_CONN$|BACKEND|BROKER_URL|WAREHOUSE_URL|DATABASE_URL|READER_URL|EULA")


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The `.env` that set-up writes."""
    folder = tmp_path_factory.mktemp("set-up")
    done = set_up(folder, "postgresql://reader:word@db.example.com/sales")
    assert done.returncode == 0, done.stderr
    return variables(folder)


@pytest.fixture(scope="module")
def compose(env: dict[str, str]) -> Compose:
    """The compose file with that `.env`."""
    return Compose(env)


def test_compose_file_meets_the_specification(compose: Compose) -> None:
    whole = {name: part for name, part in compose.content.items() if not name.startswith("x-")}
    # The validator accepts only an address instead of this name, and no digest after a tag. Docker accepts both.
    text = yaml.safe_dump(whole, sort_keys=False).replace("host-gateway", "172.17.0.1")
    text = re.sub("@sha256:[0-9a-f]{64}", "", text)
    PyCompose.from_yaml(text).validate()
    with pytest.raises(ValueError, match="healthcheque"):
        PyCompose.from_yaml(text.replace("healthcheck", "healthcheque", 1))


def test_services_are_limited_health_checked_and_unprivileged(compose: Compose) -> None:
    for name, service in compose.services.items():
        assert service["user"].split(":")[0] not in ("", "0", "root"), name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name
        assert service["cap_drop"] == ["ALL"], name
        assert not service.get("privileged"), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == ("no" if name in RUN_ONCE else "unless-stopped"), name
        assert ("healthcheck" in service) == (name not in RUN_ONCE), name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name


def test_dependencies_of_services_can_be_met(compose: Compose) -> None:
    for name, service in compose.services.items():
        profiles = set(service.get("profiles", ()))
        for other, wait in service.get("depends_on", {}).items():
            dependency = compose.services[other]
            expected = "service_completed_successfully" if other in RUN_ONCE else "service_healthy"
            assert wait["condition"] == expected, f"{name} waits for {other}"
            always_present = set(dependency.get("profiles", ())) <= profiles
            assert always_present or wait.get("required") is False, (
                f"{name} waits for {other}, whose profile may be off"
            )


def test_volumes_are_declared_and_used(compose: Compose) -> None:
    used = set()
    for service in compose.services.values():
        for volume in service.get("volumes", ()):
            source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
            used |= set() if source.startswith((".", "/")) else {source}
    assert used == set(compose.content["volumes"])


def test_no_secret_has_a_default(env: dict[str, str]) -> None:
    for match in re.finditer(r"\$\{(\w+)(:[-?])([^}]*)\}", COMPOSE_FILE.read_text()):
        name, kind, other = match.groups()
        if kind == ":?":
            assert name in env, f"set-up does not write {name}"
            with pytest.raises(Unset, match=name):
                _ = Compose({**env, name: ""}).services
        else:
            assert name == "MSSQL_ACCEPT_EULA" or not SECRET.search(name), f"{name} has the default {other!r}"
    assert "MSSQL_ACCEPT_EULA" not in env, "only a person can accept a licence"


def test_every_secret_is_created_by_set_up() -> None:
    for name, service in yaml.safe_load(COMPOSE_FILE.read_text())["services"].items():
        for variable, value in (service.get("environment") or {}).items():
            if SECRET.search(variable) and variable != "ACCEPT_EULA":
                assert REQUIRED.fullmatch(value), f"{name}: {variable} is {value!r}"


def test_durable_data_is_on_volumes(compose: Compose) -> None:
    for name, (volume, path) in DURABLE.items():
        assert f"{volume}:{path}" in compose.services[name]["volumes"], name


def test_warehouse_orders_texts_like_the_embedded_one(compose: Compose) -> None:
    assert compose.services["warehouse"]["environment"]["POSTGRES_INITDB_ARGS"].split() == [*LOCALE]


def test_settings_are_known_to_airflow_or_the_platform(compose: Compose) -> None:
    from airflow.configuration import conf

    options = {
        f"AIRFLOW__{section}__{option}".upper()
        for section, described in conf.configuration_description.items()
        for option in described["options"]
    }
    ours = {f"ADVENTUREWORKS_{name}".upper() for name in Settings.model_fields}
    for name in compose.services["worker"]["environment"]:
        if name.startswith("AIRFLOW__"):
            assert name in options | UNDESCRIBED, name
        elif name.startswith("ADVENTUREWORKS_"):
            assert name in ours, name


def test_workers_have_a_slot_for_every_parallel_task(compose: Compose) -> None:
    worker = compose.services["worker"]
    slots = worker["deploy"]["replicas"] * int(worker["environment"]["AIRFLOW__CELERY__WORKER_CONCURRENCY"])
    assert int(worker["environment"]["AIRFLOW__CORE__PARALLELISM"]) == slots


def test_another_port_is_published_and_in_the_base_url(env: dict[str, str]) -> None:
    service = Compose({**env, "ADVENTUREWORKS_PORT": "9090"}).services["api-server"]
    assert service["environment"]["AIRFLOW__API__BASE_URL"] == "http://localhost:9090"
    assert service["ports"] == ["127.0.0.1:9090:8080"]


def test_secrets_reach_services_only_through_their_environment(compose: Compose, env: dict[str, str]) -> None:
    secrets = {value for name, value in env.items() if SECRET.search(name)}
    for name, service in compose.services.items():
        visible = str([service.get(part) for part in ("command", "entrypoint", "healthcheck", "labels")])
        assert [secret for secret in secrets if secret in visible] == [], name


def test_services_of_the_platform_share_secrets_and_settings(compose: Compose) -> None:
    own = {name: service for name, service in compose.services.items() if "AIRFLOW__CORE__FERNET_KEY" in str(service)}
    assert set(own) == {
        "prepare", "api-server", "scheduler", "dag-processor", "triggerer", "worker", "watch",
    }  # fmt: skip
    shared = compose.services["worker"]["environment"]
    for name, service in own.items():
        assert service["read_only"] is True, name
        assert shared.items() <= service["environment"].items(), name
        assert {mount.split(":")[0] for mount in service["tmpfs"]} == {"/tmp", image_environment()["HOME"]}, name
    assert len(shared["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64
    assert compose.services["worker"]["deploy"]["replicas"] == 2


def test_set_up_writes_a_private_random_env_and_never_overwrites_it(tmp_path: Path) -> None:
    assert set_up(tmp_path).returncode == 2, "no source was named"
    assert "is not a folder" in set_up(tmp_path, str(tmp_path / "nowhere")).stderr
    assert not (tmp_path / ".env").exists()
    (tmp_path / "data").mkdir()
    assert set_up(tmp_path, "data").returncode == 0
    file = tmp_path / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first = variables(tmp_path)
    assert first["ADVENTUREWORKS_SOURCE_FOLDER"] == str(tmp_path / "data")
    secrets = [value for name, value in first.items() if SECRET.search(name)]
    assert len(set(secrets)) == len(secrets)

    assert set_up(tmp_path, "postgresql://elsewhere/db").returncode == 1
    file.write_text("".join(line for line in file.open() if not line.startswith("REDIS_PASSWORD=")))
    assert set_up(tmp_path).returncode == 0
    second = variables(tmp_path)
    assert second.pop("REDIS_PASSWORD") != first.pop("REDIS_PASSWORD")
    assert second == first, "only what was missing is new"


@pytest.mark.parametrize(
    "source",
    [
        "postgresql://reader:word@localhost/sales",
        "postgresql://reader:w@rd@LOCALHOST:5432/sales?sslmode=disable",
        "postgresql://127.0.0.1/sales",
        "postgresql://reader@[::1]:5432/sales",
        "mssql://reader:word@127.0.1.1:1433/AdventureWorks",
    ],
)
def test_set_up_refuses_a_source_on_localhost(tmp_path: Path, source: str) -> None:
    refused = set_up(tmp_path, source)
    assert refused.returncode == 1
    assert "host.docker.internal" in refused.stderr
    assert "word" not in refused.stderr
    assert not (tmp_path / ".env").exists()


def test_set_up_refuses_the_url_of_a_folder(tmp_path: Path) -> None:
    refused = set_up(tmp_path, "file:///srv/adventureworks")
    assert refused.returncode == 1
    assert "deploy/set-up.sh FOLDER" in refused.stderr
    assert not (tmp_path / ".env").exists()


def test_a_source_on_the_machine_of_the_containers_can_be_reached(tmp_path: Path) -> None:
    assert set_up(tmp_path, "postgresql://localhost:word@host.docker.internal/localhost").returncode == 0
    worker = Compose(variables(tmp_path)).services["worker"]
    assert worker["extra_hosts"] == ["host.docker.internal:host-gateway"]
    assert "host.docker.internal" in worker["environment"]["no_proxy"].split(",")


def test_set_up_keeps_other_lines_and_asks_for_a_missing_source(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("MSSQL_ACCEPT_EULA=Y")
    assert set_up(tmp_path).returncode == 2
    assert file.read_text() == "MSSQL_ACCEPT_EULA=Y"
    assert set_up(tmp_path, "postgresql://reader@db/aw").returncode == 0
    assert file.read_text().splitlines()[0] == "MSSQL_ACCEPT_EULA=Y"
    assert "REDIS_PASSWORD" in variables(tmp_path)


def test_set_up_writes_the_url_of_the_sql_server_of_the_profile(tmp_path: Path) -> None:
    assert set_up(tmp_path, "sqlserver").returncode == 0
    env = variables(tmp_path)
    assert "sqlserver" in env["COMPOSE_PROFILES"].split(",")
    url, login = urlsplit(env["ADVENTUREWORKS_SOURCE_URL"]), Compose(env).services["sqlserver-restore"]
    assert (url.hostname, url.port, url.password) == ("sqlserver", 1433, login["environment"]["READER_PASSWORD"])
    assert f"create login {url.username} " in (REPOSITORY / "deploy/sqlserver/restore.sql").read_text()


def test_every_image_is_pinned(compose: Compose) -> None:
    texts = {name: (REPOSITORY / name).read_text() for name in images.FILES}
    found = {image for text in texts.values() for image in images.images_of(text)}
    assert {service["image"] for service in compose.services.values()} <= found
    assert [image for image in found if not images.is_pinned(image)] == []
    dockerfiles = {*REPOSITORY.glob("*/Dockerfile"), *REPOSITORY.glob("deploy/**/Dockerfile")}
    others = dockerfiles - {REPOSITORY / name for name in texts}
    assert not others


DIGEST = "@sha256:" + "0f" * 32


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        (f"redis:7.2.16-bookworm{DIGEST}", True),
        (f"localhost:5000/aw/redis:7.2.16{DIGEST}", True),
        (f"postgres:18.6-trixie{DIGEST}", True),
        ("registry.example.com/adventureworks:0.1.0", True),
        ("redis:7.2.16-bookworm", False),
        ("redis:7.2.16-bookworm@sha256:0f", False),
        (f"redis:latest{DIGEST}", False),
        (f"postgres:18-trixie{DIGEST}", False),
        (f"python:3.12-slim{DIGEST}", False),
        (f"mcr.microsoft.com/mssql/server:2022-latest{DIGEST}", False),
        (f"localhost:5000/redis{DIGEST}", False),
        ("registry.example.com/adventureworks:latest", False),
    ],
)
def test_an_image_needs_the_tag_of_one_release_and_a_digest(image: str, pinned: bool) -> None:
    assert images.is_pinned(image) is pinned


def test_image_is_built_from_the_lock_and_runs_unprivileged() -> None:
    steps = list(instructions())
    assert [arguments for name, arguments in steps if name == "USER"] == ["50000:0"]
    copied = {arguments.split()[-1].removeprefix("/opt/adventureworks/") for name, arguments in steps if name == "COPY"}
    assert {"checks", "dags", "./src", "./contracts"} <= copied
    assert any("chown -R 50000:0 /var/lib/adventureworks /data" in arguments for _, arguments in steps)
    installs = [arguments for name, arguments in steps if name == "RUN" and "pip install" in arguments]
    assert "--require-hashes --no-deps --only-binary=:all: -r requirements.lock" in installs[0]
    assert "--no-index" in installs[1], "only the lock is installed from outside"
    assert not any("--trusted-host" in arguments or "curl" in arguments for _, arguments in steps)


def test_files_that_the_image_copies_exist_and_are_not_ignored() -> None:
    ignored = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert ignored[0] == "*"
    for name, arguments in instructions():
        if name == "COPY" and not arguments.startswith("--from"):
            for source in arguments.split()[:-1]:
                assert (REPOSITORY / source).exists(), source
                assert any(source == line[1:] for line in ignored if line.startswith("!")), source


def test_commands_of_services_exist(compose: Compose) -> None:
    scripts: dict[str, Any] = {
        "prepare": REPOSITORY / "deploy/image/prepare.sh",
        "postgres": REPOSITORY / "deploy/postgres/create-databases.sh",
    }
    for script in scripts.values():
        assert script.stat().st_mode & stat.S_IXOTH, script
    assert compose.services["prepare"]["command"] == ["deploy/image/prepare.sh"]
    for name in ("api-server", "scheduler", "dag-processor", "triggerer", "worker"):
        assert compose.services[name]["command"][0] == "airflow", name
    assert compose.services["watch"]["command"] == ["adventureworks", "watch"]
