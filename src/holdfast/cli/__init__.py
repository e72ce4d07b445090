"""The command line: translation only, between a terminal and the use cases.

`program.py` is the tree of commands: their names, arguments and help, and nothing that is slow to import. What a
command does is in the package of its name and is imported when it is called, so that `holdfast --help` never
waits for Pydantic AI, PostgreSQL's client or FastAPI.
"""

from holdfast.cli.entry import main

__all__ = ["main"]
