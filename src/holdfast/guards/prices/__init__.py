"""Prices: what a response cost, and what a request may cost at most.

`table.py` is what a configuration says, one `[[prices]]` each; `catalogue.py` is what comes along with genai-prices;
`book.py` asks the first, then the second, and makes a `Cost` of it. Nothing here asks the network, or the clock: who
wants a price says for which moment. What has no price is said to have none, and is never free.
"""

from holdfast.guards.prices.book import Answered, PriceBook
from holdfast.guards.prices.bound import Bound
from holdfast.guards.prices.table import PriceTable

__all__ = ["Answered", "Bound", "PriceBook", "PriceTable"]
