"""The resources about users, tokens, items and the portal itself."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from airflow_provider_arcgis_tasks.sandbox.accounts import User
from airflow_provider_arcgis_tasks.sandbox.refusals import (
    Refusal,
    bad_parameter,
    forbidden,
    no_token,
    token_required,
    unknown,
)
from airflow_provider_arcgis_tasks.sandbox.state import ORGANIZATION, Request, State
from airflow_provider_arcgis_tasks.sandbox.wire import Reply, html_reply

VERSION = "11.4"

Json = dict[str, Any]


def show_root(state: State, request: Request) -> Json:
    """Show the version of the sharing API."""
    return {"currentVersion": VERSION}


def show_info(state: State, request: Request) -> Json:
    """Show where tokens come from."""
    url = f"{state.url}/sharing/rest/generateToken"
    return {
        "owningSystemUrl": state.url,
        "authInfo": {"isTokenBasedSecurity": True, "tokenServicesUrl": url},
    }


def generate_token(state: State, request: Request) -> Json:
    """Make a token from a password, or from a token for a federated server (REST page "Generate token")."""
    params = request.params
    minutes = _minutes(params.get("expiration", ""))
    if params.get("token"):
        if request.token is None:
            raise token_required()
        user = request.token.user
    else:
        user = state.accounts.sign_in(params.get("username", ""), params.get("password", ""), request.now)
    referer, ip = _binding(request)
    token = state.accounts.mint(user, request.now, minutes, referer=referer, ip=ip)
    return {
        "token": token.value,
        "expires": round(token.expires * 1000),
        "ssl": state.url.startswith("https:"),
    }


def authorize(state: State, request: Request) -> Reply:
    """Show the login page, the first half of the OAuth flow of the official Python client."""
    oauth_state = state.new_id()
    state.sign_ins[oauth_state] = (request.params.get("redirect_uri", ""), request.params.get("state", ""))
    return _login_page({"oauth_state": oauth_state})


def sign_in(state: State, request: Request) -> Reply:
    """Take the login page's form and redirect with a token, the second half of that flow."""
    params = request.params
    oauth_state = params.get("oauth_state", "")
    if oauth_state not in state.sign_ins:
        return _login_page({"messages": ["OAUTH_0003: Invalid oauth_state"]})
    try:
        user = state.accounts.sign_in(params.get("username", ""), params.get("password", ""), request.now)
    except Refusal as refusal:
        reason = refusal.body["error"]["details"][0]
        return _login_page({"oauth_state": oauth_state, "messages": [f"OAUTH_0015: {reason}"]})
    redirect_uri, client_state = state.sign_ins.pop(oauth_state)
    return Reply(302, {"Location": f"{redirect_uri}#{_fragment(state, request, user, client_state)}"})


def oauth_token(state: State, request: Request) -> Json:
    """Make a token for an app (grant `client_credentials`)."""
    params = request.params
    if params.get("grant_type") != "client_credentials":
        raise _oauth_refusal("unsupported_grant_type", "Only client_credentials is supported")
    app = state.accounts.app(params.get("client_id", ""), params.get("client_secret", ""))
    if app is None:
        raise _oauth_refusal("invalid_client", "Invalid client_id or client_secret")
    minutes = _minutes(params.get("expiration", ""))
    token = state.accounts.mint(app.owner, request.now, minutes, of_app=True)
    return {"access_token": token.value, "expires_in": round(token.expires - request.now)}


def show_self(state: State, request: Request) -> Json:
    """Show the signed-in user (REST page "Self")."""
    user = request.user
    if not _names_user(state, request):
        raise forbidden()
    return _user_json(user)


def show_user(state: State, request: Request, username: str) -> Json:
    """Show a user; others see no more than the name (REST page "User")."""
    reader, user = request.user, state.accounts.users.get(username)
    if user is None:
        raise unknown("User")
    return _user_json(user) if reader.is_admin or reader == user else {"username": username}


def show_portal(state: State, request: Request, portal_id: str) -> Json:
    """Show the organization, with the user if someone is signed in (REST page "Portal self")."""
    check_portal(portal_id)
    secure = state.url.startswith("https:")
    answer: Json = {
        "id": ORGANIZATION,
        "name": "Sandbox",
        "portalName": "Sandbox",
        "portalMode": "singletenant",
        "isPortal": True,
        "currentVersion": VERSION,
        "allSSL": secure,
        "helperServices": {},
    }
    if request.token is not None and _names_user(state, request):
        answer["user"] = _user_json(request.token.user)
    return answer


def check_portal(portal_id: str) -> None:
    """Make sure that an id in a path is this portal's.

    Raises:
        Refusal: it is another's.
    """
    if portal_id not in ("self", ORGANIZATION):
        raise unknown("Portal")


def show_item(state: State, request: Request, item_id: str) -> Json:
    """Show an item."""
    user, item = request.user, state.items.get(item_id)
    if item is None:
        text = "Item does not exist or is inaccessible."
        raise Refusal(400, text, message_code="CONT_0001")
    if item.owner != user.username and not user.is_admin:
        raise forbidden()
    created = round(item.created * 1000)
    return {
        "id": item.id,
        "owner": item.owner,
        "created": created,
        "modified": created,
        "title": item.title,
        "type": item.type,
        "typeKeywords": [],
        "tags": [],
        "access": "private",
    }


def _names_user(state: State, request: Request) -> bool:
    return request.token is not None and (not request.token.of_app or state.rules.app_token_has_user)


def _user_json(user: User) -> Json:
    return {
        "id": f"{sum(user.username.encode()):032x}",
        "username": user.username,
        "fullName": user.username.title(),
        "orgId": ORGANIZATION,
        "role": user.role,
        "privileges": list(user.privileges),
    }


def _minutes(text: str) -> float | None:
    if not text:
        return None
    try:
        minutes = float(text)
    except ValueError:
        raise bad_parameter("expiration", f"{text!r} is not a number of minutes") from None
    return minutes if minutes > 0 else None


def _binding(request: Request) -> tuple[str | None, str | None]:
    client = request.params.get("client", "requestip")
    if client == "requestip":
        return None, request.ip
    if client not in ("referer", "ip"):
        raise bad_parameter("client", "has to be referer, ip or requestip")
    value = request.params.get(client, "")
    if not value:
        raise no_token(f"'{client}' must be specified.")
    return (value, None) if client == "referer" else (None, value)


def _login_page(info: Json) -> Reply:
    script = f"<script>var oAuthInfo = {json.dumps(info)};</script>"
    return html_reply(200, f"<!DOCTYPE html>\n<html><head><title>Sign In</title>\n{script}\n</head></html>")


def _fragment(state: State, request: Request, user: User, client_state: str) -> str:
    token = state.accounts.mint(user, request.now, _minutes(request.params.get("expiration", "")))
    return urlencode(
        {
            "access_token": token.value,
            "expires_in": round(token.expires - request.now),
            "username": user.username,
            "ssl": "true",
            "state": client_state,
        }
    )


def _oauth_refusal(error: str, description: str) -> Refusal:
    refusal = Refusal(400, description)
    refusal.body["error"] |= {"error": error, "error_description": description}
    return refusal
