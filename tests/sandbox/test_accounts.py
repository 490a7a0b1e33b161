"""Who may come in, and for how long."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_arcgis_tasks.sandbox.clock import ManualClock
from airflow_provider_arcgis_tasks.sandbox.model import Portal
from airflow_provider_arcgis_tasks.sandbox.state import ORGANIZATION
from tests.sandbox.client import NOON, ROOT, error_of, make_portal


def anonymous(**rules):
    clock, portal, client, item_id = make_portal(**rules)
    client.token = None
    return clock, portal, client, item_id


def sign_in(client, /, **params):
    form = {"username": "analyst", "password": "sandbox-secret", "client": "referer", "referer": "http"}
    return client.post("generateToken", **{**form, **params})


def test_a_password_makes_a_token():
    _, portal, client, _ = anonymous()
    answer = sign_in(client, expiration=60)
    assert answer["expires"] == (NOON + 3600) * 1000
    assert answer["ssl"] is True
    client.token = answer["token"]
    reply = client.reply("GET", "community/self", {"Referer": "http"})
    assert json.loads(reply.body)["username"] == "analyst"
    assert portal.count("generateToken", took_effect=True) == 1


def test_a_token_lives_two_hours_unless_asked():
    _, _, client, _ = anonymous()
    assert sign_in(client)["expires"] == (NOON + 7200) * 1000


@pytest.mark.parametrize("minutes", [0, -1])
def test_no_lifetime_means_the_default(minutes):
    _, _, client, _ = anonymous()
    assert sign_in(client, expiration=minutes)["expires"] == (NOON + 7200) * 1000


def test_long_lives_are_cut_silently():
    _, _, client, _ = anonymous(session_minutes_max=30)
    assert sign_in(client, expiration=600)["expires"] == (NOON + 1800) * 1000


def test_a_token_expires_by_the_portal_s_clock():
    clock, _, client, _ = make_portal()
    client.token = client.portal.issue_token(minutes=10)
    clock.advance(599)
    assert "tasks" in client.tasks()
    clock.advance(1)
    assert error_of(client.tasks())[0] == 498


def test_tokens_can_be_expired_at_once():
    _, portal, client, _ = make_portal()
    key = portal.add_api_key()
    portal.expire_tokens()
    assert error_of(client.tasks())[0] == 498
    client.token = key
    assert "tasks" in client.tasks()


def test_a_made_up_token():
    _, _, client, _ = make_portal()
    client.token = "made-up"
    assert client.tasks() == {
        "error": {"code": 498, "message": "Invalid token.", "details": ["Invalid token."]}
    }
    assert error_of(client.get("portals/self"))[0] == 498


def test_no_token():
    _, _, client, _ = anonymous()
    assert client.tasks() == {
        "error": {
            "code": 499,
            "messageCode": "GWM_0003",
            "message": "Token Required",
            "details": ["Token Required"],
        }
    }
    for path in (
        "community/self",
        "community/users/analyst",
        "content/items/x",
        "portals/self/allScheduledTasks",
    ):
        assert error_of(client.get(path))[0] == 499


@pytest.mark.parametrize(
    "params", [{"password": "wrong"}, {"username": "Analyst"}, {"username": "nobody"}, {"password": ""}]
)
def test_a_wrong_password(params):
    _, portal, client, _ = anonymous()
    assert sign_in(client, **params) == {
        "error": {
            "code": 400,
            "message": "Unable to generate token.",
            "details": ["Invalid username or password."],
        }
    }
    assert portal.tokens_minted == 1, "the one of the test's client"


def test_five_wrong_passwords_lock_the_account():
    clock, _, client, _ = anonymous()
    for _ in range(5):
        assert "Invalid username" in error_of(sign_in(client, password="wrong"))[1]
    assert "Too many invalid attempts" in error_of(sign_in(client))[1]
    clock.advance(15 * 60 - 1)
    assert "Too many invalid attempts" in error_of(sign_in(client))[1]
    clock.advance(1)
    assert "token" in sign_in(client)


def test_the_right_password_forgives_wrong_ones():
    _, _, client, _ = anonymous()
    for _ in range(3):
        for _ in range(4):
            sign_in(client, password="wrong")
        assert "token" in sign_in(client)


def test_a_locked_account_is_one_s_own():
    _, _, client, _ = anonymous(lockout_after=1)
    sign_in(client, password="wrong")
    assert "token" in sign_in(client, username="administrator")


def test_generate_token_wants_post():
    _, _, client, _ = anonymous()
    assert error_of(client.get("generateToken", username="analyst"))[0] == 405


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"referer": ""}, "referer"),
        ({"client": "ip"}, "ip"),
        ({"client": "x"}, "client"),
        ({"expiration": "x"}, "expiration"),
    ],
)
def test_bad_token_requests(params, text):
    _, _, client, _ = anonymous()
    code, said = error_of(sign_in(client, **params))
    assert code == 400
    assert text in said


@pytest.mark.parametrize(("checked", "code"), [(True, 498), (False, None)])
def test_a_token_is_bound_to_its_referer(checked, code):
    _, _, client, _ = anonymous(referer_checked=checked)
    client.token = sign_in(client, referer="https://airflow.example.com")["token"]
    right = client.reply("GET", "community/self", {"Referer": "https://airflow.example.com"})
    assert "username" in json.loads(right.body)
    for headers in ({"Referer": "http"}, {}):
        wrong = json.loads(client.reply("GET", "community/self", headers).body)
        assert wrong.get("error", {}).get("code") == code


@pytest.mark.parametrize(
    ("how", "address"),
    [({"client": "requestip"}, "10.0.0.1"), ({"client": "ip", "ip": "10.0.0.2"}, "10.0.0.2")],
)
def test_a_token_may_be_bound_to_an_address(how, address):
    portal = Portal(ManualClock(NOON))
    form = {"f": "json", "username": "analyst", "password": portal.password, **how}
    reply = portal.handle("POST", f"{ROOT}/generateToken", form, ip="10.0.0.1")
    headers = {"Authorization": f"Bearer {json.loads(reply.body)['token']}"}

    def works(ip):
        reply = portal.handle("GET", f"{ROOT}/community/self", {"f": "json"}, headers, ip=ip)
        return "username" in json.loads(reply.body)

    assert works(address)
    assert not works("10.0.0.9")


@pytest.mark.parametrize("header", ["X-Esri-Authorization", "x-esri-authorization", "Authorization"])
def test_a_token_in_a_header(header):
    _, portal, client, _ = anonymous()
    headers = {header: f"Bearer {portal.issue_token()}"}
    assert json.loads(client.reply("GET", "community/self", headers).body)["username"] == "analyst"
    assert portal.tokens_in_urls == 0


def test_a_token_in_a_form():
    _, portal, client, _ = anonymous()
    assert "tasks" in client.post(client.path(), token=portal.issue_token())
    assert portal.tokens_in_urls == 0


def test_a_token_in_a_url_works_and_is_noticed():
    _, portal, client, _ = anonymous()
    token = portal.issue_token()
    assert "tasks" in client.get(client.path(), token=token)
    assert portal.tokens_in_urls == 1
    reply = portal.handle("POST", f"{ROOT}/community/self?f=json&token={token}", {})
    assert json.loads(reply.body)["username"] == "analyst"
    assert portal.tokens_in_urls == 2


def test_a_token_for_a_federated_server():
    _, portal, client, _ = anonymous()
    portal_token = portal.issue_token("administrator")
    answer = client.post(
        "generateToken", token=portal_token, serverURL="https://gis.example.com/server", client="requestip"
    )
    client.token = answer["token"]
    assert client.get("community/self")["username"] == "administrator"
    client.token = None
    assert error_of(client.post("generateToken", token="made-up", serverURL="x"))[0] == 498


def client_credentials(client, app, **params):
    form = {
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        "grant_type": "client_credentials",
    }
    return client.post("oauth2/token", **{**form, **params})


def test_an_app_signs_in_and_acts_for_its_owner():
    clock, portal, client, item_id = anonymous()
    answer = client_credentials(client, portal.register_app(), expiration=30)
    assert answer["expires_in"] == 1800
    client.token = answer["access_token"]
    assert client.get("community/self")["username"] == "analyst"
    assert client.get("portals/self")["user"]["username"] == "analyst"
    assert client.create(item_id)
    clock.advance(1800)
    assert error_of(client.tasks())[0] == 498


def test_the_token_resource_of_oauth_always_speaks_json():
    _, portal, client, _ = anonymous()
    answer = client_credentials(client, portal.register_app(), f="")
    assert answer["expires_in"] == 7200


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "wrong"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_an_app_is_refused(params, error):
    _, portal, client, _ = anonymous()
    answer = client_credentials(client, portal.register_app(), **params)
    assert answer["error"]["code"] == 400
    assert answer["error"]["error"] == error


def test_an_app_may_have_no_user():
    _, portal, client, _ = anonymous(app_token_has_user=False)
    client.token = client_credentials(client, portal.register_app())["access_token"]
    assert error_of(client.get("community/self"))[0] == 403
    assert "user" not in client.get("portals/self")
    assert "tasks" in client.tasks()


def test_an_app_may_not_reach_tasks():
    _, portal, client, item_id = anonymous(app_tokens_reach_tasks=False)
    task_id = make_task(portal, client, item_id)
    client.token = portal.add_api_key()
    for answer in (client.tasks(), client.task(task_id), client.act(task_id, "delete")):
        assert error_of(answer)[0] == 403
    client.token = portal.add_api_key("administrator")
    assert error_of(client.get("portals/self/allScheduledTasks"))[0] == 403


def make_task(portal, client, item_id):
    client.token = portal.issue_token()
    task_id = client.create(item_id)
    client.token = None
    return task_id


def test_an_api_key_works_for_long():
    clock, portal, client, _ = make_portal()
    client.token = portal.add_api_key()
    clock.advance(300 * 86_400)
    assert "tasks" in client.tasks()


def oauth_info(reply):
    (line,) = [line for line in reply.body.decode().splitlines() if "{" in line]
    return json.loads(line[line.index("{") : line.rindex("}") + 1])


def authorize(client):
    params = {"response_type": "token", "redirect_uri": "https://127.0.0.1:8399", "state": "s1"}
    return oauth_info(client.reply("GET", "oauth2/authorize", **params))["oauth_state"]


def login(portal, state, password):
    form = {"username": "analyst", "password": password, "oauth_state": state, "expiration": "600"}
    return portal.handle("POST", "/portal/sharing/oauth2/signin", form)


def test_the_login_page_redirects_with_a_token():
    _, portal, client, _ = anonymous()
    reply = login(portal, authorize(client), portal.password)
    assert reply.status == 302
    location = urlsplit(reply.headers["Location"])
    assert (location.scheme, location.netloc) == ("https", "127.0.0.1:8399")
    fragment = {name: values[0] for name, values in parse_qs(location.fragment).items()}
    assert fragment["expires_in"] == "36000"
    assert (fragment["username"], fragment["state"], fragment["ssl"]) == ("analyst", "s1", "true")
    client.token = fragment["access_token"]
    assert "tasks" in client.tasks()


def test_the_login_page_refuses_a_wrong_password():
    _, portal, client, _ = anonymous()
    state = authorize(client)
    for _ in range(5):
        reply = login(portal, state, "wrong")
        assert reply.status == 200
        assert oauth_info(reply)["messages"] == ["OAUTH_0015: Invalid username or password."]
    assert "Too many invalid attempts" in oauth_info(login(portal, state, portal.password))["messages"][0]


def test_a_login_page_works_once():
    _, portal, client, _ = anonymous()
    state = authorize(client)
    assert login(portal, state, portal.password).status == 302
    assert login(portal, state, portal.password).status == 200
    assert login(portal, "made-up", portal.password).status == 200


def test_the_portal_introduces_itself():
    _, _, client, _ = anonymous()
    assert client.get("")["currentVersion"] == "11.4"
    info = client.get("info")["authInfo"]
    assert info == {
        "isTokenBasedSecurity": True,
        "tokenServicesUrl": "https://portal.example.com/portal/sharing/rest/generateToken",
    }
    myself = client.get("portals/self")
    assert (myself["id"], "user" in myself) == (ORGANIZATION, False)
    assert client.get(f"portals/{ORGANIZATION}") == myself
    assert error_of(client.get("portals/other"))[0] == 404


def test_users_see_themselves_and_administrators_everyone():
    _, portal, client, _ = make_portal()
    mine = client.get("community/self")["privileges"]
    assert "premium:publisher:scheduleNotebooks" in mine
    assert not [privilege for privilege in mine if ":admin:" in privilege]
    assert client.get("community/users/analyst") == client.get("community/self")
    assert client.get("community/users/administrator") == {"username": "administrator"}
    assert error_of(client.get("community/users/nobody"))[0] == 404
    client.token = portal.issue_token("administrator")
    assert client.get("community/users/analyst")["role"] == "org_publisher"
    assert "portal:admin:viewUsers" in client.get("community/self")["privileges"]


def test_items():
    _, _, client, item_id = make_portal()
    item = client.post(f"content/items/{item_id}")
    assert (item["id"], item["type"], item["title"], item["owner"]) == (
        item_id,
        "Notebook",
        "Nightly report",
        "analyst",
    )
    assert item["created"] == item["modified"] == NOON * 1000
    assert error_of(client.get("content/items/0"))[0] == 400


def test_tokens_for_users_that_exist():
    _, portal, _, _ = make_portal()
    with pytest.raises(ValueError, match="nobody"):
        portal.issue_token("nobody")


def test_secrets_stay_out_of_texts():
    _, portal, _, _ = make_portal()
    app = portal.register_app()
    assert app.client_secret not in repr(app)
    assert portal.password not in repr(app.owner)
