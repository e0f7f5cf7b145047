"""Kernels of a compiled step: bytes and parts of a short program by hand; the whole, for the processor."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.gpu_step import Kernel, kernels
from benchmarks.measure import ROOT

PROGRAM = """HloModule jit_epoch

%inside (p: f32[2,3]) -> f32[2,3] {
  %p = f32[2,3]{1,0} parameter(0)
  ROOT %never = f32[2,3]{1,0} negate(%p)
}

ENTRY %main (weights.1: f32[2,3], pool_images.1: u8[900,28,28,1]) -> (f32[2,3], bf16[5]) {
  %weights.1 = f32[2,3]{1,0} parameter(0), metadata={op_name="weights"}
  %pool_images.1 = u8[900,28,28,1]{3,2,1,0} parameter(1)
  %gather = bf16[5]{0} fusion(%pool_images.1), kind=kLoop, calls=%inside, metadata={op_name="jit(epoch)/gather"}
  %same = f32[6]{0} bitcast(%weights.1)
  %both = (f32[2,3]{1,0}, /*index=1*/pred[7]{0}) fusion(%same, %gather, %gather), metadata={op_name="jvp(conv1_1)/add"}
  %one = f32[2,3]{1,0} get-tuple-element(%both), index=0
  %back = f32[]{:T(128)} custom-call(%one), metadata={op_name="a/transpose(jvp(conv1_1))/dot" source_line=3}
  %new = f32[2,3]{1,0} fusion(%one, %back), metadata={op_name="jit(epoch)/jit(_where)/select_n"}
  ROOT %results = (f32[2,3]{1,0}, bf16[5]{0}) tuple(%new, %gather)
}
"""


def test_a_kernel_reads_its_operands_once_and_writes_its_results() -> None:
    assert kernels(PROGRAM, n_images=2) == [
        Kernel("augmentation and random numbers", 2 * 4 * 28**2 + 10),  # four neighbours of each pixel, not all images
        Kernel("conv1_1, forward", 24 + 10 + (24 + 7)),
        Kernel("conv1_1, backward", 24 + 4),
        Kernel("optimiser", 24 + 4 + 24),
    ]


def test_a_step_for_this_machine_is_compiled_and_counted(tmp_path: Path) -> None:
    environment = {**os.environ, "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    options = ["--device", "here", "--networks", "2", "--precisions", "float32", "--to", str(tmp_path)]
    command = [sys.executable, "-m", "benchmarks.gpu_step", *options]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    text = (tmp_path / "gpu_step.md").read_text()
    for part in ("conv1_2, forward", "conv2_2, backward", "dense, backward", "optimiser"):
        assert f"| {part} |" in text
    (operations,) = [line for line in text.splitlines() if "MFLOP" in line]
    assert (
        115 < float(operations.split()[-4]) < 135
    )  # by hand 119: 20 million multiply-adds, forward and twice backward
