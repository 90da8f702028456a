"""What the figures of one data set show: its runs and their epochs, split as the figures need them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from cifar_resnet.report import published
from cifar_resnet.report.figures import classes, curves, forest, paper, settings, unfinished
from cifar_resnet.report.intervals import decimals, mean_and_std
from cifar_resnet.report.published import Published
from cifar_resnet.report.runs.collection import Runs
from cifar_resnet.report.runs.confusion import Confusion, omitted_depths
from cifar_resnet.report.runs.groups import Group, compared, with_references
from cifar_resnet.report.tables import differences
from cifar_resnet.report.tables.differences import Comparison
from cifar_resnet.report.tables.table import MISSING, with_std
from cifar_resnet.report.wording import join
from cifar_resnet.run.states import State

# Settings are shown against the time if one takes this many times as long as another.
_LONGER = 1.2


@dataclass(frozen=True)
class Subject:
    """The runs of one data set, for drawing them and for writing captions.

    The main setting is the one that claims are judged on; in an ablation the other settings are left out of figures
    that compare networks.
    """

    runs: Runs
    data: str

    @cached_property
    def _has_ended(self) -> pd.Series[bool]:
        return self.runs.epochs["state"].astype(str) == State.FINISHED.value

    @cached_property
    def finished(self) -> pd.DataFrame:
        """One row per finished run."""
        return self.runs.finished

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch of the finished runs."""
        return self.runs.epochs[self._has_ended]

    @cached_property
    def unfinished_epochs(self) -> pd.DataFrame:
        """One row per epoch of the other runs."""
        return self.runs.epochs[~self._has_ended]

    @property
    def has_results(self) -> bool:
        """Whether any run has finished."""
        return not (self.finished.empty or self.epochs.empty)

    @property
    def _main(self) -> str:
        return self.runs.main_settings[self.data]

    @cached_property
    def main_runs(self) -> pd.DataFrame:
        """The finished runs of the main setting."""
        return self.finished[self.finished["setting"] == self._main]

    @cached_property
    def timed_runs(self) -> pd.DataFrame:
        """The finished runs that a figure of times shows: those of the main setting if the others took as long."""
        times = self.finished.groupby(["model", "depth", "setting"])["seconds"].mean().groupby(["model", "depth"])
        return self.finished if (times.max() > _LONGER * times.min()).any() else self.main_runs

    @cached_property
    def references(self) -> list[Group]:
        """What the settings of each network are compared with; empty if no run has finished, or in a search."""
        if not self.runs.has_default(self.data):
            return []
        return [reference for reference, _ in with_references(self.runs.networks[self.data].values()) if reference.rows]

    @cached_property
    def default(self) -> str | None:
        """The reference setting of figures that show only one; None if there is none."""
        return settings.default_of(self.references)

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """The comparisons of models and of depths."""
        return differences.comparisons(self.runs, self.data)

    @cached_property
    def ablations(self) -> list[Comparison]:
        """The comparisons of settings."""
        return differences.ablations(self.runs, self.data) if self.is_ablation else []

    @cached_property
    def main_epochs(self) -> pd.DataFrame:
        """Their epochs."""
        return self.epochs[self.epochs["setting"] == self._main]

    @cached_property
    def main_layers(self) -> pd.DataFrame:
        """Their diagnostics; no rows where there are none."""
        layers = self.runs.diagnostics
        return layers[(layers["setting"] == self._main) & (layers["state"].astype(str) == State.FINISHED.value)]

    @property
    def confusions(self) -> list[Confusion]:
        """The confusion matrices of the networks of the main setting."""
        return self.runs.confusions[self.data]

    def epochs_with(self, column: str) -> pd.DataFrame:
        """The epochs of the runs that measured `column` (test_error or val_error) every epoch, not once at the end."""
        epochs = self.epochs
        has_val = epochs["val_error"].notna() if "val_error" in epochs else pd.Series(False, index=epochs.index)
        held_out = epochs["folder"].isin(epochs["folder"][has_val].unique())
        return epochs[held_out if column == "val_error" else ~held_out]

    @cached_property
    def published(self) -> list[Published]:
        """The papers' values for the networks of the main setting."""
        return published_beside(self.main_runs)

    @property
    def final_errors(self) -> list[list[str]]:
        """The final test errors of the main setting as a small table: a header, and one row per model."""
        runs = self.main_runs
        depths = sorted(int(depth) for depth in runs["depth"].unique())
        digits = decimals(runs["test_images"].min())
        rows = [["final test error (%)", *(f"{depth} layers" for depth in depths)]]
        groups, setting = self.runs.groups[self.data], self.runs.main_settings[self.data]
        for model in runs["model"].unique():
            cells = []
            for depth in depths:
                group = groups.get((model, setting, depth))
                values = list(group.values("test_error").values()) if group else []
                some = f" ({group.finished} of {group.started})" if group and group.lost else ""
                cells.append(with_std(*mean_and_std(values), digits) + some if values else MISSING)
            rows.append([str(model), *cells])
        return rows

    # What captions say of the runs.

    @property
    def is_ablation(self) -> bool:
        """Whether there are several settings."""
        return bool(self.finished["setting"].nunique() > 1)

    @property
    def lines(self) -> str:
        """What a line of a figure over epochs stands for."""
        count, most = self.finished["setting"].nunique(), curves.MOST_PANELS
        if count <= curves.MOST_OVERLAID:
            return f"one line per {'setting' if self.is_ablation else 'depth'}"
        if self.default is None:
            return f"one panel per setting and one line per network{f'; the {most} best settings' * (count > most)}"
        which = f"; of {count} settings, the {most - 1} best and the reference" if count > most else ""
        return f"one panel per setting and one line per network, with the reference setting in gray{which}"

    @property
    def clearest_comparisons(self) -> str:
        """The end of a sentence: which comparisons of networks are shown; then what is beyond the axis."""
        return self._clearest(self.comparisons)

    @property
    def clearest_settings(self) -> str:
        """The end of a sentence: which comparisons of settings are shown; then what is beyond the axis."""
        return self._clearest(self.ablations)

    def _clearest(self, made: Sequence[Comparison]) -> str:
        pairs = len({(id(each.first), id(each.second)) for each in made if each.one is not None})
        which = f"; the {forest.MOST} clearest of {pairs} pairs." if pairs > forest.MOST else "."
        differences, intervals = forest.beyond(made, self.runs.smallest)
        arrows = " A number with an arrow is a difference beyond the end of the axis." * differences
        return which + arrows + " Intervals that reach the end of the axis continue beyond it." * intervals

    @property
    def title(self) -> str:
        """A title for a picture without a caption: the data set and the length of training."""
        return f"{self.runs.title(self.data)}, {join(sorted(self.main_runs['epochs'].unique()))} epochs"

    @property
    def bars(self) -> str:
        """What a mark is where networks have several seeds; empty where none has."""
        several = self.timed_runs.groupby(["model", "depth", "setting"], observed=True)["seed"].nunique().max() > 1
        mean = (
            ": the mean error over its seeds at the time of the fastest one, with a bar from the lowest to the highest"
        )
        return f"{mean} error" if several else ""

    @property
    def omitted_depths(self) -> str:
        """A sentence on the depths that figures of a few depths don't show; empty where they show all."""
        omitted = omitted_depths(self.main_runs["depth"])
        return f" {omitted}" if omitted else ""

    @property
    def in_setting(self) -> str:
        """A sentence that names the main setting; empty where there is only one."""
        return f" Setting: {self._main}." if self.is_ablation and self._main else ""

    @property
    def unfinished_runs(self) -> str:
        """Which of the runs that haven't finished are shown."""
        most = unfinished.MOST
        counts = self.unfinished_epochs.groupby("model", observed=True)["folder"].nunique()
        some = f"the {most} furthest of each model's" if (counts > most).any() else "the"
        return f"{some} runs that haven't finished"

    @property
    def confusion_matrices(self) -> str:
        """Whose confusion matrices are shown, and how."""
        shares = "percentage of each class's test images, over all seeds."
        if len(shown := classes.worth_showing(self.confusions)) == 1:
            return f"Confusion matrix of {_name(shown[0])}: {shares} The diagonal (correct predictions) is gray."
        return (
            f"Confusion matrices of the final networks: {shares} Each matrix has its own color scale; the diagonal "
            "(correct predictions) is gray."
        )

    @property
    def largest_confusions(self) -> str:
        """A sentence on the most frequent mistakes, and one on the networks without a matrix; empty where none is."""
        shown = classes.worth_showing(self.confusions)
        if not shown:
            return ""
        average = " on average over these matrices" if len(shown) > 1 else ""
        hidden: dict[str, list[str]] = defaultdict(list)
        for one in self.confusions:
            if reason := classes.why_hidden(one):
                hidden[reason].append(_name(one))
        left_out = "".join(f" Not shown, with {reason}: {join(names)}." for reason, names in hidden.items())
        return f"Most frequent{average}: {classes.name_largest(shown)}.{left_out}"

    @property
    def watched(self) -> str:
        """The error that was measured every epoch beside the training error."""
        return paper.SIDES[paper.watched(self.main_epochs)]

    @property
    def side_by_side(self) -> str:
        """What to know of marks that are drawn beside their depth; empty for one model."""
        return ", with the models side by side at each depth" if self.main_runs["model"].nunique() > 1 else ""

    @property
    def published_marks(self) -> str:
        """The end of a sentence: what stars stand for, where there are any."""
        return "; stars are the values published by He et al. (2015, 2016)." if self.published else "."

    @property
    def ranked_settings(self) -> str:
        """Which error of which settings is shown, and how."""
        count, most = self.finished["setting"].nunique(), settings.MAX_SETTINGS
        known, ring = self.default is not None, "; the reference has a ring" * (self.default is not None)
        if factor := settings.axis_of(self.finished):
            return f"{self.compared_side} against {factor}{ring}."
        best = f"the {most} best of {count} settings{', with the reference' * known}"
        return f"{self.compared_side} of {best if count > most else 'each setting'}, the best at the top{ring}."

    @property
    def compared_side(self) -> str:
        """The error that settings are compared by."""
        return paper.SIDES[compared(self.finished)]

    @property
    def lost_trials(self) -> str:
        """The end of a sentence: what the marks at the upper edge stand for, where there are any."""
        lost = self.runs.unfinished["state"].isin([State.DIVERGED.value, State.FAILED.value])
        return "; those that diverged or failed are at the upper edge." if lost.any() else "."

    @property
    def measured_on(self) -> str:
        """The end of a sentence: the devices that trained the runs, where they are known."""
        timed = self.finished.dropna(subset="seconds")
        devices = ", ".join(sorted({str(device) for device in timed["device"].dropna()}))
        shown = self.in_setting if len(self.timed_runs) < len(self.finished) else ""
        return (f"; measured on {devices}." if devices else ".") + shown


def _name(one: Confusion) -> str:
    return f"{one.model}-{one.depth}"


def published_beside(runs: pd.DataFrame) -> list[Published]:
    """The papers' values for the networks of these runs; none unless all runs can be compared with the papers."""
    if runs.empty or not all(published.is_comparable(row) for row in runs.to_dict("records")):
        return []
    pairs = runs[["model", "depth"]].drop_duplicates().itertuples(index=False)
    return [item for model, depth in pairs for item in published.published(str(model), int(depth), "paper")]
