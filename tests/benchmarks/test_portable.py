"""The tables of benchmarks.portable name the kernels that differ, and the ratio of times is that of each round."""

from typing import Any

import pytest

from benchmarks import kernels, portable
from lipnet.core.portable import VARIABLES


def test_a_kernel_differs_where_its_variable_is_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    def digests(variables: dict[str, str], *emulator: str) -> dict[str, str]:
        return {"sum": "same", "convolution": variables.get("ONEDNN_MAX_CPU_ISA", "newer"), "root": str(len(emulator))}

    monkeypatch.setattr(portable, "_digests", digests)
    monkeypatch.setattr(portable.shutil, "which", lambda _: "/usr/bin/qemu")  # type: ignore[attr-defined]
    head, _, *rows = portable._kernels()[2].splitlines()
    columns = [name.strip() for name in head.strip("|").split("|")]
    found = {row.strip("|").split("|")[0].strip(): [cell.strip() for cell in row.strip("|").split("|")] for row in rows}
    differs = {
        name: [column for column, cell in zip(columns, row, strict=True) if cell == "differs"]
        for name, row in found.items()
    }
    assert differs == {
        "sum": [],
        "convolution": ["portable: false", "without ONEDNN_MAX_CPU_ISA"],
        "root": ["emulated Intel", "emulated Intel, oneDNN off"],
    }


def test_the_price_is_the_median_of_the_ratios_of_all_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    started: dict[str, dict[str, str]] = {}
    seconds = iter([9.0, 9.0, 1.0, 1.1, 2.0, 3.0, 4.0, 4.8, 1.0, 1.2])  # first epochs, then rounds: false, true

    def start(*_: Any, **changes: str) -> str:
        name = "true" if changes else "false"
        started[name] = changes
        return name

    monkeypatch.setattr(portable, "start", start)
    monkeypatch.setattr(portable, "epoch", lambda _: next(seconds))
    monkeypatch.setattr(portable, "stop", lambda _: None)
    text = portable._price(8, 4)[0]
    assert started == {"false": {}, "true": VARIABLES}
    assert "true to false: 1.20, quartiles 1.20 and 1.20." in text


def test_kernels_of_arrays_are_the_same_when_they_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def once() -> dict[str, str]:
        monkeypatch.setattr(kernels, "RNG", kernels.np.random.default_rng(0))
        return {name: kernels._digest(values) for name, values in kernels._arrays()}

    assert once() == once() and len(set(once().values())) == len(once())
