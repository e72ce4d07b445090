"""The HTTP interface: translation between requests and use cases, and nothing else.

`create_api` makes the application. A request's way: `requests.py` asks the gate and receives the body, which `body.py`
bounds in size and time; a route in `routes/` reads path, query and body, calls one use case, and answers with its view
as raw JSON. Whatever is raised becomes a problem document (RFC 9457) in `problems.py`; `catalogue.py` has them all.
Streams are in `sse.py`.
"""

from holdfast.api.application import create_api

__all__ = ["create_api"]
