"""Which comparisons of models and depths are decided, in sentences with their numbers."""

from __future__ import annotations

from collections import Counter

from cifar_resnet.report.intervals import BETTER, MARK, OPEN, SAME, WORSE, decimals, mean_and_std
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.groups import Group
from cifar_resnet.report.tables.differences import MEASURES, Comparison, comparisons
from cifar_resnet.report.wording import join

# How many comparisons have a sentence each, and up to how many others the last sentence names.
_SENTENCES, _NAMED = 3, 6


def describe(runs: Runs, data: str) -> list[str]:
    """The clearest decided comparisons, and how many comparisons came out how; at most four sentences."""
    made = [each for each in comparisons(runs, data) if each.one is not None]
    if not made:
        return []
    main = runs.main_settings[data]
    decided = sorted((each for each in made if verdict(runs, each) != OPEN), key=lambda each: _rank(each, main))
    # The clearest effect of depth has its sentence, however many models differ.
    named = decided[:_SENTENCES]
    depth = next((each for each in decided if _is_of_depths(each)), None)
    if depth and not any(map(_is_of_depths, named)):
        named[-1] = depth
    others = [each for each in decided if not any(each is one for one in named)]
    sentences = [_sentence(runs, each, main) for each in named]
    return [*sentences, _tally(runs, made, others if len(others) <= _NAMED else [])]


def verdict(runs: Runs, each: Comparison) -> str:
    """Better, worse, no difference worth naming, or inconclusive."""
    return each.one.verdict(runs.smallest) if each.one else OPEN


def _is_of_depths(each: Comparison) -> bool:
    """Whether two depths are compared, and not two models."""
    return each.first.depth != each.second.depth


def _rank(each: Comparison, main: str) -> tuple[bool, int, float]:
    """Models at equal depth by their test errors come first, then depths by their training errors: degradation.

    Of each kind, the clearest ones come first.
    """
    kinds = [(False, "test_error"), (True, "train_error"), (True, "test_error"), (False, "train_error")]
    kind = kinds.index((_is_of_depths(each), each.measure))
    return each.first.setting != main, kind, -abs(each.one.mean) if each.one else 0.0


def _sentence(runs: Runs, each: Comparison, main: str) -> str:
    """A comparison whose verdict isn't open."""
    first, second = (group.name if group.setting == main else name(group) for group in (each.first, each.second))
    errors = [f"{shown(group, each)} %{some(group)}" for group in (each.second, each.first)]
    found, marked = verdict(runs, each), f" {MARK}" if each.one and each.one.one_seed else ""
    outcome = f"{second} is {found} than {first}"
    if found == SAME:
        outcome = f"there is no difference worth naming between {first} and {second}"
    if not _is_of_depths(each):
        outcome = f"at {each.first.depth} layers, {outcome}"
    text = f"{outcome}{marked}: {MEASURES[each.measure].words} {errors[0]} compared with {errors[1]}."
    # A network's name keeps its small letter.
    return text if text.startswith(second) else text[0].upper() + text[1:]


def _tally(runs: Runs, made: list[Comparison], others: list[Comparison]) -> str:
    """How many comparisons came out how, with the names of `others`."""
    verdicts = Counter(verdict(runs, each) for each in made)
    words = {
        BETTER: "the second network is better",
        WORSE: "it is worse" if verdicts[BETTER] else "the second network is worse",
        SAME: "there is no difference worth naming",
        OPEN: "the result is inconclusive",
    }
    outcomes = {
        found: text + _pairs([each for each in others if verdict(runs, each) == found]) for found, text in words.items()
    }
    single = sum(each.one.one_seed for each in made if each.one)
    one_seed = "one rests on one seed" if single == 1 else f"{single:,} rest on one seed"
    marked = f" ({one_seed if single < len(made) else 'one seed each'})" if single else ""
    if len(verdicts) == 1:
        (found,) = verdicts
        amounts = {1: "the only comparison", 2: "both comparisons"}
        amount = amounts.get(len(made), f"all {len(made):,} comparisons")
        return f"In {amount} of models and depths{marked}, {outcomes[found]}."
    parts = [f"in {verdicts[found]:,} {outcomes[found]}" for found in words if verdicts[found]]
    return f"Of {len(made):,} comparisons of models and depths{marked}, {join(parts)}."


def _pairs(others: list[Comparison]) -> str:
    """The networks of the comparisons and their measures, in parentheses; empty without any."""
    pairs: dict[str, list[str]] = {}
    for each in others:
        pair = f"{name(each.first)} to {name(each.second)}"
        pairs.setdefault(pair, []).append(MEASURES[each.measure].words.removeprefix("final ").removesuffix(" error"))
    return f" ({'; '.join(f'{pair}, {join(kinds)} error' for pair, kinds in pairs.items())})" if pairs else ""


def name(group: Group) -> str:
    """The network's name with its setting."""
    return f"{group.name} ({group.setting})" if group.setting else group.name


def some(group: Group) -> str:
    """How many of the group's runs have finished, where that isn't all of them."""
    return f" ({group.share})" if group.share else ""


def shown(group: Group, each: Comparison) -> str:
    """The group's mean of what is compared, with the digits of the comparison."""
    mean, _ = mean_and_std(list(group.values(each.measure).values()))
    return f"{mean:.{decimals(each.images)}f}"
