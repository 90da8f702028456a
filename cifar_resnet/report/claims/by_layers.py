"""The claims about what happens inside a network, judged on the 3×3 layers recorded in diagnostics.csv."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cifar_resnet.report.claims.claim import FAILS, Case, Claim, Finding, combine
from cifar_resnet.report.intervals import compare

# The gradient has vanished if its norm near the input is below VANISHED of that near the output, and is healthy from
# HEALTHY on; in between the claim is inconclusive. These limits are ours: the papers give no number.
VANISHED, HEALTHY = 0.01, 0.1
# Plain networks degrade from this depth on (He et al. 2015, Figure 6). Healthy gradients in a shallower network don't
# show that they are healthy where networks degrade.
DEGRADES = 56
# With one seed there is no interval, so this share of the layers must agree with their mean.
AGREEING = 0.75
_ENABLED = ("diagnostics.enabled=true",)


def judge_responses(case: Case) -> Finding | None:
    """Judges each depth at which a plain and a residual network recorded their layers.

    The measure is the standard deviation of a layer's responses after the last epoch (after batch normalization, before
    the non-linearity: He et al. 2015, Figure 7), averaged over the 3×3 layers. At a depth, the residual network's value
    is smaller or larger if the interval over seeds excludes zero or, with one seed, if at least three quarters of the
    layers agree. The claim holds if it is smaller at every depth, and does not hold if it is larger at any depth.
    """
    depths = [
        depth
        for depth in case.depths("plain")
        if not case.diagnostics("plain", depth).empty and not case.diagnostics("resnet", depth).empty
    ]
    if not depths:
        return None
    signs, sentences = zip(*(_compare_responses(case, depth) for depth in depths), strict=True)
    verdict = combine(-sign for sign in signs)
    seeds = min(case.diagnostics(model, depth)["seed"].nunique() for model in ("plain", "resnet") for depth in depths)
    missing, command = "", ""
    if seeds < 3:
        missing = f"more seeds: 3 rather than {seeds}"
        command = case.command(["plain", "resnet"], depths, 3, _ENABLED)
    return Finding(verdict, " ".join(sentences), missing, command)


def _record_both(case: Case) -> str:
    shared = sorted({*case.depths("plain")} & {*case.depths("resnet")}) or [20, 56]
    return case.command(["plain", "resnet"], shared, extra=_ENABLED)


def _last(layers: pd.DataFrame) -> pd.DataFrame:
    """The rows of each seed's last recorded epoch."""
    return layers[layers["epoch"] == layers.groupby("seed")["epoch"].transform("max")]


def _compare_responses(case: Case, depth: int) -> tuple[int, str]:
    """Whether the residual network's responses are larger (1), smaller (-1) or neither (0), and the evidence."""
    plain, residual = (_last(case.diagnostics(model, depth)) for model in ("plain", "resnet"))
    one = compare(_means(plain), _means(residual))
    pairs = plain.groupby("layer")["response_std"].mean() - residual.groupby("layer")["response_std"].mean()
    smaller = int((pairs.dropna() > 0).sum())
    count = int(pairs.notna().sum())
    sentence = (
        f"At {depth} layers, the standard deviation of the responses after the last epoch averages {one.first:.3g} in "
        f"the plain and {one.second:.3g} in the residual network, where it is smaller in {smaller} of {count} layers "
    )
    if not one.one_seed:
        return one.sign, sentence + f"(95 % interval of the difference {one.low:+.3g} to {one.high:+.3g})."
    agreeing = smaller if one.mean < 0 else count - smaller
    sign = int(np.sign(one.mean)) if agreeing >= AGREEING * count else 0
    return sign, sentence + "(one seed: no interval)."


def _means(layers: pd.DataFrame) -> dict[int, float]:
    return {int(str(seed)): float(mean) for seed, mean in layers.groupby("seed")["response_std"].mean().items()}


def judge_gradients(case: Case) -> Finding | None:
    """Judges the plain networks that recorded their layers and are deep enough to degrade, else the deepest one.

    The lab blames vanishing gradients for the degradation; He et al. 2015 (section 4.1) report that with batch
    normalization the norms of the gradients stay healthy. The measure is the geometric mean of the norm of the loss's
    gradient with respect to a layer's output, over the quarter of the layers next to the input, relative to that over
    the quarter next to the output. Of the first and the last recorded epoch, the smaller value counts. The claim holds
    if the value is at least HEALTHY in every seed of networks deep enough to degrade, and does not hold if it is below
    VANISHED in any seed.
    """
    depths = [depth for depth in case.depths("plain") if not case.diagnostics("plain", depth).empty]
    if not depths:
        return None
    deep = [depth for depth in depths if depth >= DEGRADES]
    signs, sentences = [], []
    for depth in deep or depths[-1:]:
        shares = _shares(case.diagnostics("plain", depth))
        for worst in shares.groupby("seed").min():
            signs.append(int(bool(deep)) if worst >= HEALTHY else -1 if worst < VANISHED else 0)
        sentences.append(_describe_shares(depth, shares))
    verdict, missing, command = combine(signs), "", ""
    if not deep and verdict != FAILS:
        missing = f"diagnostics of a plain network deep enough to degrade, which takes {DEGRADES} layers"
        command = case.command(["plain"], [DEGRADES], extra=_ENABLED)
    return Finding(verdict, " ".join(sentences), missing, command)


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


def _describe_shares(depth: int, shares: pd.Series[float]) -> str:
    parts, exploded, vanished = [], [], []
    for epoch, found in shares.groupby("epoch"):
        when = "at initialization" if epoch == 0 else f"after epoch {epoch}"
        low, high = found.min(), found.max()
        text = f"{low:.3g}" if len(found) == 1 else f"{low:.3g} to {high:.3g} ({len(found)} seeds)"
        parts.append(f"{text} {when}")
        if high > 1 / VANISHED:
            exploded.append(when)
        if low < VANISHED:
            vanished.append(when)
    evidence = (
        f"In plain-{depth}, the norm of the gradient over the quarter of the layers next to the input, relative to "
        f"that over the quarter next to the output, is {' and '.join(parts)}."
    )
    if exploded and vanished:
        evidence += (
            f" It grows by orders of magnitude toward the input {' and '.join(exploded)}, and has vanished there "
            f"{' and '.join(vanished)}."
        )
    elif exploded:
        evidence += (
            f" It doesn't vanish but grows by orders of magnitude toward the input {' and '.join(exploded)}, which "
            "isn't healthy either."
        )
    return evidence


CLAIMS = (
    Claim(
        key="responses",
        statement="Residual layers have smaller responses than plain ones.",
        models=("plain", "resnet"),
        needs="diagnostics of a plain and a residual network of the same depth",
        command=_record_both,
        judge=judge_responses,
    ),
    Claim(
        key="gradients",
        statement="Gradients don't vanish in a plain network, so they aren't the reason for its degradation.",
        models=("plain",),
        needs="diagnostics of a plain network",
        command=_record_plain,
        judge=judge_gradients,
    ),
)
