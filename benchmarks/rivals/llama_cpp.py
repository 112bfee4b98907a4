"""llama.cpp and its forks: `ggml_driver.cpp` compiled against a folder that holds `include` and `lib`.

The driver is compiled once into that folder, and again when its source is newer.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from rivals.process import Command

_SOURCE = Path(__file__).with_name("ggml_driver.cpp")


def driver_in(folder: Path, *, is_ik: bool = False) -> Path:
    """The driver's program. Raises FileNotFoundError where the folder lacks a part, and the compiler's
    CalledProcessError."""
    for part in ("include/llama.h", "lib"):
        if not (folder / part).exists():
            raise FileNotFoundError(f"{folder} has no {part}: expected are a release's headers and its libraries")
    program = folder / "ggml_driver"
    if not program.exists() or program.stat().st_mtime < _SOURCE.stat().st_mtime:
        libraries = sorted(path for path in (folder / "lib").glob("lib*.so") if not _is_backend(path))
        define = ["-DRIVAL_IK"] if is_ik else []
        linked = [f"-l:{path.name}" for path in libraries]
        include, lib = f"-I{folder / 'include'}", f"-L{folder / 'lib'}"
        command = ["g++", "-std=c++17", "-O3", "-march=native", *define, include, str(_SOURCE), "-o", str(program), lib]
        # The old kind of path is searched for what the libraries themselves need, too: not all say where that is.
        paths = ["-Wl,--disable-new-dtags,-rpath,$ORIGIN/lib", f"-Wl,-rpath-link,{folder / 'lib'}"]
        subprocess.run([*command, *linked, *paths], check=True)
    return program


def command_for(folder: Path, model: Path, threads: int, *, is_ik: bool = False) -> Command:
    """The driver on a GGUF file."""
    return Command([str(driver_in(folder, is_ik=is_ik)), str(model), str(threads), str(folder / "lib")])


def _is_backend(library: Path) -> bool:
    """Those that are loaded at run time, by what the processor can."""
    return library.name.startswith("libggml-cpu-") or library.name.startswith("libllama-common")
