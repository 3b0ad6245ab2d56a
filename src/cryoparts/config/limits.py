"""How an option out of its limits is refused."""

from __future__ import annotations

from cryoparts.errors import InputError


def require(condition: bool, option: str, rule: str, value: object, cure: str) -> None:  # noqa: FBT001
    """Raise InputError unless the condition holds; `rule` completes "must be ..."."""
    if not condition:
        raise InputError(option, f"must be {rule}, got {value!r}", cure)
