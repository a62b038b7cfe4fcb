"""Sums of products whose order is part of their definition, so that no build changes a bit.

LLVM may turn a plain sum into vector code only if it is free to reorder it, and then chooses an
order by the code around it.  Here the order is written down: 64 bytes by 4 running sums.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic, overload

_BYTES, _CHAINS = 64, 4  # one vector of AVX-512, and as many as hide the latency of a fused add


def dot(p, i, q, j, n, low, high):
    """Sum of (p[i + k] low high) (q[j + k] low high) for k < n, in the type of low and high.

    Arrays of any shape, C-ordered, counted flat; both of one type.
    """
    a = p.reshape(-1)[i : i + n].astype(type(low)) * low * high
    b = q.reshape(-1)[j : j + n].astype(type(low)) * low * high
    return type(low)((a * b).sum())


@intrinsic
def _dot(_, p, i, q, j, n, low, high):
    if low != high or p.dtype != q.dtype or p.layout != "C" or q.layout != "C":
        return None
    signature = low(p, types.int64, q, types.int64, types.int64, low, high)
    bits, lanes = low.bitwidth, _BYTES * 8 // low.bitwidth

    def emit(context, builder, signature, args):
        p, i, q, j, n, low, high = args
        number, given = low.type, context.get_data_type(signature.args[0].dtype)
        starts = [
            builder.gep(context.make_array(kind)(context, builder, value).data, [at])
            for kind, value, at in zip(signature.args[0:3:2], (p, q), (i, j), strict=True)
        ]

        def splat(value, kind):
            if kind is number:
                return value
            one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, _index(0))
            mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            return builder.shuffle_vector(one, one, mask)

        def add(total, at, kind):
            """Add the products at index ``at`` on, as many as ``kind`` has lanes, to ``total``."""
            vector = kind is not number
            source = ir.VectorType(given, lanes) if vector else given
            factors = []
            for start in starts:
                pointer = builder.bitcast(builder.gep(start, [at]), source.as_pointer())
                value = builder.load(pointer, align=context.get_abi_alignment(given))
                value = builder.fpext(value, kind) if given != number else value
                value = builder.fmul(builder.fmul(value, splat(low, kind)), splat(high, kind))
                factors.append(value)
            name = f"llvm.fma.{'v' + str(lanes) if vector else ''}f{bits}"
            fused = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(kind, [kind] * 3), name
            )
            builder.store(builder.call(fused, [*factors, builder.load(total)]), total)

        def run(first, end, step, kind, totals):
            """Loop over first, first + step, ... below end, the totals taking turns."""
            with cgutils.for_range_slice(builder, first, end, first.type(step)) as (at, _):
                for k, total in enumerate(totals):
                    add(total, builder.add(at, at.type(k * step // len(totals))), kind)

        wide = ir.VectorType(number, lanes)
        chains = [cgutils.alloca_once_value(builder, wide(None)) for _ in range(_CHAINS)]
        tail = cgutils.alloca_once_value(builder, number(0))
        whole = [builder.and_(n, n.type(-step)) for step in (lanes * _CHAINS, lanes)]
        run(n.type(0), whole[0], lanes * _CHAINS, wide, chains)
        run(whole[0], whole[1], lanes, wide, chains[:1])
        run(whole[1], n, 1, number, [tail])
        sums = [builder.load(chain) for chain in chains]
        total = builder.fadd(builder.fadd(sums[0], sums[1]), builder.fadd(sums[2], sums[3]))
        half = lanes
        while half > 1:  # fold the vector in two until one number is left
            half //= 2
            mask = [k + half if k < half else k for k in range(lanes)]
            folded = ir.Constant(ir.VectorType(ir.IntType(32), lanes), mask)
            total = builder.fadd(total, builder.shuffle_vector(total, total, folded))
        return builder.fadd(builder.extract_element(total, _index(0)), builder.load(tail))

    return signature, emit


def _index(k):
    return ir.Constant(ir.IntType(32), k)


@overload(dot, jit_options={"forceinline": True})
def _call(p, i, q, j, n, low, high):
    return lambda p, i, q, j, n, low, high: _dot(p, i, q, j, n, low, high)
