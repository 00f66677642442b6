"""Tables of results in Markdown: each takes the records that `experiments.run` returns or that are committed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev

from pdegcnn_lib.companion.experiments.claims import Verdict
from pdegcnn_lib.companion.experiments.comparison import Comparison, Record, against_base, grouped, value
from pdegcnn_lib.companion.experiments.grid import diverged_path, searched
from pdegcnn_lib.companion.experiments.pictures.names import FAMILY_LABELS, change_label, label
from pdegcnn_lib.companion.experiments.published import Published
from pdegcnn_lib.companion.experiments.registry import EXPERIMENTS, Experiment
from pdegcnn_lib.companion.experiments.search import RATES
from pdegcnn_lib.companion.viz.tables import markdown_table, signed, thousands


def spread(values: list[float], digits: int = 1) -> str:
    """Mean and, of several values, standard deviation in percent, on one line wherever it stands: `91.3 ± 0.4`."""
    deviation = f"\u00a0±\u00a0{100 * stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.{digits}f}{deviation}"


def whole(name: str) -> str:
    """The name of a network for a narrow column: no word is torn, and no number from what it counts."""
    return re.sub(r"(?<=\d) (?=layers|steps)", "\u00a0", name.replace("-", "\u2011"))


def result_table(
    records: Iterable[Record],
    metrics: Mapping[str, str],
    *,
    digits: int = 1,
    beside: Mapping[str, Mapping[str, float]] | None = None,
) -> str:
    """A Markdown table: a row per variant, the number of its seeds, a column per metric, each as `spread`.

    `metrics` maps a key of the record's metrics, as `comparison.value` takes it, to a heading. `beside` are the
    metrics, as far as there are any, of what is not a network, by its name. Of no records there is no table.
    """
    rows = []
    for variant, group in grouped(records).items():
        cells = [spread([value(r, key) for r in group], digits) for key in metrics]
        rows.append([whole(label(variant)), thousands(group[0]["parameters"]), str(len(group)), *cells])
    for name, known in (beside or {}).items() if rows else ():
        rows.append(
            [whole(name), "", "", *(spread([known[k]], digits) if k in known else "" for k in metrics)]
        )
    head = ["network", "parameters", "seeds", *metrics.values()]
    return markdown_table(head, rows) if rows else ""


def search_report(task: str) -> str:
    """What is known of the searches of a task, as a sentence for the reader."""
    entry = EXPERIMENTS[f"{task}-search"]
    search = entry.search
    assert search is not None
    networks = searched(entry)
    over, cut, open_ended = [], [], []
    for network, (tried, first) in networks.items():
        if search.found(tried, first) is not None:
            over.append(network)
            steps, _ = search.length(tried, first)
            if 2 * steps > search.cap:
                gain = 100 * (tried[steps, first] - tried[steps // 2, first])
                cut.append(f"{label(network)}, whose last doubling gained {gain:.1f} percent")
            open_ended += [(network, rate) for _, rate in search.next(tried, first)]
    said = "The search for the number of steps and the rate is over for "
    beginning = f"the {thousands(search.start)} steps that it begins with, and may gain from more."
    if not over:
        said += f"none of the {len(networks)} networks: they took {beginning}"
    elif len(over) == len(networks):
        said += f"all {len(networks)} networks."
    else:
        said += f"{len(over)} of {len(networks)} networks; the others took {beginning}"
    if cut:
        said += f" The cap of {thousands(search.cap)} steps cut off: {'; '.join(cut)}."
    for network, rate in open_ended:
        said += f" For the {label(network)} the best rate is the last on its side, and {rate:g} has not been tried."
    return said


def search_table(experiment: Experiment, *, digits: int = 1) -> str:
    """A Markdown table of a search: validation scores in percent by steps, then by rate, and what it came to.

    Steps are doubled at the rate that a network begins with; rates are tried with a quarter of the steps that came out.
    """
    search = experiment.search
    assert search is not None
    rows, networks = [], {n: known for n, known in searched(experiment).items() if known[0]}
    lengths = {n: search.length(scores, first)[0] for n, (scores, first) in networks.items()}
    tried = {
        rate for n, (scores, _) in networks.items() for steps, rate in scores if steps == lengths[n] // 4
    }
    rates = sorted({*RATES, *tried})
    for network, (scores, first) in networks.items():
        steps, found = lengths[network], search.found(scores, first)
        asked = [*((n, first) for n in search.lengths), *((steps // 4, rate) for rate in rates)]
        cells = [f"{100 * scores[run]:.{digits}f}" if run in scores else "" for run in asked]
        ended = f"{thousands(steps)}, {found['learning_rate']}" if found else "not over"
        rows.append([whole(label(network)), *cells, ended.replace(" ", "\u00a0")])
    head = ["network", *map(thousands, search.lengths), *(f"rate {rate:g}" for rate in rates), "steps, rate"]
    return markdown_table(head, rows)


def lead(found: Comparison | Verdict) -> list[str]:
    """Two cells of a table: the difference in percent, and its 95 % interval on one line."""
    return [signed(found.difference), f"[{signed(found.low)},\u00a0{signed(found.high)}]"]


def change_table(base: Sequence[Record], changed: Iterable[Record], *, together: int = 1) -> str:
    """A Markdown table of what a change does: the score of the base and of each change, and the paired difference.

    Changes are held against the runs of the base with the same seeds; of the test images so many `together` count as
    one, see `comparison.compare`.
    """
    name = base[0]["variant"]
    changed = list(changed)
    found = against_base(base, changed, together=together)
    rows = []
    for variant, group in {name: list(base), **grouped(changed)}.items():
        score = spread([r["metrics"]["dice"] for r in group])
        cells = lead(found[variant]) if variant in found else ["", ""]
        rows.append(
            [
                whole(change_label(variant, name)),
                thousands(group[0]["parameters"]),
                str(len(group)),
                score,
                *cells,
            ]
        )
    head = ["change", "parameters", "seeds", "Dice, %", "minus base, %", "95 % interval"]
    return markdown_table(head, rows)


def provenance_line(records: Iterable[Record]) -> str:
    """Where results come from: runs, steps, batch, device, revisions; and what diverged beside them."""
    records = list(records)
    if not records:
        return "*No run is committed yet; `make grid` makes them.*"

    def every(values: Iterable[object]) -> str:
        return " or ".join(map(str, sorted(set(values), key=str)))

    places = [place for r in records for place in r.get("places", [{**r, "torch": r["versions"]["torch"]}])]
    devices = every(re.sub(r"\b1 threads$", "1 thread", place["device"]) for place in places)
    steps = " or ".join(map(thousands, sorted({r["training"]["steps"] for r in records})))
    batch, count = every(r["training"]["batch_size"] for r in records), len(records)
    revisions = {r["revision"] or "no checkout" for r in records}
    diverged = "".join(f" Diverged, and in no mean: {name}." for name in _diverged(records))
    many = f"{len(revisions)} revisions, which the results name"
    return (
        f"*{count} run{'s' if count > 1 else ''} of {steps} steps, batches of {batch}; "
        f"on {devices}; torch {every(place['torch'] for place in places)}; code at "
        f"{every(revisions) if len(revisions) <= 3 else many}.{diverged}*"
    )


def _diverged(records: Iterable[Record]) -> list[str]:
    """The runs that diverged of the experiments and profiles that some records are of."""
    asked = {(r.get("experiment", ""), r.get("profile", "")) for r in records}
    units = (
        u for name, profile in sorted(asked) if name in EXPERIMENTS for u in EXPERIMENTS[name].units(profile)
    )
    return [unit.name for unit in units if diverged_path(unit).is_file()]


def published_table(published: Iterable[Published]) -> str:
    """A Markdown table of published networks, smallest first, with the split and the source of every score."""
    rows = [
        [p.name, thousands(p.parameters), f"{100 * p.dice:.1f}", p.split.replace(" ", "\u00a0"), p.source]
        for p in sorted(published, key=lambda p: p.parameters)
    ]
    return markdown_table(["network", "parameters", "Dice, %", "training / test", "source"], rows)


def claim_table(verdicts: Iterable[Verdict]) -> str:
    """A Markdown table of claims: the two networks, the difference of their scores, its interval, and the verdict."""
    rows = []
    for found in verdicts:
        share = f"{100 * found.parameters[0] / found.parameters[1]:.0f} %"
        score = " ".join(lead(found))
        runs = "{} / {}".format(*found.runs)
        rival = FAMILY_LABELS[found.claim.rival_family]
        # A number is not torn, nor parted from its interval.
        cells = (text.replace(" ", "\u00a0") for text in (share, score, runs))
        task = re.sub(r"(?<=\d) (?=\d)", "\u202f", found.claim.task)
        word = found.word if found.seeds_known else f"{found.word} in one run"
        rows.append([task, whole(rival), *cells, word])
    head = ["task", "rival", "share of its parameters", "minus rival, %", "runs", "as good or better"]
    return markdown_table(head, rows)
