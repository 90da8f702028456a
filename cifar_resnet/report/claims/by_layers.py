"""The claims about what happens inside a network, judged on the 3×3 layers recorded in diagnostics.csv.

Runs that learned nothing, with a training error near chance, are named and decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from cifar_resnet.notation import number, significant
from cifar_resnet.report.claims.claim import FAILS, HOLDS, OPEN, Case, Claim, Finding, combine, error
from cifar_resnet.report.intervals import Difference, compare, holm
from cifar_resnet.report.published import LAB_EPOCHS
from cifar_resnet.report.runs.groups import near_chance, seeds_draw_images
from cifar_resnet.report.tables.table import plus
from cifar_resnet.report.wording import join

# The gradient has vanished if its norm near the input is below VANISHED of that near the output, and is healthy from
# HEALTHY on; in between the answer is open. These limits are ours: the papers give no number. On CIFAR-10, the ratio in
# plain-56 was 0.096 after 10 epochs, 0.37 after 30, and above 1 from 50 on (results/cifar10), so a value in between may
# be a phase of the first epochs.
VANISHED, HEALTHY = 0.01, 0.1
# Plain networks degrade from this depth on (He et al. 2015, Figure 6). Healthy gradients in a shallower network don't
# show that they are healthy where networks degrade.
DEGRADES = 56
# With one seed there is no interval, so this share of the layers must agree with their mean.
AGREEING = 0.75
_ENABLED = ("diagnostics.enabled=true",)


def judge_responses(case: Case) -> Finding | None:
    """Judges each depth at which a plain and a residual network recorded their layers, in runs that learned.

    The measure is the standard deviation of a layer's responses after the last epoch (after batch normalization, before
    the non-linearity: He et al. 2015, Figure 7), averaged over the 3×3 layers. At a depth, the residual network's value
    is smaller or larger if the interval over seeds, corrected for the number of depths, excludes zero or, with one
    seed, if at least three quarters of the layers agree. The claim holds if it is smaller at every depth, and does not
    hold if it is larger at any depth.
    """
    recorded = [
        depth
        for depth in case.shared("plain", "resnet")
        if all(not case.diagnostics(model, depth).empty for model in ("plain", "resnet"))
    ]
    if not recorded:
        return None
    depths = [
        depth
        for depth in recorded
        if all(not case.diagnostics(model, depth, learned=True).empty for model in ("plain", "resnet"))
    ]
    found = holm([_difference(case, depth) for depth in depths])
    judged = [_compare_responses(case, depth, one) for depth, one in zip(depths, found, strict=True)]
    evidence = " ".join(sentence for _, sentence in judged) + case.unlearned("plain", "resnet")
    verdict = combine(-sign for sign, _ in judged)
    one_seed = any(one.one_seed for one in found)
    missing, command = "", ""
    if not depths:
        missing, command = "a plain and a residual network of the same depth that learned", _record_both(case)
    elif one_seed:
        missing, command = case.more_seeds(found, ["plain", "resnet"], depths, _ENABLED)
    shown = [
        f"{one.first:.3f} and {one.second:.3f} at {depth} layers" for depth, one in zip(depths, found, strict=True)
    ]
    in_short = f"standard deviation in plain and in residual layers: {', '.join(shown)}" if shown else ""
    return Finding(verdict, evidence.strip(), missing, command, in_short, one_seed=one_seed)


def _record_both(case: Case) -> str:
    return case.command(["plain", "resnet"], case.shared("plain", "resnet") or [20, 56], extra=_ENABLED)


def _last(layers: pd.DataFrame) -> pd.DataFrame:
    """The rows of each seed's last recorded epoch."""
    return layers[layers["epoch"] == layers.groupby("seed")["epoch"].transform("max")]


def _compare_responses(case: Case, depth: int, one: Difference) -> tuple[int, str]:
    """Whether the residual network's responses are larger (1), smaller (-1) or neither (0), and the evidence."""
    plain, residual = (_last(case.diagnostics(model, depth, learned=True)) for model in ("plain", "resnet"))
    pairs = plain.groupby("layer")["response_std"].mean() - residual.groupby("layer")["response_std"].mean()
    smaller = int((pairs.dropna() > 0).sum())
    count = int(pairs.notna().sum())
    sentence = (
        f"At {depth} layers, the standard deviation of the responses after the last epoch averages {one.first:.3f} in "
        f"the plain and {one.second:.3f} in the residual network, where it is smaller in {smaller} of {count} layers "
    )
    if not one.one_seed:
        level, low, high = f"{100 * (1 - one.level):.3g}", plus(one.low, 3), plus(one.high, 3)
        return one.sign, sentence + f"({level} % interval of the difference {low} to {high})."
    agreeing = smaller if one.mean < 0 else count - smaller
    sign = int(np.sign(one.mean)) if agreeing >= AGREEING * count else 0
    return sign, sentence + "(one seed: no interval)."


def _difference(case: Case, depth: int) -> Difference:
    """How much larger the residual network's responses are, before correcting for the number of depths."""
    plain, residual = (_responses(case, model, depth) for model in ("plain", "resnet"))
    drawn = seeds_draw_images(case.groups["plain", depth], case.groups["resnet", depth])
    return compare(plain, residual, drawn=drawn)


def _responses(case: Case, model: str, depth: int) -> dict[int, float]:
    """Seed → mean deviation of the responses after the last epoch, of the runs that learned."""
    layers = _last(case.diagnostics(model, depth, learned=True))
    return {int(str(seed)): float(mean) for seed, mean in layers.groupby("seed")["response_std"].mean().items()}


def judge_gradients(case: Case) -> Finding | None:
    """Answers whether gradients vanish in the plain networks that learned and are deep enough to degrade.

    The lab blames vanishing gradients for the degradation; He et al. 2015 (section 4.1) report that with batch
    normalization the norms of the gradients stay healthy. The measure is the geometric mean of the norm of the loss's
    gradient with respect to a layer's output, over the quarter of the layers next to the input, relative to that over
    the quarter next to the output. Of the first and the last recorded epoch, the smaller value counts. The answer is
    yes if the value is below VANISHED in any seed, and no if it is at least HEALTHY in every seed. If no network of
    that depth learned, the deepest shallower one may answer yes, but not no.
    """
    depths = [depth for depth in case.depths("plain") if not case.diagnostics("plain", depth).empty]
    if not depths:
        return None
    learned = [depth for depth in depths if not case.diagnostics("plain", depth, learned=True).empty]
    deep = [depth for depth in learned if depth >= DEGRADES]
    shares = {depth: _shares(case.diagnostics("plain", depth, learned=True)) for depth in deep or learned[-1:]}
    lowest = {depth: found.groupby("seed").min() for depth, found in shares.items()}
    verdict = _judge_lowest(pd.concat(lowest.values()) if lowest else pd.Series(dtype=float), bool(deep))
    sentences = [_describe_shares(case, depth, found) for depth, found in shares.items()]
    if shares:
        sentences.append(
            f"The smaller value counts: below {number(VANISHED)}, gradients count as vanished, from {number(HEALTHY)} "
            "on as healthy. These limits are ours; the papers give none."
        )
    sentences.append(_why_open(lowest) if verdict == OPEN else _CONSEQUENCES[verdict])
    for depth in depths:
        layers = case.diagnostics("plain", depth, learned=False)
        if not layers.empty:
            sentences.append(_describe_unlearned(case, depth, _shares(layers)))
    missing, command = _more_gradients(case, deep, verdict)
    one_seed = any(len(found) == 1 for found in lowest.values())
    evidence = " ".join(filter(None, sentences))
    return Finding(verdict, evidence, missing, command, _gradients_in_short(shares, verdict), one_seed=one_seed)


def _judge_lowest(lowest: pd.Series[float], may_answer_no: bool) -> str:
    """The answer to whether gradients vanish, from the smaller value of each seed of each network."""
    if (lowest < VANISHED).any():
        return HOLDS
    return FAILS if may_answer_no and (lowest >= HEALTHY).all() else OPEN


def _why_open(lowest: Mapping[int, pd.Series[float]]) -> str:
    """Why the question stays open: the smaller values of these networks, by depth; empty if there are none."""
    undecided = {depth: found[found < HEALTHY] for depth, found in lowest.items()}
    between = [f"{_range(found)} in plain-{depth}" for depth, found in undecided.items() if len(found)]
    if between:
        return f"The question stays open, because the ratio lies between the limits: {join(between)}."
    if lowest:
        return f"Plain networks of fewer than {DEGRADES} layers degrade little, so healthy gradients decide nothing."
    return ""


def _gradients_in_short(shares: Mapping[int, pd.Series[float]], verdict: str) -> str:
    if not shares:
        return ""
    short = "; ".join(f"{_by_epoch(found)} in plain-{depth}" for depth, found in shares.items())
    limits = f" (below {number(VANISHED)} would count as vanished, from {number(HEALTHY)} on as healthy)"
    return f"norm near the input relative to that near the output: {short}{limits if verdict == OPEN else ''}"


def _more_gradients(case: Case, deep: list[int], verdict: str) -> tuple[str, str]:
    """What would answer the question, or answer it no, and the command; both empty if nothing would."""
    if not deep and verdict != HOLDS:
        words = (
            f"diagnostics of a plain network that learns and is deep enough to degrade, which takes {DEGRADES} layers"
        )
        return words, case.command(["plain"], [DEGRADES], extra=_ENABLED)
    if verdict == OPEN and (case.config["optim"]["epochs"] or LAB_EPOCHS) < LAB_EPOCHS:
        words = f"training for {LAB_EPOCHS} epochs: gradients that are small in the first epochs may grow later"
        return words, case.command(["plain"], deep, extra=_ENABLED, epochs=LAB_EPOCHS)
    return "", ""


_CONSEQUENCES = {
    HOLDS: "Whether that is the cause of the degradation or a consequence of it, the norms by themselves don't show.",
    FAILS: "So vanishing gradients don't explain the higher error of deep plain networks here.",
}


def _record_plain(case: Case) -> str:
    return case.command(["plain"], [max([DEGRADES, *case.depths("plain")])], extra=_ENABLED)


def _shares(layers: pd.DataFrame) -> pd.Series[float]:
    """The relative gradient near the input, by seed and epoch, of the first and the last recorded epoch."""
    ends = layers[layers["epoch"].isin([layers["epoch"].min(), layers["epoch"].max()])]
    return ends.groupby(["seed", "epoch"])[["layer", "output_grad_norm"]].apply(_share)


def _share(layers: pd.DataFrame) -> float:
    """Gradients near the input relative to those near the output: geometric means over a quarter of the layers each."""
    norms = layers.sort_values("layer")["output_grad_norm"].to_numpy(float)
    quarter = max(1, len(norms) // 4)
    # A norm of exactly zero has no logarithm. It makes the mean zero, since no gradient arrives there.
    near, far = (np.exp(np.log(part).mean()) if part.all() else 0.0 for part in (norms[:quarter], norms[-quarter:]))
    return float(near / far) if near and far else 0.0


def _by_epoch(shares: pd.Series[float]) -> str:
    """The values at the start and at the end."""
    parts = []
    for epoch, found in shares.groupby("epoch"):
        parts.append(f"{_range(found)}{f' ({len(found)} seeds)' if len(found) > 1 else ''} {_when(epoch)}")
    return " and ".join(parts)


def _range(found: pd.Series[float]) -> str:
    """The lowest and the highest value; one where they look the same."""
    return " to ".join(dict.fromkeys(map(significant, (found.min(), found.max()))))


def _when(epoch: object) -> str:
    return "at initialization" if epoch == 0 else f"after epoch {epoch}"


def _describe_shares(case: Case, depth: int, shares: pd.Series[float]) -> str:
    exploded = [_when(epoch) for epoch, found in shares.groupby("epoch") if found.max() > 1 / VANISHED]
    vanished = [_when(epoch) for epoch, found in shares.groupby("epoch") if found.min() < VANISHED]
    shown = _training_error(case, depth, learned=True)
    evidence = (
        f"plain-{depth} learned (final training error {shown}): the norm of the gradient over "
        "the quarter of the layers next to the input, relative to that over the quarter next to the output, is "
        f"{_by_epoch(shares)}."
    )
    if exploded:
        evidence += f" It grows by orders of magnitude toward the input {' and '.join(exploded)}."
    if vanished:
        evidence += f" It has vanished near the input {' and '.join(vanished)}."
    beside = case.diagnostics("resnet", depth, learned=True)
    if not beside.empty:
        evidence += f" In resnet-{depth}, the ratio is {_by_epoch(_shares(beside))}."
    return evidence


def _describe_unlearned(case: Case, depth: int, shares: pd.Series[float]) -> str:
    return (
        f"{case.groups['plain', depth].unlearned_name} learned nothing (training error "
        f"{_training_error(case, depth, learned=False)}, near chance). There, the ratio is {_by_epoch(shares)}; this "
        "decides nothing, because small gradients may be a consequence of the failure."
    )


def _training_error(case: Case, depth: int, learned: bool) -> str:
    """The mean final training error of the runs that learned, or of those that didn't."""
    group = case.groups["plain", depth]
    rows = [row for row in group.rows if near_chance(row) != learned]
    return error(replace(group, rows=rows), "train_error", group.smallest("train_images"))


CLAIMS = (
    Claim(
        key="responses",
        statement="Residual layers have smaller responses than plain ones.",
        models=("plain", "resnet"),
        needs="diagnostics of a plain and a residual network of the same depth",
        command=_record_both,
        judge=judge_responses,
        figure="responses",
    ),
    Claim(
        key="gradients",
        statement="Do gradients vanish in the plain networks that degrade?",
        models=("plain",),
        needs="diagnostics of a plain network",
        command=_record_plain,
        judge=judge_gradients,
        figure="gradient_of_outputs",
        answers={HOLDS: "yes, they vanish", FAILS: "no, they don't vanish"},
    ),
)
