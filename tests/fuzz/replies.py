"""Replies as plain text, so that an input in the corpus can be read and edited.

In: bytes such as `200`, lines of `Name: value`, an empty line, a body. Out: a `Response`, whatever the bytes are.
"""

from __future__ import annotations

from multidict import CIMultiDict

from collector.api.transport import Response


def response_of(data: bytes) -> Response:
    """The reply in the bytes: a first line with its status (200 where it has none), headers, and a body."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    status = number(first, 100, 999, otherwise=200)
    return Response(status, _headers(lines), body)


def number(text: bytes, least: int, most: int, *, otherwise: int) -> int:
    """The number that the text is, brought within its bounds."""
    text = text.strip()
    return min(max(int(text), least), most) if text.isdigit() and len(text) < 10 else otherwise


def _headers(lines: list[bytes]) -> CIMultiDict[str]:
    """Headers as the client gives them: names in any case, values of any bytes without the blanks around them."""
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, _, value = line.decode("utf-8", "surrogateescape").partition(":")
        headers.add(name, value.strip(" \t"))
    return headers
