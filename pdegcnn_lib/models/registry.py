"""The list of networks: what each is, as data, and a function that builds it. Nothing reads a name for its parts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from pdegcnn_lib.nn.pde import PDE_OPTIONS, PDE_OPTIONS_R2

# What a builder passes on to its PDE layers, by the name of the `**` parameter that collects it.
PASSED_ON = {"pde": PDE_OPTIONS, "pde_r2": PDE_OPTIONS_R2}


@dataclass(frozen=True)
class Entry:
    """One network of the list: `builder(in_channels, **fixed, **options)` makes it, with `usual` where no option is.

    Networks of one `family` share their settings of training; `space` is where its features live, `depth` counts its
    layers, `width` its channels; `label` is what a reader calls it, different for any two of different size.
    """

    name: str
    task: str
    family: str
    space: str
    depth: int
    width: int
    label: str
    summary: str
    builder: Callable[..., nn.Module]
    fixed: Mapping[str, object] = field(default_factory=dict)
    usual: Mapping[str, object] = field(default_factory=dict)

    @property
    def options(self) -> list[str]:
        """The names of its options."""
        parameters = inspect.signature(self.builder).parameters.values()
        found: list[str] = []
        for p in parameters:
            if p.kind is inspect.Parameter.KEYWORD_ONLY:
                found.append(p.name)
            elif p.kind is inspect.Parameter.VAR_KEYWORD:
                found.extend(PASSED_ON[p.name])
        return [name for name in found if name not in self.fixed]


_ENTRIES: dict[str, Entry] = {}


def register(*entries: Entry) -> None:
    """Put networks on the list, those of a reader's own too: `build`, experiments, tables and `segment` then know them.

    A cell of a notebook may be run again: its network takes the place of the one that it made before.
    Raises: ValueError for a name that is taken by another network, and for a builder with a `**` parameter of another
    name than `pde` or `pde_r2`, of which nobody knows what it takes.
    """
    for new in entries:
        for p in inspect.signature(new.builder).parameters.values():
            if p.kind is inspect.Parameter.VAR_KEYWORD and p.name not in PASSED_ON:
                raise ValueError(
                    f"the builder of {new.name} must name its options, or collect those of a PDE layer by "
                    f"**{' or **'.join(PASSED_ON)}, got **{p.name}"
                )
        if (old := _ENTRIES.get(new.name, new)) != new and not _again(old.builder, new.builder):
            raise ValueError(f"name must be one that no network has yet, got {new.name!r}")
        _ENTRIES[new.name] = new


def _again(old: Callable[..., nn.Module], new: Callable[..., nn.Module]) -> bool:
    """Whether both are one function of a notebook or a script, defined once more."""
    places = [(getattr(f, "__module__", None), getattr(f, "__qualname__", None)) for f in (old, new)]
    return places[0] == places[1] and places[0][0] == "__main__" and places[0][1] is not None


def names() -> list[str]:
    """The names of all networks, in the order of the book."""
    return list(_ENTRIES)


def entry(name: str) -> Entry:
    """The entry of a network; ValueError for an unknown name."""
    if name not in _ENTRIES:
        raise ValueError(f"model must be one of {', '.join(_ENTRIES)}, got {name!r}")
    return _ENTRIES[name]


def build(name: str, in_channels: int = 1, **options: object) -> nn.Module:
    """Build the named network for images of `in_channels` channels.

    Options depend on the network: `orientations`, `channels`, `window`, `alpha`, `estimate`, `metric`, ...
    (see `entry(name).options`).
    Raises: ValueError for an unknown name, option or number of channels.
    """
    chosen = entry(name)
    check_sizes(in_channels=in_channels)
    unknown = set(options) - set(chosen.options)
    if unknown:
        raise ValueError(
            f"{name} takes the options {', '.join(chosen.options) or '(none)'}, got {sorted(unknown)}"
        )
    return chosen.builder(in_channels, **chosen.fixed, **{**chosen.usual, **options})


def check_sizes(**sizes: object) -> None:
    """Raise ValueError, which names it, for a size that is no positive integer."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name} must be a positive integer, got {size!r}")


def parameter_count(model: nn.Module) -> int:
    """The number of trainable numbers of a network."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
