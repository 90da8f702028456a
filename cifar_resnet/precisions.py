"""The precisions in which a network is trained, and what each needs of a GPU."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """One value of the key `precision`.

    Attributes:
        title: the format that convolutions and matrix products are computed in, for running text.
        significand: bits of that format's significand, with the implicit one.
        autocast: torch's name of the type that autocast computes in; None without autocast.
        capability: the lowest compute capability of a GPU, as NVIDIA counts it; None if every GPU will do.
        needs_gpu: whether a CPU can't train in it.
        scaled: whether the loss is scaled, so that small gradients don't become zero.
    """

    title: str
    significand: int
    autocast: str | None = None
    capability: tuple[int, int] | None = None
    needs_gpu: bool = False
    scaled: bool = False


PRECISIONS: dict[str, Precision] = {
    "fp32": Precision("float32", 24),
    # Older GPUs and CPUs would compute fp32.
    "tf32": Precision("TensorFloat-32", 11, capability=(8, 0), needs_gpu=True),
    # For older GPUs, cuDNN has no convolutions in it.
    "bf16": Precision("bfloat16", 8, autocast="bfloat16", capability=(8, 0)),
    "fp16": Precision("float16", 11, autocast="float16", needs_gpu=True, scaled=True),
}
"""Every value of the key `precision`."""


def obstacle(name: str, capability: tuple[int, int] | None) -> str | None:
    """Why a precision is impossible on a GPU of this compute capability, or on a CPU (None); None if it is possible."""
    precision = PRECISIONS[name]
    if capability is None:
        return "it needs a GPU, and the run would use the CPU" if precision.needs_gpu else None
    if precision.capability is None or capability >= precision.capability:
        return None
    needed, found = (".".join(map(str, one)) for one in (precision.capability, capability))
    return f"it needs a GPU of compute capability {needed} or higher, and this one has {found}"


def possible(capability: tuple[int, int] | None) -> list[str]:
    """The precisions that are possible there."""
    return [name for name in PRECISIONS if obstacle(name, capability) is None]
