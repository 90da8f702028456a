"""The columns of the CSV files that one room writes and another reads."""

DIAGNOSTICS = (
    "epoch",
    "step",
    "layer",
    "name",
    "weight_grad_norm",
    "output_grad_norm",
    "response_std",
    "branch_ratio",
)
"""Of diagnostics.csv; docs/instruments.md says what each number means."""
