"""`pip install .` gives all that a checkout has: SQL and templates beside the code."""

import subprocess
import sys
import zipfile
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("holdfast/")}
        [entry_points] = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "holdfast = holdfast.cli:main" in archive.read(entry_points).decode()
    source = CHECKOUT / "src"
    kept = {
        path.relative_to(source).as_posix()
        for path in (source / "holdfast").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == kept
    assert any(name.endswith(".sql") for name in packed)
