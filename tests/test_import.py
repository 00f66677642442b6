"""Importing the library pulls in torch and numpy and nothing heavier."""

import subprocess
import sys

import pytest

HEAVY = {"scipy", "sklearn", "skimage", "PIL", "matplotlib", "pandas", "IPython", "cupy", "numba", "plotly"}
HEAVY |= {"jupyter_core", "safetensors", "pooch"}
MODULES = ["geometry", "kernels", "ops", "ops.compiled", "nn", "models", "solvers", "data", "experiments"]
MODULES += ["testing", "paths", "cli", "doctor"]


def imported_by(statement: str) -> set[str]:
    program = f"{statement}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_library_needs_torch_and_numpy_only():
    found = imported_by("import " + ", ".join(["pdegcnn_lib", *(f"pdegcnn_lib.{m}" for m in MODULES)]))
    assert {"torch", "numpy"} <= found
    assert not found & HEAVY


def test_the_package_itself_is_light():
    """The version and the command line's help do not wait for torch."""
    assert "torch" not in imported_by("import pdegcnn_lib, pdegcnn_lib.paths")


@pytest.mark.parametrize("package", ["geometry", "kernels", "ops", "nn", "models", "data", "experiments"])
def test_every_public_name_exists(package):
    module = __import__(f"pdegcnn_lib.{package}", fromlist=["__all__"])
    assert list(module.__all__) == sorted(
        set(module.__all__), key=lambda n: (not n.isupper(), n[0].islower(), n)
    )
    for name in module.__all__:
        assert getattr(module, name) is not None
