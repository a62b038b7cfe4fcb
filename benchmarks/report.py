"""Tables from the raw rates: medians, ratios of medians, fractions of the limits."""

import statistics

from .cases import CASES
from .limits import GEMM_FLOPS


def median(record: dict) -> float:
    return statistics.median(record["rates"])


def find(records: list[dict], name: str) -> dict | None:
    return next((record for record in records if record["name"].startswith(name)), None)


def fractions(case_key: str, record: dict, records: list[dict]) -> dict:
    """Express a contender's rate as a fraction of each limit that was measured beside it."""
    case, rate = CASES[case_key], median(record)
    draws, products = find(records, "draws"), find(records, "products")
    gemm = find(records, "GEMM")
    result = {}
    if draws:
        result["draws"] = rate / median(draws)
    if products:
        result["products"] = rate / median(products)
    if draws and products:
        result["draws + products"] = rate * (1 / median(draws) + 1 / median(products))
    if gemm:
        result["GEMM efficiency"] = rate * case.flops / (median(gemm) * GEMM_FLOPS)
    return result


def case_table(entry: dict) -> list[str]:
    """Markdown of one case in one precision."""
    case, records = CASES[entry["case"]], entry["records"]
    own = find(records, "gradsim")
    lines = [f"### ({case.key}) {case.title}, {entry['dtype']}", ""]
    lines += [
        "| contender | networks/s | lowest to highest | passes/s | gradsim / it | setting |",
        "|---|---:|---:|---:|---:|---|",
    ]
    lines += [_row(case, record, own) for record in records if record["role"] != "limit"]
    for record in records:
        if record["role"] == "limit":
            lines.append(_limit_row(case, record))
    lines += [f"| {name} | not measured: {why} | | | | |" for name, why in entry["missing"].items()]
    return [*lines, "", *_fraction_lines(entry), "", *_tried_lines(records), ""]


def _spread(record: dict) -> str:
    return f"{min(record['rates']):,.0f} to {max(record['rates']):,.0f}"


def _row(case, record: dict, own: dict | None) -> str:
    rate = median(record)
    ratio = "" if own is None or record is own else f"{median(own) / rate:.2f}"
    return (
        f"| {record['name']} | {rate:,.0f} | {_spread(record)} | {rate * case.rows:,.0f} "
        f"| {ratio} | {record['setting']} |"
    )


def _limit_row(case, record: dict) -> str:
    if record["name"].startswith("GEMM"):
        rate = f"{median(record) * GEMM_FLOPS / 1e9:,.0f} GFLOP/s"
        return f"| limit: {record['name']} | {rate} | | | | {record['setting']} |"
    cells = f"{median(record):,.0f} | {_spread(record)} | {median(record) * case.rows:,.0f}"
    return f"| limit: {record['name']} | {cells} | | {record['setting']} |"


def _fraction_lines(entry: dict) -> list[str]:
    records = entry["records"]
    names = {}
    for record in records:
        if record["role"] != "limit":
            names[record["name"]] = fractions(entry["case"], record, records)
    columns = list(next(iter(names.values()), {}))
    if not columns:
        return []
    lines = ["| fraction of the limit | " + " | ".join(columns) + " |"]
    lines.append("|---|" + "---:|" * len(columns))
    for name, values in names.items():
        cells = " | ".join(f"{values[column]:.0%}" for column in columns)
        lines.append(f"| {name} | {cells} |")
    return lines


def _tried_lines(records: list[dict]) -> list[str]:
    """List what calibration saw: one short trial of each setting."""
    lines = ["Settings tried before the repetitions (networks/s in one short trial):", ""]
    for record in records:
        if len(record["tried"]) > 1:
            tried = "; ".join(f"{label}: {rate:,.0f}" for label, rate in record["tried"].items())
            lines.append(f"- {record['name']}: {tried}")
    return lines if len(lines) > 2 else []


def markdown(result: dict) -> str:
    """Write the whole report."""
    lines = ["# Benchmark", ""]
    lines += [f"- {name}: {value}" for name, value in result["machine"].items()]
    lines.append("")
    for entry in result["entries"]:
        lines += case_table(entry)
    return "\n".join(lines)
