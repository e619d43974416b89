"""The tables and plots of what was measured, for the page of benchmarks."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from contended import Curves
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from measure import Row

matplotlib.use("svg")

ROOT = Path(__file__).resolve().parent.parent
END = "<!-- end -->\n"

THEMES = {
    "light": {"ink": "#1f2328", "grid": "#d1d9e0"},
    "dark": {"ink": "#f0f6fc", "grid": "#3d444d"},
}
COLOURS = {
    "light": {
        "oasis_data": "#0969da",
        "orjson": "#bc4c00",
        "python": "#8250df",
        "floor": "#6e7781",
    },
    "dark": {"oasis_data": "#58a6ff", "orjson": "#f0883e", "python": "#bc8cff", "floor": "#9198a1"},
}
STYLES = {"floor with the promises": ":", "floor with orjson too": "--"}
MARKS = {"oasis_data": "o", "orjson": "s", "python": "^", "floor": "D"}


def kind(name: str) -> str:
    """Contenders of one kind look alike in every panel."""
    kinds = {"oasis_data": "oasis_data", "floor": "floor", "flock": "floor", "orjson": "orjson"}
    return next((kind for part, kind in kinds.items() if part in name), "python")


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def lines(rows: list[Row], *, compared: bool) -> Iterable[str]:
    """A table in Markdown: medians, and each as a multiple of the first."""
    base, *others = rows[0].medians
    yield f"| document | bytes | {' | '.join([base, *others])} |"
    yield "| --- | ---: |" + " ---: |" * (1 + len(others))
    for row in rows:
        cells = [number(row.medians[base])]
        for name in others:
            ratio = f" ({row.ratio(name, base):.2f} x)" if compared else ""
            cells.append(f"{number(row.medians[name])}{ratio}")
        yield f"| {row.document} | {row.bytes:,} | {' | '.join(cells)} |"
    if compared and len(rows) > 1:
        means = [
            statistics.geometric_mean(row.ratio(name, base) for row in rows) for name in others
        ]
        yield f"| geometric mean | | | {' | '.join(f'({mean:.2f} x)' for mean in means)} |"


def table(title: str, rows: list[Row], *, compared: bool = True) -> str:
    """A titled table, which is also printed, now: a run takes long."""
    text = f"{title}:\n\n" + "\n".join(lines(rows, compared=compared)) + "\n"
    print(f"\n{text}", end="", flush=True)
    return text


def panel(axes: Axes, title: str, rows: list[Row], theme: str) -> None:
    """Every contender of a table, log-log."""
    ink, grid = THEMES[theme]["ink"], THEMES[theme]["grid"]
    for name in rows[0].medians:
        points = sorted((row.bytes, row.medians[name]) for row in rows)
        axes.plot(
            *zip(*points, strict=True),
            label=name,
            color=COLOURS[theme][kind(name)],
            marker=MARKS[kind(name)],
            markersize=4,
            linestyle=STYLES.get(name, "-"),
            linewidth=2.2 if name == "oasis_data" else 1.2,
        )
    axes.set(xscale="log", yscale="log", title=title)
    axes.title.set_color(ink)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: as_size(size)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda time, _: as_time(time)))
    axes.minorticks_off()
    axes.tick_params(colors=ink, labelsize=8)
    axes.grid(color=grid, linewidth=0.6)
    for spine in axes.spines.values():
        spine.set_color(grid)
    axes.legend(fontsize=8, labelcolor=ink, framealpha=0)


def as_size(size: float) -> str:
    """Bytes for a person."""
    steps = [(1e6, "MB"), (1e3, "KB"), (1.0, "B")]
    step, unit = next((each for each in steps if size >= each[0]), steps[-1])
    return f"{size / step:g} {unit}"


def as_time(microseconds: float) -> str:
    """A time for a person."""
    steps = [(1e6, "s"), (1e3, "ms"), (1.0, "µs")]
    step, unit = next((each for each in steps if microseconds >= each[0]), steps[-1])
    return f"{microseconds / step:g} {unit}"


def plots(panels: dict[str, list[Row]], folder: Path) -> None:
    """Draws every table into a picture for light pages and one for dark ones."""
    # Text stays text, and the same run gives the same file.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "oasis_data"})
    plt.rcParams.update({"font.family": "sans-serif", "axes.titlesize": 10})
    for theme in THEMES:
        figure, grid = plt.subplots(2, 2, figsize=(9.2, 6.8), layout="constrained")
        for axes, (title, rows) in zip(grid.flat, panels.items(), strict=True):
            axes.set_facecolor("none")
            panel(axes, title, rows, theme)
        path = folder / f"bench-{theme}.svg"
        figure.savefig(path, transparent=True, metadata={"Date": None})
        plt.close(figure)


def plot_edits(curves: dict[str, Curves], folder: Path) -> None:
    """Draws how many edits of one document many reach at once."""
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "oasis_data"})
    plt.rcParams.update({"font.family": "sans-serif", "axes.titlesize": 10})
    for theme in THEMES:
        ink, grid = THEMES[theme]["ink"], THEMES[theme]["grid"]
        figure, panels = plt.subplots(
            1, len(curves), figsize=(4.6 * len(curves), 3.6), layout="constrained", squeeze=False
        )
        for axes, (title, of_each) in zip(panels.flat, curves.items(), strict=True):
            axes.set_facecolor("none")
            for name, points in of_each.items():
                axes.plot(
                    *zip(*points, strict=True),
                    label=name,
                    color=COLOURS[theme][kind(name)],
                    marker=MARKS[kind(name)],
                    markersize=4,
                    linestyle="--" if "log" in name else "-",
                    linewidth=2.2 if name == "oasis_data" else 1.2,
                )
            axes.set(xscale="log", ylim=(0, None), title=title)
            axes.title.set_color(ink)
            numbers = sorted({number for points in of_each.values() for number, _ in points})
            axes.set_xticks(numbers, [str(number) for number in numbers])
            axes.minorticks_off()
            axes.tick_params(colors=ink, labelsize=8)
            axes.grid(color=grid, linewidth=0.6)
            for spine in axes.spines.values():
                spine.set_color(grid)
            axes.legend(fontsize=7, labelcolor=ink, framealpha=0)
        path = folder / f"bench-edits-{theme}.svg"
        figure.savefig(path, transparent=True, metadata={"Date": None})
        plt.close(figure)


def write(tables: list[str], drawn: dict[str, list[Row]], edits: dict[str, Curves]) -> None:
    """Puts what was measured into the page of benchmarks, and draws it."""
    plot_edits(edits, ROOT / "docs")
    curves = {
        title: [row for row in rows if row.document == "schedule"] for title, rows in drawn.items()
    }
    plots(curves, ROOT / "docs")
    put("speed", tables)


def put(place: str, tables: list[str]) -> None:
    """Puts tables into their place on the page of benchmarks."""
    page = ROOT / "docs" / "benchmarks.md"
    begin = f"<!-- measured {place} -->\n"
    text = "\n".join(tables)
    before, rest = page.read_text().split(begin)
    _, after = rest.split(END, 1)
    page.write_text(f"{before}{begin}{text}{END}{after}")
