"""A figure for the page: its values are those of the runs, and there are never too many of them."""

import re

import matplotlib.figure
import pytest

from cifar_resnet.report.figures import screen, style


def panel_of(x, y, label="resnet · 20 layers", scale="linear"):
    """The description of a figure's only panel, with one line, and the whole figure for the page."""
    figure = matplotlib.figure.Figure(figsize=(3.4, 2.5))
    axes = figure.subplots()
    axes.set(yscale=scale, xlabel="epoch", ylabel="error (%, log scale, 0 at the edge)")
    if scale == "log":
        axes.set_ylim(0.5, 100)
    axes.plot(x, y, label=label)
    style.legend(figure, [style.line_handle("20 layers", color="#ff0000")])
    figure.draw_without_rendering()
    drawn = screen.draw(figure)
    return drawn.data["panels"][0], drawn


def test_a_line_carries_its_name_and_its_values():
    panel, drawn = panel_of([1, 2, 3], [50.0, 12.34567891, float("nan")])
    (line,) = panel["shapes"]
    assert (line["name"], line["x"], line["y"]) == ("resnet · 20 layers", [1, 2, 3], [50, 12.3457, None])
    assert (panel["x"]["label"], panel["y"]["label"]) == ("epoch", "error (%)")
    assert [label for label, _ in drawn.legend] == ["20 layers"]
    for svg, box in zip((drawn.wide, drawn.narrow), panel["boxes"], strict=True):
        width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
        assert f'id="{line["id"]}"' in svg and "20 layers" not in svg
        assert 0 < box[0] < box[0] + box[2] <= width and 0 < box[1] < box[1] + box[3] < height


def test_zero_at_the_edge_of_a_logarithmic_axis_is_zero():
    panel, _ = panel_of([1, 2], [0.5, 20.0], scale="log")
    assert panel["shapes"][0]["y"] == [0, 20]


@pytest.mark.parametrize(("most", "kept", "step"), [(1000, 100, 1), (30, 26, 4)])
def test_too_many_points_are_thinned_and_the_page_can_say_so(monkeypatch, most, kept, step):
    monkeypatch.setattr(screen, "MOST_POINTS", most)
    panel, drawn = panel_of(range(1, 101), range(100))
    assert len(panel["shapes"][0]["x"]) == kept
    assert panel["shapes"][0]["x"][-1] == 100
    assert drawn.data["step"] == step
