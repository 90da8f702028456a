"""Class names in any script are drawn, or replaced by numbers in one line; never as frames."""

import warnings

import numpy as np
import pytest
from matplotlib import font_manager

from cifar_resnet.report.figures import fonts, mistakes

CAT, NOWHERE = "cat", "\U0001f9ff日本"


@pytest.fixture
def two_fonts(monkeypatch):
    """This machine has no fonts but the usual one and one of mathematics, and a character that only the latter has."""
    chosen = [font for font in font_manager.fontManager.ttflist if font.name in (fonts.USUAL, "STIXGeneral")]
    monkeypatch.setattr(fonts, "_fonts", lambda: chosen)
    for cached in (fonts._find_font, fonts._report):
        cached.cache_clear()
    usual, other = (fonts._characters(font_manager.findfont(name)) for name in (fonts.USUAL, "STIXGeneral"))
    yield min(character for character in other - usual if character.isprintable())
    fonts._find_font.cache_clear()


def draw(classes):
    images = np.zeros((2, 4, 4, 3), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = mistakes.draw(images, np.array([0, 1]), np.array([1, 0]), np.array([0.6, 0.9]), classes)
    return figure.axes[0].get_title().partition(" (")[0]


def test_usual_names_are_drawn_in_the_usual_font(two_fonts, capsys):
    assert fonts.drawable(["größte", "кот", "a b"], 12) == fonts.Drawable(["größte", "кот", "a b"], [fonts.USUAL])
    assert capsys.readouterr().err == ""


def test_other_names_are_drawn_in_a_font_that_has_them(two_fonts, capsys):
    assert fonts.drawable([CAT, two_fonts], 12) == fonts.Drawable([CAT, two_fonts], [fonts.USUAL, "STIXGeneral"])
    assert draw([two_fonts, CAT]) == two_fonts
    assert capsys.readouterr().err == ""


def test_names_that_no_font_has_become_numbers_in_one_line(two_fonts, capsys):
    for _ in range(2):
        assert fonts.drawable([CAT, NOWHERE], 12).names == ["class 0", "class 1"]
    assert draw([NOWHERE, CAT]) == "class 0"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isascii() and "figures number the classes" in line


def test_names_are_neither_formulas_nor_longer_than_there_is_room_for(two_fonts):
    assert fonts.drawable(["$x^", "2$", "a\nb", "c" * 20], 5).names == [r"\$x^", r"2\$", "a b", "cccc…"]
    assert draw(["$x^$", "$\\frac$"]) == r"\$x^\$"
