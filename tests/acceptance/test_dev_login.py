"""The login of `holdfast dev`: a link that works once, three people to be, and nobody from elsewhere."""

import re
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from support.cli import APP, Cli
from support.processes import logged, process


@pytest.fixture
def dev(tmp_path):
    """Its address and its ticket."""
    cli = Cli(tmp_path)
    with process(cli, "dev", APP, "--port", "0", "--no-reload"):
        url = logged(cli, "dev", "api.started")[0]["url"]
        said = (tmp_path / "dev.log").read_text()
        [link] = re.findall(r"http://\S+/dev/login\S+", said)
        [key] = re.findall(r"Bearer (hf_\w[\w-]+)", said)
        yield url, parse_qs(urlsplit(link).query)["ticket"][0], key


def test_a_link_lets_in_once_and_people_change_places(dev):
    url, ticket, key = dev
    with httpx2.Client(base_url=url, follow_redirects=True, timeout=60) as browser:
        assert "Ann, user" in browser.get("/dev/login", params={"ticket": ticket}).text
        assert browser.get("/dev").status_code == 401, "looking lets nobody in"
        entered = browser.post("/dev/login", data={"ticket": ticket, "name": "Ben"})
        assert "You are Ben (admin)." in entered.text
        [cookie] = entered.history[0].headers.get_list("set-cookie")
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert browser.get("/v1/me").json()["principal"]["name"] == "Ben"
        assert "You are Ann (user)." in browser.post("/dev/switch", data={"name": "Ann"}).text
        assert browser.get("/v1/principals").status_code == 403
        assert browser.post("/dev/switch", data={"name": "Mallory"}).status_code == 401
        for headers in (
            {"Host": "evil.example"},
            {"Origin": "http://evil.example"},
            {"Host": "127.0.0.1.evil.example"},
        ):
            assert browser.get("/v1/me", headers=headers).status_code == 401, headers
    with httpx2.Client(base_url=url, timeout=60) as other:
        again = other.post("/dev/login", data={"ticket": ticket, "name": "Cy"})
        assert (again.status_code, "used up" in again.text) == (401, True)
        assert other.get("/v1/me", headers={"Authorization": f"Bearer {ticket}"}).status_code == 401
        mine = other.get("/v1/me", headers={"Authorization": f"Bearer {key}"}).json()
        assert mine["principal"]["name"] == "Ann"


def test_it_is_not_served_where_others_reach_it(tmp_path, database):
    ended = Cli(tmp_path, database)("serve", APP, "--host", "0.0.0.0", HOLDFAST_DEV_LOGIN="true")
    assert ended.code == 3
    assert "127.0.0.1" in ended.err


def test_an_api_that_is_not_devs_has_no_such_page(tmp_path, database):
    cli = Cli(tmp_path, database)
    with process(cli, "serve", APP, "--port", "0"):
        url = logged(cli, "serve", "api.started")[0]["url"]
        assert httpx2.get(f"{url}/dev/login").status_code == 404
