"""Reports of the kit: results by outcome, and complaints that say what to do."""

from __future__ import annotations

from robench.conformance.report import Outcome, RuleResult, SubjectInfo, report_on

INFO = SubjectInfo(
    kind="attack", name="mine", version=1, file="mine.py", line=None, source_sha256="0" * 64
)


def result(name: str, outcome: Outcome, where: str | None = None) -> RuleResult:
    return RuleResult(
        rule=name,
        meaning="It runs.",
        remedy="fix it",
        outcome=outcome,
        why="it raised",
        where=where,
        seconds=0.0,
    )


def test_results_are_reported_in_order_and_counted_by_outcome() -> None:
    outcomes: dict[str, Outcome] = {"a": "pass", "b": "fail", "c": "skip", "d": "fail"}
    told: list[str] = []
    report = report_on(
        INFO, list(outcomes), lambda n: result(n, outcomes[n]), lambda r: told.append(r.rule)
    )
    assert told == ["a", "b", "c", "d"]
    assert [one.rule for one in report.failed] == ["b", "d"]
    assert [one.rule for one in report.of("skip")] == ["c"]
    assert (report.kind, report.method, report.source) == ("attack", "mine", "mine.py")
    assert type(report).model_validate_json(report.model_dump_json()) == report


def test_a_complaint_says_what_where_and_what_next() -> None:
    lines = result("runs", "fail", "mine.py:7").complaint.splitlines()
    assert lines[0] == "runs: it raised"
    assert [line.split()[0] for line in lines[1:]] == ["where:", "rule:", "next:"]
    assert "mine.py:7" in lines[1]
    assert "fix it" in lines[3]
    assert len(result("runs", "fail").complaint.splitlines()) == 3
