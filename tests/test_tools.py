"""The scripts behind make: what makes a notebook stale, and what makes its check fail."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import nbformat
import pytest

from pdegcnn_lib.companion.data import chase

TOOLS = Path(__file__).resolve().parent.parent / "tools"

NOTEBOOK = """\
---
kernelspec: {display_name: Python 3, language: python, name: python3}
---

```{code-cell} ipython3
:tags: [parameters]

profile = "fast"
```

```{code-cell} ipython3
from pdegcnn_lib import geometry
```

```{code-cell} ipython3
:tags: [nbval-check-output]

print("answer", 42)
```
"""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tool_{name}", TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A small checkout: a notebook that imports `geometry`, which imports `base` inside a function."""
    files = {
        "notebooks/one.md": NOTEBOOK,
        "pdegcnn_lib/__init__.py": "",
        "pdegcnn_lib/base.py": "x = 1\n",
        "pdegcnn_lib/base.js": "// what base shows\n",
        "pdegcnn_lib/geometry.py": "def f():\n    from pdegcnn_lib import base\n    return base.x\n",
        "pdegcnn_lib/other.py": "x = 1\n",
        "pdegcnn_lib/ops/__init__.py": "",
        "pdegcnn_lib/ops/compiled/__init__.py": "",
        "kernels_cu/k.cu": "// kernel\n",
        "tools/notebooks.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_hash_is_written_of_everything_that_make_asks_about(tmp_path, monkeypatch):
    what = ["setup", "notebooks", "browser", "book"]
    monkeypatch.setattr(sys, "argv", ["fingerprint", *what, "--out", str(tmp_path)])
    load("fingerprint").main()
    chapters = {path.stem for path in TOOLS.parent.glob("notebooks/*.md")}
    assert {path.name for path in tmp_path.iterdir()} == {"setup", "browser", "book", *chapters}


def fingerprint(tree: Path, monkeypatch, salt: str = "fast") -> str:
    tool = load("fingerprint")
    monkeypatch.setattr(tool, "ROOT", tree)
    monkeypatch.setattr(sys, "argv", ["fingerprint", "notebooks", "--out", str(tree / "key"), "--salt", salt])
    tool.main()
    return (tree / "key/one").read_text()


@pytest.mark.parametrize(
    ("name", "stale"),
    [
        ("notebooks/one.md", True),
        ("pdegcnn_lib/geometry.py", True),
        ("pdegcnn_lib/base.py", True),
        ("pdegcnn_lib/base.js", True),
        ("pdegcnn_lib/other.py", False),
        ("kernels_cu/k.cu", False),
    ],
)
def test_a_notebook_is_stale_when_something_it_imports_changed(tree, monkeypatch, name, stale):
    before = fingerprint(tree, monkeypatch)
    with (tree / name).open("a") as file:
        file.write("\n# changed\n")
    assert (fingerprint(tree, monkeypatch) != before) is stale


def test_a_kernel_makes_stale_what_loads_kernels(tree, monkeypatch):
    (tree / "pdegcnn_lib/base.py").write_text("from pdegcnn_lib.ops import compiled\n")
    before = fingerprint(tree, monkeypatch)
    (tree / "kernels_cu/k.cu").write_text("// another kernel\n")
    assert fingerprint(tree, monkeypatch) != before


@pytest.mark.parametrize(
    ("cell", "stale"),
    [
        ('load("lines")', True),
        ('load(f"li{1}nes")', False),
        ('[load(f"lines-{kind}") for kind in "ab"]', False),
        ('[load(f"li-{kind}") for kind in "ab"]', False),
        ("from pdegcnn_lib import claims", True),
        ('__all__ = ["lines"]', False),
        ("", False),
    ],
)
def test_a_result_makes_stale_what_names_its_experiment(tree, monkeypatch, cell, stale):
    (tree / "pdegcnn_lib/claims.py").write_text('CLAIMS = ["lines"]\n')
    result = tree / "results/lines/full/one.json"
    result.parent.mkdir(parents=True)
    result.write_text("1")
    source = (tree / "notebooks/one.md").read_text()
    (tree / "notebooks/one.md").write_text(source.replace("from pdegcnn_lib import geometry", cell))
    before = fingerprint(tree, monkeypatch)
    result.write_text("2")
    assert (fingerprint(tree, monkeypatch) != before) is stale


def test_profile_and_environment_enter_the_hash_but_time_does_not(tree, monkeypatch):
    before = fingerprint(tree, monkeypatch)
    written = (tree / "key/one").stat().st_mtime_ns
    (tree / "notebooks/one.md").touch()
    assert fingerprint(tree, monkeypatch) == before
    assert (tree / "key/one").stat().st_mtime_ns == written
    assert fingerprint(tree, monkeypatch, salt="full") != before


def test_links_lead_to_the_same_page_in_the_repository_and_in_the_book():
    as_page = load("notebooks").as_page
    assert as_page("see [two](02_two.md#part)") == "see [two](02_two.ipynb#part)"
    assert as_page("the [notation](../book/notation.md)") == "the [notation](../notation.md)"
    assert as_page("[elsewhere](https://a.example/b.md)") == "[elsewhere](https://a.example/b.md)"


def tool(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOLS / "notebooks.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_a_changed_number_in_a_notebook_is_noticed(tmp_path):
    """From source to checked twin: run, refresh, check, nbval; then another number in the twin, and all must fail."""
    source, twin, executed = (tmp_path / name for name in ("one.md", "one.ipynb", "executed.ipynb"))
    source.write_text(NOTEBOOK.replace("from pdegcnn_lib import geometry", "import math"))
    ran = tool("run", "one.md", "--out", str(executed), cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert not list(tmp_path.glob(".*.partial"))
    assert "is missing" in tool("check", "one.md", cwd=tmp_path).stderr
    tool("refresh", "one.md", "--executed", str(executed), cwd=tmp_path)
    assert tool("check", "one.md", cwd=tmp_path).returncode == 0

    def nbval() -> int:
        options = ["-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env", "-c", "/dev/null"]
        command = [sys.executable, "-m", "pytest", *options, str(twin)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True).returncode

    assert nbval() == 0
    twin.write_text(twin.read_text().replace("answer 42", "answer 43"))
    assert nbval() == 1
    source.write_text(source.read_text().replace("42", "44"))
    assert "differs from one.md" in tool("check", "one.md", cwd=tmp_path).stderr


def test_a_named_repository_gives_notebooks_a_cell_that_installs_the_library(tmp_path):
    """The cell is in the twin and in what runs, is hidden on the page, and does nothing where the library is."""
    shutil.copytree(TOOLS, tmp_path / "tools")
    project = 'name = "x"\nversion = "1.2.3"\n[project.urls]\nRepository = "https://github.com/owner/name"\n'
    (tmp_path / "pyproject.toml").write_text(f"[project]\n{project}")
    (tmp_path / "one.md").write_text(NOTEBOOK)
    command = [sys.executable, "tools/notebooks.py"]

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True)

    assert call("run", "one.md", "--out", "executed.ipynb").returncode == 0
    assert call("refresh", "one.md", "--executed", "executed.ipynb").returncode == 0
    assert call("check", "one.md").returncode == 0
    executed, twin = (
        nbformat.read(tmp_path / name, as_version=4) for name in ("executed.ipynb", "one.ipynb")
    )
    for notebook in (executed, twin):
        first = notebook.cells[0]
        assert "--branch v1.2.3 https://github.com/owner/name" in first.source
        assert first.metadata["tags"] == ["remove-cell"] and not first.outputs
    assert twin.cells[-1].source == 'print("answer", 42)'
    assert re.match(
        r"\*This page ran in \d+ s with the profile `fast` on .+; Python", executed.cells[-1].source
    )


def test_the_profile_is_handed_to_notebooks_that_ask_for_it(tmp_path):
    tool = load("notebooks")
    (tmp_path / "asks.md").write_text(NOTEBOOK)
    (tmp_path / "asks_not.md").write_text(NOTEBOOK.replace(":tags: [parameters]\n\n", "\n"))
    asks, asks_not = (tool.read(tmp_path / f"{name}.md") for name in ("asks", "asks_not"))
    assert tool.parameters(asks, "full") == {"profile": "full"} and tool.parameters(asks_not, "full") == {}
    asks.metadata["papermill"] = {"duration": 2.0, "parameters": {"profile": "full"}}
    asks_not.metadata["papermill"] = {"duration": 2.0, "parameters": {}}
    assert "ran in 2 s with the profile `full` on" in tool.run_note(asks).source
    assert "ran in 2 s on" in tool.run_note(asks_not).source


def extension(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS.parent / f"book/_ext/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_number_in_prose_keeps_its_thousands_together():
    from docutils import nodes

    typed = "12 000 / 50 000 of 1 234 567, in 2026 after 3 600 s; 10 20 30, 5 1234"
    page = nodes.section("", nodes.paragraph("", typed), nodes.literal("", typed), nodes.math("", typed))
    extension("unbroken").keep_numbers_whole(None, page)
    text, literal, formula = (child.astext() for child in page.children)
    assert (
        text.replace("\u202f", "_") == "12_000 / 50_000 of 1_234_567, in 2026 after 3_600 s; 10 20 30, 5 1234"
    )
    assert literal == formula == typed


def test_launch_buttons_need_a_named_repository(tmp_path):
    home = extension("home")
    app, config = SimpleNamespace(confdir=tmp_path / "book"), SimpleNamespace(html_theme_options={})
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    home.add_home(app, config)
    assert config.html_theme_options == {}
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nversion = "1.2.3"\n[project.urls]\nRepository = "https://github.com/owner/name"\n'
    )
    home.add_home(app, config)
    assert config.html_theme_options["repository_url"] == "https://github.com/owner/name"
    assert config.html_theme_options["repository_branch"] == "v1.2.3"
    assert set(config.html_theme_options["launch_buttons"]) > {"colab_url", "binderhub_url"}


def test_an_example_makes_stale_the_notebook_that_reads_it(tree, monkeypatch):
    (tree / "examples").mkdir()
    (tree / "examples/mine.py").write_text("x = 1\n")
    (tree / "notebooks/one.md").write_text(
        NOTEBOOK.replace("from pdegcnn_lib import geometry", "import examples.mine")
    )
    before = fingerprint(tree, monkeypatch)
    (tree / "examples/mine.py").write_text("x = 2\n")
    assert fingerprint(tree, monkeypatch) != before


def test_the_page_of_versions_is_made_where_the_lock_leaves_a_package_out(tmp_path, monkeypatch):
    """The lock has CuPy for Linux alone."""
    monkeypatch.syspath_prepend(TOOLS)
    pages = load("generated_pages")
    monkeypatch.setattr(pages, "PACKAGES", ["torch", "cupy-for-no-system"])
    assert "| cupy-for-no-system | not installed |" in pages.status(tmp_path)


@pytest.mark.skipif(not chase.available(), reason="CHASE_DB1 is not in PDEGCNN_DATA")
def test_the_photographs_of_a_page_are_found_where_the_data_set_is(tmp_path, monkeypatch):
    """All files beside each other, as the owner's archive has them."""
    (tmp_path / "CHASEDB1").mkdir()
    for name in chase.sha256():
        path = next(chase.folder().rglob(Path(name).name))
        (tmp_path / "CHASEDB1" / path.name).symlink_to(path)
    monkeypatch.syspath_prepend(TOOLS)
    monkeypatch.setenv("PDEGCNN_DATA", str(tmp_path))
    found, source = load("browser_pages").photographs()
    assert [(label, image.size) for label, image in found] == [
        ("Photograph 1", (900, 865)),
        ("Photograph 2", (900, 865)),
    ]
    assert "CHASE_DB1" in source


def test_a_wrong_type_in_a_script_of_the_pages_is_named_with_its_line(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    types = load("browser_types")
    monkeypatch.setattr(types, "PAGE_SCRIPTS", {"page": ("machine.js", "evolution.js")})
    monkeypatch.setattr(types, "WORKER_SCRIPTS", ("machine.js",))
    monkeypatch.setattr(types, "SCRIPTS", tmp_path)
    (tmp_path / "machine.js").write_text(
        "class Machine {\n  /** @param {number} count */\n  take(count) {}\n}\n"
    )
    (tmp_path / "evolution.js").write_text(
        '"use strict";\nnew Machine().take(3);\nnew Machine().take("3");\n'
    )
    [fault] = [text for text in types.check(tmp_path / "types") if "TS2345" in text]
    assert "at book/_browser/evolution.js:3:" in fault
