"""Figures, how they are compared, and the tables that they are told in."""

import dataclasses
import statistics


def quartiles(values):
    """The lower quartile, the median and the upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


@dataclasses.dataclass
class Cell:
    """A figure. ratio is to the bare program, and low to high is its spread: the middle half of
    the ratios of the rounds, each to the bare run of its own round. In a cell that was skipped
    only why is set."""

    figure: float = None
    unit: str = ""
    ratio: float = None
    low: float = None
    high: float = None
    more: float = None  # than what the table names: added instructions or system calls
    why: str = ""

    def text(self):
        if self.why:
            return "–"
        if self.more is not None:
            ratio = f" ({self.ratio:.2f})" if self.ratio is not None else ""
            return f"{self.more:+.{0 if round(self.more, 1) % 1 == 0 else 1}f}{ratio}"
        if self.ratio is not None:
            return f"{self.ratio:.3f} ±{(self.high - self.low) / 2:.3f}"
        return f"{amount(self.figure)}{self.unit}"

    def plain(self):
        return {key: value for key, value in dataclasses.asdict(self).items()
                if value not in (None, "")}


def amount(figure):
    """A number as people write it: three digits or so, thousands apart."""
    if figure == round(figure) or abs(figure) >= 1000:
        return f"{figure:,.0f}"
    return f"{figure:.{1 if abs(figure) >= 100 else 2 if abs(figure) >= 1 else 3}f}"


def skipped(why):
    return Cell(why=why)


def ratios(rounds, unit):
    """The cells of a workload: rounds is a list of {peer's name: figure}, in which "nothing" is the
    bare program. Every figure is compared with its own round's."""
    cells = {}
    for name in {name: None for each in rounds for name in each}:
        pairs = [(each[name], each[name] / each["nothing"])
                 for each in rounds if name in each and each.get("nothing")]
        if not pairs:
            continue
        figure = statistics.median(figure for figure, _ in pairs)
        low, middle, high = quartiles([ratio for _, ratio in pairs])
        cells[name] = Cell(figure, unit) if name == "nothing" else Cell(figure, unit, middle, low, high)
    return cells


@dataclasses.dataclass
class Table:
    title: str
    says: str      # what is measured, and how to read it
    columns: list  # the names of the peers, or of figures
    rows: list     # (name, {column: Cell})

    def lacking(self):
        """Why cells are empty, each reason once."""
        return list(dict.fromkeys(f"{name}: {cell.why}" for name, cells in self.rows
                                  for cell in cells.values() if cell.why))

    def lines(self):
        """Head and rows, as lists of texts."""
        yield ["", *self.columns]
        for name, cells in self.rows:
            yield [name, *(cells[column].text() if column in cells else "" for column in self.columns)]


@dataclasses.dataclass
class Verdict:
    """What a target asks for, and what was found: "ok", or by how much it was missed."""

    what: str
    target: str
    found: str
    missed: str = ""

    @property
    def text(self):
        return f"missed {self.missed}" if self.missed else "ok"


def at_most(what, found, limit, unit="", says=None):
    """The verdict where less is better."""
    missed = f"by {amount(found - limit)}{unit}" if found > limit else ""
    return Verdict(what, f"≤ {amount(limit)}{unit}", says or f"{amount(found)}{unit}", missed)


def columns_of_text(lines):
    lines = list(lines)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        yield "  ".join(text.ljust(width) if i == 0 else text.rjust(width)
                        for i, (text, width) in enumerate(zip(line, widths))).rstrip()


def columns_of_markdown(lines):
    for i, line in enumerate(lines):
        yield "| " + " | ".join(line) + " |"
        if i == 0:
            yield "| --- |" + " ---: |" * (len(line) - 1)
