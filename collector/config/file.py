"""The config file's shape: every key with its type, bounds, default and meaning. pydantic stops here.

In: plain data. Out: validated entries, from which `resolve.py` makes the Config, or pydantic's errors, which
`fields.py` turns into sentences. The JSON Schema (`schema.py`) is derived from the same classes.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from collector.config import values
from collector.config.durations import PATTERN
from collector.config.endpoint import read_endpoint
from collector.config.settings import DEFAULT_LOOKBACK, Auth, NaiveHours, RateLimit, Retry, Storage, Workspace
from collector.config.storage import read_storage_endpoint
from collector.model import Scope, Unit

BUILT_IN = Workspace(name="", endpoint="", timezone=ZoneInfo("UTC"))
"""The defaults of all that a file may leave out, as `settings.py` has them."""

_RATE, _RETRY, _STORAGE = RateLimit(), Retry(), Storage()

Day = Annotated[date, BeforeValidator(values.read_date), WithJsonSchema({"type": "string", "format": "date"})]
Duration = Annotated[
    timedelta,
    BeforeValidator(values.read_duration),
    WithJsonSchema({"type": ["string", "integer"], "pattern": f"^(0|{PATTERN})$", "minimum": 0, "maximum": 0}),
]
Name = Annotated[str, AfterValidator(values.printable), Field(json_schema_extra={"minLength": 1, "maxLength": 255})]
WorkspaceName = Annotated[
    str,
    AfterValidator(values.workspace_name),
    Field(json_schema_extra={"pattern": f"^{values.WORKSPACE_NAME}$", "maxLength": values.LONGEST_NAME}),
]
# An enum is read from its text, which pydantic's strict mode would refuse.
OneUnit = Annotated[Unit, Field(strict=False)]
OneScope = Annotated[Scope, Field(strict=False)]


def _key(meaning: str, example: object, default: object = None, **more: Any) -> Any:
    """Describe an optional key; the built-in default is told to editors and filled in by `resolve.py`."""
    extra = {"default": default} | more.pop("extra", {})
    return Field(None, description=meaning, examples=[example], json_schema_extra=extra, **more)


def _required(meaning: str, example: object, **more: Any) -> Any:
    return Field(description=meaning, examples=[example], **more)


class Entry(BaseModel):
    """A mapping of the file. Unknown keys are mistakes; a key without a value counts as absent."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


class LookbackEntry(Entry):
    """How many of the newest closed buckets each run reads again, since late sessions restate them."""

    day: int | None = _key("Days read again by each run; 0: none.", 14, DEFAULT_LOOKBACK[Unit.DAY], ge=0, le=400)
    hour: int | None = _key("Hours read again by each run; 0: none.", 336, DEFAULT_LOOKBACK[Unit.HOUR], ge=0, le=9600)


class RateLimitEntry(Entry):
    """The workspace's hourly pool of requests, which it shares with production sends, and the pace."""

    per_hour: int | None = _key("Requests an hour that Braze allows.", 250000, _RATE.per_hour, ge=1, le=10**9)
    reserve: float | None = _key(
        "Share of the pool that is left to others.", 0.2, _RATE.reserve, ge=0, lt=1, allow_inf_nan=False
    )
    per_second: float | None = _key(
        "Requests a second at most.", 100, _RATE.per_second, gt=0, le=10_000, allow_inf_nan=False
    )


class RetryEntry(Entry):
    """How often and how patiently a window is asked for again after a failure that may pass."""

    attempts: int | None = _key("Attempts in all for one window.", 6, _RETRY.attempts, ge=1, le=20)
    base_seconds: float | None = _key(
        "First backoff; it doubles with each attempt, with jitter.", 0.5, _RETRY.base_seconds, gt=0, le=3600,
        allow_inf_nan=False,
    )  # fmt: skip
    max_seconds: float | None = _key(
        "Longest backoff; not under base_seconds.", 60, _RETRY.max_seconds, gt=0, le=3600, allow_inf_nan=False
    )


class SettingsEntry(Entry):
    """The keys that may stand under `defaults` and in each workspace, where they win."""

    units: list[OneUnit] | None = _key(
        "Bucket sizes to collect.", ["day", "hour"], [*BUILT_IN.units], min_length=1, extra={"uniqueItems": True}
    )
    scopes: list[OneScope] | None = _key(
        "Which ids series set: one app, an app and a segment, all apps, all apps and a segment.",
        ["app", "app_segment"], [*BUILT_IN.scopes], min_length=1, extra={"uniqueItems": True},
    )  # fmt: skip
    start: Day | None = _key("First date wanted; absent: the lookback alone.", "2026-10-01")
    end: Day | None = _key("Last date wanted; absent: no end.", "2027-06-30")
    lookback: LookbackEntry | None = _key(
        "Newest closed buckets that each run reads again, by unit.", {"day": 14, "hour": 336}
    )
    settle: Duration | None = _key("How long after its end a bucket counts as closed.", "10m", "10m")
    refresh_after: Duration | None = _key(
        "A lookback window answered more recently than this is not asked for again.", "6h", "6h"
    )
    rate_limit: RateLimitEntry | None = _key(
        "The hourly pool, the share of it left to others, and the pace.", {"per_hour": 250000, "reserve": 0.2}
    )
    concurrency: int | None = _key(
        "Requests in flight at once, each workspace.", 32, BUILT_IN.concurrency, ge=1, le=1000
    )
    retry: RetryEntry | None = _key("Attempts and backoff.", {"attempts": 6, "base_seconds": 0.5, "max_seconds": 60})
    timeout_seconds: float | None = _key(
        "How long one request may take.", 30, BUILT_IN.timeout_seconds, gt=0, le=600, allow_inf_nan=False
    )
    auth: Auth | None = _key(
        "How the key travels: in the Authorization header, or in the URL's query.", "header", Auth.HEADER, strict=False
    )
    naive_hours: NaiveHours | None = _key(
        "How an hour without an offset is read: as UTC, or in the workspace's zone.",
        "utc",
        NaiveHours.UTC,
        strict=False,
    )


class AppEntry(Entry):
    """One app of a workspace."""

    name: Name = _required("What rows call the app; unique in its workspace.", "ios")
    id: Name = _required("The app's identifier, from Braze's dashboard.", "3bbc4555-8fa0-4c9b-a5c0-4505edf3e064")
    segments: list[Name] | None = _key(
        "Names of the only segments to split this app by; []: none; absent: all.", ["vip"], extra={"uniqueItems": True}
    )
    start: Day | None = _key("First date wanted of this app; absent: the workspace's.", "2026-11-01")
    end: Day | None = _key("Last date wanted of this app, as of a retired one.", "2026-06-30")


class SegmentEntry(Entry):
    """One segment of a workspace, with analytics tracking enabled."""

    name: Name = _required("What rows call the segment; unique in its workspace.", "vip")
    id: Name = _required("The segment's API identifier.", "51b0a1c2-0d7e-4b1a-9c55-2f6f0c9d1e77")
    start: Day | None = _key("First date wanted of this segment; absent: the workspace's.", "2026-11-01")
    end: Day | None = _key("Last date wanted of this segment.", "2026-06-30")


class WorkspaceEntry(SettingsEntry):
    """One Braze workspace: one endpoint, one key, one pool."""

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
        "The IANA time zone that the workspace's days are cut in.", "America/New_York", "UTC"
    )
    apps: list[AppEntry] | None = _key(
        "The workspace's apps.", [{"name": "ios", "id": "3bbc4555-8fa0-4c9b-a5c0-4505edf3e064"}], min_length=1
    )
    segments: list[SegmentEntry] | None = _key(
        "The workspace's segments; absent or []: none.", [{"name": "vip", "id": "51b0a1c2"}]
    )


Plain = Annotated[str, AfterValidator(values.plain)]


class StorageEntry(Entry):
    """How the object store that holds the lake is reached. Credentials are not said here: they are the cloud's own."""

    endpoint: Annotated[str, AfterValidator(read_storage_endpoint)] | None = _key(
        "The server, where it is not the cloud's own.", "https://minio.example.com:9000"
    )
    region: Plain | None = _key("The bucket's region, of s3:// lakes.", "eu-central-1")
    profile: Plain | None = _key("The profile of ~/.aws to take credentials from, of s3:// lakes.", "analytics")
    account: Plain | None = _key("The storage account, of abfs:// lakes.", "acmeanalytics")
    timeout_seconds: float | None = _key(
        "How long one request to the store may take.", 60, _STORAGE.timeout_seconds, gt=0, le=3600, allow_inf_nan=False
    )
    retry_seconds: float | None = _key(
        "How long a request that failed in passing is sent again; 0: never.", 60, _STORAGE.retry_seconds, ge=0, le=240,
        allow_inf_nan=False,
    )  # fmt: skip


class FileEntry(Entry):
    """The whole file."""

    lake: Annotated[str, AfterValidator(values.lake)] = _required(
        "A folder, relative to the config file, or s3://bucket/prefix, gs://bucket/prefix, abfs://container/prefix.",
        "./lake",
    )
    storage: StorageEntry | None = _key("How the object store of the lake is reached.", {"region": "eu-central-1"})
    defaults: SettingsEntry | None = _key("Settings of every workspace that does not set its own.", {"settle": "10m"})
    workspaces: list[WorkspaceEntry] = _required(
        "The workspaces to collect from.",
        [{"name": "acme", "endpoint": "https://rest.iad-01.braze.com", "api_key": "${BRAZE_API_KEY_ACME}"}],
        min_length=1,
    )
