"""The columns of the CSV files that training writes and the report reads."""

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
"""The columns of diagnostics.csv; docs/instruments.md explains each number."""
