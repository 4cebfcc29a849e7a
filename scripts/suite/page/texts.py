"""How numbers are written on the page."""

MINUS = "\N{MINUS SIGN}"


def nanoseconds(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def times(value):
    return f"{value:.0f}" if value >= 10 else f"{value:.2f}" if value < 2 else f"{value:.1f}"


def large(value):
    """1234567 as 1.2 million."""
    for unit, name in ((10**9, "billion"), (10**6, "million")):
        if value >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value:,}"


def size_name(value):
    text = str(value)
    if not text.isdigit():
        return text
    number = int(text)
    for unit, name in ((2**20, "MiB"), (2**10, "KiB")):
        if number >= unit and number % unit == 0:
            return f"{number // unit} {name}"
    return f"{number} B"


def figures(value):
    """Four of them, as many as any measure here is worth."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def change(ratio):
    """A ratio as what it adds: 1.034 is +3.4 %."""
    if ratio is None:
        return ""
    percent = 100 * (ratio - 1)
    text = f"{abs(percent):.1f}" if abs(percent) < 100 else f"{abs(percent):.0f}"
    return f"{'' if float(text) == 0 else MINUS if percent < 0 else '+'}{text} %"


def share(value):
    return "" if value is None else f"{100 * value:.1f} %".replace(".0 %", " %")


def seconds(value):
    return "" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def day(date):
    return str(date)[:10]


def natural(size):
    """Sorts 64 before 1024, and words behind numbers."""
    parts = str(size).split("/")
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


FILTERS = {"count": "{:,}".format, "ns": nanoseconds, "times": times, "size": size_name, "large": large, "figures": figures,
           "change": change, "share": share, "seconds": seconds, "day": day}
