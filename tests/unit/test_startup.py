"""A start that leaves things out leaves nothing undone: torch computes, and what was left out comes when asked for."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from pagoda.startup import collector_paused, leave_out_the_compiler

HANG_S = 120


def _run(script: str) -> None:
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=HANG_S, check=False)
    assert ended.returncode == 0, ended.stderr


def test_torch_comes_without_what_only_its_compiler_needs() -> None:
    _run(
        "import sys, pagoda.startup\n"
        "pagoda.startup.leave_out_the_compiler()\n"
        "import torch\n"
        "assert 'torch._refs' not in sys.modules, 'this torch needs them: leave_out_the_compiler saves nothing'\n"
        "with torch.inference_mode():\n"
        "    assert torch.nn.functional.softmax(torch.zeros(2), dim=0).tolist() == [0.5, 0.5]\n"
    )


def test_what_was_left_out_comes_when_it_is_asked_for() -> None:
    _run(
        "import sys, pagoda.startup\n"
        "pagoda.startup.leave_out_the_compiler()\n"
        "import torch\n"
        "assert callable(torch._meta_registrations.register_meta)\n"
        "assert 'torch._refs' in sys.modules\n"
    )


def test_a_program_that_has_torch_keeps_all_of_it() -> None:
    before = sys.modules["torch._meta_registrations"]
    leave_out_the_compiler()
    assert sys.modules["torch._meta_registrations"] is before


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_goes_on_as_before(enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with collector_paused():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
