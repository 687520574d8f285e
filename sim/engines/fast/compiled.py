"""How the kernels are compiled: by numba on first use, cached on disk, and never stale.

numba checks only the file of a function to decide whether its compiled form is stale, but a kernel also contains
constants and functions of other modules. So each version of all sources of the kernels has its own folder
(`code_cache` says where). Importing this module imports numba.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import config, njit, typeof, types
from numba.core import cgutils
from numba.extending import intrinsic

from sim.engines.fast.code_cache import folder_of

SOURCES: Final = (
    *(f"clients/{name}" for name in ("compiling", "draws", "service", "spec")),
    *(f"engines/fast/{name}" for name in ("compiled", "kernel", "quiet_observations", "rows", "spans")),
    "../rollout/values/outcome",
)
"""Modules, from `sim` on, whose constants and functions a kernel contains."""


def _version() -> str:
    """Return the name of this version of the sources in this installation: 16 hexadecimal digits."""
    package = Path(__file__).parents[2]
    digest = hashlib.sha256(os.fsencode(package))
    for name in SOURCES:
        digest.update((package / f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]


_config: Any = config  # its attributes are read from the environment
_FOLDER: Final = folder_of(_version(), _config.CACHE_DIR)


# Without numba's reference counting of arrays the kernels are twice as fast. They allocate and keep nothing, so
# they need no counting. The option is not documented; results are the same without it.
# Division by zero cannot happen, so the checks for it are left out as well.
_OPTIONS: Final[Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}


def jit(function: Callable[..., Any]) -> Any:
    """Compile an inner function as part of the entries that call it."""
    return njit(function, **_OPTIONS)


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, on its first call, and cache it (NUMBA_CACHE_DIR overrides where)."""
    if _FOLDER is None:
        return njit(function, **_OPTIONS)
    # Without the second setting numba falls back to the folder of the source file, which is the installation.
    settings = {"CACHE_DIR": str(_FOLDER), "CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    before = {name: getattr(_config, name, "") for name in settings}
    try:
        vars(_config).update(settings)
        return njit(function, cache=True, **_OPTIONS)
    except RuntimeError:  # the folder turned out to be unusable
        return njit(function, **_OPTIONS)
    finally:
        vars(_config).update(before)


def bare(function: Any, *arguments: Any) -> Callable[..., Any]:
    """Compile an entry for arguments of these types and return the compiled function without numba's dispatcher.

    The dispatcher determines the types of all arguments at each call, which takes 7 µs here, eight times as long as
    a step without events. The caller guarantees that the types never change. Determining them takes a third of a run
    of 500 devices, so the function compiled for arguments of the same kinds is remembered.
    """
    kinds = (function, *map(_kind, arguments))
    if kinds not in _BARE:
        kind_of: Any = typeof
        _BARE[kinds] = function.compile(tuple(kind_of(argument) for argument in arguments))
    return _BARE[kinds]


_BARE: Final[dict[tuple[Any, ...], Callable[..., Any]]] = {}


def _kind(argument: Any) -> Any:
    """Return what determines numba's type of an argument: for an array its layout, not its content."""
    if isinstance(argument, np.ndarray):
        return argument.dtype, argument.ndim, argument.flags.c_contiguous, argument.flags.writeable
    if isinstance(argument, tuple):
        return type(argument), *map(_kind, argument)
    return type(argument)


def _prefetch(_: Any, array: Any, index: Any) -> Any:
    """Prefetch `array[index]`: rows are visited in an order that the hardware cannot predict."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        view = context.make_array(kind)(context, builder, arguments[0])
        place = context.cast(builder, arguments[1], signature.args[1], types.intp)
        pointer = builder.gep(view.data, [place])
        byte = builder.bitcast(pointer, ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        declare: Any = cgutils.get_or_insert_function
        shape = ir.FunctionType(ir.VoidType(), [byte.type, number, number, number])
        function = declare(builder.module, shape, "llvm.prefetch.p0")
        for_writing, keep, data = (ir.Constant(number, value) for value in (1, 3, 1))
        builder.call(function, [byte, for_writing, keep, data])
        return context.get_dummy_value()

    return types.void(array, index), generate


prefetch: Final[Any] = intrinsic(_prefetch)
