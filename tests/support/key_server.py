"""An identity provider's key endpoint on loopback HTTP, that can also be ill.

async with KeyServer(key_set(signer)) as server:
    server.url                      # to configure
    server.reply(b"...", status=500)
    server.gate.clear()             # requests arrive and are not answered, until gate.set()
    await server.requests.wait(1)   # one has arrived
    await server.leave()            # nothing listens there any more
    await server.listen()           # and again, at the same address
"""

import asyncio
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.proxy import Count

_BETWEEN_BYTES_S = 0.02


class KeyServer:
    """Answers every request with `body`."""

    def __init__(self, body: bytes, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests = Count()
        self.gate = asyncio.Event()
        self.gate.set()
        self.reply(body)

    def reply(
        self, body: bytes, *, status: int = 200, headers: str = "", length: int | None = None, slowly: bool = False
    ) -> None:
        """Answer like this from now on.

        `length` is what is promised, where that is not the truth; `slowly` sends a byte at a time, each soon enough.
        """
        self._slowly = slowly
        promised = len(body) if length is None else length
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {promised}\r\n{headers}Connection: close\r\n\r\n"
        self._answer = head.encode() + body

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}/keys"

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=self._tls)
        self._port = self._server.sockets[0].getsockname()[1]

    async def leave(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            await self.requests.add()
            await self.gate.wait()
            for part in (bytes([byte]) for byte in self._answer) if self._slowly else (self._answer,):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(_BETWEEN_BYTES_S * self._slowly)
        writer.close()


def certificate(folder: Path, address: str = "127.0.0.1") -> tuple[Path, ssl.SSLContext]:
    """A certificate that vouches for itself, as a file to trust, and as what a server needs to show it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    shown, secret = folder / "certificate.pem", folder / "key.pem"
    shown.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown, secret)
    return shown, context
