"""The claim that PDE-G-CNNs do at least as well as larger networks, held against the committed results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from pdegcnn_lib.companion.experiments.comparison import Record, compare, grouped, interval, over_seeds
from pdegcnn_lib.companion.experiments.lines import with_estimate
from pdegcnn_lib.companion.experiments.registry import experiment, family
from pdegcnn_lib.companion.experiments.run import committed_results
from pdegcnn_lib.companion.experiments.vessels import SIX, TWELVE, UNET


@dataclass(frozen=True)
class Claim:
    """`ours` does at least as well as `rival`, two variants of an experiment; `task` names it for readers."""

    task: str
    experiment: str
    ours: str
    rival: str

    @property
    def together(self) -> int:
        """How many test images belong together, one after the other (`Experiment.together`)."""
        return experiment(self.experiment).together

    @property
    def rival_family(self) -> str:
        """The family of networks that the rival is one of: cnn, gcnn, unet or lenet."""
        return family(experiment(self.experiment).variant(self.rival).model)


@dataclass(frozen=True)
class Verdict:
    """What the results say of a claim: ours minus rival with its 95 % interval, and the runs.

    `parameters` and `runs` are pairs, of ours and of the rival. Where `seeds_known` is false, no network among the
    results has a second run, and the interval knows of other images only.
    """

    claim: Claim
    difference: float
    low: float
    high: float
    parameters: tuple[int, int]
    runs: tuple[int, int]
    seeds_known: bool = True

    @property
    def word(self) -> str:
        """`holds` where the interval lies above zero, `fails` where it lies below, otherwise `level`."""
        return "holds" if self.low > 0 else "fails" if self.high < 0 else "level"


CNN, GCNN, PDE = SIX
LINES_3, LINES_6, LINES_12 = (with_estimate(f"vessels-pdegcnn{n}", "rho_c").name for n in (3, 6, 12))
CLAIMS = (
    *(Claim("vessels, 6 layers", "vessels", PDE, rival) for rival in (CNN, GCNN)),
    *(Claim("vessels, 12 layers", "vessels", TWELVE[2], rival) for rival in TWELVE[:2]),
    *(
        Claim("vessels, 12 layers of 16 channels", "vessels", f"{TWELVE[2]}-wide", rival)
        for rival in (TWELVE[1], UNET)
    ),
    *(Claim(f"vessels, {n} layers", "vessels", ours, UNET) for n, ours in ((6, PDE), (12, TWELVE[2]))),
    *(
        Claim("vessels in colour, 6 layers", "vessels-rgb", PDE, f"vessels-{kind}6")
        for kind in ("cnn", "gcnn")
    ),
    *(Claim("vessels, from one photograph", "vessels-size", f"{PDE}-1", f"{r}-1") for r in (CNN, GCNN)),
    *(Claim("lines, 3 layers", "lines", LINES_3, f"vessels-{kind}3-narrow") for kind in ("cnn", "gcnn")),
    *(Claim("lines, 6 layers", "lines", LINES_6, rival) for rival in (CNN, GCNN)),
    *(Claim("lines, 12 layers", "lines", LINES_12, rival) for rival in TWELVE[:2]),
    *(
        Claim("digits, trained upright", "digits-upright", "digits-pdegcnn-invariant", f"digits-{r}")
        for r in ("lenet5", "gcnn-invariant")
    ),
    *(Claim("digits", "digits-rotated", "digits-pdegcnn", f"digits-{r}") for r in ("lenet5", "gcnn")),
    *(
        Claim("digits, invariant head", "digits-rotated", "digits-pdegcnn-invariant", f"digits-{r}")
        for r in ("lenet5", "gcnn-invariant")
    ),
    *(
        Claim(f"digits, from 12 000{head}", "digits-rotated-12k", ours, f"digits-{r}")
        for head, ours, rivals in (
            ("", "digits-pdegcnn", ("lenet5", "gcnn")),
            (", invariant head", "digits-pdegcnn-invariant", ("lenet5", "gcnn-invariant")),
        )
        for r in rivals
    ),
    Claim(
        "digits, from 300, invariant head", "digits-size", "digits-pdegcnn-invariant-300", "digits-lenet5-300"
    ),
)


def judge(claim: Claim, records: Sequence[Record]) -> Verdict | None:
    """Hold a claim against the records of its experiment; None without a run of both networks.

    The interval is that of `compare` where every run of the two has a score of each image, with images that belong
    together counted as one, otherwise that of a difference of two proportions with the variance over the seeds of each.
    A network with one or two runs borrows that of the others among the records (`comparison.over_seeds`).
    """
    groups = grouped(records)
    ours, rival = (groups.get(name, []) for name in (claim.ours, claim.rival))
    if not ours or not rival:
        return None
    scored = [(record, scores_by_image(record)) for record in records]
    if any(scores is None for record, scores in scored if record["variant"] in (claim.ours, claim.rival)):
        accuracies = {name: [r["metrics"]["accuracy"] for r in group] for name, group in groups.items()}
        means = [mean(accuracies[name]) for name in (claim.ours, claim.rival)]
        difference = means[0] - means[1]
        count = tested(ours[0])
        digits = [(p * (1 - p) / count, count - 1) for p in means]
        low, high = interval(difference, [*digits, *over_seeds(accuracies, claim.ours, claim.rival)])
    else:
        known = [
            {"variant": r["variant"], "metrics": {"score": scores or [r["metrics"]["accuracy"]]}}
            for r, scores in scored
        ]
        found = compare(known, claim.ours, claim.rival, "score", together=claim.together)
        difference, low, high = found.difference, found.low, found.high
    return Verdict(
        claim,
        difference,
        low,
        high,
        (ours[0]["parameters"], rival[0]["parameters"]),
        (len(ours), len(rival)),
        _replicated(groups),
    )


def scores_by_image(record: Record) -> list[float] | None:
    """The Dice score of every test image, or for every test digit whether it was read; None where that is not known."""
    metrics = record["metrics"]
    if "misread" not in metrics:
        return metrics.get("dice_by_image")
    read = [1.0] * tested(record)
    for digit in map(int, metrics["misread"].split()):
        read[digit] = 0.0
    return read


def tested(record: Record) -> int:
    """How many digits of MNIST a network was tested on: those of the usual split, or what its protocol says."""
    protocol: str = record["data"].get("protocol", "60000/10000")
    return int(protocol.split("/")[1])


def _replicated(groups: Mapping[str, Sequence[Record]]) -> bool:
    return any(len(group) > 1 for group in groups.values())


def judged() -> list[Verdict]:
    """Every claim of two networks that were trained as long as a search says, with its verdict by committed results.

    Where no network of an experiment has a second run, the variance over seeds is that of the experiments on the same
    task.
    """
    records = {name: committed_results(name, "long") for name in {claim.experiment for claim in CLAIMS}}
    found = (judge(claim, _with_seeds(claim.experiment, records)) for claim in CLAIMS if _settled(claim))
    return [verdict for verdict in found if verdict is not None]


def _with_seeds(name: str, records: Mapping[str, Sequence[Record]]) -> list[Record]:
    if _replicated(grouped(records[name])):
        return list(records[name])
    task = name.split("-")[0]
    others = (other for other in sorted(records) if other != name and other.split("-")[0] == task)
    # The same name stands for another run in another experiment.
    borrowed = [{**r, "variant": f"{other}/{r['variant']}"} for other in others for r in records[other]]
    return [*records[name], *borrowed]


def _settled(claim: Claim) -> bool:
    entry = experiment(claim.experiment)
    return entry.settled(claim.ours) and entry.settled(claim.rival)
