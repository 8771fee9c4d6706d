"""The schema of the config file: every key with its type, bounds, default and meaning.

In: plain data. Out: validated models, from which `load.py` makes the Config, or pydantic's errors, which `fields.py`
puts into words; and the JSON Schema, for editors, derived from the same classes. What needs more than one key to be
judged (duplicates, dates in order, one quota under two names) is in `checks.py`. Only `fields.py` and `load.py` use
pydantic beside this module.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from collector.config import values
from collector.config.document import LEFT_ALONE
from collector.config.endpoint import read_endpoint
from collector.config.settings import DEFAULT_LOOKBACK, Auth, Limits, NaiveHours, RateLimit, Retry, Storage, Workspace
from collector.metrics import DEFAULT_METRICS, METRICS
from collector.model import Scope, Unit

BUILT_IN = Workspace(name="", endpoint="", timezone=ZoneInfo("UTC"))
"""The defaults of what a file may leave out, as `settings.py` has them."""

_RATE, _RETRY, _STORAGE = RateLimit(), Retry(), Storage()

Day = Annotated[date, BeforeValidator(values.read_date), WithJsonSchema({"type": "string", "format": "date"})]
Duration = Annotated[
    timedelta,
    BeforeValidator(values.read_duration),
    WithJsonSchema(
        {"type": ["string", "integer"], "pattern": f"^(0|{values.DURATION_PATTERN})$", "minimum": 0, "maximum": 0}
    ),
]
Name = Annotated[str, AfterValidator(values.printable), Field(json_schema_extra={"minLength": 1, "maxLength": 255})]
Id = Annotated[str, AfterValidator(values.identifier), Field(json_schema_extra={"minLength": 1, "maxLength": 255})]
WorkspaceName = Annotated[
    str,
    AfterValidator(values.workspace_name),
    Field(json_schema_extra={"pattern": f"^{values.WORKSPACE_NAME}$", "maxLength": values.MAX_NAME}),
]
# An enum is read from its text, which pydantic's strict mode would reject.
OneUnit = Annotated[Unit, Field(strict=False)]
OneScope = Annotated[Scope, Field(strict=False)]

_OWN = {
    kind: {"type": "array", "items": {"enum": [each.value for each in kinds]}, "minItems": 1, "uniqueItems": True}
    for kind, kinds in (("units", Unit), ("scopes", Scope))
}
# `checks.py` judges it: which units and scopes a metric may have is in the catalogue, and pydantic's messages for one
# of two types name neither.
Metrics = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"enum": [*METRICS]}, "minItems": 1, "uniqueItems": True},
                {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": False,
                    "properties": {
                        name: {"type": ["object", "null"], "additionalProperties": False, "properties": _OWN}
                        for name in METRICS
                    },
                },
            ]
        }
    ),
]


def _key(meaning: str, example: object, default: object = None, **more: Any) -> Any:
    """An optional key. The built-in default is shown to editors, and filled in by `load.py`."""
    extra = {"default": default} | more.pop("extra", {})
    return Field(None, description=meaning, examples=[example], json_schema_extra=extra, **more)


def _required(meaning: str, example: object, **more: Any) -> Any:
    return Field(description=meaning, examples=[example], **more)


class ConfigModel(BaseModel):
    """A mapping of the file. Unknown keys are mistakes; a key without a value counts as absent."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


class LookbackModel(ConfigModel):
    """How many of the newest closed buckets each run reads again, since late sessions restate them."""

    day: int | None = _key("Days read again by each run; 0: none.", 14, DEFAULT_LOOKBACK[Unit.DAY], ge=0, le=400)
    hour: int | None = _key("Hours read again by each run; 0: none.", 336, DEFAULT_LOOKBACK[Unit.HOUR], ge=0, le=9600)


class RateLimitModel(ConfigModel):
    """The workspace's hourly quota of requests, which is shared with production sends, and the rate."""

    per_hour: int | None = _key("Requests an hour that Braze allows.", 250000, _RATE.per_hour, ge=1, le=10**9)
    reserve: float | None = _key(
        "Share of the quota that is left to others.", 0.2, _RATE.reserve, ge=0, lt=1, allow_inf_nan=False
    )
    per_second: float | None = _key(
        "Requests a second at most.", 100, _RATE.per_second, gt=0, le=10_000, allow_inf_nan=False
    )


class RetryModel(ConfigModel):
    """How often, and after which waits, a window is requested again after a temporary failure."""

    attempts: int | None = _key("Attempts in all for one window.", 6, _RETRY.attempts, ge=1, le=20)
    base_seconds: float | None = _key(
        "First backoff; it doubles with each attempt, with jitter.", 0.5, _RETRY.base_seconds, gt=0, le=3600,
        allow_inf_nan=False,
    )  # fmt: skip
    max_seconds: float | None = _key(
        "Longest backoff; at least base_seconds.", 60, _RETRY.max_seconds, gt=0, le=3600, allow_inf_nan=False
    )


class SettingsModel(ConfigModel):
    """The keys that are allowed under `defaults` and in each workspace, where they win."""

    metrics: Metrics = _key(
        "What to collect: a list of metrics, or a mapping from metrics to units and scopes of their own.",
        [*DEFAULT_METRICS], [*DEFAULT_METRICS],
    )  # fmt: skip
    events: list[Name] | None = _key(
        "Names of custom events, each of which is a series of the metric of that name.", ["checkout_completed"],
        min_length=1, extra={"uniqueItems": True},
    )  # fmt: skip
    units: list[OneUnit] | None = _key(
        "Bucket sizes to collect.", ["day", "hour"], [*BUILT_IN.units], min_length=1, extra={"uniqueItems": True}
    )
    scopes: list[OneScope] | None = _key(
        "Which ids series set: one app, an app and a segment, all apps, all apps and a segment.",
        ["app", "app_segment"], [*BUILT_IN.scopes], min_length=1, extra={"uniqueItems": True},
    )  # fmt: skip
    start: Day | None = _key("First date wanted; absent: the lookback alone.", "2026-10-01")
    end: Day | None = _key("Last date wanted; absent: no end.", "2027-06-30")
    lookback: LookbackModel | None = _key(
        "Newest closed buckets that each run reads again, by unit.", {"day": 14, "hour": 336}
    )
    settle: Duration | None = _key("How long after its end a bucket counts as closed.", "10m", "10m")
    refresh_after: Duration | None = _key(
        "A lookback window that was answered more recently than this is not requested again.", "6h", "6h"
    )
    rate_limit: RateLimitModel | None = _key(
        "The hourly quota, the share of it that is left to others, and the rate.", {"per_hour": 250000, "reserve": 0.2}
    )
    concurrency: int | None = _key(
        "Requests in flight at once, each workspace.", 32, BUILT_IN.concurrency, ge=1, le=1000
    )
    retry: RetryModel | None = _key("Attempts and backoff.", {"attempts": 6, "base_seconds": 0.5, "max_seconds": 60})
    timeout_seconds: float | None = _key(
        "How long one request may take.", 30, BUILT_IN.timeout_seconds, gt=0, le=600, allow_inf_nan=False
    )
    auth: Auth | None = _key(
        "How the key is sent: in the Authorization header, or in the URL's query.", "header", Auth.HEADER, strict=False
    )
    naive_hours: NaiveHours | None = _key(
        "How an hour without an offset is read: as UTC, or in the workspace's zone.",
        "utc",
        NaiveHours.UTC,
        strict=False,
    )


class AppModel(ConfigModel):
    """One app of a workspace."""

    name: Name = _required("The name of the app in rows; unique in its workspace.", "ios")
    id: Id = _required("The app's identifier, from Braze's dashboard.", "3bbc4555-8fa0-4c9b-a5c0-4505edf3e064")
    segments: list[Name] | None = _key(
        "Names of the only segments to split this app by; []: none; absent: all.", ["vip"], extra={"uniqueItems": True}
    )
    start: Day | None = _key("First date wanted of this app; absent: the workspace's.", "2026-11-01")
    end: Day | None = _key("Last date wanted of this app, as of a retired one.", "2026-06-30")


class SegmentModel(ConfigModel):
    """One segment of a workspace, with analytics tracking enabled."""

    name: Name = _required("The name of the segment in rows; unique in its workspace.", "vip")
    id: Id = _required("The segment's API identifier.", "51b0a1c2-0d7e-4b1a-9c55-2f6f0c9d1e77")
    start: Day | None = _key("First date wanted of this segment; absent: the workspace's.", "2026-11-01")
    end: Day | None = _key("Last date wanted of this segment.", "2026-06-30")


class WorkspaceModel(SettingsModel):
    """One Braze workspace: one endpoint, one key, one quota."""

    name: WorkspaceName = _required("The workspace's name: a partition value of the lake.", "acme")
    endpoint: Annotated[str, AfterValidator(read_endpoint)] = _required(
        "The workspace's REST host.", "https://rest.iad-01.braze.com"
    )
    api_key: Annotated[str, AfterValidator(values.api_key)] | None = _key(
        "The environment variable that holds the key, never the key itself.", "${BRAZE_API_KEY_ACME}",
        extra={"pattern": f"^{values.API_KEY}$"},
    )  # fmt: skip
    api_key_file: Annotated[str, AfterValidator(values.file_path)] | None = _key(
        "A file that holds the key, in place of api_key; relative to the config file.", "/run/secrets/acme"
    )
    timezone: Annotated[str, AfterValidator(values.zone_name)] | None = _key(
        "The IANA time zone of the workspace's days.", "America/New_York", "UTC"
    )
    apps: list[AppModel] | None = _key(
        "The workspace's apps.", [{"name": "ios", "id": "3bbc4555-8fa0-4c9b-a5c0-4505edf3e064"}], min_length=1
    )
    segments: list[SegmentModel] | None = _key(
        "The workspace's segments; absent or []: none.", [{"name": "vip", "id": "51b0a1c2"}]
    )


Plain = Annotated[str, AfterValidator(values.plain)]


class StorageModel(ConfigModel):
    """How the object store of the lake is reached. Credentials do not belong here: they are the cloud's own."""

    endpoint: Annotated[str, AfterValidator(values.read_storage_endpoint)] | None = _key(
        "The server, if it is not the cloud's own.", "https://minio.example.com:9000"
    )
    region: Plain | None = _key("The bucket's region, of s3:// lakes.", "eu-central-1")
    profile: Plain | None = _key("The profile of ~/.aws to take credentials from, of s3:// lakes.", "analytics")
    account: Plain | None = _key("The storage account, of abfs:// lakes.", "acmeanalytics")
    timeout_seconds: float | None = _key(
        "How long one request to the store may take.", 60, _STORAGE.timeout_seconds, gt=0, le=3600, allow_inf_nan=False
    )
    retry_seconds: float | None = _key(
        "How long a request that failed temporarily is repeated; 0: never.", 60, _STORAGE.retry_seconds, ge=0, le=240,
        allow_inf_nan=False,
    )  # fmt: skip


class LimitsModel(ConfigModel):
    """Limits of the process, whatever the number of workspaces."""

    connections: int | None = _key(
        "Open connections of the whole process, idle ones included.", 200, Limits().connections, ge=1, le=100_000
    )


class FileModel(ConfigModel):
    """The complete file. Keys that begin with `x-` are left alone: a place for anchors."""

    model_config = ConfigDict(json_schema_extra={"patternProperties": {f"^{LEFT_ALONE}": {}}})

    lake: Annotated[str, AfterValidator(values.lake)] = _required(
        "A folder, relative to the config file, or s3://bucket/prefix, gs://bucket/prefix, abfs://container/prefix.",
        "./lake",
    )
    require_lake: bool | None = _key(
        "Whether a lake that is not there is an error, such as a disk that is not mounted; otherwise, a run makes it.",
        True, False,
    )  # fmt: skip
    storage: StorageModel | None = _key("How the object store of the lake is reached.", {"region": "eu-central-1"})
    limits: LimitsModel | None = _key("Limits of the process.", {"connections": 200})
    defaults: SettingsModel | None = _key("Settings of every workspace that does not set its own.", {"settle": "10m"})
    workspaces: list[WorkspaceModel] = _required(
        "The workspaces to collect from.",
        [{"name": "acme", "endpoint": "https://rest.iad-01.braze.com", "api_key": "${BRAZE_API_KEY_ACME}"}],
        min_length=1,
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_alone(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if not key.startswith(LEFT_ALONE)}


DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The JSON Schema as plain data, ready to be written as JSON."""
    body = _tidy(FileModel.model_json_schema())
    return {"$schema": DIALECT, "title": "collector.yaml", **body}


def _tidy(part: Any) -> Any:
    """Without titles made of names, and without defaults that only say that a key may be absent."""
    if isinstance(part, list):
        return [_tidy(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        key: _tidy(value)
        for key, value in part.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None)
    }
