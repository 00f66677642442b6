"""A launch passes what its kernel takes: the declarations of the sources against the arguments, on both machines."""

from __future__ import annotations

import re

import pytest
import torch

from pdegcnn_lib.ops.compiled import passes, sources
from pdegcnn_lib.ops.compiled.machines import DEVICE, HOST
from pdegcnn_lib.ops.compiled.sources import CONTRACT, Unit

SHIFT = Unit("shift", (("SCALAR", "BFloat16"),))
F, BY = torch.zeros(1, 1, 2, 3, 4, dtype=torch.bfloat16), torch.zeros(1, 2, 3)
SIZES = [1, 2, 3, 4, 1]

EXPORTED = [
    (path.stem, kernel)
    for path in sorted(sources.directory().glob("*.cu"))
    for kernel in re.findall(r"EXPORT_KERNEL\((\w+)\)", path.read_text())
]


@pytest.mark.parametrize(("file", "kernel"), EXPORTED)
def test_the_parameters_of_every_kernel_are_read_from_its_source(file, kernel):
    macros = (("SCALAR", "Half"), ("CODE", "Code16"))
    takes = sources.parameters(Unit(file, macros), kernel)
    declared = re.search(rf"{kernel}\(([^)]*)\)", Unit(file).path.read_text())[1]
    assert len(takes) == declared.count(",") + 1
    assert [size != 0 for size in takes.values()] == ["*" in one for one in declared.split(",")]
    assert None not in takes.values()


def test_sizes_follow_the_macros_of_a_unit():
    takes = sources.parameters(SHIFT, "shift")
    assert (takes["f"], takes["displacement"], takes["out"], takes["periodic"]) == (2, 4, 2, 0)
    wide = sources.parameters(Unit("shift", (("SCALAR", "double"),)), "shift")
    assert (wide["f"], wide["displacement"]) == (8, 8)
    unknown = sources.parameters(Unit("shift", (("SCALAR", "Quarter"),)), "shift")
    assert unknown["f"] is None and unknown["displacement"] is None


@pytest.mark.parametrize("machine", [HOST, DEVICE])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([F, BY, F, *SIZES[:-1]], r"shift takes 8 arguments \(f, displacement, .*\), the launch passes 7"),
        ([F, BY, F, *SIZES, 0], "shift takes 8 arguments .* the launch passes 9"),
        ([F, BY.double(), F, *SIZES], "elements of 4 bytes for displacement, .* a tensor of torch.float64"),
        ([F, BY, 7, *SIZES], "the address of elements of 2 bytes for out, the launch passes 7"),
        ([F, BY, F, *SIZES[:-1], F], "an integer for periodic, the launch passes a tensor of torch.bfloat16"),
        ([F, BY, F, *SIZES[:-1], None], "an integer for periodic, the launch passes None"),
    ],
)
def test_a_launch_with_other_arguments_is_refused_before_anything_runs(machine, arguments, message):
    with pytest.raises(TypeError, match=message):
        machine.launch(SHIFT, "shift", arguments, blocks=1)


def test_a_launch_of_a_pass_is_refused_where_it_is_asked_for():
    with pytest.raises(TypeError, match="shift takes 8 arguments"), passes.one_pass(1):
        HOST.launch(SHIFT, "shift", [F, BY, F], blocks=1)


def test_an_unknown_kernel_is_named():
    with pytest.raises(ValueError, match=r"shift.cu has no kernel drift"):
        HOST.launch(SHIFT, "drift", [], blocks=1)


def test_numbers_of_the_contract_stand_in_no_source():
    """Each is a macro that a source names, and every unit is compiled with all of them."""
    text = "".join(path.read_text() for path in sources.directory().glob("*.cu*"))
    for name, value in CONTRACT.items():
        assert re.search(rf"\b{name}\b", text)
        assert f"-D{name}={value}" in SHIFT.flags()
