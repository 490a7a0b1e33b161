"""One conversation with a portal: sign-in, token renewal, error envelopes and retries, written once."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import quote

from airflow_provider_arcgis_tasks.portal.address import PortalAddress
from airflow_provider_arcgis_tasks.portal.clock import PortalClock
from airflow_provider_arcgis_tasks.portal.credentials import (
    AppLogin,
    Credentials,
    Password,
    ReadyToken,
    Renewable,
    Token,
    WebTier,
)
from airflow_provider_arcgis_tasks.portal.effects import (
    Operation,
    Request,
    Unreachable,
    now,
    pause,
    send,
)
from airflow_provider_arcgis_tasks.portal.envelope import JSON, NoAnswer, TokenRefused, read
from airflow_provider_arcgis_tasks.portal.errors import (
    InvalidRequest,
    NotFound,
    PermissionDenied,
    PortalError,
    PortalUnreachable,
    SignInRefused,
    WriteUnanswered,
)
from airflow_provider_arcgis_tasks.portal.firing import CronZone
from airflow_provider_arcgis_tasks.portal.models import check_text, check_user_name

log = logging.getLogger(__name__)

_IN_A_URL = "%:/?#[]@!$&'()*+,;="
_TOKEN_HEADER = "X-Esri-Authorization"  # noqa: S105 - its name only
_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 60.0
_RENEWALS_PER_REQUEST = 3
_WAIT_FOR_ANOTHERS_RENEWAL = 0.05
_STOOD_STILL_SECONDS = 60.0


class Session:
    """What all operations on one connection share: address, token, the portal's clock.

    Any number of operations may use it at the same time, from one event loop or from several threads;
    at most one of them renews the token while the others wait for it.
    """

    def __init__(
        self,
        address: PortalAddress,
        credentials: Credentials,
        *,
        owner: str | None = None,
        referer: str | None = None,
        timeout: float = 30.0,
        unreachable_timeout: float = 600.0,
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        """Sign in as `credentials` say, when the first request needs it.

        `owner`: whose portal tasks, if not the signed-in user's. `timeout`: seconds for one request.
        `unreachable_timeout`: seconds for which a portal that can't be reached is asked again.
        `random_fraction`: jitter; a number from 0 up to 1.
        """
        self.address = address
        self.clock = PortalClock()
        self.cron_zone = CronZone()
        self.stood_still = False
        """This process was stopped for a while, so Airflow may have given its work to another."""
        self.killed = False
        """Airflow has killed the task: no portal run may be started for it any more."""
        self.random_fraction = random_fraction
        self._credentials = credentials
        self._owner = owner
        self._referer = referer or quote(address.base, safe=_IN_A_URL)
        self._timeout = timeout
        self._unreachable_timeout = unreachable_timeout
        self._token: Token | None = Token(credentials.token) if isinstance(credentials, ReadyToken) else None
        self._renewal = threading.Lock()
        self._refusal: SignInRefused | None = None

    def owner(self) -> Operation[str]:
        """The user name whose portal tasks are meant. Asks the portal once, if nothing else tells."""
        if self._owner is None:
            if isinstance(self._credentials, Password):
                self._owner = self._credentials.username
            else:
                self._owner = yield from self._signed_in_user()
        return self._owner

    def _signed_in_user(self) -> Operation[str]:
        try:
            body = yield from self.fetch("GET", "/community/self")
            return check_user_name("username", body.get("username"))
        except (PermissionDenied, InvalidRequest, NotFound, ValueError) as problem:
            raise SignInRefused(
                403,
                f"The portal does not tell which user this sign-in belongs to: {problem}",
                advice="If it is an application's, name the owner of the portal tasks: "
                "`owner` in the connection's extra.",
            ) from None

    def portal_time(self) -> Operation[float]:
        """The portal's time now, seconds since the epoch; as good as the last `Date` header that came."""
        return self.clock.time((yield from now()))

    def fetch(
        self,
        method: Literal["GET", "POST"],
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        repeatable: bool = True,
    ) -> Operation[JSON]:
        """Ask for the JSON object at `path` below the REST root, signed in.

        A `repeatable` request is sent again, with growing pauses, until the portal answers. Any other is
        sent again only if the portal can't have acted on it; else `WriteUnanswered`. Raises
        `PortalUnreachable` after `unreachable_timeout`, `SignInRefused`, or the portal's own error, which
        says in `may_have_acted` whether the portal may have carried it out before.
        """
        for name, value in (params or {}).items():
            check_text(name, value)
        for renewals_left in reversed(range(_RENEWALS_PER_REQUEST)):
            token = yield from self._current_token()
            try:
                return (
                    yield from self._converse(
                        Request(
                            method,
                            self.address.rest + path,
                            {**(params or {}), "f": "json"},
                            self._headers(token),
                            self._timeout,
                        ),
                        repeatable,
                    )
                )
            except TokenRefused as refused:
                if not renewals_left or not isinstance(self._credentials, Renewable):
                    raise self._refused(refused.error) from None
                self._forget(token)
        raise AssertionError("unreachable: the last round returns or raises")

    def _headers(self, token: Token | None) -> dict[str, str]:
        headers = {"Referer": self._referer}
        if token is not None:
            headers[_TOKEN_HEADER] = f"Bearer {token.value}"
        return headers

    def _refused(self, error: PortalError) -> SignInRefused:
        match self._credentials:
            case ReadyToken():
                advice = "The token in the connection is wrong or has expired: put a new one there."
            case WebTier():
                advice = (
                    "The portal does not take the client certificate as a sign-in: add a user or a token."
                )
            case _:
                advice = (
                    "The portal refuses the token that it has just issued: a proxy may drop the "
                    "X-Esri-Authorization header, or the web server asks for a sign-in of its own."
                )
        return _sign_in_refused(error, advice)

    # --- token ---------------------------------------------------------------------------------------

    def _current_token(self) -> Operation[Token | None]:
        if not isinstance(self._credentials, Renewable):
            return self._token
        while True:
            if self._refusal is not None:
                raise self._refusal
            if self._token is not None and (yield from now()) < self._token.renew_at:
                return self._token
            if self._renewal.acquire(blocking=False):
                try:
                    self._token = yield from self._sign_in(self._credentials)
                    return self._token
                finally:
                    self._renewal.release()
            else:
                yield from pause(_WAIT_FOR_ANOTHERS_RENEWAL)

    def _forget(self, token: Token | None) -> None:
        if self._token is token:
            self._token = None

    def _sign_in(self, credentials: Renewable) -> Operation[Token]:
        request = Request(
            "POST",
            self.address.rest + credentials.path,
            credentials.form(self._referer),
            {"Referer": self._referer},
            self._timeout,
        )
        try:
            body = yield from self._converse(request, repeatable=True)
        except TokenRefused as refused:
            self._refusal = _sign_in_refused(refused.error, _CHECK[type(credentials)])
            raise self._refusal from None
        except PortalError as error:
            self._refusal = _sign_in_refused(error, _CHECK[type(credentials)])
            raise self._refusal from None
        return Token.read(body, self.clock, (yield from now()))

    # --- retries -------------------------------------------------------------------------------------

    def _converse(self, request: Request, repeatable: bool) -> Operation[JSON]:
        """Send until the portal has answered; see `fetch` for what ends the trying."""
        give_up_at = (yield from now()) + self._unreachable_timeout
        attempt = 0
        may_have_acted = False
        while True:
            try:
                return (yield from self._exchange(request))
            except PortalError as error:
                error.may_have_acted = may_have_acted
                raise
            except NoAnswer as trouble:
                may_have_acted |= trouble.acted
                if trouble.acted and not repeatable:
                    raise WriteUnanswered(self._unreachable_text(trouble)) from None
                delay = self._backoff(attempt, trouble.retry_after)
                left = give_up_at - (yield from now())
                if delay >= left:
                    raise PortalUnreachable(
                        f"{self._unreachable_text(trouble)} Gave up after {self._unreachable_timeout:g} s "
                        "(unreachable_timeout)."
                    ) from None
                self._tell(trouble, attempt, delay, left)
            yield from pause(delay)
            attempt += 1

    def _exchange(self, request: Request) -> Operation[JSON]:
        sent = yield from now()
        reply = yield from send(request)
        received = yield from now()
        self.stood_still |= received - sent > request.timeout + _STOOD_STILL_SECONDS
        if isinstance(reply, Unreachable):
            raise NoAnswer(reply.reason, acted=reply.sent)
        self.clock.observe(reply.headers.get("date"), sent, received)
        return read(reply, _secrets(request))

    def _tell(self, trouble: NoAnswer, attempt: int, delay: float, left: float) -> None:
        """Log what hardly mends itself at once, and the rest when it lasts: from then on with each pause."""
        hopeless = trouble.misdirected or any(sign in trouble.reason for sign in _HOPELESS)
        if attempt >= _LASTING_ATTEMPTS or (hopeless and attempt == 0):
            level = logging.WARNING
        else:
            level = logging.INFO if attempt == 2 else logging.DEBUG
        text = self._unreachable_text(trouble)
        log.log(level, "%s Asking again in %.1f s, and for %.0f s at most", text, delay, left)

    def _backoff(self, attempt: int, retry_after: float | None) -> float:
        ceiling = min(_FIRST_BACKOFF * 2.0 ** min(attempt, 10), _LONGEST_BACKOFF)
        jittered = ceiling * (0.5 + self.random_fraction() / 2)
        return max(jittered, retry_after or 0.0)

    def _unreachable_text(self, trouble: NoAnswer) -> str:
        text = f"No usable answer from {self.address}: {trouble.reason}."
        if trouble.misdirected:
            text += (
                " Check the host of the connection: its context path (such as /portal or /arcgis) may be "
                "missing or wrong, or a sign-in page or proxy stands in between."
            )
        if _NO_HTTPS in trouble.reason:
            text += (
                " What listens there does not speak HTTPS: check port and scheme of the connection's host."
            )
        if _BAD_CERTIFICATE in trouble.reason:
            text += (
                " If the certificate is signed by an authority of your own, give its file as ca_bundle in "
                "the connection's extra."
            )
        return text


_BAD_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"
_NO_HTTPS = "WRONG_VERSION_NUMBER"
_HOPELESS = (_BAD_CERTIFICATE, _NO_HTTPS)
_LASTING_ATTEMPTS = 6
"""The pauses are about half a minute long by then."""
_CHECK: Mapping[type[Renewable], str] = {
    Password: (
        "Check user and password of the connection. Not tried again, so that the account is not locked; "
        "SAML, OpenID and multi-factor accounts can't sign in this way: use client_id and client_secret "
        "or a token."
    ),
    AppLogin: "Check client_id and client_secret of the connection.",
}


def _secrets(request: Request) -> list[str]:
    """What the answer may not make us tell, should the portal repeat it."""
    form = [request.params[name] for name in ("password", "client_secret") if name in request.params]
    token = request.headers.get(_TOKEN_HEADER, "").removeprefix("Bearer ")
    return [secret for secret in (*form, token) if secret]


def _sign_in_refused(error: PortalError, advice: str) -> SignInRefused:
    return SignInRefused(
        error.code, error.message, message_code=error.message_code, details=error.details, advice=advice
    )
