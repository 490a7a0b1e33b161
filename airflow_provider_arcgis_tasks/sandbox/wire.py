"""Replies, as they leave the portal."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        delay: real seconds to wait before sending it.
        lost: the connection ends `before` it, or `midway` through it.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    lost: Literal["", "before", "midway"] = ""


def json_reply(status: int, content_type: str, answer: Mapping[str, Any]) -> Reply:
    """Return a JSON document."""
    return Reply(status, {"Content-Type": content_type}, json.dumps(answer).encode())


def html_reply(status: int, page: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a page."""
    return Reply(status, {"Content-Type": "text/html;charset=utf-8", **(headers or {})}, page.encode())


def json_page(status: int, answer: Mapping[str, Any]) -> Reply:
    """Return a document as a page for people, which is what a request without `f=json` gets."""
    text = html.escape(json.dumps(answer, indent=1))
    return html_reply(status, f"<!DOCTYPE html>\n<html><body><pre>{text}</pre></body></html>")


@lru_cache(maxsize=4)
def http_date(epoch: int) -> str:
    """Return epoch seconds in the form of the `Date` header."""
    return formatdate(epoch, usegmt=True)
