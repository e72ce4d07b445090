"""One environment for each peer under `bench/.peers/`, as its lock says."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "bench" / ".peers"
PEERS = ("dbos", "langgraph")


def interpreter(peer: str) -> Path:
    """The interpreter of a peer's environment, which is made where it is missing or its lock has changed."""
    lock, home = ROOT / "requirements" / f"peers-{peer}.txt", FOLDER / peer
    python, stamp = home / "bin" / "python", home / ".locked"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        FOLDER.mkdir(exist_ok=True)
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", lock], check=True)
        stamp.write_text(digest)
    return python
