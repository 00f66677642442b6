"""The two buildings: the library pulls in torch and numpy alone, imports downward only, and never the companion."""

import ast
import io
import subprocess
import sys
import tokenize
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import pdegcnn_lib

TOWER = ["geometry", "spaces", "kernels", "ops", "nn", "models"]

PACKAGE = Path(pdegcnn_lib.__file__).parent
LIBRARY = sorted(p for p in PACKAGE.rglob("*.py") if "companion" not in p.relative_to(PACKAGE).parts)
HEAVY = {"scipy", "sklearn", "skimage", "PIL", "matplotlib", "pandas", "IPython", "cupy", "numba", "plotly"}
HEAVY |= {"jupyter_core", "safetensors", "pooch"}
LIGHT_COMPANION = ["solvers", "data", "experiments", "paths", "cli", "doctor"]


def module_name(path: Path) -> str:
    """The name by which a file of the package is imported."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str) -> set[str]:
    """The modules and names that a text imports, wherever in it the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported_by(statement: str) -> set[str]:
    program = f"{statement}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_library_needs_torch_and_numpy_only():
    found = imported_by("import " + ", ".join(map(module_name, LIBRARY)))
    assert {"torch", "numpy"} <= found
    assert not found & HEAVY


def test_the_compiler_of_torch_is_loaded_only_when_it_is_asked_for():
    """It takes as long as everything else together, in every command and every notebook."""
    modules = ", ".join([*map(module_name, LIBRARY), "pdegcnn_lib.companion.cli"])
    program = f"import sys, {modules}; assert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_importing_the_companion_asks_for_its_packages_only_where_they_are_used():
    found = imported_by("import " + ", ".join(f"pdegcnn_lib.companion.{m}" for m in LIGHT_COMPANION))
    assert not found & HEAVY


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_library_never_looks_at_the_companion(path):
    """Inside functions neither: an import there is only found when it runs."""
    named = {name for name in imports(path.read_text()) if name.startswith("pdegcnn_lib.companion")}
    assert not named


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_runs_upward(path):
    """geometry -> spaces -> kernels -> ops -> nn -> models: a layer imports from those before it and from itself."""
    layer = path.relative_to(PACKAGE).parts[0]
    if layer not in TOWER:
        return
    below = TOWER[: TOWER.index(layer) + 1]
    parts = [name.split(".") for name in imports(path.read_text()) if name.startswith("pdegcnn_lib.")]
    assert {p[1] for p in parts} <= {*below, "__version__"}


def test_no_circle_of_files():
    """Imports inside functions count: each file of the library can be read after those that it names."""
    files = {module_name(path): path for path in LIBRARY}

    def file_of(name: str) -> str:
        return name if name in files else name.rpartition(".")[0]

    graph = {
        module: {file_of(name) for name in imports(path.read_text()) if file_of(name) in files}
        for module, path in files.items()
    }
    order = list(TopologicalSorter(graph).static_order())  # raises where there is a circle
    assert set(order) == set(files) and order.index("pdegcnn_lib.spaces.base") < order.index(
        "pdegcnn_lib.nn.pde"
    )


def lines_of_code(source: str) -> int:
    """Lines that hold code: no blank ones, no comments, no docstrings."""
    blank = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type not in blank]
    found = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        known = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if known and ast.get_docstring(node) is not None:
            found -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(found)


def test_the_library_stays_small():
    """All spaces, kernels, operators and layers; networks, which are data, stand on them."""
    assert lines_of_code('"""Doc\nstring."""\n\nx = (\n    1,  # one\n)\n# end\n') == 3
    parts = {
        name: sum(lines_of_code(p.read_text()) for p in (PACKAGE / name).rglob("*.py")) for name in TOWER
    }
    assert sum(parts.values()) - parts["models"] <= 5000, parts


def test_the_package_itself_is_light():
    """The version and the command line's help do not wait for torch."""
    assert "torch" not in imported_by("import pdegcnn_lib, pdegcnn_lib.companion.paths")


@pytest.mark.parametrize(
    "package",
    ["geometry", "spaces", "kernels", "ops", "nn", "models", "companion.data", "companion.experiments"],
)
def test_every_public_name_exists(package):
    module = __import__(f"pdegcnn_lib.{package}", fromlist=["__all__"])
    assert list(module.__all__) == sorted(
        set(module.__all__), key=lambda n: (not n.isupper(), n[0].islower(), n)
    )
    for name in module.__all__:
        assert getattr(module, name) is not None
