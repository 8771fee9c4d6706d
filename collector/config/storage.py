"""`storage:`, how an object store is reached: its endpoint, what goes with which lake, and that it holds no secret.

In: the endpoint's text, a draft, an unknown key. Out: the endpoint, mistakes noted, advice. No message shows a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from collector.config.endpoint import is_this_machine
from collector.config.values import plain

if TYPE_CHECKING:
    from collector.config.draft import Draft

EXAMPLE = "https://minio.example.com:9000"

_SCHEMES = {"endpoint": ("s3", "gs", "abfs"), "region": ("s3",), "profile": ("s3",), "account": ("abfs",)}
"""The lakes that a key is for; the others are for all."""

_SECRETS = ("key", "secret", "token", "password", "credential", "sas")
_OWN = (
    "a credential belongs in the cloud's own place, never here: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "AZURE_STORAGE_ACCOUNT_KEY or GOOGLE_APPLICATION_CREDENTIALS, or give the machine a role, and remove the key"
)


def read_storage_endpoint(text: str) -> str:
    """The server's URL without a slash at its end."""
    plain(text)
    try:
        url = urlsplit(text)
        host = url.hostname or ""
    except ValueError:
        host = ""
    if not host or url.scheme not in ("http", "https"):
        raise ValueError(f"is no URL with a host: write one such as {EXAMPLE}")
    if "@" in url.netloc or url.query or url.fragment:
        raise ValueError(f"holds more than host, port and path: write one such as {EXAMPLE}; {_OWN}")
    if url.scheme == "http" and not is_this_machine(host):
        raise ValueError(f"would send rows unencrypted to {host}: write https:// (http:// is for this machine)")
    return text.rstrip("/")


def credential_advice(key: str) -> str | None:
    """What to do about an unknown key that looks like one for a secret."""
    return _OWN if any(word in key.lower() for word in _SECRETS) else None


def check_storage(draft: Draft) -> None:
    """Note keys that are for another kind of lake."""
    lake = draft.text(("lake",))
    if lake is None or not isinstance(draft.get(("storage",)), dict):
        return
    scheme, separator, _ = lake.partition("://")
    if not separator:
        draft.mistake(("storage",), "is for a lake in an object store: remove it, or write lake: s3://bucket/prefix")
        return
    for key, schemes in _SCHEMES.items():
        if draft.has(("storage", key)) and scheme not in schemes:
            lakes = " or ".join(f"{each}://" for each in schemes)
            draft.mistake(("storage", key), f"is for lakes in {lakes}, and this one is in {scheme}://: remove it")
