"""The application that tests of the service and the API serve: its agents are never run by them."""

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

import holdfast


class Order(BaseModel):
    """A typed input."""

    item: str
    count: int


app = holdfast.App("shop")
app.task("support", agent=Agent(TestModel()), version="3")
app.task("order", agent=Agent(TestModel()), input=Order)
