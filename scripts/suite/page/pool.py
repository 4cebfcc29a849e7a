"""The pool's size: time and memory of the same traffic through pools of different sizes of bufs."""
from suite.page import texts


def sizes(result):
    """Time and memory for each buf size, a series per traffic; the best has the least product of the two."""
    series, malloc = {}, None
    for case in result["cases"] if result else []:
        if case["work"] == "pool_size" and case["peer"] == "malloc":
            malloc = {"ns": case["ns"], "held": case["held_per_live"]}
        elif case["work"] == "pool_size":
            traffic, _, size = case["size"].rpartition("/")
            series.setdefault(traffic, []).append({"bytes": int(size), "ns": case["ns"], "held": case["held_per_live"],
                                                   "label": texts.size_name(int(size))})
    if not series:
        return None
    found = []
    for traffic, rows in series.items():
        rows.sort(key=lambda row: row["bytes"])
        found.append({"traffic": traffic, "rows": rows, "best": min(rows, key=lambda row: row["ns"] * (row["held"] or 1)),
                      "fastest": min(rows, key=lambda row: row["ns"]), "leanest": min(rows, key=lambda row: row["held"] or 0)})
    return {"series": found, "malloc": malloc}
