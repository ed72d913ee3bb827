"""docs/faults.md names, for every fault that was found, tests that are there."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
NUM_FAULTS = 50


def test_every_fault_names_tests_that_are_there() -> None:
    page = (REPOSITORY / "docs" / "faults.md").read_text(encoding="utf-8")
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "tests").rglob("test_*.py"))
    rows = re.findall(r"^\| (\d+) .*\| (.*) \| (.*) \|$", page, re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, NUM_FAULTS + 1))
    for number, tests, seen_red in rows:
        names = re.findall(r"`(test_\w+)`", tests)
        assert names and seen_red, number
        assert [name for name in names if f"def {name}(" not in sources] == [], number
