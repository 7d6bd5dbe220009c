"""Lets PyPI's CUDA build of PyTorch import on a machine without CUDA: `python cuda_stubs.py` in the environment that holds torch.

The wheel links the CUDA libraries, 3 GB of further wheels that a CPU never calls. For each library that is missing, a stub
with the symbols torch asks of it is compiled into torch/lib, where torch's own rpath finds it; every function answers
100 (cudaErrorNoDevice). Needs gcc, nm, ldd.
"""
import importlib.util, pathlib, re, subprocess, tempfile
from collections import defaultdict


def missing_libraries(folder: pathlib.Path) -> set[str]:
    """Names of shared libraries that torch's own need and the loader doesn't find."""
    out = "".join(subprocess.run(["ldd", f], capture_output=True, text=True).stdout for f in folder.glob("*.so"))
    return {line.split()[0] for line in out.splitlines() if "not found" in line}


def undefined_symbols(folder: pathlib.Path) -> dict[str, set[str]]:
    """Symbols torch's libraries import, by symbol version ('' where there is none)."""
    symbols = defaultdict(set)
    for f in folder.glob("*.so"):
        listing = subprocess.run(["nm", "-D", "--undefined-only", "--with-symbol-versions", f], capture_output=True, text=True, check=True).stdout
        for line in listing.splitlines():
            name, _, version = line.split()[-1].partition("@")
            symbols[version.lstrip("@")].add(name)
    return symbols


def versions_by_library(folder: pathlib.Path) -> dict[str, set[str]]:
    """Which symbol versions are asked of which library (`readelf -V`, section .gnu.version_r)."""
    versions = defaultdict(set)
    for f in folder.glob("*.so"):
        library = ""
        for line in subprocess.run(["readelf", "-V", "-W", f], capture_output=True, text=True, check=True).stdout.splitlines():
            if file := re.search(r"File: (\S+)", line):
                library = file[1]
            elif name := re.search(r"Name: (\S+) +Flags", line):
                versions[library].add(name[1])
    return versions


def stub_function(name: str) -> str:
    """C source of one stub: texts are texts, asking whether a stream captures is answered with no, all else with no device."""
    if name.endswith(("String", "Name")):
        return f'const char *{name}(void) {{ return "no CUDA here"; }}\n'
    if name == "cudaStreamIsCapturing":
        return f"int {name}(void *stream, int *status) {{ *status = 0; return 0; }}\n"
    return f"int {name}(void) {{ return 100; }}\n"


def write_stub(library: str, versioned: dict[str, set[str]], plain: set[str], target: pathlib.Path) -> None:
    """Compiles one stub with `versioned` symbols under their versions and `plain` ones as they are."""
    with tempfile.TemporaryDirectory() as scratch:
        source, script = pathlib.Path(scratch, "stub.c"), pathlib.Path(scratch, "stub.map")
        names = set().union(*versioned.values(), plain)
        source.write_text("".join(map(stub_function, sorted(names))))
        script.write_text("".join(f"{version} {{ global: {'; '.join(sorted(names))}; }};\n" for version, names in versioned.items()))
        flags = [f"-Wl,--version-script={script}"] if versioned else []
        subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", "-o", target / library, f"-Wl,-soname,{library}", *flags, source], check=True)


def main() -> None:
    folder = pathlib.Path(importlib.util.find_spec("torch").origin).parent / "lib"
    missing = missing_libraries(folder)
    symbols, versions = undefined_symbols(folder), versions_by_library(folder)
    # Symbols without a version (the driver's, cuDNN's) may come from any library, and not every one of torch's libraries
    # loads every stub: each stub without versions has them all.
    plain = {s for s in symbols[""] if s.startswith(("cu", "nccl", "nvrtc", "nvshmem", "nvml"))}
    for library in missing:
        versioned = {v: symbols[v] for v in versions[library]}
        write_stub(library, versioned, set() if versioned else plain, folder)


if __name__ == "__main__":
    main()
