"""A little of what `make fuzz` does for ten minutes: readers of strangers' bytes give a value or their own error."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", sorted(TARGETS))
@pytest.mark.filterwarnings("ignore")
def test_hostile_bytes_are_read_or_refused_and_nothing_else(name: str) -> None:
    target = TARGETS[name]
    target.prepare()

    @settings(max_examples=25, suppress_health_check=list(HealthCheck), print_blob=False)
    @given(target.files())
    def tried(data: bytes) -> None:
        target.stands(data)

    tried()
