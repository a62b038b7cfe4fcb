"""The one place for Numba options.

Every compiled function of gradsim is made by :func:`jit`.  Nothing else in the project
imports ``numba.njit``, so an option, a cache rule or a workaround has one home.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.extending import overload

# Flags under which NaN and infinity keep their meaning.
_SAFE_FLAGS = {"contract", "nsz", "arcp"}


def _source_hash() -> str:
    """Digest of all kernel sources: part of every cache file's name.

    Numba invalidates a cached function by the file that defines it alone; a change in a
    function that it calls, in another file, would run old machine code.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


KERNEL_HASH = _source_hash()


def jit(
    function: Callable | None = None,
    *,
    reassoc: bool = False,
    inline: bool = False,
    internal: bool = False,
) -> Any:
    """Compile a kernel: serial, without the GIL, division unchecked, cached on disk.

    ``reassoc`` lets sums be reordered (norms only); ``inline`` asks LLVM to inline the
    function, which a loop over it needs in order to become vector code; ``internal`` kernels
    are called by kernels only: without a way in from Python those over a hundred arrays compile
    ten times faster.
    """
    if function is None:
        return lambda f: jit(f, reassoc=reassoc, inline=inline, internal=internal)
    function.__qualname__ = f"{function.__qualname__}.{KERNEL_HASH[:16]}"
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": _SAFE_FLAGS | ({"reassoc"} if reassoc else set()),
        "forceinline": inline,
    }
    if internal:
        options |= {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    if inline or internal:  # compiled into its callers, so a file of its own would never be read
        return _one_per_type(numba.njit(**options)(function))
    try:
        return _guard(_one_per_type(numba.njit(cache=True, **options)(function)))
    except RuntimeError:  # Numba found no folder that it may write to: run uncached
        return _one_per_type(numba.njit(**options)(function))


def _one_per_type(dispatcher: Any) -> Any:
    """Compile once per type: Numba would compile anew for every constant in a call."""
    choose = getattr(dispatcher, "get_call_template", None)
    if choose is not None:
        dispatcher.get_call_template = lambda args, kws: choose(
            tuple(map(numba.types.unliteral, args)),
            {k: numba.types.unliteral(v) for k, v in kws.items()},
        )
    return dispatcher


def _guard(dispatcher: Any) -> Any:
    """Recompile where a cache entry cannot be read or written, instead of failing."""
    cache = getattr(dispatcher, "_cache", None)
    if cache is None:  # NUMBA_DISABLE_JIT=1 leaves the plain function
        return dispatcher
    load, save = cache.load_overload, cache.save_overload

    def load_overload(sig: Any, target_context: Any) -> Any:
        try:
            return load(sig, target_context)
        except Exception:  # a damaged entry may raise anything that unpickling can raise
            cache.flush()
            return None

    def save_overload(sig: Any, data: Any) -> None:
        try:
            save(sig, data)
        except OSError:  # a full or read-only disk costs the next start, not this run
            return

    cache.load_overload, cache.save_overload = load_overload, save_overload
    return dispatcher


def by_dtype(single: Callable, double: Callable) -> Callable:
    """One scalar function with a float32 and a float64 form, chosen by its first argument.

    The choice is made at compile time, so that a kernel over a generic array vectorises with
    the constants of its own precision.
    """

    def choose(x, *rest):
        return single(x, *rest) if isinstance(x, np.float32) else double(x, *rest)

    # Without forceinline LLVM leaves a large form as a call, and the loop over it scalar.
    @overload(choose, jit_options={"forceinline": True})
    def _choose(x, *rest):
        chosen = single if x == numba.types.float32 else double
        return lambda x, *rest: chosen(x, *rest)

    return choose
