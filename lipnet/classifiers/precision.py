"""The precision in which networks are trained: what suits this processor, and a warning where 16 bits are slow."""

import platform
from pathlib import Path
from typing import NamedTuple

from lipnet.core.portable import is_held

# x86 processors multiply bfloat16 numbers in hardware with these instructions (docs/performance.md: 1.4 to 2.2 times as
# fast as float32; about five times slower without them).
FAST = frozenset({"amx_bf16", "avx512_bf16"})
CPU_INFO = Path("/proc/cpuinfo")


class Processor(NamedTuple):
    """Name of a processor, and its flags if it is an x86 processor on Linux; no flags otherwise."""

    name: str
    flags: frozenset[str]

    @property
    def is_slow(self) -> bool:
        """Whether it is known to be slow in bfloat16."""
        return bool(self.flags) and not self.flags & FAST


def processor() -> Processor:
    """The processor of this machine."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Processor(fields.get("model name", platform.machine()), frozenset(fields.get("flags", "").split()))


def chosen(precision: str) -> str:
    """The precision to train in: bfloat16 for ``auto`` if this processor is fast in it, float32 otherwise.

    With ``portable: true`` no processor is fast in it. GPUs were not measured. With workers on other machines it is the
    processor of the machine that distributes the folds.
    """
    if precision != "auto":
        return precision
    return "bfloat16" if processor().flags & FAST and not is_held() else "float32"


def warning(precision: str) -> str | None:
    """A warning if training in this precision is slow on this processor; None if it is not."""
    here = processor()
    if precision != "bfloat16" or not (here.is_slow or is_held()):
        return None
    if is_held():
        return "train_cnn.precision: bfloat16 is slow with portable: true, which uses AVX2 at most; set portable: false"
    return (
        f"train_cnn.precision: bfloat16 is about five times slower than float32 on this processor ({here.name}), which "
        "has neither AMX nor AVX512-BF16; use float32 or auto"
    )
