"""A comparison as a short Markdown table, for a pull request; and the words that it shares with the one on a terminal."""
MARKS = {"regression": "slower", "improvement": "faster", "same": "", "no difference": "", "not confirmed": "not confirmed",
         "not measured": "NOT MEASURED"}


def instructions(row):
    """count, count before, ratio, verdict"""
    if row is None:
        return "", "", "", ""
    if row["ratio"] is None:
        return "", "", "", MARKS[row["verdict"]]
    return f"{row['head']:,.1f}", f"{row['base']:,.1f}", f"{row['ratio']:.3f}", MARKS[row["verdict"]]


def times(row):
    """ratio, interval, ns, verdict"""
    if row is None:
        return "", "", "", ""
    if row["ratio"] is None:
        return "", "", "", MARKS[row["verdict"]]
    mark = MARKS[row["verdict"]]
    if row["confirmed"]:
        mark = f"{mark} (again: {row['confirmed']['ratio']:.3f})" if row["confirmed"]["ratio"] is not None else f"{mark} (again: no result)"
    return f"{row['ratio']:.3f}", f"{row['low']:.3f} to {row['high']:.3f}", f"{row['head_ns']:.2f}", mark


def differs(row):
    return any(part and part["verdict"] not in ("same", "no difference") for part in (row["instructions"], row["time"]))


def table(result):
    """What differs first, the rest folded away."""
    base, head = result["base"], result["head"]
    title = {"fine": "No difference", "regression": "Slower", "improvement": "Faster", "could not measure": "Could not measure all of it"}
    lines = [f"### {title[result['verdict']]}: {head['name']} (`{head['commit']}`) over {base['name']} (`{base['commit']}`)", ""]
    if result["override"]:
        lines += [f"Accepted by {result['override']['by']}: {result['override']['reason']}", ""]
    some = [row for row in result["cases"] if differs(row)]
    rest = [row for row in result["cases"] if not differs(row)]
    if some:
        lines += rows_of(some)
    if rest:
        lines += ["<details><summary>" + f"{len(rest)} cases without a difference</summary>", "", *rows_of(rest), "</details>", ""]
    lines += [f"- {error['case']}: {error['message']}" for error in result["errors"]]
    lines += [f"{result['command']}, {result['seconds']} s; {result['machine']['cpu']}, {result['machine']['cpus']} processors; "
              f"{result['build']['compiler']}. Ratios above 1 cost more; instructions by callgrind, time as the median of {result['rounds']} rounds "
              "with its 95 % interval."]
    return "\n".join(lines) + "\n"


def rows_of(rows):
    lines = ["| case | instructions | before | ratio | | time | 95 % interval | |", "|---|--:|--:|--:|---|--:|--:|---|"]
    for row in rows:
        took = times(row["time"])
        lines.append("| " + " | ".join([row["case"], *instructions(row["instructions"]), took[0], took[1], took[3]]) + " |")
    return [*lines, ""]
