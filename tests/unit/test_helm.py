"""The values for Airflow's chart, and the watch beside it: they match the compose file and contain no secrets."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import yaml

from tests.conftest import REPOSITORY
from tests.production.compose import COMPOSE_FILE

VALUES = yaml.safe_load((REPOSITORY / "deploy/helm/values.yaml").read_text())
WATCH = yaml.safe_load((REPOSITORY / "deploy/helm/watch.yaml").read_text())
GUIDE = (REPOSITORY / "docs/operate/kubernetes.md").read_text()
COMPOSED = yaml.safe_load(COMPOSE_FILE.read_text())["x-environment"]
DEPLOYMENT_SPECIFIC = {"AIRFLOW__API__BASE_URL", "ADVENTUREWORKS_UI_URL", "AIRFLOW__CELERY__WORKER_CONCURRENCY"}


def secrets_named(part: Any) -> set[str]:
    """Return the names of secrets in the values."""
    if isinstance(part, dict):
        own = {str(value) for name, value in part.items() if name.lower().endswith("secretname")}
        return own.union(*map(secrets_named, part.values()))
    return set().union(*map(secrets_named, part)) if isinstance(part, list) else set()


def test_settings_match_the_compose_file() -> None:
    own = {entry["name"]: entry["value"] for entry in VALUES["env"]}
    shared = {name: value for name, value in own.items() if name in COMPOSED and name not in DEPLOYMENT_SPECIFIC}
    assert shared == {name: re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", COMPOSED[name]) for name in shared}
    set_elsewhere = {
        # Set by the chart itself, or from secrets.
        *(name for name in COMPOSED if re.search("KEY|SECRET|CONN|BACKEND|BROKER|EXECUTOR|AUTH_MANAGER|_URL$", name)),
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG",
        "AIRFLOW__API__WORKERS",
        # In the values under its own name, where the chart's scaling reads it.
        "AIRFLOW__CELERY__WORKER_CONCURRENCY",
        "ADVENTUREWORKS_SOURCE",
        # For proxies in front of the services, and on their way out.
        "FORWARDED_ALLOW_IPS",
        "no_proxy",
        "NO_PROXY",
    }
    concurrency = VALUES["config"]["celery"]["worker_concurrency"]
    assert VALUES["workers"]["celery"]["replicas"] * concurrency == int(own["AIRFLOW__CORE__PARALLELISM"])
    assert set(COMPOSED) - set(own) <= set_elsewhere


def test_all_pods_use_the_image_of_this_version() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    [container] = WATCH["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{VALUES['defaultAirflowRepository']}:{VALUES['defaultAirflowTag']}"
    assert VALUES["defaultAirflowTag"] == version
    assert f"adventureworks:{version}" in COMPOSE_FILE.read_text()
    assert f"apache-airflow=={VALUES['airflowVersion']} " in (REPOSITORY / "requirements.lock").read_text()


def test_the_queue_has_the_image_of_the_compose_file() -> None:
    image = VALUES["images"]["redis"]
    assert f"image: {image['repository']}:{image['tag']}\n" in COMPOSE_FILE.read_text()


def test_guide_names_every_secret() -> None:
    [container] = WATCH["spec"]["template"]["spec"]["containers"]
    references = [entry["valueFrom"]["secretKeyRef"] for entry in container["env"] if "valueFrom" in entry]
    named = secrets_named(VALUES) | {reference["name"] for reference in references}
    assert {name for name in named if f"`{name}`" not in GUIDE} == set()
    for reference in [*references, *({"key": entry["secretKey"]} for entry in VALUES["secret"])]:
        assert f"`{reference['key']}`" in GUIDE


def test_pods_meet_the_restricted_pod_security_standard() -> None:
    watch = WATCH["spec"]["template"]["spec"]
    redis = VALUES["redis"]["securityContexts"]
    pods = [
        (VALUES["securityContexts"]["pod"], VALUES["securityContexts"]["containers"]),
        (redis["pod"], redis["container"]),
        (watch["securityContext"], watch["containers"][0]["securityContext"]),
    ]
    for pod, container in pods:
        assert pod["runAsNonRoot"] is True
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_no_pod_runs_as_root_and_no_default_user_is_created() -> None:
    for pod in (VALUES["securityContexts"]["pod"], WATCH["spec"]["template"]["spec"]["securityContext"]):
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] == VALUES["uid"] == 50000
    assert VALUES["createUserJob"]["enabled"] is False
