"""The claims about errors: those of the last epoch, and those on the way there."""

from __future__ import annotations

from cifar_resnet import programs
from cifar_resnet.notation import significant
from cifar_resnet.report.claims.claim import (
    FAILS,
    HOLDS,
    OPEN,
    Case,
    Claim,
    Finding,
    combine,
    error,
    errors,
    with_interval,
)
from cifar_resnet.report.intervals import SAME, Difference, compare, decimals, holm
from cifar_resnet.report.runs.groups import Group, fewest, seeds_draw_images

_SHALLOW, _DEEP = 20, 110
_WORDS = {1: HOLDS, -1: FAILS, 0: OPEN}
_TRAIN, _TEST = ("train_error", "train_images"), ("test_error", "test_images")


def judge_equal_depth(case: Case) -> Finding | None:
    """Judges each depth at which a plain and a residual network have finished.

    At a depth, the claim holds if the residual network's final test error is lower by more than its interval, and does
    not hold if it is higher or if there is no difference worth naming. The intervals are corrected for the number of
    depths. The claim holds if it does at every depth, and does not hold if it doesn't at any.
    """
    depths = case.shared("plain", "resnet")
    if not depths:
        return None
    pairs = [(case.groups["plain", depth], case.groups["resnet", depth]) for depth in depths]
    found = holm([case.difference(plain, residual, "test_error") for plain, residual in pairs])
    signs = [-1 if case.verdict(one) == SAME else -case.sign(one) for one in found]
    verdicts = [_WORDS[sign] for sign in signs]
    sentences, short = [], []
    for pair, one, verdict in zip(pairs, found, verdicts, strict=True):
        images = fewest(*pair)
        shown = [error(group, *_TEST[:1], images) for group in pair]
        sentences.append(
            f"At {pair[0].depth} layers, the final test error is {shown[0]} without and {shown[1]} with shortcuts: "
            f"{with_interval(one, decimals(images), images)}; {verdict}."
        )
        short.append(f"{shown[0]} and {shown[1]} at {pair[0].depth} layers")
    evidence = " ".join(sentences) + case.unfinished("plain", "resnet") + case.unlearned("plain", "resnet")
    open_depths = [depth for depth, one, sign in zip(depths, found, signs, strict=True) if one.one_seed or not sign]
    missing, command = case.more_seeds(found, ["plain", "resnet"], open_depths or depths)
    return Finding(
        combine(signs),
        evidence,
        missing,
        command,
        f"test errors without and with shortcuts: {', '.join(short)}",
        {str(depth): verdict for depth, verdict in zip(depths, verdicts, strict=True)},
        any(one.one_seed for one in found),
    )


def judge_degradation(case: Case) -> Finding | None:
    """Judges each deeper plain network in comparison with the shallowest.

    At a depth, the claim holds if the network's final training error is higher than the shallowest one's by more than
    its interval, and does not hold if it is lower by more than its interval or if there is no difference worth naming.
    The intervals are corrected for the number of depths. The claim holds if it does at every depth, and does not hold
    if it doesn't at any. A network of which no run learned anything is named and decides nothing.
    """
    depths = case.depths("plain")
    if len(depths) < 2:
        return None
    groups = [case.groups["plain", depth] for depth in depths]
    judged = [group for group in groups if len(group.unlearned) < len(group.rows)]
    evidence = f"Final training error: {errors(groups, *_TRAIN)}."
    rest = case.unfinished("plain") + case.unlearned("plain")
    if len(judged) < 2:
        return Finding(OPEN, evidence + rest, "plain networks of two depths that learn, such as by longer training")
    shallow, *deeper = judged
    found = holm([case.difference(shallow, group, "train_error") for group in deeper])
    signs = [-1 if case.verdict(one) == SAME else case.sign(one) for one in found]
    changes = [_from_to([shallow, group], one, "training") for group, one in zip(deeper, found, strict=True)]
    uncertain = [group.depth for group, one, sign in zip(deeper, found, signs, strict=True) if one.one_seed or not sign]
    missing, command = case.more_seeds(found, ["plain"], [shallow.depth, *uncertain])
    return Finding(
        combine(signs),
        " ".join([evidence, *changes]) + rest,
        missing,
        command,
        f"training error: {errors(groups, *_TRAIN)}",
        {str(group.depth): _WORDS[sign] for group, sign in zip(deeper, signs, strict=True)},
        any(one.one_seed for one in found),
    )


def judge_shortcuts(case: Case) -> Finding | None:
    """Judges the shallowest and the deepest residual network.

    The claim holds if the deepest network has both the lower final training error and the lower final test error, and
    does not hold if either is higher, each by more than its interval. The two intervals are corrected for their number.
    """
    depths = case.depths("resnet")
    if len(depths) < 2:
        return None
    groups = [case.groups["resnet", depth] for depth in depths]
    ends = [groups[0], groups[-1]]
    train, test = holm([case.difference(groups[0], groups[-1], measure) for measure in ("train_error", "test_error")])
    evidence = (
        f"Final training error: {errors(groups, *_TRAIN)}. {_from_to(groups, train, 'training')} "
        f"Final test error: {errors(groups, *_TEST)}. {_from_to(groups, test, 'test')}"
    )
    evidence += case.unfinished("resnet") + case.unlearned("resnet")
    verdict = combine([-case.sign(train), -case.sign(test)])
    missing, command = case.more_seeds([train, test], ["resnet"], [depths[0], depths[-1]])
    if verdict == OPEN and all(_fits_all(group) for group in ends):
        missing = "a data set that the networks don't fit without error: here the training error can't get any lower"
        command = f"{programs.command('train')} -m sweeps=nine"
    short = f"training error: {errors(ends, *_TRAIN)}; test error: {errors(ends, *_TEST)}"
    return Finding(verdict, evidence, missing, command, short, one_seed=train.one_seed)


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
    training = split == "training"
    digits = decimals(fewest(*groups, column="train_images" if training else "test_images"))
    shown = with_interval(one, digits, fewest(*groups), training)
    return f"From {groups[0].depth} to {groups[-1].depth} layers: {shown}."


def judge_shallow(case: Case) -> Finding | None:
    """Judges the plain and the residual network of 20 layers.

    The errors are similar if the interval of the difference in final test error lies within a tenth of the plain
    network's error (or within the smallest difference worth naming, if that is larger). The residual network is faster
    if its mean training error over the first half of the epochs is lower by more than its interval. The claim holds if
    both are the case, and does not hold if the interval lies outside that margin or the plain network is faster. The
    two intervals are corrected for their number.
    """
    plain, residual = (case.groups.get((model, _SHALLOW)) for model in ("plain", "resnet"))
    if plain is None or residual is None:
        return None
    images = fewest(plain, residual)
    digits = decimals(images)
    final, early = holm(
        [
            case.difference(plain, residual, "test_error"),
            compare(
                _first_half(case, plain),
                _first_half(case, residual),
                images,
                drawn=seeds_draw_images(plain, residual),
            ),
        ]
    )
    margin = case.margin(final.first)
    within = final.lies_within(margin)
    half = max(1, int(case.epochs("plain", _SHALLOW)["epoch"].max()) // 2)
    evidence = (
        f"Final test error: {errors([plain, residual], *_TEST)}; difference {with_interval(final, digits, images)}. Up "
        f"to {significant(margin, 2)} points, a tenth of the plain network's error, count as similar. "
        f"Over the first {'epoch' if half == 1 else f'{half} epochs'}, the training error averages "
        f"{early.first:.{digits}f} % for {plain.name} and {early.second:.{digits}f} % for {residual.name}: "
        f"{with_interval(early, digits, images, training=True)}."
    )
    verdict = combine([0 if within is None else 1 if within else -1, -early.sign])
    missing, command = "", ""
    if verdict == OPEN or final.one_seed:
        missing, command = case.more_seeds([final, early], ["plain", "resnet"], [_SHALLOW])
    return Finding(
        verdict,
        evidence + case.unfinished("plain", "resnet", at=_SHALLOW),
        missing,
        command,
        f"test error: {errors([plain, residual], *_TEST)}; mean training error over the first "
        f"{'epoch' if half == 1 else f'{half} epochs'}: {plain.name} {early.first:.{digits}f} %, {residual.name} "
        f"{early.second:.{digits}f} %",
        one_seed=final.one_seed,
    )


def _first_half(case: Case, group: Group) -> dict[int, float]:
    """Seed → mean training error, in percent, over the first half of the epochs."""
    epochs = case.epochs(group.model, group.depth)
    early = epochs[epochs["epoch"] <= max(1, int(epochs["epoch"].max()) // 2)]
    means = early.groupby("seed")["train_error"].mean()
    return {int(str(seed)): float(mean) for seed, mean in means.items()}


def judge_preactivation(case: Case) -> Finding | None:
    """Judges the final test errors of the residual and the pre-activation network of 110 layers.

    The claim holds if pre-activation's is lower, and does not hold if it is higher, each by more than the interval, or
    if there is no difference worth naming.
    """
    residual, preact = (case.groups.get((model, _DEEP)) for model in ("resnet", "preact"))
    if residual is None or preact is None:
        return None
    one = case.difference(residual, preact, "test_error")
    images = fewest(residual, preact)
    shown = errors([residual, preact], *_TEST)
    evidence = f"Final test error: {shown}; difference {with_interval(one, decimals(images), images)}."
    missing, command = case.more_seeds([one], ["resnet", "preact"], [_DEEP])
    return Finding(
        combine([-1 if case.verdict(one) == SAME else -case.sign(one)]),
        evidence + case.unfinished("resnet", "preact", at=_DEEP),
        missing,
        command,
        f"test error: {shown}",
        one_seed=one.one_seed,
    )


CLAIMS = (
    Claim(
        key="equal-depth",
        statement="At equal depth, the residual network beats the plain one.",
        models=("plain", "resnet"),
        needs="a plain and a residual network of the same depth",
        command=lambda case: case.command(["plain", "resnet"], sorted({*case.depths("plain"), *case.depths("resnet")})),
        judge=judge_equal_depth,
        figure="models_by_depth",
    ),
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
        figure="training_and_test_error",
    ),
    Claim(
        key="shallow",
        statement="At 20 layers, plain and residual networks reach similar errors, but residual networks learn faster.",
        models=("plain", "resnet"),
        needs="a plain and a residual network of 20 layers",
        command=lambda case: case.command(["plain", "resnet"], [_SHALLOW]),
        judge=judge_shallow,
        figure="models_by_depth",
    ),
    Claim(
        key="preactivation",
        statement="Pre-activation lowers the test error at 110 layers.",
        models=("resnet", "preact"),
        needs="a residual and a pre-activation network of 110 layers",
        command=lambda case: case.command(["resnet", "preact"], [_DEEP]),
        judge=judge_preactivation,
        figure="models_by_depth",
    ),
)
