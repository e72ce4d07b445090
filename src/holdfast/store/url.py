"""Whether a text is a way to a database at all, as the driver reads it."""

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict


def is_database_url(text: str) -> bool:
    """Whether `text` is a URL or connection string of PostgreSQL's."""
    try:
        conninfo_to_dict(text)
    except ProgrammingError:
        return False
    return True
