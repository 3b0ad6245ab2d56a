"""The options that a result was made with, beside the result.

A step may be repeated with other options than those of the run; what leans on its
result must know them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

from cryoparts.errors import InputError
from cryoparts.io.files import reading
from cryoparts.io.run_directory import write_json

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import DataclassInstance

T = TypeVar("T")

OPTIONS = "options.json"


def keep_options(folder: Path, options: DataclassInstance, **further: object) -> None:
    """Write options.json into the folder of a result.

    Parameters
    ----------
    folder : Path
    options : dataclass
        What the step was called with.
    **further
        Beside them: plain values.
    """
    write_json(folder / OPTIONS, json.loads(json.dumps(asdict(options) | further, default=str)))


def kept_options(folder: Path, kind: type[T], otherwise: T) -> T:
    """The options of the result in a folder; `otherwise` where an earlier version kept none.

    Raises
    ------
    InputError
        If the file is damaged or of another kind.
    """
    path = folder / OPTIONS
    if not path.exists():
        return otherwise
    cure = "Remove it and run the step again."
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    with reading(path, "the options of a result", cure):
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        chosen = {name: value for name, value in content.items() if name in known}
        try:
            return kind(**{n: tuple(v) if isinstance(v, list) else v for n, v in chosen.items()})
        except InputError as fault:
            raise InputError(str(path), fault.problem, cure) from fault
