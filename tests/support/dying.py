"""A way to PostgreSQL that dies as a killed server does: in the middle of a request, with half an answer sent.

    with DyingWay(database.worker_url) as way:
        way.die_at(b"holdfast.append")     # at the next such request; connections made later are carried again

Over a Unix socket. The request stays unread, a notice has been sent: the client's socket holds data and an error.
"""

import select
import socket
import tempfile
import threading
from pathlib import Path
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_NOTICE = b"SWARNING\0VWARNING\0C57P02\0Mterminating connection because of crash of another server process\0\0"
_CHUNK_BYTES = 65536


class DyingWay:
    """Carries bytes between clients and the server of `url`, in a thread."""

    def __init__(self, url: str) -> None:
        self._target = conninfo_to_dict(url)
        self._folder = tempfile.TemporaryDirectory()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(Path(self._folder.name) / ".s.PGSQL.5432"))
        self._listener.listen()
        self._ended, self._end = socket.socketpair()
        self._marker: bytes | None = None
        self._twins: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.url = make_conninfo(**{**self._target, "host": self._folder.name, "port": "5432"})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()
        self._thread.join()
        for each in (self._listener, self._ended, *self._twins):
            each.close()
        self._folder.cleanup()

    def die_at(self, marker: bytes) -> None:
        """End the next connection that sends `marker`, without reading it."""
        self._marker = marker

    @property
    def has_died(self) -> bool:
        return self._marker is None

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self._ended, *self._twins], [], [])
            if self._ended in ready:
                return
            for each in ready:
                if each is self._listener:
                    self._accept()
                elif each in self._twins:
                    self._carry(each)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self._target['host']}/.s.PGSQL.{self._target.get('port') or 5432}")
        self._twins |= {client: server, server: client}
        self._clients.add(client)

    def _carry(self, source: socket.socket) -> None:
        data = source.recv(_CHUNK_BYTES, socket.MSG_PEEK)
        if source in self._clients and self._marker is not None and self._marker in data:
            self._marker = None
            source.sendall(b"N" + (len(_NOTICE) + 4).to_bytes(4, "big") + _NOTICE)
            data = b""
        if not data:
            twin = self._twins.pop(source)
            del self._twins[twin]
            source.close()
            twin.close()
            return
        self._twins[source].sendall(source.recv(len(data)))
