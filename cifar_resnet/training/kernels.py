"""Batch norm, addition and ReLU as one pass over the memory each: compiled by Numba, for CPUs; doesn't import torch.

A feature map (B, C, H, W) in channels_last layout is passed as a matrix: each row holds the channels of several pixels,
so that inner loops are long. Statistics and gradients are computed in float32 and summed in float64. A bfloat16 map is
passed as its bits, uint16.

Every function takes None for a map that isn't there; Numba compiles each combination separately and keeps the result
in its cache on disk.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, call-arg, var-annotated"
from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

# Sums over so many rows are kept in float32 and then added in float64.
_ROWS = 32
_ZERO = np.float32(0)
_INT16, _INT32 = ir.IntType(16), ir.IntType(32)
# Lets the compiler use fused multiply-add, and nothing that would change how NaN and infinity behave.
_OPTIONS: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy", "nogil": True, "cache": True}


@intrinsic
def _from_bfloat16(typing: Any, bits: Any) -> Any:
    """A bfloat16 as float32."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        wide = builder.zext(values[0], _INT32)
        return builder.bitcast(builder.shl(wide, _INT32(16)), context.get_value_type(types.float32))

    return types.float32(types.uint16), generate


@intrinsic
def _to_bfloat16(typing: Any, number: Any) -> Any:
    """A float32 rounded to bfloat16: to nearest, ties to even.

    In LLVM's own terms, because Numba adds uint32 in 64 bits, which takes twice as many instructions.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        bits = builder.bitcast(values[0], _INT32)
        high = builder.lshr(bits, _INT32(16))
        half = builder.add(_INT32(0x7FFF), builder.and_(high, _INT32(1)))
        rounded = builder.lshr(builder.add(bits, half), _INT32(16))
        # Rounding could turn a NaN into an infinity; so it only gets the bit that keeps it a NaN.
        nan = builder.fcmp_unordered("uno", values[0], values[0])
        return builder.trunc(builder.select(nan, builder.or_(high, _INT32(0x40)), rounded), _INT16)

    return types.uint16(types.float32), generate


def _load(value):
    """A map's value as float32."""


def _store(number, example):
    """A float32 as a map with values like `example` stores it."""


@overload(_load, inline="always")
def _load_typed(value):
    return (lambda value: _from_bfloat16(value)) if value == types.uint16 else (lambda value: value)


@overload(_store, inline="always")
def _store_typed(number, example):
    if example == types.uint16:
        return lambda number, example: _to_bfloat16(number)
    return lambda number, example: number


@njit(inline="always")
def _relu(value):
    # Not max(value, 0), which may turn NaN into 0: a run that diverges must be noticed.
    return _ZERO if value <= _ZERO else value


@njit(inline="always")
def _passed(gradient, value):
    """ReLU's gradient at `value`."""
    return _ZERO if value <= _ZERO else gradient


@njit(inline="always")
def _add_up(sums, channels):
    """Adds the lanes of a channel to its first one."""
    for i in range(channels, sums.size):
        sums[i % channels] += sums[i]


@njit(**_OPTIONS)
def forward(x, before, after, y, weight, bias, running_mean, running_var, momentum, eps, saved):
    """y = ReLU(batch norm(x + before) + after), with the batch's statistics; updates the running ones.

    Args:
        x: input (rows, lanes); if `before` is given, becomes x + before.
        before: added before the normalization, or None.
        after: added after it, or None.
        y: output.
        weight: (C,) float32; lanes is a multiple of C.
        bias: (C,) float32.
        running_mean: (C,) float32, updated.
        running_var: (C,) float32, updated.
        momentum: weight of the new statistics in the running ones.
        eps: added to the variance.
        saved: (4, C) float32, written for `backward`: mean, 1/σ, and the scale and shift that they amount to.
    """
    rows, lanes = x.shape
    channels = weight.size
    count = rows * lanes // channels
    sums, squares = np.zeros(lanes), np.zeros(lanes)
    scale, shift, center = np.empty(lanes, np.float32), np.empty(lanes, np.float32), np.empty(lanes, np.float32)
    for i in range(lanes):
        sums[i] = _load(x[0, i]) + (_load(before[0, i]) if before is not None else _ZERO)
    _add_up(sums, channels)
    for i in range(lanes):
        # Near the mean, so that the squares of the differences lose no digits.
        center[i] = sums[i % channels] * channels / lanes
    sums[:] = 0
    for begin in range(0, rows, _ROWS):
        scale[:] = 0
        shift[:] = 0
        for row in range(begin, min(begin + _ROWS, rows)):
            for i in range(lanes):
                if before is not None:
                    x[row, i] = _store(_load(x[row, i]) + _load(before[row, i]), x[0, 0])
                difference = _load(x[row, i]) - center[i]
                scale[i] += difference
                shift[i] += difference * difference
        for i in range(lanes):
            sums[i] += scale[i]
            squares[i] += shift[i]
    _add_up(sums, channels)
    _add_up(squares, channels)
    for c in range(channels):
        difference = sums[c] / count
        mean = center[c] + difference
        variance = max(squares[c] / count - difference * difference, 0.0) if squares[c] == squares[c] else squares[c]
        inverse = 1 / np.sqrt(variance + eps)
        running_mean[c] += momentum * (mean - running_mean[c])
        running_var[c] += momentum * (variance * count / (count - 1) - running_var[c])
        saved[0, c], saved[1, c] = mean, inverse
        saved[2, c], saved[3, c] = weight[c] * inverse, bias[c] - mean * weight[c] * inverse
    for i in range(lanes):
        scale[i], shift[i] = saved[2, i % channels], saved[3, i % channels]
    for row in range(rows):
        for i in range(lanes):
            value = _load(x[row, i]) * scale[i] + shift[i]
            if after is not None:
                value += _load(after[row, i])
            y[row, i] = _store(_relu(value), x[0, 0])


@njit(**_OPTIONS)
def backward(grad, second, through, x, y, passed, out, weight, saved, grad_weight, grad_bias):
    """The gradients of `forward`.

    Args:
        grad: gradient of y, (rows, lanes).
        second: another gradient of y, added to the first, or None.
        through: gradient of x + before, where that is used elsewhere, or None; added to `out`.
        x: what was normalized.
        y: the output if `after` was given, else None.
        passed: written if `after` was given, else None: the gradient of `after`.
        out: written: the gradient of x, and of `before`.
        weight: as in `forward`.
        saved: what `forward` wrote.
        grad_weight: written, (C,) float32.
        grad_bias: written, (C,) float32.
    """
    rows, lanes = x.shape
    channels = weight.size
    count = rows * lanes // channels
    sums, products = np.zeros(lanes), np.zeros(lanes)
    a, b, mean = np.empty(lanes, np.float32), np.empty(lanes, np.float32), np.empty(lanes, np.float32)
    scale, shift = np.empty(lanes, np.float32), np.empty(lanes, np.float32)
    for i in range(lanes):
        mean[i], scale[i], shift[i] = saved[0, i % channels], saved[2, i % channels], saved[3, i % channels]
    for begin in range(0, rows, _ROWS):
        a[:] = 0
        b[:] = 0
        for row in range(begin, min(begin + _ROWS, rows)):
            for i in range(lanes):
                value = _load(x[row, i])
                d = _load(grad[row, i])
                if second is not None:
                    d += _load(second[row, i])
                if y is not None:
                    d = _passed(d, _load(y[row, i]))
                    passed[row, i] = _store(d, x[0, 0])
                else:
                    d = _passed(d, value * scale[i] + shift[i])
                a[i] += d
                b[i] += d * (value - mean[i])
        for i in range(lanes):
            sums[i] += a[i]
            products[i] += b[i]
    _add_up(sums, channels)
    _add_up(products, channels)
    for c in range(channels):
        grad_bias[c], grad_weight[c] = sums[c], products[c] * saved[1, c]
    for i in range(lanes):
        # out = scale · (d − mean(d) − (x − mean) · mean(d · (x − mean)) / σ²)
        c = i % channels
        slope = saved[1, c] * saved[1, c] * products[c] / count
        a[i] = -scale[i] * slope
        b[i] = scale[i] * (slope * mean[i] - sums[c] / count)
    for row in range(rows):
        for i in range(lanes):
            value = _load(x[row, i])
            if y is not None:
                d = _load(passed[row, i])
            else:
                d = _load(grad[row, i])
                if second is not None:
                    d += _load(second[row, i])
                d = _passed(d, value * scale[i] + shift[i])
            d = scale[i] * d + (a[i] * value + b[i])
            if through is not None:
                d += _load(through[row, i])
            out[row, i] = _store(d, x[0, 0])
