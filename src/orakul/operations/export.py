"""What the analyzer says, for other programs and for people: JSON, CSV, Parquet, and an HTML page with charts."""

import csv
import html
import io
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from orakul.errors import MissingExtraError
from orakul.operations.analyzer import OperationAnalyzer, Statistics
from orakul.operations.formatters.table import duration_text, plain

__all__ = ["FORMATS", "export", "to_csv", "to_html", "to_json", "to_table", "to_xml"]

_COLUMNS = Statistics.__struct_fields__


def to_json(analyzer: OperationAnalyzer) -> str:
    """Return statistics, bottlenecks and errors as indented JSON."""
    form = {
        "made_at": datetime.now(UTC),
        "statistics": analyzer.statistics(),
        "bottlenecks": analyzer.bottlenecks(),
        "errors": analyzer.errors(),
    }
    return msgspec.json.format(msgspec.json.encode(form), indent=2).decode()


def to_csv(analyzer: OperationAnalyzer) -> str:
    """Return the statistics as CSV, a row a name."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(msgspec.to_builtins(each) for each in analyzer.statistics())
    return text.getvalue()


def to_xml(analyzer: OperationAnalyzer) -> str:
    """Return the statistics as XML, an element a name."""
    rows = "".join(
        "\n  <operation " + " ".join(f'{name}="{_attribute(value)}"' for name, value in _items(each)) + "/>"
        for each in analyzer.statistics()
    )
    return f"<operations>{rows}\n</operations>"


def _items(statistics: Statistics) -> list[tuple[str, object]]:
    return list(msgspec.to_builtins(statistics).items())


def _attribute(value: object) -> str:
    return html.escape(plain(str(value)), quote=True)


def to_table(analyzer: OperationAnalyzer) -> str:
    """Return the statistics as a table for a terminal."""
    rows: list[tuple[str, ...]] = [("Operation", "Count", "Errors", "Total", "Self", "p50", "p95", "p99")]
    rows += [
        (
            plain(each.name),
            str(each.count),
            f"{each.errors} ({each.error_rate:.1%})" if each.errors else "0",
            *(duration_text(round(ms * 1e6)) for ms in (each.total_ms, each.self_ms)),
            *(duration_text(round(ms * 1e6)) for ms in (each.p50_ms, each.p95_ms, each.p99_ms)),
        )
        for each in analyzer.statistics()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "─" * sum(widths, 2 * (len(widths) - 1)))
    for each in analyzer.bottlenecks():
        share = f"{each.share:.0%} of {each.parent or 'its own time'}" if each.share is not None else ""
        growth = f"time grows as size^{each.exponent:.1f}" if each.exponent is not None else ""
        lines.append(f"! {each.reason}: {plain(each.name)} {share}{growth}")
    lines += [
        f"✗ {each.count} × {plain(each.name)}: {plain(each.error_type)}: {plain(each.message)[:100]}"
        for each in analyzer.errors()[:10]
    ]
    return "\n".join(lines)


def to_html(analyzer: OperationAnalyzer) -> str:
    """Return one page that needs nothing else: figures, bars of time, errors, bottlenecks. All text is escaped."""
    figures = analyzer.statistics()
    most = max((each.total_ms for each in figures), default=0.0) or 1.0
    slowest = max((each.p99_ms for each in figures), default=0.0) or 1.0
    rows = "".join(_row(each, most, slowest) for each in figures)
    found = "".join(
        f"<li><b>{html.escape(each.name)}</b> — {each.reason}"
        + (f", {each.share:.0%} of {html.escape(each.parent or 'its own time')}" if each.share is not None else "")
        + (f", time grows as size<sup>{each.exponent:.1f}</sup>" if each.exponent is not None else "")
        + "</li>"
        for each in analyzer.bottlenecks()
    )
    errors = "".join(
        f"<tr><td class=n>{each.count}<td>{html.escape(each.name)}<td>{html.escape(each.error_type)}"
        f"<td>{html.escape(each.message[:300])}<td>{each.first_seen:%Y-%m-%d %H:%M}<td>{each.last_seen:%Y-%m-%d %H:%M}"
        for each in analyzer.errors()[:100]
    )
    return _PAGE.format(
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        rows=rows,
        found=found or "<li>none found</li>",
        errors=errors or "<tr><td colspan=6>no errors",
    )


def _row(each: Statistics, most: float, slowest: float) -> str:
    def shown(ms: float) -> str:
        return duration_text(round(ms * 1e6))

    own = each.self_ms / most * 100
    rest = max(each.total_ms - each.self_ms, 0.0) / most * 100
    marks = "".join(
        f'<i class="q q{number}" style="left:{min(ms / slowest, 1) * 100:.2f}%" title="{name} {shown(ms)}"></i>'
        for number, (name, ms) in enumerate((("p50", each.p50_ms), ("p95", each.p95_ms), ("p99", each.p99_ms)))
    )
    error = f' class="n bad">{each.errors} ({each.error_rate:.1%})' if each.errors else ' class="n">0'
    return (
        f"<tr><td>{html.escape(each.name)}<td class=n>{each.count}<td{error}"
        f"<td class=n>{shown(each.total_ms)}<td class=n>{shown(each.self_ms)}"
        f'<td class=bar><i class=own style="width:{own:.2f}%"></i><i class=rest style="width:{rest:.2f}%"></i>'
        f"<td class=n>{shown(each.p50_ms)}<td class=n>{shown(each.p95_ms)}<td class=n>{shown(each.p99_ms)}"
        f"<td class=line>{marks}"
    )


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Operations</title>
<meta name="viewport" content="width=device-width"><style>
:root{{color-scheme:light dark;--own:#2f6fde;--rest:#9dbcf5;--bad:#c62f3b}}
body{{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}}
h1{{font-size:1.5rem;margin:0}}h2{{font-size:1.1rem;margin:2rem 0 .5rem}}small{{opacity:.7}}
table{{border-collapse:collapse;width:100%}}td,th{{padding:.3rem .6rem;text-align:left;border-bottom:1px solid #8884}}
.n{{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}}.bad{{color:var(--bad)}}
.bar{{width:14rem;white-space:nowrap;font-size:0}}.bar i{{display:inline-block;height:.8rem}}
.own{{background:var(--own)}}.rest{{background:var(--rest)}}
.line{{position:relative;width:10rem}}
.q{{position:absolute;top:.5rem;width:3px;height:.9rem;background:var(--own)}}.q1{{opacity:.65}}.q2{{opacity:.35}}
</style>
<h1>Operations</h1><small>{made}; bars: own time, then time of what it called; marks: p50, p95, p99</small>
<h2>Where the time goes</h2><table><tr><th>Operation<th class=n>Count<th class=n>Errors<th class=n>Total<th class=n>Self
<th><th class=n>p50<th class=n>p95<th class=n>p99<th>{rows}</table>
<h2>Bottlenecks</h2><ul>{found}</ul>
<h2>Errors</h2><table><tr><th class=n>Count<th>Operation<th>Type<th>Message<th>First seen<th>Last seen{errors}</table>
</html>
"""

FORMATS = {"csv": to_csv, "html": to_html, "json": to_json, "table": to_table, "xml": to_xml}
"""The forms that are text, by name."""


def export(analyzer: OperationAnalyzer, path: str | Path) -> None:
    """Write to a file in the form that its ending names: `.json`, `.csv`, `.xml`, `.html`, `.txt` or `.parquet`.

    Parquet needs the extra `parquet`.
    """
    path = Path(path)
    form = path.suffix.removeprefix(".").lower()
    if form == "parquet":
        _parquet(analyzer, path)
        return
    make = FORMATS.get("table" if form == "txt" else form)
    if make is None:
        raise ValueError(
            f"no form for {path.name!r}: the ending is one of .{', .'.join(sorted(FORMATS))}, .parquet, .txt"
        )
    path.write_text(make(analyzer), encoding="utf-8")


def _parquet(analyzer: OperationAnalyzer, path: Path) -> None:
    try:
        import pyarrow as pa  # noqa: PLC0415 (an extra)
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    rows = [msgspec.to_builtins(each) for each in analyzer.statistics()]
    kinds = {"name": pa.string(), "count": pa.int64(), "errors": pa.int64(), "cancelled": pa.int64()}
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in _COLUMNS])
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), path)
