"""Users, tokens and apps of the portal."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from airflow_provider_arcgis_tasks.sandbox.refusals import no_token, token_invalid
from airflow_provider_arcgis_tasks.sandbox.rules import Rules

SCHEDULE_NOTEBOOKS = "premium:publisher:scheduleNotebooks"
ADMIN_ROLE = "org_admin"
_PUBLISHER = ("portal:user:createItem", "premium:publisher:createNotebooks", SCHEDULE_NOTEBOOKS)
_ADMIN = (*_PUBLISHER, "portal:admin:viewUsers", "portal:admin:viewItems", "portal:admin:createReports")
_YEAR_OF_MINUTES = 525_600


@dataclass(frozen=True, slots=True)
class User:
    """A member of the portal's organization."""

    username: str
    password: str = field(repr=False)
    role: str
    privileges: tuple[str, ...]

    @property
    def is_admin(self) -> bool:
        """Whether the user may see and change what belongs to others."""
        return self.role == ADMIN_ROLE


@dataclass(frozen=True, slots=True)
class Token:
    """A token the portal has made.

    Attributes:
        user: who it speaks for.
        expires: portal time, epoch seconds.
        referer: the only `Referer` header it works with.
        ip: the only address it works from.
        of_app: it belongs to an app or is an API key.
    """

    value: str = field(repr=False)
    user: User
    expires: float
    referer: str | None = None
    ip: str | None = None
    of_app: bool = False
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class App:
    """An app registered for the OAuth grant `client_credentials`."""

    client_id: str
    client_secret: str = field(repr=False)
    owner: User


@dataclass(slots=True)
class _Attempts:
    wrong: int = 0
    locked_until: float = 0.0


class Accounts:
    """Who exists, who is signed in, and who is locked out. Times are epoch seconds of the portal."""

    def __init__(self, rules: Rules, rng: Random) -> None:
        self.users: dict[str, User] = {}
        self.minted = 0
        self._rules = rules
        self._rng = rng
        self._tokens: dict[str, Token] = {}
        self._apps: dict[str, App] = {}
        self._attempts: dict[str, _Attempts] = {}

    def add_user(
        self, username: str, password: str, role: str, privileges: tuple[str, ...] | None = None
    ) -> User:
        """Add a user; privileges follow from the role unless given."""
        usual = _ADMIN if role == ADMIN_ROLE else _PUBLISHER
        user = User(username, password, role, usual if privileges is None else privileges)
        self.users[username] = user
        return user

    def add_app(self, owner: User) -> App:
        """Register an app that acts for `owner`."""
        app = App(self._secret()[:16], self._secret(), owner)
        self._apps[app.client_id] = app
        return app

    def app(self, client_id: str, client_secret: str) -> App | None:
        """Return the app with these credentials."""
        app = self._apps.get(client_id)
        return app if app and app.client_secret == client_secret else None

    def sign_in(self, username: str, password: str, now: float) -> User:
        """Return the user with this password.

        Raises:
            Refusal: wrong, or locked after too many wrong ones.
        """
        attempts = self._attempts.setdefault(username, _Attempts())
        if now < attempts.locked_until:
            raise no_token("Too many invalid attempts. Please try again later.")
        user = self.users.get(username)
        if user and user.password == password:
            del self._attempts[username]
            return user
        attempts.wrong += 1
        if attempts.wrong >= self._rules.lockout_after:
            self._attempts[username] = _Attempts(locked_until=now + self._rules.lockout_minutes * 60)
        raise no_token("Invalid username or password.")

    def mint(
        self,
        user: User,
        now: float,
        minutes: float | None = None,
        *,
        referer: str | None = None,
        ip: str | None = None,
        of_app: bool = False,
    ) -> Token:
        """Make a token; a lifetime above the portal's maximum is cut silently."""
        asked = self._rules.session_minutes if minutes is None else minutes
        lifetime = min(asked, self._rules.session_minutes_max)
        return self._keep(Token(self._secret(), user, now + lifetime * 60, referer, ip, of_app))

    def issue(self, user: User, now: float, minutes: float | None = None) -> Token:
        """Make a token that is bound to nothing and lives as long as asked."""
        lifetime = self._rules.session_minutes if minutes is None else minutes
        return self._keep(Token(self._secret(), user, now + lifetime * 60))

    def mint_key(self, user: User, now: float) -> Token:
        """Make an API key that works for a year."""
        return self._keep(Token(self._secret(), user, now + _YEAR_OF_MINUTES * 60, of_app=True, lasting=True))

    def check(self, value: str, now: float, referer: str, ip: str) -> Token:
        """Return the token with this value.

        Raises:
            Refusal: unknown, expired, or bound to another referer or address.
        """
        token = self._tokens.get(value)
        if token is None or token.expires <= now:
            raise token_invalid()
        if self._rules.referer_checked and token.referer not in (None, referer):
            raise token_invalid()
        if token.ip not in (None, ip):
            raise token_invalid()
        return token

    def expire_tokens(self) -> None:
        """Make every token but the API keys invalid at once."""
        self._tokens = {value: token for value, token in self._tokens.items() if token.lasting}

    def _keep(self, token: Token) -> Token:
        self._tokens[token.value] = token
        self.minted += 1
        return token

    def _secret(self) -> str:
        return f"{self._rng.getrandbits(256):064x}"
