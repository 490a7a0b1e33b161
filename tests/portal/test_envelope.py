"""What portals, servers and OAuth 2 answer when something is wrong, in each of its forms."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_arcgis_tasks.portal import (
    InvalidRequest,
    LimitReached,
    NotFound,
    PermissionDenied,
    PortalError,
    PortalUnreachable,
    Response,
    SignInRefused,
)
from tests.portal.play import Play, response, session

DENIED = "You do not have permissions to access this resource or perform this operation."


def error(code: Any, message: Any = "No.", **others: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **others}}


ERRORS: list[tuple[Any, type[PortalError], int, str]] = [
    # portal, in a 200
    (error(400, "Bad.", details=["minute: wrong"]), InvalidRequest, 400, "Bad. minute: wrong (code 400)"),
    (
        error(403, DENIED, messageCode="GWM_0003", details=[DENIED]),
        PermissionDenied,
        403,
        f"{DENIED} (code 403, GWM_0003)",
    ),
    (error(404, "Task does not exist."), NotFound, 404, "Task does not exist. (code 404)"),
    (error(409, "Conflict."), InvalidRequest, 409, "Conflict. (code 409)"),
    (error(418, "Teapot."), PortalError, 418, "Teapot. (code 418)"),
    (error("404", "Text."), NotFound, 404, "Text. (code 404)"),
    (error(404.0, "Float."), NotFound, 404, "Float. (code 404)"),
    (error(498, "Invalid token."), SignInRefused, 498, "Invalid token. (code 498)"),
    (
        error(499, "Token Required", messageCode="GWM_0003"),
        SignInRefused,
        499,
        "Token Required (code 499, GWM",
    ),
    (error(401, "Unauthorized"), SignInRefused, 401, "Unauthorized (code 401)"),
    # GWM_0003 has no meaning of its own
    (error(400, "Bad.", messageCode="GWM_0003"), InvalidRequest, 400, "Bad. (code 400, GWM_0003)"),
    # incomplete
    ({"error": {"message": "Only text."}}, InvalidRequest, 400, "Only text. (code 400)"),
    ({"error": {"code": None, "message": "Null."}}, InvalidRequest, 400, "Null. (code 400)"),
    ({"error": {"code": 404}}, NotFound, 404, "(code 404)"),
    ({"error": {"code": 404, "message": None, "details": None}}, NotFound, 404, "(code 404)"),
    ({"error": {}}, InvalidRequest, 400, "(code 400)"),
    (error(403, "No.", details="in words"), PermissionDenied, 403, "No."),
    (error(403, "No.", details=[]), PermissionDenied, 403, "No. (code 403)"),
    (error(403, "No.", details=[None, 5, ["x"]]), PermissionDenied, 403, "No."),
    (error(403, {"text": "odd"}), PermissionDenied, 403, "odd"),
    ({"error": {"code": 404, "message": "Both."}, "id": "a"}, NotFound, 404, "Both. (code 404)"),
    # a real HTTP status
    (response(error(403, "No."), 403), PermissionDenied, 403, "No. (code 403)"),
    (response(error(404, "No."), 400), NotFound, 404, "No. (code 404)"),
    (response({"error": {"message": "No code."}}, 404), NotFound, 404, "No code. (code 404)"),
    (response({"message": "Plain."}, 404), NotFound, 404, "Plain. (code 404)"),
    (response({"id": "fine?"}, 400), InvalidRequest, 400, "(code 400)"),
    (response({"message": "No."}, 401), SignInRefused, 401, "No. (code 401)"),
    (response(b"<html>", 401), SignInRefused, 401, "sign-in of its own"),
    (response({"message": "No."}, 498), SignInRefused, 498, "No. (code 498)"),
    # server and portaladmin
    (
        {"status": "error", "messages": ["Token not found."], "code": 499},
        SignInRefused,
        499,
        "Token not found.",
    ),
    ({"status": "error", "messages": ["Token Expired."], "code": 498}, SignInRefused, 498, "Token Expired."),
    ({"status": "error", "messages": ["One.", "Two."], "code": 404}, NotFound, 404, "One.; Two. (code 404)"),
    ({"status": "error", "messages": ["One."]}, InvalidRequest, 400, "One. (code 400)"),
    (
        {"status": "error", "messages": "In words.", "code": 403},
        PermissionDenied,
        403,
        "In words. (code 403)",
    ),
    ({"status": "error", "messages": 5, "code": 403}, PermissionDenied, 403, "(code 403)"),
    ({"status": "error", "messages": None, "code": 403}, PermissionDenied, 403, "(code 403)"),
    ({"status": "error", "messages": {"a": "b"}, "code": 403}, PermissionDenied, 403, "(code 403)"),
    ({"status": "failed", "statusMessage": '{"code":400}'}, InvalidRequest, 400, '{"code":400}'),
    # top level
    ({"code": 404, "message": "Not here."}, NotFound, 404, "Not here. (code 404)"),
    ({"code": 499, "message": "Token Required", "details": []}, SignInRefused, 499, "Token Required"),
    # OAuth 2
    (
        {
            "error": {
                "code": 400,
                "error": "invalid_client",
                "error_description": "Invalid client_id",
                "message": "Invalid client_id",
                "details": [],
            }
        },
        InvalidRequest,
        400,
        "Invalid client_id (code 400)",
    ),
    ({"error": {"code": 400, "error": "invalid_request"}}, InvalidRequest, 400, "invalid_request (code 400)"),
    ({"error": "invalid_grant", "error_description": "Gone."}, InvalidRequest, 400, "Gone. (code 400)"),
    ({"error": "access_denied", "code": 403}, PermissionDenied, 403, "access_denied (code 403)"),
]


@pytest.mark.parametrize(("answer", "kind", "code", "text"), ERRORS)
def test_errors(answer: Any, kind: type[PortalError], code: int, text: str) -> None:
    with pytest.raises(PortalError) as e:
        Play(answer)(session().fetch("GET", "/thing"))
    assert type(e.value) is kind
    assert e.value.code == code
    assert text in str(e.value)


@pytest.mark.parametrize(
    "error_object",
    [
        {
            "code": 400,
            "message": "Unable to activate the task.",
            "details": ["20 active tasks, the most allowed"],
        },
        {"code": 400, "message": "The maximum number of active tasks has been reached."},
        {"code": 403, "message": "You have exceeded your limit of scheduled tasks."},
        {"code": 400, "message": "Too many active tasks"},
    ],
    ids=str,
)
def test_no_more_tasks_allowed(error_object: dict[str, Any]) -> None:
    with pytest.raises(LimitReached):
        Play({"error": error_object})(session().fetch("POST", "/createTask"))


@pytest.mark.parametrize(
    "error_object",
    [
        {"code": 404, "message": "Task does not exist: limit"},
        {"code": 400, "message": "'maxOccurrences' parameter is invalid."},
        {"code": 400, "message": "title: exceeds the maximum length"},
    ],
    ids=str,
)
def test_other_limits_are_no_limit_of_tasks(error_object: dict[str, Any]) -> None:
    with pytest.raises((InvalidRequest, NotFound)):
        Play({"error": error_object})(session().fetch("POST", "/createTask"))


@pytest.mark.parametrize(
    "body",
    [
        {"status": "error"},
        {"status": "failed", "runId": "a"},
        {"status": "failed", "runId": "a", "messages": ["a run that has messages"]},
        {"code": 7, "message": "no error"},
        {"error": None, "id": "a"},
        {"error": False, "id": "a"},
        {"code": 404},
        {"success": True},
        {"a": [{}] * 1000},
    ],
    ids=lambda body: str(body)[:50],
)
def test_what_only_looks_like_an_error(body: dict[str, Any]) -> None:
    assert Play(body)(session().fetch("GET", "/thing")) == body


@pytest.mark.parametrize("code", [500, 502, 503, 504, 599, 10**9])
def test_server_trouble_in_a_200_is_no_verdict(code: int) -> None:
    play = Play(error(code, "Oops."), {"id": "a"})
    assert play(session().fetch("GET", "/thing")) == {"id": "a"}


def test_server_trouble_is_told_in_the_end() -> None:
    with pytest.raises(PortalUnreachable, match=r"Oops\. Deep down \(code 500\)"):
        Play(otherwise=error(500, "Oops.", details=["Deep down"]))(session().fetch("GET", "/thing"))


def test_body_is_what_counts_and_not_its_content_type() -> None:
    told = Response(200, {"content-type": "text/plain"}, b'{"id": "a"}')
    assert Play(told)(session().fetch("GET", "/thing")) == {"id": "a"}
    html = Response(200, {"content-type": "application/json"}, b"  \n<html>")
    with pytest.raises(PortalUnreachable, match="HTML instead of JSON"):
        Play(otherwise=html)(session().fetch("GET", "/thing"))


def test_redirect_names_the_place_without_its_query() -> None:
    elsewhere = response(b"", 302, location="https://sso.example.com/saml?SAMLRequest=secret")
    with pytest.raises(PortalUnreachable, match=r"redirects to https://sso\.example\.com/saml\.") as e:
        Play(otherwise=elsewhere)(session().fetch("GET", "/thing"))
    assert "secret" not in str(e.value)
