"""What a benchmark writes: results.json, tables, figures and a page."""

from __future__ import annotations

import datetime
import json
import logging
import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cryoparts.benchmark.runs import program_fingerprint
from cryoparts.benchmark.table import (
    Result,
    Table,
    table_csv,
    table_markdown,
    tabulate,
)
from cryoparts.io.atomic import write_text
from cryoparts.io.run_directory import library_versions
from cryoparts.parallel.cores import cores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryoparts.benchmark.config import BenchmarkConfig
    from cryoparts.benchmark.data import BenchmarkFiles

LOG = logging.getLogger(__name__)

RESULTS_FILE = "results.json"


def write_results(
    folder: Path,
    config: BenchmarkConfig,
    files: BenchmarkFiles,
    records: Sequence[Mapping[str, Any]],
) -> list[Table]:
    """Write results.json, table.md and table.csv of the runs that are complete."""
    tables = tabulate(config.kind, [Result.of_record(record) for record in records])
    programs = sorted({str(record["program"]) for record in records})
    head: dict[str, Any] = {
        "benchmark": config.kind,
        "date": datetime.datetime.now(tz=datetime.UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": library_versions() | {"python": platform.python_version()},
        "program": programs,
        "files_sha256": files.checksums(),
        "options": config.unchanging()
        | {
            "snr": list(config.snr),
            "orientations": list(config.orientations),
            "seeds": list(config.seeds),
            "sweep_seeds": list(config.sweep_seeds),
            "decoders": list(config.decoders),
            "oracle_particles": config.oracle_particles,
        },
        "tables": [table.as_dict() for table in tables],
    }
    write_text(folder / RESULTS_FILE, _json_by_lines(head, records))
    write_text(folder / "table.md", "\n".join(table_markdown(table) for table in tables))
    write_text(folder / "table.csv", table_csv(tables))
    return tables


def warn_of_mixed_programs(records: Sequence[Mapping[str, Any]]) -> None:
    """Say so if the runs were not all made by the program as it is now."""
    now = program_fingerprint()
    others = [record for record in records if record["program"] != now]
    if others:
        LOG.warning(
            "%d of the %d runs were made by another version of the program than this (%s). "
            "Choose another -o to make them anew.",
            len(others),
            len(records),
            now,
        )


def machine() -> dict[str, Any]:
    """What the runs were made on."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.*)", info.read_text()) if info.exists() else []
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.system(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _json_by_lines(head: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    """JSON with one line a run, so that a difference of two files can be read."""
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    runs = ",\n".join(f"  {json.dumps(record)}" for record in records)
    return "\n".join(["{", *lines, ' "runs": [', runs, " ]", "}"]) + "\n"
