"""The summary of bench --peers as tables: on a terminal, or as Markdown for a README. Nothing is measured here."""
import dataclasses
import re

from suite import say
from suite.goals import BEST, MEMORY_AGAINST, NO_COMPETITORS, OURS, PEERS
from suite.peers import CONSTANTS


@dataclasses.dataclass
class Table:
    title: str
    columns: list  # as say.table has them: '>' in front aligns to the right
    rows: list


def goals(summary):
    rows = []
    for row in summary["goals"]:
        interval = "" if row["refused"] else f"{number(row['low'])} to {number(row['high'])}"
        rows.append([f"{row['work']} {row['size']}" + ("" if row["ours"] == OURS else f", {row['ours']}"), against(row),
                     row["refused"] or number(row["ratio"]), interval, number(row["at_most"]), plain(row["instructions"]),
                     plain(row["instructions_at_most"]), row["verdict"]])
    return Table(f"time per buffer, iobuf / peer (less is better), {summary['rounds']} rounds",
                 ["work", "against", ">ratio", ">95 % interval", ">at most", ">instructions", ">at most", "verdict"], rows)


def against(row):
    if row["peer"] == row["ours"]:
        return f"the same, {row['against_size']}"
    return f"{BEST}: {row['peer']}" if row["against"] == BEST else row["peer"]


def memory(summary):
    rows = [[row["work"], row["size"], number(row["iobuf"]), number(row[MEMORY_AGAINST]), nanoseconds(row["iobuf_ns"]),
             nanoseconds(row[f"{MEMORY_AGAINST}_ns"]), row["verdict"]] for row in summary["memory"]]
    return Table("bytes held per byte live, and time per buffer, by size of bufs; go_port: a literal port of the Go package",
                 ["work", ">buf bytes", ">held/live iobuf", ">go_port", ">ns iobuf", ">go_port", "verdict"], rows)


def losses(summary):
    """Where a competitor is faster for sure: its interval lies above 1."""
    rows = [[f"{row['work']} {row['size']}", row["peer"], number(row["ratio"]), f"{number(row['low'])} to {number(row['high'])}"]
            for row in summary["compared"] if not row["refused"] and row["low"] > 1 and row["peer"] not in NO_COMPETITORS]
    return Table("where a peer is faster than iobuf", ["work", "peer", ">ratio", ">95 % interval"], rows)


def matrix(summary):
    """Times of two columns were taken in two processes, unless both are of glibc's: the ratios above are what compares."""
    return by_peer(summary, "ns", nanoseconds, "ns per buffer, medians")


def held(summary):
    return by_peer(summary, "held_per_live", number, "bytes held per byte live")


def instructions(summary):
    return by_peer(summary | {"cases": summary["instructions"]}, "count", plain, "instructions per buffer")


def by_peer(summary, key, text, title):
    cases = [case for case in summary["cases"] if case[key] is not None and case["work"] != CONSTANTS]
    have = {case["peer"] for case in cases}
    peers = [peer for peer in (OURS, *PEERS) if peer in have] + sorted(have - {OURS, *PEERS})
    rows = {}
    for case in cases:
        rows.setdefault((case["work"], case["size"]), {})[case["peer"]] = text(case[key])
    return Table(title, ["work", ">size", *(f">{peer}" for peer in peers)],
                 [[work, size, *(row.get(peer, "") for peer in peers)] for (work, size), row in rows.items()])


def constants(summary):
    return Table("constants of this machine", ["", ">size", ">ns"],
                 [[case["peer"], "" if case["size"] == "0" else case["size"], nanoseconds(case["ns"])] for case in summary["cases"]
                  if case["work"] == CONSTANTS])


def show(summary):
    for part in (goals, memory, instructions, losses, matrix, held, constants):
        table = part(summary)
        if table.rows:
            say.table(table.title, table.columns, table.rows)
    for text in remarks(summary):
        say.line(text)


def remarks(summary):
    """What a reader has to know of the table beside its figures."""
    found = []
    refused = [row for row in summary["goals"] if row["refused"]]
    if refused:
        found.append(f"{len(refused)} of {len(summary['goals'])} ratios are not reported: the run was too noisy for them, also with"
                     " more rounds; try when the machine does nothing else")
    if summary["absent"]:
        found.append("left out: " + "; ".join(f"{row['peer']}, {row['why']}" for row in summary["absent"]) + " (scripts/setup peers)")
    if summary["interrupted"]:
        found.append(f"interrupted after {summary['rounds']} of {summary['rounds_wanted']} rounds")
    return found


def markdown(summary):
    """The table, memory, losses and constants with where they come from, to be pasted as they are."""
    machine, built = summary["machine"], summary["build"]
    versions = [re.sub(r"-\d+-g[0-9a-f]+$", "", found["version"]) for found in summary["mallocs"].values() if found["version"]]
    versions = list(dict.fromkeys(versions))  # DPDK's processes run on glibc's as well
    measured = {case["peer"] for case in summary["cases"]}
    versions += [f"{peer}: {text}" for peer, text in summary["versions"].items() if peer in measured and peer != OURS]
    parts = [as_markdown(part(summary)) for part in (goals, memory, losses, constants) if part(summary).rows]
    virtual = ", virtual" if machine["virtual"] else ""
    parts.append(f"`{summary['command']}` on {machine['cpu']} ({machine['cpus']} processors{virtual}), {machine['system']}, "
                 f"{machine['kernel']}, {built['compiler']}, {built['flags']}; commit {summary['commit']}, {summary['date'][:10]}."
                 + (f" {'; '.join(versions)}." if versions else ""))
    parts += [f"{text[0].upper()}{text[1:]}." for text in remarks(summary)]
    return "\n\n".join(parts)


def as_markdown(table):
    def line(cells):
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
    marks = ["--:" if name.startswith(">") else "---" for name in table.columns]
    title = table.title[0].upper() + table.title[1:]
    return "\n".join([f"{title}:", "", line(name.lstrip(">") for name in table.columns), line(marks), *map(line, table.rows)])


def number(value):
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def nanoseconds(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def plain(value):
    return "" if value is None else f"{value:g}"
