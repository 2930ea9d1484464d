"""The Helm chart: rendered by Helm's own engine, checked against Kubernetes' schemas and the restricted profile."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from cdc import settings as settings_module

helm = pytest.importorskip("helm_python.chart", reason="helm-python-sdk is not for this machine")

CHART = Path(__file__).resolve().parents[2] / "helm" / "sf-cdc"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
VERSIONS = ["1.31.0", "1.33.0", "1.34.0"]
CUSTOM = {"monitoring.coreos.com/v1"}  # of the Prometheus operator, whose schemas are not Kubernetes' own

Values = dict[str, Any]


def values_of(example: Path) -> Values:
    found: Values = yaml.safe_load(example.read_text())
    return found


def rendered(values: Values) -> dict[str, str]:
    made: dict[str, str] = helm.Chart.load(str(CHART)).render(values, name="acme", namespace="recorders")
    return made


def objects(values: Values) -> list[dict[str, Any]]:
    texts = [text for name, text in rendered(values).items() if not name.endswith("NOTES.txt")]
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


def pods(values: Values) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in objects(values):
        if one["kind"] == "Pod":
            yield one["metadata"]["name"], one["spec"]
        elif one["kind"] == "StatefulSet":
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_helm_finds_nothing_to_complain_of(example: Path) -> None:
    report = helm.lint(str(CHART), values_of(example), strict=True, namespace="recorders")
    assert [m for m in report["messages"] if m["severity"] >= 2] == []
    assert not report["errors"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_every_object_is_valid_for_kubernetes(example: Path, version: str) -> None:
    found = objects(values_of(example))
    assert len(found) >= 6
    for one in found:
        if one["apiVersion"] not in CUSTOM:
            kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_the_settings_are_those_of_the_recorder(example: Path, tmp_path: Path) -> None:
    [one] = [o for o in objects(values_of(example)) if o["kind"] == "ConfigMap" and "cdc.toml" in o["data"]]
    (tmp_path / "cdc.toml").write_text(one["data"]["cdc.toml"])
    settings = settings_module.load(tmp_path / "cdc.toml", {})
    assert settings.org.alias == "acme"
    if example.stem == "lake":
        assert settings.journal.path.startswith("ducklake:postgres:")
        assert (settings.journal.shards, settings.journal.segments) == (2, "/var/lib/sf-cdc-lake")
    else:
        assert settings.journal.path == "/var/lib/sf-cdc/journal.duckdb"
    mounted = {
        m["mountPath"]
        for _, spec in pods(values_of(example))
        for c in spec["containers"]
        for m in c.get("volumeMounts", ())
    }
    for name in ("client_secret_file", "private_key_file", "refresh_token_file"):
        file = getattr(settings.salesforce, name)
        assert not file or str(Path(file).parent) in mounted


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_every_pod_meets_the_restricted_profile(example: Path) -> None:
    found = list(pods(values_of(example)))
    assert found
    for name, spec in found:
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
        for volume in spec.get("volumes", ()):
            assert set(volume) - {"name"} <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_there_is_never_a_second_writer(example: Path) -> None:
    sets = [o for o in objects(values_of(example)) if o["kind"] == "StatefulSet"]
    for one in sets:
        is_worker = example.stem == "lake" and one["metadata"]["name"].endswith("-journal")
        assert one["spec"]["replicas"] == (2 if is_worker else 1)
    roles = {o["spec"]["template"]["spec"]["containers"][0]["args"][-1] for o in sets}
    assert roles in ({"run"}, {"capture", "journal", "detect"})
    for one in sets:
        grace = one["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert grace > 45  # longer than a commit may take (cdc/log/kafka_writer.py)


def test_roles_without_a_broker_are_refused() -> None:
    values = values_of(CHART / "examples" / "single.yaml") | {"mode": "roles"}
    with pytest.raises(Exception, match="mode roles needs"):
        rendered(values)


@pytest.mark.parametrize(
    ("path", "value"),
    [(("salesforce", "client_secret"), "in the open"), (("salesforce", "login_url"), "http://acme.example")],
)
def test_secrets_and_plain_http_are_refused_in_values(path: tuple[str, str], value: str) -> None:
    values = values_of(CHART / "examples" / "single.yaml")
    values["settings"][path[0]][path[1]] = value
    with pytest.raises(Exception, match=path[1]):
        helm.Chart.load(str(CHART)).validate_schema(values)


# -- a value that does nothing ------------------------------------------------------------------------------

EVERYTHING: Values = {
    "mode": "roles",
    "settings": {
        "org": {"alias": "acme"},
        "salesforce": {"login_url": "https://acme.example", "client_id": "x"},
        "log": {"kind": "kafka"},
    },
    "secrets": {"salesforce": "a", "apiTokens": "b"},
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboards": {"enabled": True},
}
OTHER: dict[str, Any] = {
    "mode": "single",
    "image.pullPolicy": "Always",
    "imagePullSecrets": [{"name": "other"}],
    "settings.salesforce.login_url": "https://other.example",
    "settings.log.kind": None,
    "lake.workers": None,  # of one mode alone: see the tests of it
    "lake.claim": None,
    "persistence.accessModes": ["ReadWriteOncePod"],
    "resources": {"limits": {"memory": "9Gi"}},
    "service.type": "NodePort",
    "networkPolicy.from": [{"podSelector": {"matchLabels": {"a": "b"}}}],
    "networkPolicy.egressPorts": [1],
    "serviceMonitor.labels": {"other": "x"},
    "prometheusRule.labels": {"other": "x"},
    "serviceAccount.annotations": {"other": "x"},
    "podAnnotations": {"other": "x"},
    "podLabels": {"other": "x"},
    "nodeSelector": {"other": "x"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "extraEnv": [{"name": "OTHER", "value": "x"}],
}


def leaves(values: Values, prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value and path not in OTHER:
            yield from leaves(value, f"{path}.")
        else:
            yield path


def with_value(path: str, value: Any) -> Values:
    out = copy.deepcopy(EVERYTHING)
    at = out
    *parents, last = path.split(".")
    for parent in parents:
        at = at.setdefault(parent, {})
    at[last] = value
    return out


@pytest.mark.parametrize("path", [p for p in leaves(yaml.safe_load((CHART / "values.yaml").read_text())) if OTHER.get(p, 0) is not None])  # fmt: skip
def test_every_value_does_something(path: str) -> None:
    default: Any = helm.Chart.load(str(CHART)).merge_values(EVERYTHING)
    for part in path.split("."):
        default = default[part]
    if path in OTHER:
        other = OTHER[path]
    elif isinstance(default, bool):
        other = not default
    elif isinstance(default, int):
        other = default + 60
    else:
        other = "other"
    if path == "probes.periodSeconds":
        other = 30
    assert rendered(with_value(path, other)) != rendered(EVERYTHING), path


def test_workers_of_a_lake_are_several_pods_on_one_volume_and_nothing_else_is() -> None:
    values = values_of(CHART / "examples" / "lake.yaml")
    values["lake"]["workers"] = 3
    sets = {o["metadata"]["name"]: o["spec"] for o in objects(values) if o["kind"] == "StatefulSet"}
    replicas = {name: spec["replicas"] for name, spec in sets.items()}
    assert replicas == {"acme-sf-cdc-capture": 1, "acme-sf-cdc-journal": 3, "acme-sf-cdc-detect": 1}
    claims = [
        v["persistentVolumeClaim"]["claimName"]
        for v in sets["acme-sf-cdc-journal"]["template"]["spec"]["volumes"]
        if "persistentVolumeClaim" in v
    ]
    assert claims == ["cdc-lake"]


@pytest.mark.parametrize("wrong", ["mode", "path", "claim"])
def test_several_workers_are_refused_where_only_one_may_write(wrong: str) -> None:
    values = values_of(CHART / "examples" / "lake.yaml")
    if wrong == "mode":
        values["mode"] = "roles"
    elif wrong == "path":
        values["settings"]["journal"]["path"] = "journal.duckdb"
    else:
        values["lake"]["claim"] = ""
    with pytest.raises(Exception, match=r"mode lake"):
        rendered(values)
