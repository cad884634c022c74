"""The twin does what the real host did, in every case and after every step."""

import pytest

from tests.conformance.cases import Case, load_cases
from tests.conformance.recording import differences, load
from tests.conformance.twin import play_on_twin

CASES = load_cases()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_twin_does_what_the_kernel_did(case: Case) -> None:
    found = differences(load(case), play_on_twin(case))
    assert not found, f"{case.title}:\n" + "\n".join(found)
