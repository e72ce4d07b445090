"""Where keys of a TOML file stand."""

from holdfast.places import dotted, lines_of, nearest

FILE = """\
port = 1
'host' = "x"
log.level = "info"  # dotted

[[oidc]]
issuer = "a"
audience = [
  "x",
]
roles.admins = "admin"

[[oidc]]  # the second
issuer = "b"
[oidc.roles]
"staff of all" = "user"
[ other . deep ]
port = 2
"""


def test_each_key_has_its_line():
    lines = lines_of(FILE)
    assert {name: lines[name] for name in ("port", "host", "log", "log.level")} == {
        "port": 1,
        "host": 2,
        "log": 3,
        "log.level": 3,
    }
    assert (lines["oidc"], lines["oidc[0]"], lines["oidc[1]"]) == (5, 5, 12)
    assert (lines["oidc[0].issuer"], lines["oidc[1].issuer"]) == (6, 13)
    assert (lines["oidc[0].roles.admins"], lines["oidc[1].roles"]) == (10, 14)
    assert lines["oidc[1].roles.staff of all"] == 15
    assert lines["other.deep.port"] == 17


def test_a_key_of_a_table_does_not_hide_one_outside():
    assert lines_of("port = 1\n[other]\nport = 2\n")["port"] == 1


def test_paths_as_people_write_them():
    assert dotted(("oidc", 0, "roles", "admins", 1)) == "oidc[0].roles.admins[1]"


def test_the_nearest_place_around_a_value():
    known = {"oidc": "3", "oidc[0].roles": "7"}
    assert nearest(("oidc", 0, "roles", "x", 2), known, "?") == "7"
    assert nearest(("oidc", 1, "roles"), known, "?") == "3"
    assert nearest(("port",), known, "?") == "?"
