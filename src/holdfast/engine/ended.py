"""How an execution ends."""

from enum import StrEnum


class Ended(StrEnum):
    """How an execution ended. The run itself may go on elsewhere, or later."""

    FINISHED = "finished"
    PARKED = "parked"
    LOST = "lost"
    HANDED_OVER = "handed_over"
