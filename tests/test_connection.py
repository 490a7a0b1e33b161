"""An Airflow connection of type `arcgis`, in the forms that people write; without Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_arcgis_tasks.connection import PortalSettings
from airflow_provider_arcgis_tasks.portal.credentials import AppLogin, Password, ReadyToken, WebTier
from airflow_provider_arcgis_tasks.provider_info import get_provider_info

SECRET = "hunter2-secret"
USUAL: dict[str, Any] = {"host": "https://gis.example.com/portal", "login": "gis", "password": SECRET}
BASE = "https://gis.example.com/portal"


def read(**fields: Any) -> PortalSettings:
    return PortalSettings.read(**{**USUAL, **fields})


@pytest.mark.parametrize(
    ("fields", "base"),
    [
        ({}, BASE),
        ({"host": "gis.example.com", "schema": "portal"}, BASE),
        ({"host": "gis.example.com", "schema": "/portal/"}, BASE),
        ({"host": "gis.example.com", "schema": "portal/home"}, BASE),
        ({"host": "gis.example.com/portal", "schema": "https"}, BASE),
        ({"host": "gis.example.com/portal", "schema": "HTTPS"}, BASE),
        ({"host": "https://gis.example.com/portal", "schema": "arcgis"}, BASE),
        (
            {"host": "gis.example.com", "port": 7443, "schema": "arcgis"},
            "https://gis.example.com:7443/arcgis",
        ),
        ({"host": "https://gis.example.com/arcgis", "port": 7443}, "https://gis.example.com:7443/arcgis"),
        ({"host": "gis.example.com:7443/arcgis", "port": 443}, "https://gis.example.com:7443/arcgis"),
        ({"host": "[2001:db8::7]", "port": 7443}, "https://[2001:db8::7]:7443"),
        ({"host": "[2001:db8::7]:7443", "port": 443}, "https://[2001:db8::7]:7443"),
        ({"host": "127.0.0.1:8399/portal", "schema": "http"}, "http://127.0.0.1:8399/portal"),
        ({"host": "http://gis.example.com", "extra": {"allow_http": True}}, "http://gis.example.com"),
        ({"host": " www.arcgis.com "}, "https://www.arcgis.com"),
        ({"host": "https://gis.example.com/portal/sharing/rest", "schema": None}, BASE),
    ],
    ids=str,
)
def test_address(fields: dict[str, Any], base: str) -> None:
    assert read(**fields).address.base == base


@pytest.mark.parametrize(
    ("fields", "credentials"),
    [
        ({}, Password("gis", SECRET)),
        ({"password": " with blanks "}, Password("gis", " with blanks ")),
        ({"extra": {"token": SECRET}}, ReadyToken(SECRET)),
        ({"extra": {"token": f" {SECRET}\n"}}, ReadyToken(SECRET)),
        ({"extra": {"client_id": "a", "client_secret": "b"}}, AppLogin("a", "b")),
        ({"login": None, "password": None, "extra": {"token": "t"}}, ReadyToken("t")),
        ({"extra": {"token": "t", "client_id": "a", "client_secret": "b"}}, ReadyToken("t")),
        ({"extra": {"token": "", "client_id": None, "client_secret": ""}}, Password("gis", SECRET)),
        ({"login": "", "password": "", "extra": {"client_cert": __file__}}, WebTier()),
        ({"extra": {"client_cert": __file__}}, Password("gis", SECRET)),
    ],
    ids=str,
)
def test_credentials(fields: dict[str, Any], credentials: Any) -> None:
    assert read(**fields).credentials == credentials


def test_defaults() -> None:
    settings_ = read()
    assert (settings_.owner, settings_.referer, settings_.timeout, settings_.unreachable_timeout) == (
        None,
        None,
        30.0,
        600.0,
    )
    http = settings_.http
    assert (http.verify, http.ca_bundle, http.client_cert, http.client_key, http.proxy) == (True, *[None] * 4)


@pytest.mark.parametrize(
    ("extra", "path", "value"),
    [
        *[
            ({"verify": no}, "http.verify", False)
            for no in (False, "false", "False", "0", 0, "no", " FALSE ")
        ],
        *[({"verify": yes}, "http.verify", True) for yes in (True, "true", "1", 1, "Yes", "", None)],
        ({"allow_http": "true"}, "address.base", BASE),
        ({"ca_bundle": __file__}, "http.ca_bundle", __file__),
        ({"client_cert": __file__, "client_key": __file__}, "http.client_key", __file__),
        ({"proxy": "http://proxy:3128"}, "http.proxy", "http://proxy:3128"),
        ({"proxy": "https://bob:pw@proxy"}, "http.proxy", "https://bob:pw@proxy"),
        ({"referer": "https://my.app"}, "referer", "https://my.app"),
        ({"timeout": 5}, "timeout", 5.0),
        ({"timeout": "2.5"}, "timeout", 2.5),
        ({"unreachable_timeout": "60"}, "unreachable_timeout", 60.0),
        ({"owner": "other"}, "owner", "other"),
        ({"owner": "  "}, "owner", None),
        ({"owner": None}, "owner", None),
    ],
    ids=str,
)
def test_extra(extra: dict[str, Any], path: str, value: Any) -> None:
    found: Any = read(extra=extra)
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value


def test_owner_of_the_hook_goes_first() -> None:
    assert read(owner="mine", extra={"owner": "theirs"}).owner == "mine"
    assert read(owner=None, extra={"owner": "theirs"}).owner == "theirs"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"host": None}, "host"),
    ({"host": ""}, "host"),
    ({"host": "  "}, "host"),
    ({"host": "http://gis.example.com"}, "host"),
    ({"host": f"https://bob:{SECRET}@gis.example.com"}, "host"),
    ({"host": f"ftp://bob:{SECRET}@gis.example.com"}, "host"),
    ({"host": "https://[::1"}, "host"),
    ({"host": "gis example com"}, "host"),
    ({"password": None}, "password"),
    ({"password": ""}, "password"),
    ({"login": None}, "login"),
    ({"login": "", "password": ""}, "login"),
    ({"login": None, "password": None}, "login"),
    ({"extra": {"client_id": "a"}}, "client_secret"),
    ({"extra": {"client_secret": SECRET}}, "client_id"),
    ({"extra": {"token": f"{SECRET} x"}}, "token"),
    ({"extra": {"token": f"{SECRET}\nx"}}, "token"),
    ({"extra": {"token": f"{SECRET}…"}}, "token"),
    ({"extra": {"referer": "a\r\nb"}}, "referer"),
    ({"extra": {"verify": "maybe"}}, "verify"),
    ({"extra": {"verify": 2}}, "verify"),
    ({"extra": {"verify": "/etc/ssl/ca.pem"}}, "verify"),
    ({"extra": {"allow_http": "perhaps"}}, "allow_http"),
    ({"extra": {"ca_bundle": "/no/such/file"}}, "ca_bundle"),
    ({"extra": {"ca_bundle": "/"}}, "ca_bundle"),
    ({"extra": {"client_cert": "/no/such/file"}}, "client_cert"),
    ({"extra": {"client_cert": __file__, "client_key": "/no/such/file"}}, "client_key"),
    ({"extra": {"proxy": f"bob:{SECRET}@proxy:3128"}}, "proxy"),
    ({"extra": {"proxy": f"http://bob:{SECRET}@proxy:port"}}, "proxy"),
    ({"extra": {"proxy": "socks5://proxy"}}, "proxy"),
    ({"extra": {"proxy": "http://"}}, "proxy"),
    ({"extra": {"timeout": 0}}, "timeout"),
    ({"extra": {"timeout": -1}}, "timeout"),
    ({"extra": {"timeout": "soon"}}, "timeout"),
    ({"extra": {"timeout": "nan"}}, "timeout"),
    ({"extra": {"timeout": "inf"}}, "timeout"),
    ({"extra": {"timeout": [5]}}, "timeout"),
    ({"extra": {"unreachable_timeout": 0}}, "unreachable_timeout"),
    ({"extra": {"verfiy": False}}, "extra: 'verfiy'"),
    ({"extra": {"Token": SECRET}}, "extra: 'Token'"),
]


@pytest.mark.parametrize(("fields", "name"), WRONG, ids=str)
def test_what_is_wrong_is_named_and_no_secret_shown(fields: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}") as e:
        read(**fields)
    assert SECRET not in str(e.value)


@pytest.mark.parametrize(
    "extra",
    [{}, {"token": SECRET}, {"client_id": "a", "client_secret": SECRET}, {"proxy": f"http://b:{SECRET}@p"}],
    ids=["password", "token", "app", "proxy"],
)
def test_no_secret_shows_in_any_form_of_text(extra: dict[str, str]) -> None:
    settings_ = read(extra=extra)
    for text in (repr(settings_), str(settings_), repr(settings_.session()), f"{settings_.credentials}"):
        assert SECRET not in text


def test_equal_connections_are_equal_settings() -> None:
    """So that hooks can share; whatever differs keeps them apart."""
    assert hash(read()) == hash(read())
    assert read() == read(host="https://gis.example.com/portal/home/")
    others = [
        read(password="x"),
        read(login="x"),
        read(extra={"verify": False}),
        read(extra={"owner": "x"}),
        read(extra={"timeout": 5}),
        read(extra={"token": "x"}),
        read(extra={"proxy": "http://p:1"}),
    ]
    assert len({read(), *others}) == 8


def test_every_field_of_the_form_is_known_and_the_other_way_round(tmp_path: Path) -> None:
    (kind,) = get_provider_info()["connection-types"]
    path = tmp_path / "file.pem"
    path.touch()
    values = {
        "verify": True,
        "allow_http": False,
        "timeout": 1,
        "unreachable_timeout": 1,
        "proxy": "http://p:1",
        **{name: str(path) for name in ("ca_bundle", "client_cert", "client_key")},
    }
    fields = {name: values.get(name, "x") for name in kind["conn-fields"]}
    read(extra=fields)
    with pytest.raises(ValueError, match="known are") as e:
        read(extra={"": "x", "nonsense": 1})
    known = str(e.value).rpartition("known are ")[2].split(", ")
    assert set(known) == set(kind["conn-fields"])


@settings(deadline=None, database=None)
@given(
    st.fixed_dictionaries(
        {"host": st.none() | st.text(max_size=30), "login": st.none() | st.text(max_size=5)},
        optional={
            "port": st.none() | st.integers(),
            "schema": st.none() | st.text(max_size=5),
            "extra": st.dictionaries(
                st.sampled_from(["token", "verify", "timeout", "proxy", "owner", "referer", "client_id"]),
                st.none()
                | st.booleans()
                | st.floats()
                | st.text(max_size=8)
                | st.lists(st.text(), max_size=1),
                max_size=3,
            ),
        },
    )
)
def test_any_connection(fields: dict[str, Any]) -> None:
    """Settings, or a `ValueError` that names a field and shows no password."""
    try:
        settings_ = PortalSettings.read(password=SECRET, **fields)
    except ValueError as refusal:
        text = str(refusal)
    else:
        text = repr(settings_)
        assert settings_.session().address.base.startswith(("https://", "http://"))
    assert SECRET not in text
