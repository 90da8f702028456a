"""The claims that the errors of the last epoch, and of the way to it, can settle."""

from __future__ import annotations

from cifar_resnet.report.claims.claim import OPEN, Case, Claim, combine, errors, name, with_interval
from cifar_resnet.report.intervals import Difference, compare, decimals
from cifar_resnet.report.runs.groups import Group, fewest
from cifar_resnet.report.tables.differences import difference

# Errors at most this many points apart are called similar. The paper calls its plain and residual networks of 18 layers
# on ImageNet "comparably accurate"; it gives no margin, so this one is ours.
SIMILAR = 1.0
_SHALLOW, _DEEP = 20, 110
_TRAIN, _TEST = ("train_error", "train_images"), ("test_error", "test_images")


def degradation(case: Case) -> Claim:
    """Claim 1, judged on the shallowest and the deepest plain network.

    It holds where the deepest one's final training error is higher by more than its interval, doesn't where it is
    lower, and can't be told otherwise. The networks between are named, and have no vote.
    """
    statement = "A deeper plain network has the higher training error: it degrades, and not by overfitting."
    depths = case.depths("plain")
    if len(depths) < 2:
        missing, command = "plain networks of two depths", _two_depths(case, "plain", depths)
        return Claim(1, "degradation", statement, OPEN, missing=missing, command=command)
    groups = [case.groups["plain", depth] for depth in depths]
    one = difference(groups[0], groups[-1], "train_error")
    evidence = f"Final training error: {errors(case, groups, *_TRAIN)}. {_from_to(groups, one, 'training')}"
    missing, command = case.more_seeds(one, ["plain"], [depths[0], depths[-1]])
    return Claim(1, "degradation", statement, combine([one.sign]), evidence, missing, command)


def shortcuts(case: Case) -> Claim:
    """Claim 2, judged on the shallowest and the deepest residual network.

    It holds where the deepest one has both the lower final training error and the lower final test error, doesn't where
    either is higher, each by more than its interval, and can't be told otherwise.
    """
    statement = "With shortcuts, the deeper network has the lower training error and the lower test error."
    depths = case.depths("resnet")
    if len(depths) < 2:
        missing, command = "residual networks of two depths", _two_depths(case, "resnet", depths)
        return Claim(2, "shortcuts", statement, OPEN, missing=missing, command=command)
    groups = [case.groups["resnet", depth] for depth in depths]
    train, test = (difference(groups[0], groups[-1], measure) for measure in ("train_error", "test_error"))
    evidence = (
        f"Final training error: {errors(case, groups, *_TRAIN)}. {_from_to(groups, train, 'training')} "
        f"Final test error: {errors(case, groups, *_TEST)}. {_from_to(groups, test, 'test')}"
    )
    verdict = combine([-train.sign, -test.sign])
    if verdict == OPEN and _fits_all(groups[0]) and _fits_all(groups[-1]):
        missing = "a data set that the networks don't fit without error: here no training error is left to be lower"
        return Claim(2, "shortcuts", statement, verdict, evidence, missing, "python train.py -m sweeps=nine")
    weaker = min((train, test), key=lambda one: abs(one.sign))
    missing, command = case.more_seeds(weaker, ["resnet"], [depths[0], depths[-1]])
    return Claim(2, "shortcuts", statement, verdict, evidence, missing, command)


def _two_depths(case: Case, model: str, depths: list[int]) -> str:
    """The command that makes at most one depth of a model two of the papers'."""
    wanted = depths if depths and depths[0] != 56 else [20]
    return case.command([model], sorted({*wanted, 56}))


def _fits_all(group: Group) -> bool:
    """Whether at most one training image is wrong, in the mean."""
    values = list(group.values("train_error").values())
    return sum(values) / len(values) <= 100.001 / (group.smallest("train_images") or 100)


def _from_to(groups: list[Group], one: Difference, split: str) -> str:
    digits = decimals(fewest(*groups, column="test_images" if split == "test" else "train_images"))
    return f"From {groups[0].depth} to {groups[-1].depth} layers: {with_interval(one, digits, fewest(*groups))}."


def shallow(case: Case) -> Claim:
    """Claim 3, judged on the plain and the residual network of 20 layers.

    Similar: the interval of the difference in final test error lies within ±SIMILAR points. Faster: over the first half
    of the epochs the residual network's mean training error is lower by more than its interval. It holds where both are
    so, doesn't where the interval lies outside ±SIMILAR or the plain one is the faster, and can't be told otherwise.
    """
    statement = "At 20 layers plain and residual networks reach similar errors, and the residual one is faster."
    plain, residual = (case.groups.get((model, _SHALLOW)) for model in ("plain", "resnet"))
    if plain is None or residual is None:
        return Claim(
            3,
            "shallow",
            statement,
            OPEN,
            missing="a plain and a residual network of 20 layers",
            command=case.command(["plain", "resnet"], [_SHALLOW]),
        )
    images = fewest(plain, residual)
    digits = decimals(images)
    final = difference(plain, residual, "test_error")
    way = compare(_first_half(case, plain), _first_half(case, residual), images)
    within = final.lies_within(SIMILAR)
    half = max(1, int(case.epochs("plain", _SHALLOW)["epoch"].max()) // 2)
    evidence = (
        f"Final test error: {errors(case, [plain, residual], *_TEST)}; "
        f"difference {with_interval(final, digits, images)}, where up to {SIMILAR:g} point counts as similar. "
        f"Over the first {half} epochs the training error averages "
        f"{way.first:.{digits}f} % for {name(plain)} and {way.second:.{digits}f} % for {name(residual)}: "
        f"{with_interval(way, digits, images)}."
    )
    verdict = combine([0 if within is None else 1 if within else -1, -way.sign])
    missing, command = "", ""
    if verdict == OPEN or min(final.n) < 3:
        wanted = max(3, 2 * min(final.n))
        missing = f"more seeds: {wanted} rather than {min(final.n)}"
        command = case.command(["plain", "resnet"], [_SHALLOW], wanted)
    return Claim(3, "shallow", statement, verdict, evidence, missing, command)


def _first_half(case: Case, group: Group) -> dict[int, float]:
    """Seed → mean training error, in percent, over the first half of the epochs."""
    epochs = case.epochs(group.model, group.depth)
    early = epochs[epochs["epoch"] <= max(1, int(epochs["epoch"].max()) // 2)]
    means = early.groupby("seed")["train_error"].mean()
    return {int(str(seed)): float(mean) for seed, mean in means.items()}


def preactivation(case: Case) -> Claim:
    """Claim 4, judged on the final test errors of the residual and the pre-activation network of 110 layers.

    It holds where pre-activation's is lower, doesn't where it is higher, each by more than the interval, and can't be
    told otherwise.
    """
    statement = "Pre-activation lowers the test error at 110 layers."
    residual, preact = (case.groups.get((model, _DEEP)) for model in ("resnet", "preact"))
    if residual is None or preact is None:
        return Claim(
            4,
            "preactivation",
            statement,
            OPEN,
            missing="a residual and a pre-activation network of 110 layers",
            command=case.command(["resnet", "preact"], [_DEEP]),
        )
    one = difference(residual, preact, "test_error")
    images = fewest(residual, preact)
    digits = decimals(images)
    difference_in_words = with_interval(one, digits, images)
    evidence = f"Final test error: {errors(case, [residual, preact], *_TEST)}; difference {difference_in_words}."
    missing, command = case.more_seeds(one, ["resnet", "preact"], [_DEEP])
    return Claim(4, "preactivation", statement, combine([-one.sign]), evidence, missing, command)
