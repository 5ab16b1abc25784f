"""A table for a terminal."""

from collections.abc import Mapping, Sequence


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows with the same names, as aligned columns under these names."""
    names = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    lines = ["  ".join(name.ljust(widths[name]) for name in names)]
    lines.append("  ".join("─" * widths[name] for name in names))
    lines += ["  ".join(row[name].ljust(widths[name]) for name in names).rstrip() for row in rows]
    return "\n".join(lines)
