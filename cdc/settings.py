"""Every setting, once: its key, type, range, default and what it is for.

One TOML file is one org and its journal (`--config`, else `./cdc.toml`, else `CDC_CONFIG`). Any key can come
from the environment as `CDC__SECTION__KEY`, which wins over the file. A secret can be given directly (best by
environment) or as `<key>_file`, which is read again when the file changes. `example()` writes the explained
example that `ops/cdc.example.toml` is, so that the two cannot drift apart.

Order of reading: `load`, the sections, then how problems become one sentence.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from cdc.errors import SettingsError
from cdc.settings_values import (
    Address,
    Duration,
    FieldNames,
    HttpsUrl,
    Intervals,
    Texts,
    are_networks,
    are_source_types,
    duration_s,
    is_duration,
    is_loopback,
)

ENVIRONMENT_PREFIX = "CDC__"
DEFAULT_FILE = "cdc.toml"


def load(path: str | Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings of one org.

    Errors: SettingsError naming each key with its problem and what is allowed, before anything starts.
    """
    env = os.environ if environment is None else environment
    file = _find_file(path, env)
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"the settings file cannot be read: {error.strerror}",
            where=str(file),
            do="name one with --config",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"the settings file is not TOML: {error}", where=str(file), do="correct that line"
        ) from error
    try:
        settings = Settings(**_overlay(values, env))
    except ValidationError as error:
        raise SettingsError(_problems(error), where=str(file), do="see ops/cdc.example.toml") from error
    return settings.at(file.resolve().parent)


def _find_file(path: str | Path | None, env: Mapping[str, str]) -> Path:
    if path:
        return Path(path)
    here = Path(DEFAULT_FILE)
    if here.exists():
        return here
    if named := env.get("CDC_CONFIG"):
        return Path(named)
    raise SettingsError(
        "no settings were given",
        where=f"looked for ./{DEFAULT_FILE}",
        do="name a file with --config or CDC_CONFIG",
    )


def _overlay(values: dict[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    """The file's values with `CDC__SECTION__KEY` laid over them; lists are comma-separated or TOML arrays."""
    merged: dict[str, Any] = {k: dict(v) if isinstance(v, dict) else v for k, v in values.items()}
    for name, text in env.items():
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        keys = name[len(ENVIRONMENT_PREFIX) :].lower().split("__")
        section: dict[str, Any] = merged
        for key in keys[:-1]:
            inner = section.get(key)
            section[key] = dict(inner) if isinstance(inner, dict) else {}
            section = section[key]
        section[keys[-1]] = _environment_value(text)
    return merged


def _environment_value(text: str) -> Any:
    if text.startswith(("[", "{")):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text
    return text


# -- kinds of values ----------------------------------------------------------------------------------------


class Section(BaseModel):
    """Unknown keys are refused, comma-separated text is taken for a list of texts."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        out = dict(values)
        for key, field in cls.model_fields.items():
            if isinstance(out.get(key), str) and field.annotation == list[str]:
                out[key] = [part.strip() for part in out[key].split(",") if part.strip()]
        return out


# -- the sections -------------------------------------------------------------------------------------------


class OrgSettings(Section):
    """Which org this file is about."""

    alias: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="names the topics and the journal's org column; a-z, 0-9 and -",
    )


class _Credentials(Section):
    client_id: str = Field("", description="consumer key of the app")
    client_secret: SecretStr = Field(SecretStr(""), description="for client_credentials, refresh_token; or:")
    client_secret_file: str = Field("", description="a file that holds it, read again when it changes")
    private_key: SecretStr = Field(SecretStr(""), description="for jwt: the RSA key as PEM text; or:")
    private_key_file: str = Field("", description="a PEM file")
    username: str = Field("", description="for jwt: the user to act as")
    audience: HttpsUrl = Field(
        "https://login.salesforce.com", description="for jwt: https://test.salesforce.com for a sandbox"
    )
    refresh_token: SecretStr = Field(SecretStr(""), description="for refresh_token; or:")
    refresh_token_file: str = Field("", description="a file that holds it")
    access_token: SecretStr = Field(
        SecretStr(""), description="for access_token, with instance_url and org_id; or:"
    )
    access_token_file: str = Field("", description="a file that holds it")
    instance_url: HttpsUrl = Field("", description="for access_token; otherwise the login's answer says it")
    org_id: str = Field("", pattern=r"^([A-Za-z0-9]{15}|[A-Za-z0-9]{18})?$", description="for access_token")

    def missing(self, auth: str) -> list[str]:
        """Keys that this way of logging in needs and that are empty."""

        def absent(key: str) -> bool:
            value = getattr(self, key)
            direct = value.get_secret_value() if isinstance(value, SecretStr) else value
            return not direct and not getattr(self, f"{key}_file", "")

        needs = {
            "client_credentials": ("client_id", "client_secret"),
            "jwt": ("client_id", "private_key", "username"),
            "refresh_token": ("client_id", "refresh_token"),
            "access_token": ("access_token", "instance_url", "org_id"),
        }
        return [
            f"{key}_file" if hasattr(self, f"{key}_file") else key
            for key in needs.get(auth, ())
            if absent(key)
        ]


Auth = Literal["client_credentials", "jwt", "refresh_token", "access_token"]


class SalesforceSettings(_Credentials):
    """How to reach the org, and what to record."""

    login_url: HttpsUrl = Field(description="the org's My Domain; http:// only for a loopback address")
    auth: Auth = Field(
        "client_credentials", description="client_credentials | jwt | refresh_token | access_token"
    )
    api_version: str = Field("66.0", pattern=r"^\d{2,3}\.0$", description="of REST and event schemas")
    transport: Literal["pubsub", "cometd"] = Field("pubsub", description="pubsub | cometd")
    pubsub_endpoint: Address = Field(
        "api.pubsub.salesforce.com:7443", description="api.deu.pubsub.salesforce.com:7443 for EU residency"
    )
    pubsub_tls: bool = Field(True, description="false only for a loopback address")
    ca_file: str = Field("", description="an extra trust root, PEM")
    channels: Texts = Field(["/data/ChangeEvents"], description="change channels, /data/…")
    platform_events: Texts = Field([], description="/event/…")
    entities: Texts = Field([], description="empty: read from the org's channel members")
    start: Literal["latest", "earliest"] = Field(
        "latest", description="latest | earliest: only where no position is stored"
    )
    baseline: Literal["auto", "off"] = Field(
        "auto", description="auto: `run` and `capture` take one for each entity that has none | off"
    )
    daily_delivery_limit: int = Field(0, ge=0, description="events a day; 0: read from /limits")
    max_api_calls_per_day: int = Field(0, ge=0, description="calls a day; 0: 20 % of the org's allowance")
    bulk_from_records: int = Field(
        20_000,
        ge=1,
        description="entities with so many records are read in full by Bulk API 2.0, others by REST",
    )

    @model_validator(mode="after")
    def _whole(self) -> SalesforceSettings:
        problems = [f"{key} is needed for auth = {self.auth}" for key in self.missing(self.auth)]
        host = self.pubsub_endpoint.rpartition(":")[0].strip("[]")
        if not self.pubsub_tls and not is_loopback(host):
            problems.append("pubsub_tls = false is only for a loopback address")
        problems += [
            f"channels: {c} must begin with /data/" for c in self.channels if not c.startswith("/data/")
        ]
        problems += [
            f"platform_events: {c} must begin with /event/"
            for c in self.platform_events
            if not c.startswith("/event/")
        ]
        if not self.channels and not self.platform_events:
            problems.append("channels and platform_events are both empty: there is nothing to record")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class VerifySettings(Section):
    """Holding the journal against the org, on a schedule in `cdc run`: it finds what published nothing."""

    interval: Duration = Field("1d", description="how often; 0s: only by `cdc verify --against-org`")
    depth: Literal["counts", "ids", "fields"] = Field(
        "ids", description="counts | ids (with SystemModstamp) | fields: a full read of every entity"
    )


class LogKafkaSettings(Section):
    """Only for kind = "kafka"."""

    bootstrap_servers: str = Field("localhost:9092", min_length=1, description="HOST:PORT, comma-separated")
    topic_prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]*$", description="default salesforce.<alias>")
    partitions: int = Field(6, ge=1, le=1000, description="of the topics this system creates")
    replication_factor: int = Field(
        1, ge=1, le=9, description="of the topics this system creates; 3 in production"
    )
    schema_registry_url: HttpsUrl = Field(
        "", description="Confluent-compatible; empty: single-object encoding"
    )
    schema_compatibility: Literal[
        "NONE", "BACKWARD", "FORWARD", "FULL", "BACKWARD_TRANSITIVE", "FORWARD_TRANSITIVE", "FULL_TRANSITIVE"
    ] = Field("NONE", description="set on the subjects this system creates")
    properties: dict[str, str] = Field(
        default_factory=dict, description="passed to librdkafka as they are: SASL, TLS …"
    )


class LogSettings(Section):
    """The durable road between the stages."""

    kind: Literal["kafka", "embedded"] = Field("kafka", description="kafka | embedded")
    path: str = Field("log.sqlite", min_length=1, description="embedded: the SQLite file")
    retention: Duration = Field("14d", description="ours, set on the topics this system creates; at least 4d")
    kafka: LogKafkaSettings = Field(default_factory=LogKafkaSettings, description="the [log.kafka] section")

    @model_validator(mode="after")
    def _longer_than_salesforce(self) -> LogSettings:
        if duration_s(self.retention) < 4 * 86400:
            raise ValueError("retention must be at least 4d, longer than the 72 h the event bus keeps")
        return self


class JournalSettings(Section):
    """The append-only store."""

    path: str = Field(
        "journal.duckdb",
        min_length=1,
        description="the DuckDB file; or ducklake:postgres:…, for several workers",
    )
    shards: int = Field(2, ge=1, le=64, description="of a lake: parts of the stream, each kept by one worker")
    memory_limit: str = Field("2GB", pattern=r"^\d+(\.\d+)?\s?(MB|GB|MiB|GiB)$", description="of DuckDB")
    threads: int = Field(2, ge=1, le=256, description="of DuckDB")
    segments: str = Field(
        "segments",
        min_length=1,
        description="folder of the sealed Parquet segments; of a lake: of all its files",
    )
    seal_records: int = Field(1_000_000, ge=10_000, description="field changes kept hot before sealing")
    signing_key_file: str = Field("", description="Ed25519 key that signs the seals, PEM")


MaybeAuth = Literal["", "client_credentials", "jwt", "refresh_token", "access_token"]


class RestoreSettings(_Credentials):
    """Its own app and user, so that capture can stay read-only."""

    auth: MaybeAuth = Field("", description="empty: restoring is off; else as in [salesforce]")
    login_url: HttpsUrl = Field("", description="empty: that of [salesforce]")
    owner: str = Field("", max_length=200, description="who owns recovery, for the report")
    folder: str = Field("plans", min_length=1, description="where plans are kept")
    key_field: str = Field(
        "", pattern=r"^(\w{1,80})?$", description="a text field that carries our key on records made anew"
    )
    bulk_from: int = Field(10_000, ge=1, description="records of an entity from which bulk jobs are used")
    calls_per_minute: int = Field(
        0, ge=0, description="API calls while writing; 0: as fast as the org answers"
    )
    settle: Duration = Field(
        "5s",
        description="after a kill: how long a request may still be at work in the org, before it is read again",
    )
    max_api_calls_per_day: int = Field(0, ge=0, description="calls a day; 0: 20 % of the org's allowance")

    @model_validator(mode="after")
    def _whole(self) -> RestoreSettings:
        if problems := [f"{key} is needed for auth = {self.auth}" for key in self.missing(self.auth)]:
            raise ValueError("; ".join(problems))
        return self


class SandboxSettings(_Credentials):
    """Another org, to copy records of any moment into: a sandbox, never production."""

    auth: MaybeAuth = Field("", description="empty: there is none; else as in [salesforce]")
    login_url: HttpsUrl = Field("", description="the sandbox's My Domain")

    @model_validator(mode="after")
    def _whole(self) -> SandboxSettings:
        problems = [f"{key} is needed for auth = {self.auth}" for key in self.missing(self.auth)]
        if self.auth and not self.login_url:
            problems.append("login_url is needed: it is another org")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class DrillSettings(Section):
    """Rehearsals on a schedule."""

    every: Annotated[str, AfterValidator(lambda text: is_duration(text) if text else text)] = Field(
        "", description="how often `cdc run` drills, like 30d; empty: never by itself"
    )
    on: Literal["simulated", "sandbox"] = Field(
        "simulated", description="simulated | sandbox: the org of these settings, which has to be one"
    )


class PollSettings(Section):
    """Entities without Change Data Capture."""

    entities: Texts = Field(
        [],
        description="entities to read at an interval, by SystemModstamp and deleted ids; none of a channel",
    )
    interval: Duration = Field("5m", description="how often; also while the delivery allocation is used up")
    setup_interval: Duration = Field("5m", description="how often the org's setup is read")
    setup_intervals: Intervals = Field(
        default_factory=dict, description='of single kinds, like { User = "1h", FieldPermissions = "30m" }'
    )
    metadata: Annotated[Texts, AfterValidator(are_source_types)] = Field(
        ["ApexClass", "ApexTrigger", "CustomField", "Flow", "PermissionSet", "ValidationRule"],
        description="types whose source is kept, for setup diff, export, compare and rollback; empty: none",
    )
    metadata_interval: Duration = Field(
        "15m", description="how often source is looked for; at once when the audit trail has a new line"
    )


class PrivacySettings(Section):
    """What viewers and sinks do not see."""

    masked: FieldNames = Field([], description="Entity.Field; masked for viewers and at every sink")
    masked_classes: Texts = Field(
        [], description="PII, Confidential …: fields the org classes so are masked in copies to another org"
    )


class DetectSettings(Section):
    """The detector."""

    enabled: bool = Field(True, description="whether `cdc run` watches for mass updates")
    page_budget_per_week: float = Field(1, gt=0, le=100, description="pages an org and week it aims at")
    digest_budget_per_week: float = Field(
        5, gt=0, le=1000, description="digest lines an org and week it aims at"
    )
    calendar: str = Field("", description="a TOML file of announced windows, see cdc/detect/README.md")
    state_path: str = Field("detect.state", min_length=1, description="its checkpoint file")


class AlertsSettings(Section):
    """Where alerts go besides the console and the journal."""

    kafka: bool = Field(True, description="the topic <prefix>.alerts; with the embedded log its alerts topic")
    alertmanager_url: str = Field(
        "", pattern=r"^(https?://\S+)?$", description="Alertmanager's address; its API v2 is used"
    )
    webhook_url: HttpsUrl = Field("", description="https address that gets each alert as JSON, signed")
    webhook_secret_file: str = Field("", description="key of the webhook's HMAC-SHA256")
    webhook_networks: Annotated[Texts, AfterValidator(are_networks)] = Field(
        [], description="private ranges the webhook may reach"
    )
    positions: str = Field(
        "alerts.positions", min_length=1, description="file beside which each sink keeps what it has taken"
    )

    @model_validator(mode="after")
    def _signed(self) -> AlertsSettings:
        if self.webhook_url and not self.webhook_secret_file:
            raise ValueError("webhook_secret_file is needed for webhook_url")
        return self


class ApiSettings(Section):
    """The HTTP door to the journal while it runs."""

    listen: Address = Field("127.0.0.1:8484", description="loopback only unless tokens_file is given")
    tokens_file: str = Field(
        "", description="role and sha256 of each token; empty: loopback only, one generated admin token"
    )
    token_file: str = Field(
        "cdc.token", description="what the command line sends; the generated token is written here, mode 0600"
    )

    @model_validator(mode="after")
    def _loopback_without_tokens(self) -> ApiSettings:
        if not self.tokens_file and not is_loopback(self.listen.rpartition(":")[0].strip("[]")):
            raise ValueError("listen may leave the loopback range only with tokens_file")
        return self


class MetricsSettings(Section):
    """Prometheus metrics of a role that serves no API."""

    listen: Address = Field("127.0.0.1:9484", description="/metrics of such a role")


class Settings(BaseSettings):
    """One org and its journal."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    org: OrgSettings
    salesforce: SalesforceSettings
    restore: RestoreSettings = RestoreSettings()
    sandbox: SandboxSettings = SandboxSettings()
    drill: DrillSettings = DrillSettings()
    poll: PollSettings = PollSettings()
    verify: VerifySettings = VerifySettings()
    log: LogSettings = LogSettings()
    journal: JournalSettings = JournalSettings()
    privacy: PrivacySettings = PrivacySettings()
    detect: DetectSettings = DetectSettings()
    alerts: AlertsSettings = AlertsSettings()
    api: ApiSettings = ApiSettings()
    metrics: MetricsSettings = MetricsSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # `load` has laid the environment over the file

    def at(self, folder: Path) -> Settings:
        """The same settings with relative file names taken from the settings file's folder."""
        changed: dict[str, Any] = {}
        for name, section in self.sections():
            updates = {
                key: str(folder / value)
                for key, value in section
                if (key in _PATHS or key.endswith("_file"))
                and isinstance(value, str)
                and value
                and not Path(value).is_absolute()
                and not value.startswith("ducklake:")
            }
            if updates:
                changed[name] = section.model_copy(update=updates)
        return self.model_copy(update=changed)

    def sections(self) -> Iterator[tuple[str, Section]]:
        """Top-level sections by name."""
        for name in type(self).model_fields:
            yield name, getattr(self, name)

    @property
    def topic_prefix(self) -> str:
        return self.log.kafka.topic_prefix or f"salesforce.{self.org.alias}"


_PATHS = frozenset({"path", "state_path", "segments", "folder", "positions", "calendar"})


# -- showing them -------------------------------------------------------------------------------------------


def shown(settings: Settings) -> dict[str, Any]:
    """Every value in force, secrets masked, for `cdc config show`."""
    return {name: _shown(section) for name, section in settings.sections()}


def _shown(section: Section) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in section:
        if isinstance(value, SecretStr):
            out[key] = "********" if value.get_secret_value() else ""
        elif isinstance(value, Section):
            out[key] = _shown(value)
        elif key == "properties" and isinstance(value, dict):
            secret = re.compile("password|secret|key|token", re.I)
            out[key] = {k: "********" if secret.search(k) else v for k, v in value.items()}
        else:
            out[key] = value
    return out


def documented_keys() -> Iterator[tuple[str, str, Any, str]]:
    """(section, key, default, explanation) of every setting, in the order of the example."""

    def walk(name: str, model: type[BaseModel]) -> Iterator[tuple[str, str, Any, str]]:
        inner: list[tuple[str, type[BaseModel]]] = []
        for key, field in model.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, Section):
                inner.append((f"{name}.{key}" if name else key, kind))
                continue
            default = field.get_default(call_default_factory=True)
            yield name, key, default, field.description or ""
        for path, kind in inner:
            yield from walk(path, kind)

    yield from walk("", Settings)


_SAMPLES = {("org", "alias"): "acme", ("salesforce", "login_url"): "https://acme.my.salesforce.com"}


def example() -> str:
    """The explained example file: every key with its default and what it is for."""
    lines = [
        "# Every setting with its default and what it is for. One file is one org and its journal.",
        "# Any key can come from the environment as CDC__SECTION__KEY; a secret best so, or as its …_file.",
    ]
    current = None
    for section, key, default, text in documented_keys():
        if section != current:
            lines += ["", f"[{section}]"]
            current = section
        if isinstance(default, SecretStr):
            lines.append(f'# {key} = ""{" " * max(1, 44 - len(key))}# {text}')
            continue
        value = _toml(_SAMPLES.get((section, key), default))
        body = f"{key} = {value}"
        lines.append(f"{body}{' ' * max(2, 52 - len(body))}# {text}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{}"
    return '"' + str(value) + '"'


# -- problems as sentences ----------------------------------------------------------------------------------


def _problems(error: ValidationError) -> str:
    known = sorted({f"{s}.{k}" for s, k, _, _ in documented_keys()})
    sections = sorted({s for s, _, _, _ in documented_keys()})
    out = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, known + sections, n=1)
            out.append(f"{key} is not a setting" + (f" (did you mean {near[0]}?)" if near else ""))
        elif problem["type"] == "missing":
            out.append(f"{key} is missing")
        elif problem["type"] == "value_error":
            out.append(f"{key}: {problem['ctx']['error']}")
        else:
            given = problem.get("input")
            said = "" if isinstance(given, dict) or "secret" in key or "token" in key else f", not {given!r}"
            out.append(f"{key}: {_readable(problem['msg'])}{said}")
    return "; ".join(out)


def _readable(message: str) -> str:
    text = message[0].lower() + message[1:]
    return text.replace("input should be", "must be").replace("string should match", "must match")
