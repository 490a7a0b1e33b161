"""Sign-in, renewal and retries, played by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_arcgis_tasks.portal import (
    ArcGISTasksError,
    InvalidRequest,
    NotFound,
    Operation,
    PermissionDenied,
    PortalUnreachable,
    Request,
    SignInRefused,
    Unreachable,
    WriteUnanswered,
)
from airflow_provider_arcgis_tasks.portal.credentials import AppLogin, Password, ReadyToken, WebTier
from airflow_provider_arcgis_tasks.portal.session import Session
from tests.portal.play import (
    HTML,
    LOST,
    NOON,
    REFUSED,
    REST,
    URL,
    Play,
    Script,
    http_date,
    response,
    session,
    together,
)

USER = Password("gis", "pass-word")
APP = AppLogin("app-id", "app-secret")
HOUR = 3600.0
FINE = {"id": "fine"}
EXPIRED = {"error": {"code": 498, "message": "Invalid token.", "details": ["Invalid token."]}}
REQUIRED = {"error": {"code": 499, "message": "Token Required", "messageCode": "GWM_0003"}}
SERVER_EXPIRED = {"status": "error", "messages": ["Token Expired."], "code": 498}
WRONG_PASSWORD = {
    "error": {
        "code": 400,
        "message": "Unable to generate token.",
        "details": ["Invalid username or password."],
    }
}


def token(value: str = "token-1", expires: float = NOON + HOUR) -> dict[str, Any]:
    return {"token": value, "expires": int(expires * 1000), "ssl": True}


def read(s: Session, path: str = "/thing") -> Operation[dict[str, Any]]:
    return s.fetch("GET", path)


def write(s: Session) -> Operation[dict[str, Any]]:
    return s.fetch("POST", "/write", {"title": "x"}, repeatable=False)


def minting(
    play: Play, lifetime: float = HOUR, refuse: Callable[[str], bool] = lambda value: False
) -> Script:
    """A portal that mints `token-1`, `token-2`, ... and refuses whichever `refuse` says."""

    def answer(request: Request) -> Any:
        if request.url.endswith("/generateToken"):
            number = sum(r.url.endswith("/generateToken") for r in play.requests)
            return token(f"token-{number}", play.now + HOUR)
        return EXPIRED if refuse(bearer(request)) else FINE

    return answer


def bearer(request: Request) -> str:
    scheme, _, value = request.headers.get("X-Esri-Authorization", "").partition(" ")
    assert scheme in ("", "Bearer")
    return value


# --- sign-in -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credentials", "path", "form", "answer"),
    [
        (
            USER,
            "/generateToken",
            {"username": "gis", "password": "pass-word", "client": "referer", "referer": "https://my.app"},
            token(),
        ),
        (
            APP,
            "/oauth2/token",
            {"client_id": "app-id", "client_secret": "app-secret", "grant_type": "client_credentials"},
            {"access_token": "token-1", "expires_in": 3600},
        ),
    ],
    ids=["password", "app"],
)
def test_sign_in(credentials: Any, path: str, form: dict[str, str], answer: Any) -> None:
    play = Play(answer, FINE, FINE)
    s = session(credentials, referer="https://my.app")
    assert play(read(s)) == FINE
    assert play(read(s)) == FINE
    sign_in, first, second = play.requests
    sent = dict(sign_in.params)
    assert 1 <= int(sent.pop("expiration")) <= 20_160
    assert (sign_in.method, sign_in.url, sent) == ("POST", REST + path, {**form, "f": "json"})
    for request in (first, second):
        assert (request.method, request.url, request.params) == ("GET", f"{REST}/thing", {"f": "json"})
        assert bearer(request) == "token-1"
    assert {request.headers["Referer"] for request in play.requests} == {"https://my.app"}


def test_referer_is_the_portal_unless_told() -> None:
    play = Play(token(), FINE)
    play(read(session(USER)))
    assert play.requests[0].params["referer"] == URL
    assert [request.headers["Referer"] for request in play.requests] == [URL, URL]


@pytest.mark.parametrize(("credentials", "sent"), [(ReadyToken("api-key"), "api-key"), (WebTier(), "")])
def test_no_sign_in(credentials: Any, sent: str) -> None:
    play = Play(FINE)
    play(read(session(credentials)))
    assert [bearer(request) for request in play.requests] == [sent]


def test_timeout_is_that_of_the_connection() -> None:
    play = Play(token(), FINE)
    play(read(session(USER, timeout=7)))
    assert [request.timeout for request in play.requests] == [7, 7]


@pytest.mark.parametrize(
    "refusal",
    [
        WRONG_PASSWORD,
        {"error": {"code": 400, "messageCode": "GWM_0003", "message": "Unable to generate token."}},
        {"error": {"code": 401, "message": "Unauthorized"}},
        {"error": {"code": 403, "message": "Too many invalid attempts. Please try again later."}},
        {"error": {"code": 498, "message": "Invalid token."}},
        {"error": {"code": 400, "error": "invalid_client", "error_description": "Invalid client_id"}},
        {"status": "error", "code": 401, "messages": ["Not this way"]},
        response({"error": {"code": 400, "message": "Unable to generate token."}}, status=400),
        response(b"<html>401</html>", status=401),
        response(b"", status=401),
    ],
    ids=str,
)
@pytest.mark.parametrize("credentials", [USER, APP])
def test_a_refused_sign_in_is_never_tried_again(credentials: Any, refusal: Script) -> None:
    play = Play(refusal)  # a second request would find the script empty
    s = session(credentials)
    operations = [read(s), write(s), s.owner() if credentials is APP else read(s), read(s)]
    for result in together(play, operations):
        assert isinstance(result, SignInRefused)
    for _ in range(3):
        play.now += 7200.0
        with pytest.raises(SignInRefused, match=r"Check (user and password|client_id)"):
            play(read(s))
    assert len(play.requests) == 1


def test_a_refusal_repeats_what_the_portal_said() -> None:
    with pytest.raises(
        SignInRefused, match=r"Unable to generate token\. Invalid username or password\."
    ) as e:
        Play(WRONG_PASSWORD)(read(session(USER)))
    assert (e.value.code, e.value.message) == (400, "Unable to generate token.")


@pytest.mark.parametrize("trouble", [LOST, REFUSED, response(HTML, 503), response(b"", 429), b"", b"{half"])
def test_trouble_while_signing_in_is_no_refusal(trouble: Script) -> None:
    play = Play(trouble, trouble, token(), FINE)
    assert play(read(session(USER))) == FINE


# --- renewal -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "used_until", "renewed_by"),
    [
        (token(expires=NOON + HOUR), 54 * 60, 56 * 60),
        ({"access_token": "token-1", "expires_in": 3600}, 54 * 60, 56 * 60),
        ({"access_token": "token-1", "expires_in": "1800"}, 24 * 60, 26 * 60),
        (token(expires=NOON + 14 * 86400), 14 * 86400 - 400, 14 * 86400 - 200),
        (token(expires=NOON + 100), 60, 100),
        ({"token": "token-1"}, 10, 60),
        ({"token": "token-1", "expires": None}, 10, 60),
        ({"token": "token-1", "expires": "soon"}, 10, 60),
    ],
    ids=str,
)
def test_renewal_ahead_of_time(answer: Any, used_until: float, renewed_by: float) -> None:
    play = Play(answer, FINE, FINE, token("token-2", NOON + 10 * 86400 * 14), FINE)
    s = session(USER if "token" in answer else APP)
    for moment in (0, used_until, renewed_by):
        play.now = NOON + moment
        play(read(s))
    assert [bearer(r) for r in play.requests if r.method == "GET"] == ["token-1", "token-1", "token-2"]


@pytest.mark.parametrize("ahead", [-HOUR, 0.0, 5 * HOUR])
def test_lifetime_is_counted_on_the_portals_clock(ahead: float) -> None:
    signed_in = response(token(expires=NOON + ahead + HOUR), date=http_date(NOON + ahead))
    play = Play(signed_in, FINE, FINE, token("token-2", NOON + ahead + 3 * HOUR), FINE)
    s = session(USER)
    for moment in (0, 54 * 60, 56 * 60):
        play.now = NOON + moment
        play(read(s))
    assert [bearer(r) for r in play.requests if r.method == "GET"] == ["token-1", "token-1", "token-2"]


@pytest.mark.parametrize(
    "lifetime",
    [
        {"expires": 0},
        {"expires": -1},
        {"expires": int(NOON)},
        {"expires": int((NOON - HOUR) * 1000)},
        {"expires": float("nan")},
        {"expires": float("inf")},
        {"expires": 10**400},
        {"expires_in": 0},
        {"expires_in": -5},
        {"expires_in": float("nan")},
        {"expires": [1]},
        {"expires": True},
    ],
    ids=lambda lifetime: str(lifetime)[:40],
)
def test_an_odd_lifetime_does_not_lead_to_endless_sign_ins(lifetime: dict[str, Any]) -> None:
    play = Play(otherwise=lambda request: FINE if "/thing" in request.url else {"token": "t", **lifetime})
    s = session(USER)
    assert play(read(s)) == FINE
    assert play(read(s)) == FINE
    assert play.asked.count("POST generateToken") <= 2


@pytest.mark.parametrize("answer", [{"token": ""}, {"token": None}, {"token": 5}, {"ssl": True}, FINE])
def test_a_sign_in_without_token(answer: Any) -> None:
    play = Play(otherwise=answer)
    with pytest.raises(ArcGISTasksError, match="token"):
        play(read(session(USER)))
    assert len(play.requests) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        EXPIRED,
        REQUIRED,
        SERVER_EXPIRED,
        response(EXPIRED, status=498),
        response({"message": "no"}, status=401),
        response(HTML, status=401),
        response(b"", status=401),
        {"error": {"code": 401, "message": "Unauthorized"}},
        {"error": {"code": "498", "message": "Invalid token."}},
    ],
    ids=str,
)
@pytest.mark.parametrize("operation", [read, write])
@pytest.mark.parametrize("credentials", [USER, APP])
def test_a_refused_token_is_renewed_once(credentials: Any, operation: Any, refusal: Script) -> None:
    renewed = {"access_token": "token-2", "expires_in": 3600} if credentials is APP else token("token-2")
    first = {"access_token": "token-1", "expires_in": 3600} if credentials is APP else token("token-1")
    play = Play(first, refusal, renewed, FINE)
    assert play(operation(session(credentials))) == FINE
    assert [bearer(request) for request in play.requests] == ["", "token-1", "", "token-2"]
    assert play.requests[1].params == play.requests[3].params


def test_a_portal_that_refuses_every_token() -> None:
    play = Play()
    play.otherwise = minting(play, refuse=lambda value: True)
    with pytest.raises(SignInRefused, match=r"Invalid token.*X-Esri-Authorization"):
        play(read(session(USER)))
    assert play.asked.count("POST generateToken") <= 3
    assert play.asked.count("GET thing") <= 3


@pytest.mark.parametrize(
    ("credentials", "advice"), [(ReadyToken("old"), "put a new one"), (WebTier(), "client certificate")]
)
def test_what_cannot_be_renewed(credentials: Any, advice: str) -> None:
    play = Play(EXPIRED)
    with pytest.raises(SignInRefused, match=advice):
        play(read(session(credentials)))


def test_operations_at_the_same_time_share_one_sign_in_and_one_renewal() -> None:
    play = Play()
    revoked: set[str] = set()
    play.otherwise = minting(play, refuse=lambda value: value in revoked)
    s = session(USER)
    assert together(play, [read(s) for _ in range(30)]) == [FINE] * 30
    assert play.asked.count("POST generateToken") == 1
    revoked.add("token-1")
    assert together(play, [read(s) for _ in range(30)]) == [FINE] * 30
    assert play.asked.count("POST generateToken") == 2
    play.now += HOUR
    assert together(play, [read(s) for _ in range(30)]) == [FINE] * 30
    assert play.asked.count("POST generateToken") == 3


def test_a_late_refusal_of_an_old_token_does_not_throw_the_new_one_away() -> None:
    play = Play()
    play.otherwise = minting(play)
    s = session(USER)
    play(read(s))
    slow = read(s)
    assert bearer(play.next_request(slow)) == "token-1"
    play.now += HOUR
    play(read(s))  # renews meanwhile
    assert bearer(play.next_request(slow, response(EXPIRED))) == "token-2"
    assert play.asked.count("POST generateToken") == 2


def test_a_renewal_that_is_killed_half_way_does_not_block_the_others() -> None:
    play = Play(token(), FINE)
    s = session(USER)
    killed = read(s)
    assert play.next_request(killed).url.endswith("/generateToken")
    killed.close()
    assert play(read(s)) == FINE


def test_a_renewal_that_finds_no_portal_leaves_the_others_their_own_try() -> None:
    s = session(USER, unreachable_timeout=3)
    with pytest.raises(PortalUnreachable):
        Play(otherwise=LOST)(read(s))
    assert Play(token(), FINE)(read(s)) == FINE


# --- what is no answer -------------------------------------------------------------------------------

NO_ANSWER: dict[str, Script] = {
    "lost": LOST,
    "never sent": REFUSED,
    "503 page": response(HTML, 503),
    "502": response(b"", 502),
    "500 JSON": response({"message": "oops"}, 500),
    "error 500": {"error": {"code": 500, "message": "Internal error.", "details": []}},
    "error 503 without text": {"error": {"code": 503}},
    "429": response(b"slow down", 429),
    "error 429": {"error": {"code": 429, "message": "Too many requests"}},
    "empty": b"",
    "half": b'{"id": "fi',
    "a list": b"[]",
    "text": b'"hello"',
    "null": b"null",
    "an empty object": b"{}",
    "no UTF-8": b"\xff\xfe{",
    "HTML": HTML,
    "HTML 403": response(HTML, 403),
    "HTML 404": response(HTML, 404),
    "redirect": response(b"", 302, location="https://sso.example.com/login?state=secret"),
    "permanent redirect": response(b"", 308),
    "not modified": response(b"", 304),
}
MISDIRECTED = ("HTML", "HTML 403", "HTML 404", "redirect", "permanent redirect", "not modified")


@pytest.mark.parametrize("name", NO_ANSWER)
def test_a_read_is_repeated_until_there_is_an_answer(name: str) -> None:
    play = Play(FINE, *[NO_ANSWER[name]] * 4, FINE)
    s = session()
    play(read(s))
    assert play(read(s)) == FINE
    assert len(play.requests) == 6
    assert len(play.pauses) == 4


@pytest.mark.parametrize("name", NO_ANSWER)
def test_a_read_that_is_never_answered(name: str) -> None:
    play = Play(FINE, otherwise=NO_ANSWER[name])
    s = session(unreachable_timeout=300)
    play(read(s))
    with pytest.raises(
        PortalUnreachable, match=r"No usable answer from https://gis\.example\.com/portal: "
    ) as e:
        play(read(s))
    assert not isinstance(e.value, WriteUnanswered)
    assert NOON + 200 < play.now <= NOON + 300
    assert len(play.requests) < 30
    assert "secret" not in str(e.value)


@pytest.mark.parametrize("name", NO_ANSWER)
def test_a_wrong_address_is_told(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """In the log at once, though it may mend itself, and in the error when it does not."""
    play = Play(otherwise=NO_ANSWER[name])
    with caplog.at_level("WARNING"), pytest.raises(PortalUnreachable) as e:
        play(read(session(unreachable_timeout=10)))
    lasting = name in MISDIRECTED
    assert ("context path" in str(e.value)) is lasting
    assert caplog.text.count("context path") == lasting


def test_a_certificate_that_is_not_trusted(caplog: pytest.LogCaptureFixture) -> None:
    bad = Unreachable("SSLError: [SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate", sent=False)
    with caplog.at_level("WARNING"), pytest.raises(PortalUnreachable, match="ca_bundle"):
        Play(otherwise=bad)(read(session(unreachable_timeout=10)))
    assert caplog.text.count("ca_bundle") == 1


@pytest.mark.parametrize(("frozen", "told"), [(0, False), (80, False), (100, True), (9000, True)])
def test_a_process_that_was_stopped_while_it_waited_for_an_answer(frozen: float, told: bool) -> None:
    """Longer than any request may take: then Airflow may have given its work to another."""
    play = Play()

    def freeze(request: Request) -> Any:
        play.now += frozen
        return FINE

    play.script = [freeze, FINE]
    s = session(timeout=30)
    assert (play(read(s)), s.stood_still) == (FINE, told)
    assert (play(read(s)), s.stood_still) == (FINE, told)


# --- pauses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.999])
def test_pauses_grow_and_end(fraction: float) -> None:
    play = Play(otherwise=LOST)
    with pytest.raises(PortalUnreachable):
        play(read(session(random_fraction=lambda: fraction, unreachable_timeout=600)))
    assert 0 < play.pauses[0] <= 1
    assert play.pauses == sorted(play.pauses)
    assert play.pauses[3] > 4 * play.pauses[0]
    assert max(play.pauses) <= 60
    assert NOON + 600 - 60 <= play.now <= NOON + 600


def test_pauses_are_jittered() -> None:
    firsts = []
    for fraction in (0.0, 0.25, 0.9):
        play = Play(LOST, FINE)
        play(read(session(random_fraction=lambda fraction=fraction: fraction)))
        firsts += play.pauses
    assert len(set(firsts)) == 3


@pytest.mark.parametrize("limit", [0.1, 1, 30, 5000])
def test_unreachable_timeout(limit: float) -> None:
    play = Play(otherwise=LOST)
    with pytest.raises(PortalUnreachable):
        play(read(session(unreachable_timeout=limit)))
    assert play.now <= NOON + limit


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "at_least", "at_most"),
    [
        ("17", 17, 20),
        ("0", 0, 1),
        ("2.5", 2.5, 4),
        (http_date(NOON + 5 * HOUR + 40), 40, 41),
        (http_date(NOON + 5 * HOUR - 40), 0, 1),
        ("-5", 0, 1),
        ("soon", 0, 1),
        ("nan", 0, 1),
        ("", 0, 1),
        ("Wed, 99 Foo 2026", 0, 1),
        (http_date(NOON).replace("GMT", "-0000"), 0, 1),
        ("Fri, 99999999999999999999 Jan 2027 12:00:00 GMT", 0, 1),
    ],
)
def test_retry_after(status: int, header: str, at_least: float, at_most: float) -> None:
    """A date counts against the answer's own `Date`: the portal's clock is five hours ahead of ours."""
    busy = response(b"", status, retry_after=header, date=http_date(NOON + 5 * HOUR))
    play = Play(busy, FINE)
    assert play(read(session())) == FINE
    assert at_least <= play.pauses[0] <= at_most


def test_retry_after_without_end_ends_at_unreachable_timeout() -> None:
    play = Play(otherwise=response(b"", 429, retry_after="99999999"))
    with pytest.raises(PortalUnreachable, match="slow down"):
        play(read(session(unreachable_timeout=600)))
    assert play.now <= NOON + 600


# --- writes ------------------------------------------------------------------------------------------

AMBIGUOUS = [
    "lost",
    "503 page",
    "502",
    "500 JSON",
    "error 500",
    "error 503 without text",
    "empty",
    "half",
    "a list",
    "text",
    "null",
    "an empty object",
    "no UTF-8",
    "HTML",
]


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_an_ambiguous_write_is_not_repeated(name: str, known: bool) -> None:
    play = Play(*[FINE] * known, NO_ANSWER[name])
    s = session()
    if known:
        play(read(s))
    with pytest.raises(WriteUnanswered, match="No usable answer"):
        play(write(s))
    assert play.asked.count("POST write") == 1
    assert play.pauses == []


@pytest.mark.parametrize("trouble", ["never sent", "429", "error 429"])
def test_a_write_that_was_not_carried_out_is_repeated(trouble: str) -> None:
    play = Play(*[NO_ANSWER[trouble]] * 3, FINE)
    assert play(write(session())) == FINE
    assert [request.params["title"] for request in play.requests] == ["x"] * 4


def test_a_write_that_is_ambiguous_after_it_was_not_carried_out() -> None:
    play = Play(REFUSED, response(b"", 429), LOST)
    with pytest.raises(WriteUnanswered):
        play(write(session()))
    assert len(play.requests) == 3


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_repeatable_write_is_repeated(name: str) -> None:
    play = Play(FINE, NO_ANSWER[name], FINE)
    s = session()
    play(read(s))
    assert play(s.fetch("POST", "/write")) == FINE


@pytest.mark.parametrize(
    ("code", "kind"), [(400, InvalidRequest), (403, PermissionDenied), (404, NotFound), (409, InvalidRequest)]
)
@pytest.mark.parametrize("operation", [read, write])
def test_the_portals_own_errors_are_not_repeated(operation: Any, code: int, kind: type) -> None:
    play = Play({"error": {"code": code, "message": "No.", "messageCode": "GWM_0003", "details": ["Why"]}})
    with pytest.raises(kind, match=rf"No\. Why \(code {code}, GWM_0003\)"):
        play(operation(session()))


# --- who, and when -----------------------------------------------------------------------------------


def test_owner_is_the_signed_in_user() -> None:
    assert Play()(session(USER).owner()) == "gis"
    assert Play()(session(USER, owner="other").owner()) == "other"
    assert Play()(session(APP, owner="other").owner()) == "other"


def test_owner_is_asked_for_once() -> None:
    play = Play({"username": "somebody", "role": "org_user"})
    s = session(ReadyToken("t"))
    assert [play(s.owner()), play(s.owner())] == ["somebody", "somebody"]
    assert play.requests[0].url == f"{REST}/community/self"


@pytest.mark.parametrize(
    "answer",
    [
        {"appInfo": {"appId": "x"}},
        {"username": None},
        {"username": ""},
        {"username": 5},
        {"error": {"code": 403, "message": "You do not have permissions", "messageCode": "GWM_0003"}},
        {"error": {"code": 400, "message": "User does not exist"}},
    ],
    ids=json.dumps,
)
def test_a_token_without_a_user(answer: Any) -> None:
    s = session(ReadyToken("t"))
    with pytest.raises(ArcGISTasksError, match="owner"):
        Play(otherwise=answer)(s.owner())


@pytest.mark.parametrize("ahead", [-HOUR, 0.0, 26 * HOUR])
def test_portal_time(ahead: float) -> None:
    play = Play(response(FINE, date=http_date(NOON + ahead)))
    s = session()
    assert play(s.portal_time()) == NOON
    play(read(s))
    play.now += 60
    assert play(s.portal_time()) == pytest.approx(NOON + ahead + 60, abs=1)


@pytest.mark.parametrize(
    "date",
    ["", "yesterday", "Fri, 99999999999999999999 Jan 2027 12:00:00 GMT", "Fri, 15 Jan 0001 00:00:00 -0000"],
)
def test_a_date_that_is_none(date: str) -> None:
    assert Play(response(FINE, date=date))(read(session())) == FINE


def test_a_refusal_and_a_lost_answer_keep_the_token_out_of_the_text() -> None:
    for script in ([WRONG_PASSWORD], [LOST] * 50, [token("tok-secret"), *[LOST] * 50]):
        with pytest.raises(ArcGISTasksError) as e:
            Play(*script)(write(session(USER, unreachable_timeout=5)))
        assert not any(secret in str(e.value) for secret in ("pass-word", "tok-secret"))
