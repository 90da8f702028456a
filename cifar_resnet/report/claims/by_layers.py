"""The claims that take a look inside: what diagnostics.csv says of each 3×3 layer."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cifar_resnet.report.claims.claim import FAILS, OPEN, Case, Claim, combine
from cifar_resnet.report.intervals import ONE_SEED, compare

# Gradients at the input's quarter of the layers that are this share of those at the output's quarter have vanished, and
# from that share on they have not; between the two the verdict is left open. Ours: the papers give no number.
VANISHED, HEALTHY = 0.01, 0.1
# Plain networks from this depth on degrade (He et al. 2015, Figure 6); what a shallower one's gradients do not do is no
# reason of it.
DEGRADES = 56
# With one seed there is no interval, so this share of the layers must agree with their mean.
AGREEING = 0.75
_ENABLED = ("diagnostics.enabled=true",)


def responses(case: Case) -> Claim:
    """Claim 5, judged at each depth of which a plain and a residual network recorded their layers.

    The measure is the mean over the 3×3 layers of the standard deviation of their responses (after batch normalisation,
    before the non-linearity: He et al. 2015, Figure 7) after the last epoch. At a depth, the residual network's is
    smaller or larger where the interval over seeds leaves out zero; with one seed, where at least three quarters of the
    layers agree. The claim holds where it is smaller at every depth, and doesn't where it is larger at any.
    """
    statement = "Residual layers have smaller responses than plain ones."
    depths = [
        depth
        for depth in case.depths("plain")
        if not case.diagnostics("plain", depth).empty and not case.diagnostics("resnet", depth).empty
    ]
    if not depths:
        shared = sorted({*case.depths("plain")} & {*case.depths("resnet")}) or [20, 56]
        return Claim(
            5,
            "responses",
            statement,
            OPEN,
            missing="diagnostics of a plain and a residual network of one depth",
            command=case.command(["plain", "resnet"], shared, extra=_ENABLED),
        )
    signs, sentences = zip(*(_compare_responses(case, depth) for depth in depths), strict=True)
    verdict = combine(-sign for sign in signs)
    seeds = min(case.diagnostics(model, depth)["seed"].nunique() for model in ("plain", "resnet") for depth in depths)
    missing, command = "", ""
    if seeds < 3:
        missing = f"more seeds: 3 rather than {seeds}"
        command = case.command(["plain", "resnet"], depths, 3, _ENABLED)
    return Claim(5, "responses", statement, verdict, " ".join(sentences), missing, command)


def _last(layers: pd.DataFrame) -> pd.DataFrame:
    """The rows of each seed's last recorded epoch."""
    return layers[layers["epoch"] == layers.groupby("seed")["epoch"].transform("max")]


def _compare_responses(case: Case, depth: int) -> tuple[int, str]:
    """Whether the residual network's responses are larger (1), smaller (-1) or neither (0), and the sentence on it."""
    plain, residual = (_last(case.diagnostics(model, depth)) for model in ("plain", "resnet"))
    one = compare(_means(plain), _means(residual))
    pairs = plain.groupby("layer")["response_std"].mean() - residual.groupby("layer")["response_std"].mean()
    smaller = int((pairs.dropna() > 0).sum())
    count = int(pairs.notna().sum())
    sentence = (
        f"At {depth} layers the responses' standard deviation after the last epoch averages {one.first:.3g} in the "
        f"plain and {one.second:.3g} in the residual network, where it is smaller in {smaller} of {count} layers "
    )
    if one.method != ONE_SEED:
        return one.sign, sentence + f"(95 % interval of the difference {one.low:+.3g} to {one.high:+.3g})."
    agreeing = smaller if one.mean < 0 else count - smaller
    sign = int(np.sign(one.mean)) if agreeing >= AGREEING * count else 0
    return sign, sentence + "(one seed: no interval)."


def _means(layers: pd.DataFrame) -> dict[int, float]:
    return {int(str(seed)): float(mean) for seed, mean in layers.groupby("seed")["response_std"].mean().items()}


def gradients(case: Case) -> Claim:
    """Claim 6, judged on the plain networks deep enough to degrade that recorded their layers, else on the deepest.

    The lab blames vanishing gradients for the degradation; He et al. 2015 (section 4.1) say that with batch
    normalisation the gradients' norms stay healthy. The measure is a geometric mean of norms of the loss's gradient
    with respect to a layer's output: that over the quarter of the layers next to the input, as a share of that over
    the quarter next to the output; at the first or the last recorded epoch, where it is smaller. The claim holds where
    the share is at least HEALTHY in every seed of networks as deep as those that degrade, doesn't where it is below
    VANISHED in any, and can't be told otherwise.
    """
    statement = "Gradients don't vanish on their way through a plain network, so that isn't why it degrades."
    depths = [depth for depth in case.depths("plain") if not case.diagnostics("plain", depth).empty]
    if not depths:
        deepest = max([DEGRADES, *case.depths("plain")])
        return Claim(
            6,
            "gradients",
            statement,
            OPEN,
            missing="diagnostics of a plain network",
            command=case.command(["plain"], [deepest], extra=_ENABLED),
        )
    deep = [depth for depth in depths if depth >= DEGRADES]
    signs, sentences = [], []
    for depth in deep or depths[-1:]:
        shares = _shares(case.diagnostics("plain", depth))
        for worst in shares.groupby("seed").min():
            signs.append(int(bool(deep)) if worst >= HEALTHY else -1 if worst < VANISHED else 0)
        sentences.append(_say_shares(depth, shares))
    verdict, missing, command = combine(signs), "", ""
    if not deep and verdict != FAILS:
        missing = f"diagnostics of a plain network deep enough to degrade, of {DEGRADES} layers"
        command = case.command(["plain"], [DEGRADES], extra=_ENABLED)
    return Claim(6, "gradients", statement, verdict, " ".join(sentences), missing, command)


def _shares(layers: pd.DataFrame) -> pd.Series[float]:
    """The share of each seed and epoch, of the first and the last epoch that were recorded."""
    ends = layers[layers["epoch"].isin([layers["epoch"].min(), layers["epoch"].max()])]
    return ends.groupby(["seed", "epoch"])[["layer", "output_grad_norm"]].apply(_share)


def _share(layers: pd.DataFrame) -> float:
    """Gradients near the input as a share of those near the output: geometric means over a quarter of the layers."""
    norms = layers.sort_values("layer")["output_grad_norm"].to_numpy(float)
    quarter = max(1, len(norms) // 4)
    # A norm of exactly zero, which has no logarithm, makes the mean zero: nothing arrives there.
    near, far = (np.exp(np.log(part).mean()) if part.all() else 0.0 for part in (norms[:quarter], norms[-quarter:]))
    return float(near / far) if near and far else 0.0


def _say_shares(depth: int, shares: pd.Series[float]) -> str:
    parts, exploded, vanished = [], [], []
    for epoch, found in shares.groupby("epoch"):
        when = "at initialisation" if epoch == 0 else f"after epoch {epoch}"
        low, high = found.min(), found.max()
        text = f"{low:.3g}" if len(found) == 1 else f"{low:.3g} to {high:.3g} ({len(found)} seeds)"
        parts.append(f"{text} {when}")
        if high > 1 / VANISHED:
            exploded.append(when)
        if low < VANISHED:
            vanished.append(when)
    evidence = (
        f"In plain-{depth}, the gradient's norm over the quarter of the layers next to the input is, as a multiple of "
        f"that over the quarter next to the output, {' and '.join(parts)}."
    )
    if exploded and vanished:
        evidence += (
            f" It grows towards the input by orders of magnitude {' and '.join(exploded)}, and has vanished there "
            f"{' and '.join(vanished)}."
        )
    elif exploded:
        evidence += (
            f" It doesn't vanish but grows towards the input by orders of magnitude {' and '.join(exploded)}, which "
            "isn't healthy either."
        )
    return evidence
