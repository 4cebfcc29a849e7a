"""The state now: each work against malloc, of the ordinary benchmarks, and against the other peers, of bench --peers."""
from suite import peertable, stats
from suite.goals import NO_COMPETITORS, OURS, PEERS
from suite.page import texts

WORKS = {
    "alloc_release": "take a buffer, write to it, release it",
    "batch": "64 buffers of mixed sizes, first in, first out: one turn of an event loop",
    "window": "4096 live buffers of 16 to 2048 bytes, a random one replaced each time",
    "cross_thread": "one thread takes, another releases",
    "frame": "payload copied in, 8-byte header put in front, described for writev, released",
    "frame_line": "the same, with a cache line of room for the header, which keeps payloads aligned",
    "frame_http": "the same with the messages of recorded HTTP traffic (nginx)",
    "frame_resp": "the same with the messages of recorded Redis traffic",
    "coalesce": "1000 neighbouring buffers joined into few; malloc has to copy, iobuf does not where they lie side by side",
    "reader": "messages cut from a stream in memory, looked at, released",
    "reader_socket": "the same from a socket; iobuf reads ahead, malloc makes a system call for each message",
    "reader_http": "messages cut from recorded HTTP traffic (nginx)",
    "reader_resp": "messages cut from recorded Redis traffic",
}
NO_PEERS = (*NO_COMPETITORS, "go_port")  # what they tell is something else


def speed(result):
    if not result:
        return None
    compared = [row for row in result["compared"] if row["work"] != "pool_size"]
    if not compared:
        return None
    works = []
    for name in dict.fromkeys(row["work"] for row in compared):
        rows = sorted((row for row in compared if row["work"] == name), key=lambda row: (len(row["size"]), row["size"]))
        works.append({"name": name, "text": WORKS.get(name, ""), "rows": rows,
                      "ratio": stats.geometric_mean([row["ratio"] for row in rows]),
                      "held": any(row["iobuf_held_per_live"] or row["malloc_held_per_live"] for row in rows),
                      "lowest": min(row["low"] for row in rows), "highest": max(row["high"] for row in rows)})
    count = {verdict: sum(row["verdict"] == verdict for row in compared) for verdict in ("faster", "slower", "no difference seen")}
    widths = [row["high"] / row["low"] for row in compared]
    return {"works": works, "total": len(compared), "count": count, "typical": stats.median([row["ratio"] for row in compared]),
            "best": max(compared, key=lambda row: row["ratio"]), "worst": min(compared, key=lambda row: row["ratio"]),
            "noise": (stats.median(widths) - 1) * 50, "rounds": result["rounds"], "rounds_wanted": result["rounds_wanted"],
            "hungriest": hungriest(compared), "errors": result["errors"]}


def hungriest(compared):
    """Where iobuf holds most against malloc, if it does hold more anywhere."""
    both = [row for row in compared if row["iobuf_held_per_live"] and row["malloc_held_per_live"]]
    most = max(both, key=lambda row: row["iobuf_held_per_live"] / row["malloc_held_per_live"], default=None)
    return most if most and most["iobuf_held_per_live"] > 1.05 * most["malloc_held_per_live"] else None


def peers(result):
    """A row for each work and size, a column for each peer; and how many of the competitors' pairs are won."""
    if not result or not result["compared"]:
        return None
    have = {row["peer"] for row in result["compared"]}
    names = sorted(have, key=lambda peer: (peer in NO_PEERS, PEERS.index(peer) if peer in PEERS else len(PEERS), peer))
    rows, works = {}, {}
    for pair in result["compared"]:
        cell = against(pair)
        rows.setdefault((pair["work"], pair["size"]), {})[pair["peer"]] = cell
        if cell["ratio"] is not None:
            works.setdefault(pair["peer"], {}).setdefault(pair["work"], []).append(cell)
    table = [{"work": work, "size": size, "cells": [cells.get(peer) for peer in names]}
             for (work, size), cells in sorted(rows.items(), key=lambda item: (order(item[0][0]), texts.natural(item[0][1])))]
    fair = [cells[peer] for cells in rows.values() for peer in cells if peer not in NO_PEERS]
    goals = peertable.goals(result) if result["goals"] else None
    verdicts = [goal["verdict"] for goal in result["goals"]]
    return {"names": names, "rows": table, "competitors": [peer for peer in names if peer not in NO_PEERS], "total": len(fair),
            "count": {verdict: sum(cell["verdict"] == verdict for cell in fair) for verdict in ("faster", "slower", "unclear", "noisy")},
            "goals": goals, "judged": sum(bool(verdict) for verdict in verdicts),
            "reached": sum(verdict.startswith("reached") for verdict in verdicts),
            "missed": verdicts.count("not reached"), "remarks": peertable.remarks(result), "rounds": result["rounds"],
            "charts": [{"peer": peer, "works": [averaged(work, works[peer][work]) for work in sorted(works[peer], key=order)]}
                       for peer in names if peer in works]}


def order(work):
    names = list(WORKS)
    return names.index(work) if work in names else len(names), work


def against(pair):
    """A pair of bench --peers, whose ratio is the time of iobuf over the peer's, as how many times as fast iobuf is."""
    if pair["refused"]:
        return {"ratio": None, "low": None, "high": None, "verdict": "noisy", "title": pair["refused"]}
    verdict = "faster" if pair["high"] < 1 else "slower" if pair["low"] > 1 else "unclear"
    low, high = 1 / pair["high"], 1 / pair["low"]
    return {"ratio": 1 / pair["ratio"], "low": low, "high": high, "verdict": verdict,
            "title": f"{OURS} {texts.nanoseconds(pair['ours_ns'])} ns, {pair['peer']} {texts.nanoseconds(pair['peer_ns'])} ns;"
                     f" 95 %: {texts.times(low)} to {texts.times(high)} times as fast"}


def averaged(work, cells):
    return {"name": work, "ratio": stats.geometric_mean([cell["ratio"] for cell in cells]), "lowest": min(cell["low"] for cell in cells),
            "highest": max(cell["high"] for cell in cells)}


def charts(against_malloc, against_peers):
    """What can be chosen for the chart of speed: malloc as the ordinary benchmarks have it, then each peer."""
    first = [{"peer": "malloc", "works": [{name: work[name] for name in ("name", "ratio", "lowest", "highest")}
                                          for work in against_malloc["works"]]}] if against_malloc else []
    return first + (against_peers["charts"] if against_peers else [])
