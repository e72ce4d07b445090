"""What an agent of Acme's tries with the connection that its tools are given, in `holdfast demo tenants`."""

from __future__ import annotations

from psycopg import sql

PRYING: tuple[tuple[str, sql.SQL], ...] = (
    ("reads all plans of Bolt", sql.SQL("select plan from plans where tenant = {other}")),
    ("reads all plans that there are, of others than its own", sql.SQL("select plan from plans where plan !~ 'Acme'")),
    ("writes a plan for Bolt", sql.SQL("insert into plans values ({other}, 'Bolt gives up')")),
    ("reads Holdfast's runs", sql.SQL("select * from holdfast.runs")),
    ("reads the keys of content", sql.SQL("select * from holdfast.subject_keys")),
    ("becomes what Holdfast's own connections are", sql.SQL("reset role; select * from holdfast.runs")),
    ("becomes the engine", sql.SQL("set role holdfast_engine")),
)
"""What a tool tries with its connection, and how."""
