"""The one place for Numba options.

Every compiled function of gradsim is made by :func:`jit`.  Nothing else in the project
imports ``numba.njit``, so an option, a cache rule or a workaround has one home.
"""

import contextlib
import gc
import hashlib
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba.core.caching import FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.extending import intrinsic, overload
from numba.core.sigutils import normalize_signature


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


def jit(function: Callable | None = None, *, inline: bool = False) -> Any:
    """Compile a kernel: serial, without the GIL, division unchecked, cached on disk.

    Every result is rounded as it is written, with `floats.fma` and `sums.dot` where a fused or a
    reordered sum is wanted.  What LLVM would fuse or reorder by itself depends on where it inlines
    a function: two copies of one function, and so two processes, could differ in the last bit.

    ``inline`` asks LLVM to inline the function, which a loop over it needs in order to become
    vector code.
    """
    if function is None:
        return lambda f: jit(f, inline=inline)
    function.__qualname__ = f"{function.__qualname__}.{KERNEL_HASH[:16]}"
    options = {"nogil": True, "error_model": "numpy", "forceinline": inline}
    try:
        dispatcher = _guard(numba.njit(cache=True, **options)(function))
    except RuntimeError:  # Numba found no folder that it may write to: run uncached
        dispatcher = numba.njit(**options)(function)
    return dispatcher if numba.config.DISABLE_JIT else _called(dispatcher, options)


class _Part(JITCodeLibrary):
    """Code that is never run itself, but linked into what calls it, and optimised there.

    Numba would make machine code of it, and optimise it at every level of calls anew.  Functions
    to be inlined are optimised first all the same: a loop over them is a tenth faster for it.
    """

    inlined = False

    def _optimize_final_module(self) -> None:
        if self.inlined:
            super()._optimize_final_module()

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return 0: there is no machine code."""
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> Any:
        """Stands for the code generator where that is told the environment of machine code."""
        return self

    def set_env(self, name: str, env: Any) -> None:
        """There is no machine code to have an environment."""


class _PartCompiler(Compiler):
    """Numba's compiler, with a `_Part` to put the code in."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.state.library = _Part(self.state.targetctx.codegen(), "part")
        self.state.library.inlined = self.state.flags.forceinline


PART: dict[str, Any] = {
    "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _PartCompiler,
}  # fmt: skip


def _called(dispatcher: Any, options: dict[str, Any]) -> Any:
    """Let kernels call a twin, compiled into them: no way in from Python and no cache file.

    The twin is compiled once per type: Numba would compile anew for every constant in a call.
    """
    twin = numba.njit(**PART, **options)(dispatcher.py_func)
    choose, plain = twin.get_call_template, numba.types.unliteral

    def get_call_template(args: Any, kws: Any) -> Any:
        return choose(tuple(map(plain, args)), {k: plain(v) for k, v in kws.items()})

    dispatcher.get_call_template = get_call_template
    dispatcher.get_overload = twin.get_overload
    return dispatcher


def _guard(dispatcher: Any) -> Any:
    """Recompile where a cache entry cannot be read or written, instead of failing."""
    cache = getattr(dispatcher, "_cache", None)
    if cache is None:  # NUMBA_DISABLE_JIT=1 leaves the plain function
        return dispatcher
    load, save = cache.load_overload, cache.save_overload

    def forget() -> None:
        try:
            cache.flush()
        except OSError:  # the folder itself is gone: what follows runs uncached
            return

    def load_overload(sig: Any, target_context: Any) -> Any:
        try:
            result = load(sig, target_context)
        except Exception:  # a damaged entry may raise anything that unpickling can raise
            return forget()
        # Two processes that fill a cache at once can leave one type's code under another's name.
        if result is not None and tuple(result.signature.args) != normalize_signature(sig)[0]:
            return forget()
        return result

    def save_overload(sig: Any, data: Any) -> None:
        try:
            save(sig, data)
        except OSError:  # a full or read-only disk costs the next start, not this run
            return

    cache.load_overload, cache.save_overload = load_overload, save_overload
    return dispatcher


INLINED = PART | {"forceinline": True}


def by_dtype(single: Callable, double: Callable) -> Callable:
    """One scalar function with a float32 and a float64 form, chosen by its first argument.

    The choice is made at compile time, so that a kernel over a generic array vectorises with
    the constants of its own precision.
    """

    def choose(x, *rest):
        return single(x, *rest) if isinstance(x, np.float32) else double(x, *rest)

    # Without forceinline LLVM leaves a large form as a call, and the loop over it scalar.  The form
    # itself is what is compiled, without a function round it or a way in from Python.
    @overload(choose, jit_options=INLINED, strict=False)
    def _choose(x, *rest):
        chosen = single if x == numba.types.float32 else double
        return getattr(chosen, "py_func", chosen)

    return choose


_REALS = {np.dtype(np.float32): numba.types.float32, np.dtype(np.float64): numba.types.float64}
_UNITS: list["_Unit"] = []
_LOCK = threading.Lock()


class _Unit:
    """A kernel that others call by name, compiled on its own for each dtype."""

    def __init__(self, function: Callable, double: bool) -> None:
        self.names = list(inspect.signature(function).parameters)
        self.double, self.loaded = double, set[np.dtype]()
        self._symbol = f"gradsim.{function.__module__}.{function.__qualname__}.{KERNEL_HASH[:16]}"
        self.dispatcher = jit(function)
        self._address = dict[np.dtype, int]()

    def external(self, record: Any, real: np.dtype) -> Any:
        """Declaration of the unit for a dtype."""
        return numba.types.ExternalFunction(f"{self._symbol}.{real.name}", self.type(record, real))

    def type(self, record: Any, real: np.dtype) -> Any:
        """Signature for a dtype."""
        unsigned, signed = numba.types.uint64, numba.types.int64
        rest = [unsigned if name in ("key", "seed") else signed for name in self.names[2:]]
        return numba.types.void(record, _REALS[real], *rest)

    def name(self, real: np.dtype, address: int) -> None:
        """Let the code of other units find this one."""
        llvm.add_symbol(f"{self._symbol}.{real.name}", address)

    def cached(self, record: Any, real: np.dtype) -> bool:
        """Whether the unit is loaded, or lies in the cache (or there is none to fill).

        Only for a unit that calls no other: to look is to load, and LLVM aborts on unknown names.
        """
        cache = getattr(self.dispatcher, "_cache", None)
        if real in self.loaded or not isinstance(cache, FunctionCache):
            return True
        signature = self.type(record, real)
        return cache.load_overload(signature, self.dispatcher.targetctx) is not None

    def load(self, record: Any, real: np.dtype) -> None:
        """Compile the unit, or read it from the cache, and make its name known."""
        if real in self.loaded:
            return
        signature = self.type(record, real)
        self.dispatcher.compile(signature)
        result = self.dispatcher.overloads[signature.args]
        pointer = result.library.get_pointer_to_function(result.fndesc.llvm_cfunc_wrapper_name)
        self.name(real, pointer)
        self._address[real] = pointer
        self.loaded.add(real)

    def address(self, context: np.dtype, real: np.dtype) -> int:
        """Where the compiled unit lies; those that it calls must have been loaded."""
        with _LOCK:
            self.load(numba.from_dtype(context), real)
        return self._address[real]


class _Plain:
    """Stands for an optional unit where nothing is compiled: its address is its number."""

    def __init__(self, function: Callable) -> None:
        _PLAIN.append(function)
        self._number = len(_PLAIN)

    def address(self, context: np.dtype, real: np.dtype) -> int:
        """Return the number by which `call_at` finds the function."""
        return self._number


_PLAIN: list[Callable] = []


def call_at(at, x, like, q, s, seeds, key, seed):
    """Call the optional unit at an address, which a compiled kernel could not know by name."""
    _PLAIN[at - 1](x, like, q, s, seeds, key, seed)


@intrinsic
def _call_at(_, at, x, like, q, s, seeds, key, seed):
    given = (x, like, q, s, seeds, key, seed)

    def emit(context, builder, signature, args):
        kinds = [context.get_argument_type(kind) for kind in signature.args[1:]]
        function = ir.FunctionType(context.get_argument_type(numba.types.none), kinds)
        passed = [
            context.get_value_as_argument(builder, kind, value)
            for kind, value in zip(signature.args[1:], args[1:])
        ]
        builder.call(builder.inttoptr(args[0], function.as_pointer()), passed)
        return context.get_dummy_value()

    return numba.types.none(at, *given), emit


@overload(call_at)
def _called_at(at, x, like, q, s, seeds, key, seed):
    return lambda at, x, like, q, s, seeds, key, seed: _call_at(at, x, like, q, s, seeds, key, seed)


def unit(function: Callable | None = None, *, double: bool = False, optional: bool = False) -> Any:
    """Compile a kernel on its own and let others call it by name.

    Numba compiles everything that a function calls into it, at every level anew, which takes
    minutes for an engine.  A unit is compiled once.  Its arguments are the engine's record, a
    number of the dtype of the run, and whole numbers (``key`` and ``seed`` unsigned); it returns
    nothing.
    ``double`` units are called in float64 too whatever the dtype of the run.
    ``optional`` units are called by `call_at` alone, and compiled when their address is asked for.
    """
    if function is None:
        return lambda f: unit(f, double=double, optional=optional)
    if numba.config.DISABLE_JIT:
        return _Plain(function) if optional else function
    this = _Unit(function, double)
    if optional:
        return this
    _UNITS.append(this)

    def call(x, like, *rest):
        raise TypeError("a unit is called by kernels only")

    @overload(call)
    def _call(x, like, *rest):
        chosen = this.external(x, np.dtype(str(like)))
        return lambda x, like, *rest: chosen(x, like, *rest)

    return call


def load_units(context: np.dtype, real: np.dtype) -> None:
    """Make every unit ready for a dtype; those that others call come first, by definition.

    Where none is cached yet, a second process compiles the same list from its other end, so that
    a first call takes about half the time on two processors.
    """
    if numba.config.DISABLE_JIT:
        return
    record = numba.from_dtype(context)
    with _LOCK:
        helper = None if _UNITS[0].cached(record, real) else _start_helper(real)
        try:
            with _uncollected():
                for this, kind in _wanted(real):
                    this.load(record, kind)
        finally:
            if helper is not None:
                helper.kill()
                helper.wait()


def _wanted(real: np.dtype) -> list[tuple["_Unit", np.dtype]]:
    """Every unit with every dtype that a run in ``real`` calls it in."""
    double = np.dtype(np.float64)
    return [(u, kind) for u in _UNITS for kind in ({real, double} if u.double else {real})]


def compile_units_backwards(context: np.dtype, name: str) -> None:
    """Fill the cache from the end of the list; the work of the second process."""
    record, real = numba.from_dtype(context), np.dtype(name)
    for this, kind in _wanted(real):  # nothing is called here, so any address will do
        this.name(kind, 1)
    with _uncollected():
        for this, kind in reversed(_wanted(real)):
            this.dispatcher.compile(this.type(record, kind))


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: compiling makes millions of objects that stay, a tenth slower."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _start_helper(real: np.dtype) -> Any:
    """Second process for a cold cache, or None where there is no use or no way to start one."""
    processors = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    if len(processors) < 2 or not sys.executable:
        return None
    package = __name__.rpartition(".")[0]
    code = (
        f"from {package} import _jit, engine, program\n"
        f"_jit.compile_units_backwards(program.CONTEXT, {real.name!r})"
    )
    root = Path(__file__).parents[package.count(".") + 1]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    try:
        return subprocess.Popen(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError:  # no second process is to be had: this one compiles everything
        return None
