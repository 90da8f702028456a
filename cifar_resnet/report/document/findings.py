"""What the runs of one data set show, in sentences with numbers, for the summary and the beginnings of sections."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property

from cifar_resnet.architectures import ARCHITECTURES
from cifar_resnet.report import published
from cifar_resnet.report.document import comparing
from cifar_resnet.report.intervals import decimals, mean_and_std
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.factors import split_length
from cifar_resnet.report.runs.groups import TIE, Group, compared, fewest, lowest
from cifar_resnet.report.tables.beside import is_comparable
from cifar_resnet.report.tables.differences import MEASURES, Comparison, ablations, changed
from cifar_resnet.report.tables.table import MISSING, with_std
from cifar_resnet.report.wording import count, join

_MOST = 3
_KINDS = {"train_error": "training error", "test_error": "test error"}


@dataclass(frozen=True)
class Findings:
    """Sentences in plain text; each property has at most four."""

    runs: Runs
    data: str

    @cached_property
    def _main(self) -> list[Group]:
        """The networks of the main setting of which a run has finished."""
        setting = self.runs.main_settings[self.data]
        return [group for group in self.runs.groups[self.data].values() if group.setting == setting]

    @cached_property
    def _depths(self) -> dict[str, list[int]]:
        """Model → the depths at which a run has finished, in ascending order."""
        depths: dict[str, set[int]] = defaultdict(set)
        for group in self.runs.groups[self.data].values():
            depths[group.model].add(group.depth)
        return {model: sorted(found) for model, found in depths.items()}

    @property
    def networks(self) -> str:
        """Which networks have results, such as "plain and resnet networks with 20 and 56 layers"."""
        models: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for model, depths in self._depths.items():
            models[tuple(depths)].append(model)
        parts = [f"{join(names)} networks with {join(depths)} layers" for depths, names in models.items()]
        return ", and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))

    @property
    def without_results(self) -> str:
        """Which networks have runs, but no finished one, in a sentence; empty if all have one."""
        pairs = dict.fromkeys((group.model, group.depth) for group in self.runs.networks[self.data].values())
        names = [f"{model}-{depth}" for model, depth in pairs if depth not in self._depths.get(model, [])]
        return f"{join(names)} {'has' if len(names) == 1 else 'have'} no finished run." if names else ""

    @property
    def results(self) -> list[str]:
        """The lowest error, what depth does to each model, and the networks that came to nothing."""
        found = [self._lowest(), *self._by_depth(), self.lost, self._unlearned()]
        return [sentence for sentence in found if sentence]

    def _lowest(self) -> str:
        # Where images are held out, they choose, so that the error on the test set isn't that of a choice on it.
        measure = compared(self.runs.of(self.data).finished)
        found = lowest(self.runs.groups[self.data].values(), measure)
        if not found:
            return ""
        best, *others = found
        setting = f", {best.setting}" if best.setting else ""
        seeds = best.share or count(len(best.values(measure)), "seed")
        sentence = f"{best.name} has the lowest {MEASURES[measure].words}: {_std(best, measure)} % ({seeds}{setting})"
        if others:
            sentence += f", shared with {_some_of([comparing.name(group) for group in others], 'other network')}"
        if measure != "test_error" and best.values("test_error"):
            sentence += f"; its final test error is {_std(best, 'test_error')} %"
        if not self.runs.has_default(self.data):
            trials = count(len(self.runs.networks[self.data]), "trial")
            which = "one of the best" if others else "the best"
            sentence += (
                f". It is {which} of {trials} of a search, so its {MEASURES[measure].words} is optimistically biased"
            )
        paper = published.published(best.model, best.depth, "paper")
        if paper and is_comparable(best):
            sentence += f". {paper[0].source.partition(' (')[0]} report {paper[0].text} % for this network"
        return sentence + "."

    def _by_depth(self) -> list[str]:
        """For each model, its errors at the shallowest and the deepest depth."""
        depths: dict[str, list[Group]] = defaultdict(list)
        for group in self._main:
            depths[group.model].append(group)
        sentences = []
        for model, groups in depths.items():
            if len(groups) > 1:
                first, last = groups[0], groups[-1]
                parts = [
                    f"the {words} of the {ARCHITECTURES[model].title} network {_change(first, last, measure)} %"
                    if words == "training error"
                    else f"its {words} {_change(first, last, measure)} %"
                    for measure, words in _KINDS.items()
                ]
                sentences.append(f"From {first.depth} to {last.depth} layers, {' and '.join(parts)}.")
        return sentences[:_MOST]

    @cached_property
    def lost(self) -> str:
        """Which networks lack runs, in a sentence; empty if all that started have finished."""
        lost = [
            f"{comparing.name(group)}: {group.finished} of {group.started} ({group.lost})"
            for group in self.runs.networks[self.data].values()
            if group.lost
        ]
        more = f", and {count(len(lost) - _MOST, 'other network')}" if len(lost) > _MOST else ""
        return f"Not all runs have finished: {', '.join(lost[:_MOST])}{more}." if lost else ""

    def _unlearned(self) -> str:
        shown = []
        for group in self._main:
            if group.unlearned:
                mean, _ = mean_and_std([row["train_error"] for row in group.unlearned])
                shown.append(f"{group.unlearned_name} ({mean:.{_digits(group, 'train_error')}f} %)")
        return f"Learned nothing, with a training error near chance: {join(shown)}." if shown else ""

    @property
    def comparison(self) -> list[str]:
        """The clearest differences between models and between depths, and how many comparisons came out how."""
        return comparing.describe(self.runs, self.data)

    @cached_property
    def ablation(self) -> list[str]:
        """For each network with several settings, the one with the lowest error compared with the reference."""
        by_reference: dict[tuple[str, str], list[Comparison]] = defaultdict(list)
        for each in ablations(self.runs, self.data):
            if each.one is not None:
                by_reference[each.first.name, each.first.setting].append(each)
        times = Counter(name for name, _ in by_reference)
        shown = list(by_reference.items())[: _MOST + 1]
        return [self._beside_reference(found, times[name] > 1) for (name, _), found in shown]

    def _beside_reference(self, found: list[Comparison], one_of_several_lengths: bool) -> str:
        best, *others = _best(found)
        reference, words = best.first, MEASURES[best.measure].words
        length = f", {split_length(reference.setting)[1]}" if one_of_several_lengths else ""
        network, number = f"{reference.name}{length}", count(len(found) + 1, "setting")
        own = ", ".join(filter(None, (_setting(reference, best.second), reference.share)))
        if best.one is None or best.one.mean > -TIE:
            return (
                f"{network}: of {number}, none has a lower {words} than the reference ({own}, "
                f"{comparing.shown(reference, best)} %)."
            )
        shared = ""
        if others:
            settings = [_setting(each.second, reference) for each in others]
            shared = f" (shared with {_some_of(settings, 'other setting')})"
        least = f"{comparing.shown(best.second, best)} %{comparing.some(best.second)}"
        return (
            f"{network}: of {number}, {_setting(best.second, reference)} has the lowest {words}{shared}, {least} "
            f"compared with {comparing.shown(reference, best)} % for the reference ({own}): "
            f"{best.one.words(self.runs.smallest)}."
        )


def _best(found: list[Comparison]) -> list[Comparison]:
    """The comparisons in which the second error is the lowest: several if they share it."""
    errors = [each.one.second if each.one else math.inf for each in found]
    return [each for error, each in zip(errors, found, strict=True) if error - min(errors) < TIE]


def _some_of(names: list[str], noun: str) -> str:
    """The first few of the names, and how many others there are.

    >>> _some_of(["a", "b"], "network"), _some_of(["a", "b", "c", "d"], "network")
    ('a and b', 'a, b, c and one network')
    """
    rest = len(names) - _MOST
    return join([*names[:_MOST], *([count(rest, noun)] if rest > 0 else [])])


def _setting(group: Group, other: Group) -> str:
    shown = changed(group, other)
    return group.setting if shown == MISSING else shown


def _mean(group: Group, measure: str) -> float:
    return mean_and_std(list(group.values(measure).values()))[0]


def _digits(group: Group, measure: str) -> int:
    return decimals(group.smallest(MEASURES[measure].split))


def _std(group: Group, measure: str) -> str:
    return with_std(*mean_and_std(list(group.values(measure).values())), _digits(group, measure))


def _change(first: Group, last: Group, measure: str) -> str:
    digits = decimals(fewest(first, last, column=MEASURES[measure].split))
    a, b = (f"{_mean(group, measure):.{digits}f}" for group in (first, last))
    verb = "rises" if float(b) > float(a) else "falls" if float(b) < float(a) else "stays"
    return f"stays at {a}" if verb == "stays" else f"{verb} from {a} to {b}"
