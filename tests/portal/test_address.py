"""A portal's address, in every form that people paste."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_arcgis_tasks.portal.address import PortalAddress

calmly = settings(deadline=None, database=None)

FORMS = [
    ("https://gis.example.com/portal", "https://gis.example.com/portal"),
    ("https://gis.example.com/portal/", "https://gis.example.com/portal"),
    ("  https://gis.example.com/portal \n", "https://gis.example.com/portal"),
    ("https://gis.example.com//portal//", "https://gis.example.com/portal"),
    ("HTTPS://GIS.Example.COM/Portal", "https://gis.example.com/Portal"),
    ("gis.example.com/portal", "https://gis.example.com/portal"),
    ("gis.example.com:8443/portal", "https://gis.example.com:8443/portal"),
    ("gis.example.com", "https://gis.example.com"),
    ("https://gis.example.com/portal/home", "https://gis.example.com/portal"),
    ("https://gis.example.com/portal/home/", "https://gis.example.com/portal"),
    ("https://gis.example.com/portal/home/index.html", "https://gis.example.com/portal"),
    ("https://gis.example.com/portal/home/item.html?id=029b61ca#overview", "https://gis.example.com/portal"),
    ("https://gis.example.com/portal/HOME/signin.html", "https://gis.example.com/portal"),
    ("https://gis.example.com/portal/sharing", "https://gis.example.com/portal"),
    ("https://gis.example.com/portal/sharing/rest", "https://gis.example.com/portal"),
    ("https://gis.example.com/portal/sharing/rest/", "https://gis.example.com/portal"),
    ("https://gis.example.com/portal/sharing/rest/community/self?f=json", "https://gis.example.com/portal"),
    ("https://gis.example.com/portal/portaladmin/", "https://gis.example.com/portal"),
    ("https://gis.example.com/portal/rest/services", "https://gis.example.com/portal"),
    ("https://gis.example.com/portal?f=json", "https://gis.example.com/portal"),
    ("https://gis.example.com/portal#x/y", "https://gis.example.com/portal"),
    ("https://host.example.com:7443/arcgis", "https://host.example.com:7443/arcgis"),
    ("https://host.example.com:7443/arcgis/home/", "https://host.example.com:7443/arcgis"),
    ("https://gis.example.com/a/b/portal/home", "https://gis.example.com/a/b/portal"),
    ("https://www.arcgis.com", "https://www.arcgis.com"),
    ("https://www.arcgis.com/home/index.html", "https://www.arcgis.com"),
    ("https://www.arcgis.com/sharing/rest", "https://www.arcgis.com"),
    ("https://www.arcgis.com/apps/mapviewer/index.html", "https://www.arcgis.com"),
    ("https://acme.maps.arcgis.com/home/", "https://acme.maps.arcgis.com"),
    ("acme.maps.arcgis.com", "https://acme.maps.arcgis.com"),
    ("http://localhost:8399/portal", "http://localhost:8399/portal"),
    ("http://127.0.0.1:8399", "http://127.0.0.1:8399"),
    ("http://[::1]:8399/portal", "http://[::1]:8399/portal"),
    ("https://[2001:db8::7]/portal", "https://[2001:db8::7]/portal"),
    ("https://10.1.2.3/portal", "https://10.1.2.3/portal"),
]


@pytest.mark.parametrize(("text", "base"), FORMS)
def test_forms(text: str, base: str) -> None:
    address = PortalAddress.parse(text)
    assert address.base == str(address) == base
    assert address.rest == f"{base}/sharing/rest"
    assert PortalAddress.parse(base) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "https://",
        "https:///portal",
        "https:// /portal",
        "https://gis example.com/portal",
        "ftp://gis.example.com/portal",
        "file:///etc/passwd",
        "arcgis://gis.example.com",
        "javascript://alert(1)",
        "https://gis.example.com:port/portal",
        "https://gis.example.com:99999/portal",
        "https://gis.example.com:-1/portal",
        "https://[::1/portal",
        "https://[portal]/",
        "http://gis.example.com/portal",
        "http://localhost.example.com/portal",
        "http://127.0.0.1.example.com/portal",
        "https://user:hunter2@gis.example.com/portal",
        "https://hunter2@gis.example.com/portal",
        "https://:hunter2@gis.example.com/portal",
        "http://user:hunter2@localhost/portal",
        "ftp://user:hunter2@gis.example.com/portal",
        "https://user:hunter2@ex\u2100mple.com/portal",
        "https://user:hunter2@gis.example.com:port/portal",
        "user:hunter2@gis.example.com/portal",
        "https://gis.example.com\\@evil.example.com/portal",
        "https://gis..example.com/portal",
        f"https://{'a' * 64}.example.com/portal",
        "https://gis.exam\u0000ple.com/",
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^host: ") as e:
        PortalAddress.parse(text)
    assert "hunter2" not in str(e.value)


def test_plain_http_where_it_is_allowed() -> None:
    address = PortalAddress.parse("http://gis.example.com/portal", allow_http=True)
    assert address.base == "http://gis.example.com/portal"
    with pytest.raises(ValueError, match="allow_http"):
        PortalAddress.parse("http://gis.example.com/portal")


def test_item_page() -> None:
    page = PortalAddress.parse("gis.example.com/portal").item_page("029b61ca")
    assert page == "https://gis.example.com/portal/home/item.html?id=029b61ca"


PIECES = st.sampled_from(
    [
        "https://",
        "http://",
        "//",
        ":",
        "@",
        "/",
        "\\",
        "?",
        "#",
        "[",
        "]",
        "%",
        "..",
        "home",
        "a.b",
        "8443",
        " ",
    ]
)


@calmly
@given(st.lists(PIECES | st.text(max_size=4), max_size=8).map("".join))
def test_any_text(text: str) -> None:
    """An address, or a `ValueError` about the host; never plain HTTP to another machine, never a user."""
    with suppress(ValueError):
        address = PortalAddress.parse(text)
        assert not {"@", "?", "#", " "} & set(address.base.partition("://")[2].partition("/")[0])
        assert PortalAddress.parse(address.base).base.rstrip() == address.base.rstrip()
        if address.base.startswith("http:"):
            assert any(f"//{host}" in address.base for host in ("localhost", "127.0.0.1", "[::1]"))
        return
    with pytest.raises(ValueError, match=r"^host: "):
        PortalAddress.parse(text)
