from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from numba.core import config

from cryoparts.kernels import compiled as module
from cryoparts.kernels.compiled import (
    compiled,
    digest_of,
    digest_of_processor,
    keep_compiled,
)
from cryoparts.kernels.processor import target
from cryoparts.kernels.splat_cpu import splat_forward
from cryoparts.published.pair_attention_passes import attend


def test_every_change_of_a_source_has_a_folder_of_its_own(tmp_path):
    (tmp_path / "one.py").write_text("a = 1")
    digests = [digest_of(tmp_path)]
    (tmp_path / "one.py").write_text("a = 2")
    digests.append(digest_of(tmp_path))
    (tmp_path / "two.py").write_text("")
    digests.append(digest_of(tmp_path))
    (tmp_path / "two.py").rename(tmp_path / "three.py")
    digests.append(digest_of(tmp_path))
    assert len(set(digests)) == 4
    (tmp_path / "notes.txt").write_text("not a source")
    assert digest_of(tmp_path) == digests[-1]


def test_kernels_are_kept_in_the_folder_of_their_sources():
    kernels = Path(module.__file__).parent
    for kernel, folders in (
        (splat_forward, [kernels]),
        (attend, [kernels, kernels.parent / "published"]),
    ):
        assert f"kernels-{digest_of(*folders)}-" in kernel.stats.cache_path


def test_every_kind_of_processor_has_a_folder_of_its_own():
    names = {
        digest_of_processor(("x86_64", "znver5", "+avx512f")),
        digest_of_processor(("x86_64", "znver5", "-avx512f")),
        digest_of_processor(("x86_64", "znver3", "-avx512f")),
        digest_of_processor(("aarch64", "znver3", "-avx512f")),
    }
    assert len(names) == 4
    assert (
        splat_forward.stats.cache_path.split("/kernels-")[1]
        .split("/")[0]
        .endswith(f"-{digest_of_processor(target())}")
    )


def test_numba_is_left_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    module._folder.cache_clear()
    try:

        @compiled(nogil=True)
        def twice(x):
            return x + x

        with pytest.raises(TypeError):
            compiled(cache=False)(twice.py_func)
        assert str(tmp_path) == config.CACHE_DIR
        assert np.isclose(twice(1.5), 3)
        assert list(tmp_path.glob("kernels-*/*/*.nbi"))
    finally:
        module._folder.cache_clear()


def test_an_installation_that_cannot_be_written_uses_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", "")
    assert module._root() == Path(module.__file__).parent / "__pycache__"
    monkeypatch.setattr(module.os, "access", lambda *_: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert module._root() == tmp_path / "cryoparts"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert module._root() == Path.home() / ".cache" / "cryoparts"


def test_no_function_is_kept_beside_its_source_alone():
    package = Path(module.__file__).parents[1]
    keeping = [path for path in package.rglob("*.py") if "cache=True" in path.read_text()]
    assert keeping == [Path(module.__file__)]


def test_what_another_package_compiles_is_kept_by_its_version(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    function = njit(lambda x: x + 1)
    keep_compiled("numba", function)
    assert function(1) == 2
    assert f"numba-{version('numba')}-" in function.stats.cache_path
    assert list(Path(function.stats.cache_path).glob("*.nbc"))
    again = njit(function.py_func)
    keep_compiled("numba", again)
    assert again(1) == 2
    assert sum(again.stats.cache_hits.values()) == 1
    assert str(tmp_path) == config.CACHE_DIR
