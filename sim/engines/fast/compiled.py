"""How the kernels are compiled: by numba on first use, kept on disk, and never stale.

numba looks only at the file of a function to decide whether its compiled form is stale, but a kernel also freezes
constants and functions of other modules. So each version of all sources that kernels are made of has a folder of
its own (`code_cache` says where). Importing this module imports numba.
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
    *(f"engines/fast/{name}" for name in ("compiled", "kernel", "looks", "rows", "spans")),
)
"""Below `sim`: everything that a kernel freezes."""


def _version() -> str:
    """Name this version of the sources in this installation: 16 hexadecimal digits."""
    here = Path(__file__).parents[2]
    seal = hashlib.sha256(os.fsencode(here))
    for name in SOURCES:
        seal.update((here / f"{name}.py").read_bytes())
    return seal.hexdigest()[:16]


_config: Any = config  # its attributes come from the environment
_FOLDER: Final = folder_of(_version(), _config.CACHE_DIR)


# Without numba's reference counting of arrays the kernels are twice as fast. They allocate nothing and keep
# nothing, so they need none; the option is not documented, and results are the same without it.
# Division by zero cannot happen, so its checks are left out too.
_OPTIONS: Final[Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}


def jit(function: Callable[..., Any]) -> Any:
    """Compile an inner function as part of the entries that call it."""
    return njit(function, **_OPTIONS)


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, on its first call, and keep it (NUMBA_CACHE_DIR overrides where)."""
    if _FOLDER is None:
        return njit(function, **_OPTIONS)
    # Without the second setting numba falls back to the folder of the source, which is the installation.
    told = {"CACHE_DIR": str(_FOLDER), "CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    before = {name: getattr(_config, name, "") for name in told}
    try:
        vars(_config).update(told)
        return njit(function, cache=True, **_OPTIONS)
    except RuntimeError:  # the folder cannot be used after all
        return njit(function, **_OPTIONS)
    finally:
        vars(_config).update(before)


def bare(function: Any, *arguments: Any) -> Callable[..., Any]:
    """Compile an entry for arguments of these types and give its bare call.

    numba looks up the types of all arguments at each call, which takes 7 µs here, eight times as long as the call
    of a quiet step itself. The caller vouches that the types never change. Finding them out takes a third of a run
    of 500 devices, so what was compiled for arguments of the same kinds is remembered.
    """
    kinds = (function, *map(_kind, arguments))
    if kinds not in _BARE:
        kind_of: Any = typeof
        _BARE[kinds] = function.compile(tuple(kind_of(argument) for argument in arguments))
    return _BARE[kinds]


_BARE: Final[dict[tuple[Any, ...], Callable[..., Any]]] = {}


def _kind(argument: Any) -> Any:
    """Give what decides how numba sees an argument: of an array its layout, not its content."""
    if isinstance(argument, np.ndarray):
        return argument.dtype, argument.ndim, argument.flags.c_contiguous, argument.flags.writeable
    if isinstance(argument, tuple):
        return type(argument), *map(_kind, argument)
    return type(argument)


def _prefetch(_: Any, array: Any, index: Any) -> Any:
    """Ask for `array[index]` to be brought near: rows are visited in an order that no hardware guesses."""

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
