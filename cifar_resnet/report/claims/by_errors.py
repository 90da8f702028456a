"""The claims about errors: those of the last epoch, and those on the way there."""

from __future__ import annotations

from cifar_resnet.report.claims.claim import OPEN, Case, Claim, Finding, combine, errors, name, with_interval
from cifar_resnet.report.intervals import Difference, compare, decimals
from cifar_resnet.report.runs.groups import Group, fewest
from cifar_resnet.report.tables.differences import difference

# Errors at most this many points apart count as similar. The paper calls its plain and residual networks of 18 layers
# on ImageNet "comparably accurate" without giving a margin, so this margin is ours.
SIMILAR = 1.0
_SHALLOW, _DEEP = 20, 110
_TRAIN, _TEST = ("train_error", "train_images"), ("test_error", "test_images")


def judge_degradation(case: Case) -> Finding | None:
    """Judges the shallowest and the deepest plain network.

    The claim holds if the deepest network's final training error is higher by more than its interval, and does not
    hold if it is lower by more than its interval. Networks in between are listed and not counted.
    """
    depths = case.depths("plain")
    if len(depths) < 2:
        return None
    groups = [case.groups["plain", depth] for depth in depths]
    one = difference(case.runs, groups[0], groups[-1], "train_error")
    evidence = f"Final training error: {errors(case, groups, *_TRAIN)}. {_from_to(groups, one, 'training')}"
    missing, command = case.more_seeds(one, ["plain"], [depths[0], depths[-1]])
    return Finding(combine([one.sign]), evidence, missing, command)


def judge_shortcuts(case: Case) -> Finding | None:
    """Judges the shallowest and the deepest residual network.

    The claim holds if the deepest network has both the lower final training error and the lower final test error, and
    does not hold if either is higher, each by more than its interval.
    """
    depths = case.depths("resnet")
    if len(depths) < 2:
        return None
    groups = [case.groups["resnet", depth] for depth in depths]
    train, test = (difference(case.runs, groups[0], groups[-1], measure) for measure in ("train_error", "test_error"))
    evidence = (
        f"Final training error: {errors(case, groups, *_TRAIN)}. {_from_to(groups, train, 'training')} "
        f"Final test error: {errors(case, groups, *_TEST)}. {_from_to(groups, test, 'test')}"
    )
    verdict = combine([-train.sign, -test.sign])
    if verdict == OPEN and _fits_all(groups[0]) and _fits_all(groups[-1]):
        missing = "a data set that the networks don't fit without error: here the training error can't get any lower"
        return Finding(verdict, evidence, missing, "python train.py -m sweeps=nine")
    weaker = min((train, test), key=lambda one: abs(one.sign))
    missing, command = case.more_seeds(weaker, ["resnet"], [depths[0], depths[-1]])
    return Finding(verdict, evidence, missing, command)


def _two_depths(case: Case, model: str) -> str:
    """The command that adds to at most one depth of a model what makes two of the papers' depths."""
    depths = case.depths(model)
    wanted = depths if depths and depths[0] != 56 else [20]
    return case.command([model], sorted({*wanted, 56}))


def _fits_all(group: Group) -> bool:
    """Whether at most one training image is wrong, averaged over seeds."""
    values = list(group.values("train_error").values())
    return sum(values) / len(values) <= 100.001 / (group.smallest("train_images") or 100)


def _from_to(groups: list[Group], one: Difference, split: str) -> str:
    digits = decimals(fewest(*groups, column="test_images" if split == "test" else "train_images"))
    return f"From {groups[0].depth} to {groups[-1].depth} layers: {with_interval(one, digits, fewest(*groups))}."


def judge_shallow(case: Case) -> Finding | None:
    """Judges the plain and the residual network of 20 layers.

    The errors are similar if the interval of the difference in final test error lies within ±SIMILAR points. The
    residual network is faster if its mean training error over the first half of the epochs is lower by more than its
    interval. The claim holds if both are the case, and does not hold if the interval lies outside ±SIMILAR or the plain
    network is faster.
    """
    plain, residual = (case.groups.get((model, _SHALLOW)) for model in ("plain", "resnet"))
    if plain is None or residual is None:
        return None
    images = fewest(plain, residual)
    digits = decimals(images)
    final = difference(case.runs, plain, residual, "test_error")
    early = compare(_first_half(case, plain), _first_half(case, residual), images)
    within = final.lies_within(SIMILAR)
    half = max(1, int(case.epochs("plain", _SHALLOW)["epoch"].max()) // 2)
    evidence = (
        f"Final test error: {errors(case, [plain, residual], *_TEST)}; "
        f"difference {with_interval(final, digits, images)}, where up to {SIMILAR:g} point counts as similar. "
        f"Over the first {'epoch' if half == 1 else f'{half} epochs'}, the training error averages "
        f"{early.first:.{digits}f} % for {name(plain)} and {early.second:.{digits}f} % for {name(residual)}: "
        f"{with_interval(early, digits, images)}."
    )
    verdict = combine([0 if within is None else 1 if within else -1, -early.sign])
    missing, command = "", ""
    if verdict == OPEN or min(final.n) < 3:
        wanted = max(3, 2 * min(final.n))
        missing = f"more seeds: {wanted} rather than {min(final.n)}"
        command = case.command(["plain", "resnet"], [_SHALLOW], wanted)
    return Finding(verdict, evidence, missing, command)


def _first_half(case: Case, group: Group) -> dict[int, float]:
    """Seed → mean training error, in percent, over the first half of the epochs."""
    epochs = case.epochs(group.model, group.depth)
    early = epochs[epochs["epoch"] <= max(1, int(epochs["epoch"].max()) // 2)]
    means = early.groupby("seed")["train_error"].mean()
    return {int(str(seed)): float(mean) for seed, mean in means.items()}


def judge_preactivation(case: Case) -> Finding | None:
    """Judges the final test errors of the residual and the pre-activation network of 110 layers.

    The claim holds if pre-activation's is lower, and does not hold if it is higher, each by more than the interval.
    """
    residual, preact = (case.groups.get((model, _DEEP)) for model in ("resnet", "preact"))
    if residual is None or preact is None:
        return None
    one = difference(case.runs, residual, preact, "test_error")
    images = fewest(residual, preact)
    shown = with_interval(one, decimals(images), images)
    evidence = f"Final test error: {errors(case, [residual, preact], *_TEST)}; difference {shown}."
    missing, command = case.more_seeds(one, ["resnet", "preact"], [_DEEP])
    return Finding(combine([-one.sign]), evidence, missing, command)


CLAIMS = (
    Claim(
        key="degradation",
        statement="A deeper plain network has a higher training error: it degrades, and overfitting isn't the reason.",
        models=("plain",),
        needs="plain networks of two depths",
        command=lambda case: _two_depths(case, "plain"),
        judge=judge_degradation,
    ),
    Claim(
        key="shortcuts",
        statement="With shortcuts, the deeper network has the lower training error and the lower test error.",
        models=("resnet",),
        needs="residual networks of two depths",
        command=lambda case: _two_depths(case, "resnet"),
        judge=judge_shortcuts,
    ),
    Claim(
        key="shallow",
        statement="At 20 layers, plain and residual networks reach similar errors, but residual networks learn faster.",
        models=("plain", "resnet"),
        needs="a plain and a residual network of 20 layers",
        command=lambda case: case.command(["plain", "resnet"], [_SHALLOW]),
        judge=judge_shallow,
    ),
    Claim(
        key="preactivation",
        statement="Pre-activation lowers the test error at 110 layers.",
        models=("resnet", "preact"),
        needs="a residual and a pre-activation network of 110 layers",
        command=lambda case: case.command(["resnet", "preact"], [_DEEP]),
        judge=judge_preactivation,
    ),
)
