"""The policies of the bank's tellers, and what each says of an amount: worked out here without Cedar."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

TOOLS = ("refund", "wire", "transfer")
_TOOLS = ", ".join(f'Action::"{tool}"' for tool in TOOLS)
DENY, FREE, USER, ADMINS = "deny", "", "user", "two admins"
_GRADES = (FREE, USER, ADMINS)


@dataclass(frozen=True)
class Terms:
    """Above which amount somebody has to agree, and above which nobody can."""

    user: int
    admins: int
    nobody: int

    def ask(self, amount: str) -> str:
        """Whom a payment of this amount takes."""
        value = Decimal(amount)
        if value > self.nobody:
            return DENY
        return ADMINS if value > self.admins else USER if value > self.user else FREE

    def text(self) -> str:
        return "\n".join(
            [
                "permit (principal, action, resource);",
                _above('@ask("user")', self.user),
                _above('@ask("two admins")', self.admins),
                _above("", self.nobody),
            ]
        )


def _above(who: str, amount: int) -> str:
    return (
        f"{who} forbid (principal, action in [{_TOOLS}], resource) "
        f'when {{ context.args.amount.greaterThan(decimal("{amount}.00")) }};'
    )


TERMS: Mapping[str, Terms] = {
    "usual": Terms(100, 1_000, 9_000),
    "strict": Terms(50, 100, 9_000),
    "lax": Terms(2_000, 5_000, 9_000),
    "closed": Terms(100, 1_000, 400),
}


def covers(agreed: str, asked: str) -> bool:
    """Whether who agreed to this has agreed to that as well."""
    return _GRADES.index(agreed) >= _GRADES.index(asked)


def put_in_force(terms: str, path: Path) -> None:
    """As a deploy does it: at one stroke."""
    new = path.with_suffix(".new")
    new.write_text(TERMS[terms].text())
    new.replace(path)
