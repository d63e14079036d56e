"""Tables, and the sections of documents that scripts write."""

import pathlib
import re
import statistics


def replace(path, name, lines):
    """Puts lines between the marks of that name in a document."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    path = pathlib.Path(path)
    text = path.read_text()
    if begin not in text or end not in text:
        raise SystemExit(f"{path} has no lines {begin} and {end}")
    section = "\n".join([begin, *lines, end])
    path.write_text(re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: section, text, flags=re.DOTALL))


def table(head, rows):
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"


def spread(values, digits=2):
    """The median and, in brackets, the lowest and the highest."""
    if not values:
        return "–"
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})"


class Row:
    """A row of a comparison: what is measured, in which unit, and what the first column may be at most."""

    def __init__(self, name, title, unit, limit=None, ratio=None, digits=3):
        self.name, self.title, self.unit = name, title, unit
        self.limit, self.ratio, self.digits = limit, ratio, digits

    def budget(self):
        limits = [] if self.limit is None else [f"≤ {self.limit:g}"]
        limits += [] if self.ratio is None else [f"≤ {self.ratio:g}×"]
        return ", ".join(limits)

    def verdict(self, ours, ratio):
        """Whether the budget is kept; nothing where there is none."""
        if not self.budget():
            return ""
        kept = (self.limit is None or ours <= self.limit) and (self.ratio is None or ratio <= self.ratio)
        return "kept" if kept else "**missed**"


def comparison(rows, figures, titles):
    """A table of two columns, from {row: [figures of the first, figures of the second]}."""
    yield from table(["what", "unit", *titles, "ratio", "budget", ""],
                     (_compared(row, *figures[row.name]) for row in rows if all(figures.get(row.name, [[]]))))


def _compared(row, ours, theirs):
    middle = [statistics.median(ours), statistics.median(theirs)]
    ratio = middle[0] / middle[1] if middle[1] > 0 else float("nan")
    return (row.title, row.unit, spread(ours, row.digits), spread(theirs, row.digits), f"{ratio:.2f}", row.budget(),
            row.verdict(middle[0], ratio))
