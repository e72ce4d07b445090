"""The URLs by which a database of the tests is reached, in each role."""

from abc import ABC, abstractmethod


class Logins(ABC):
    @abstractmethod
    def url_of(self, role: str) -> str: ...

    @property
    def admin_url(self) -> str:
        return self.url_of("admin")

    @property
    def worker_url(self) -> str:
        return self.url_of("holdfast_worker")

    @property
    def api_url(self) -> str:
        return self.url_of("holdfast_api")
