"""What fuzz --ci found, as text, as JUnit XML and as SARIF 2.1.0. Only a new failure is a failure in any of them."""
import re
import xml.etree.ElementTree as tree

from suite import store
from suite.paths import ROOT

LEVEL = {"new": "error", "not compared": "error", "known": "note", "unstable": "note"}
BASELINE = {"new": "new", "known": "unchanged"}
WORDS = {"new": "NEW: the base runs it clean", "known": "known: the base fails too", "unstable": "unstable: it does not fail each time",
         "not compared": "NOT COMPARED with the base"}
NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")
OUTCOME = {0: "clean", 1: "new failures", 3: "could not run", 4: "known failures only"}


def write(folder, summary):
    store.write_json(folder / "ci.json", summary)
    store.write(folder / "ci.txt", text(summary))
    store.write(folder / "junit.xml", junit(summary))
    store.write_json(folder / "ci.sarif", sarif(summary))


def line(failure):
    at = f" at {failure['op']}" if failure["op"] else ""
    runs = f"{failure['failed']} of {failure['of']} runs"
    return f"{WORDS[failure['state']]}: {failure['target']}, {failure['check']}{at}, {runs}: {failure['input']}"


def details(failure):
    parts = [f"says:      {failure['says'] or 'nothing: it ran clean'}",
             f"on base:   {failure['base_says'] or 'not asked'}",
             f"found by:  {failure['found_by']}, in {failure['from']}",
             f"again:     scripts/iobuf replay {failure['target']} --preset {failure['preset']} {failure['input']}",
             f"as text:   {failure['text']}"]
    parts += [f"as C:      {failure['c']}"] if failure["c"] else []
    parts += [f"in:        {' < '.join(failure['stack'])}"] if failure["stack"] else []
    return "\n".join(parts) + "\n\n" + failure["program"]


def c_source(failure):
    path = ROOT / failure["c"] if failure["c"] else None
    return path.read_text() if path and path.is_file() else ""


def text(summary):
    """For a person, and for a log."""
    out = [f"base {summary['base'][:12]}, commit {summary['commit']}, {summary['date']}"]
    out += [f"touches {target}: {why}" for target, why in summary["touched"].items()] or ["touches no target: replay and canary only"]
    out += [f"  {step['name']:24} {step['seconds']:7.1f} s  {step['note']}" for step in summary["steps"]]
    for failure in summary["failures"]:
        out += ["", line(failure), *("    " + part for part in details(failure).rstrip().splitlines())]
    if summary["not_looked_at"]:
        out += [f"{summary['not_looked_at']} more fail at the same checks, with the same outcome on the base, and were not looked at"]
    out += [f"could not run: {error}" for error in summary["errors"]]
    counts = ", ".join(f"{sum(failure['state'] == state for failure in summary['failures'])} {state}" for state in LEVEL)
    return "\n".join([*out, f"{OUTCOME[summary['status']]}: {counts}", ""])


def junit(summary):
    """A case for each step and for each failure; known and unstable ones are skipped cases, which no reader takes for red."""
    bad = [failure for failure in summary["failures"] if failure["state"] == "new"]
    lost = [failure for failure in summary["failures"] if failure["state"] == "not compared"]
    cases = len(summary["steps"]) + len(summary["failures"]) + len(summary["errors"])
    suite = tree.Element("testsuite", name="iobuf fuzz --ci", tests=str(cases), failures=str(len(bad)),
                         errors=str(len(summary["errors"]) + len(lost)), skipped=str(len(summary["failures"]) - len(bad) - len(lost)),
                         timestamp=summary["date"], time=f"{sum(step['seconds'] for step in summary['steps']):.1f}")
    for step in summary["steps"]:
        tree.SubElement(suite, "testcase", classname="iobuf.fuzz", name=step["name"], time=f"{step['seconds']:.1f}")
    for failure in summary["failures"]:
        case = tree.SubElement(suite, "testcase", classname=f"iobuf.fuzz.{failure['target']}", name=line(failure), time="0")
        kind = {"new": "failure", "not compared": "error"}.get(failure["state"], "skipped")
        part = tree.SubElement(case, kind, message=xml_text(failure["says"] or failure["state"]))
        part.text = xml_text(details(failure))
        if kind != "skipped":
            part.set("type", failure["check"])
        tree.SubElement(case, "system-out").text = xml_text(c_source(failure))
    for error in summary["errors"]:
        case = tree.SubElement(suite, "testcase", classname="iobuf.fuzz", name="could not run", time="0")
        tree.SubElement(case, "error", message=xml_text(error.splitlines()[0]), type="could-not-run").text = xml_text(error)
    top = tree.Element("testsuites")
    top.append(suite)
    tree.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tree.tostring(top, encoding="unicode") + "\n"


def xml_text(value):
    return NOT_XML.sub("?", value)


def sarif(summary):
    checks = sorted({failure["check"] for failure in summary["failures"]})
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [{
        "tool": {"driver": {"name": "iobuf fuzz --ci", "rules": [
            {"id": check, "shortDescription": {"text": check.replace("_", " ")}} for check in checks]}},
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "the root of the checkout"}}},
        "invocations": [{"executionSuccessful": summary["status"] != 3, "exitCode": summary["status"], "commandLine": summary["command"],
                         "toolExecutionNotifications": [{"level": "error", "message": {"text": error}} for error in summary["errors"]]}],
        "columnKind": "utf16CodeUnits",
        "results": [result(failure, checks) for failure in summary["failures"]]}]}


def result(failure, checks):
    found = {"ruleId": failure["check"], "ruleIndex": checks.index(failure["check"]), "level": LEVEL[failure["state"]],
             "message": {"text": f"{line(failure)}\n{details(failure)}"},
             "locations": [place(failure)],
             "attachments": [{"description": {"text": what}, "artifactLocation": artifact(failure[key])}
                             for key, what in (("input", "the input"), ("text", "the program"), ("c", "a C file that fails the same way"))
                             if failure[key]],
             "properties": {"state": failure["state"], "failedRuns": failure["failed"], "ofRuns": failure["of"], "stack": failure["stack"],
                            "program": failure["program"], "c": c_source(failure)}}
    if failure["state"] in BASELINE:
        found["baselineState"] = BASELINE[failure["state"]]
    if failure["cause"]:
        found["partialFingerprints"] = {"iobufCause/v1": failure["cause"]}
    return found


def place(failure):
    """Where the library goes wrong, if that is known; else the input that shows it."""
    where = failure["location"]
    if not where:
        return {"physicalLocation": {"artifactLocation": artifact(failure["input"])}}
    physical = {"artifactLocation": artifact(where["file"]), "region": {"startLine": where["line"]}}
    how = "where the library is when it fails" if where["how"] == "stack" else "the call after which the check fails"
    return {"physicalLocation": physical, "message": {"text": how}}


def artifact(path):
    return {"uri": path, "uriBaseId": "SRCROOT"}
