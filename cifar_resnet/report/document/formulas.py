"""The two formulas of He et al. (2016, equations 4 and 5), in LaTeX, in MathML, and in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Formula:
    """A formula for Markdown and LaTeX, for the page, and for screen readers."""

    latex: str
    mathml: str
    words: str


def _sub(base: str, index: str) -> str:
    return f"<msub><mi>{base}</mi><mi>{index}</mi></msub>"


def _derivative(of: str, by: str) -> str:
    return f"<mfrac><mrow><mo>∂</mo>{of}</mrow><mrow><mo>∂</mo>{by}</mrow></mfrac>"


_SUM = (
    "<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mi>l</mi></mrow>"
    "<mrow><mi>L</mi><mo>−</mo><mn>1</mn></mrow></munderover>"
    f"<mi>F</mi><mo>(</mo>{_sub('x', 'i')}<mo>,</mo>{_sub('W', 'i')}<mo>)</mo>"
)
_E = "<mi>E</mi>"

FORMULAS = {
    "forward": Formula(
        r"x_L = x_l + \sum_{i=l}^{L-1} F(x_i, W_i)",
        f"<mrow>{_sub('x', 'L')}<mo>=</mo>{_sub('x', 'l')}<mo>+</mo>{_SUM}</mrow>",
        "x of L is x of l plus the sum, for i from l to L minus 1, of F of x of i and W of i",
    ),
    "backward": Formula(
        r"\frac{\partial E}{\partial x_l} = \frac{\partial E}{\partial x_L}"
        r" \left( 1 + \frac{\partial}{\partial x_l} \sum_{i=l}^{L-1} F(x_i, W_i) \right)",
        f"<mrow>{_derivative(_E, _sub('x', 'l'))}<mo>=</mo>{_derivative(_E, _sub('x', 'L'))}"
        f"<mrow><mo>(</mo><mn>1</mn><mo>+</mo>{_derivative('', _sub('x', 'l'))}{_SUM}<mo>)</mo></mrow></mrow>",
        "the derivative of E by x of l is that by x of L, times 1 plus the derivative by x of l of the same sum",
    ),
}


def find(latex: str) -> Formula | None:
    """The formula in a block of Markdown; None if it is none of ours, which is then shown as code."""
    return next((formula for formula in FORMULAS.values() if formula.latex == latex.strip()), None)
