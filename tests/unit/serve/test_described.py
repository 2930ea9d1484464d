"""What the OpenAPI document says of every address is what the address does, whatever it is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cdc.serve.auth import Role
from cdc.serve.openapi import document
from tests.unit.journal.batches import record_id
from tests.unit.serve.standing import ENTITY, Standing, standing, token_of

EXAMPLES = int(os.environ.get("CDC_TEST_API_EXAMPLES", "8"))
"""Requests of each kind to each operation."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ASKED = [
    (path, method, mode)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
    for mode in GenerationMode
    if path != "/api/v1/alerts/stream"  # it does not end
    and (
        mode is GenerationMode.POSITIVE or "x-role" in operation
    )  # nothing can be wrong with a look at the health
]

KNOWN = {"entity": ENTITY, "record_id": record_id(1), "incident_id": "a-1"}
"""What is there: most questions look further only when they are asked about it."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with pytest.MonkeyPatch.context() as patch, standing(tmp_path_factory.mktemp("api")) as made:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))  # a folder that is asked for lies here
        yield made


@pytest.mark.parametrize(("path", "method", "mode"), ASKED)
def test_no_question_is_answered_otherwise_than_described(
    api: Standing, path: str, method: str, mode: GenerationMode
) -> None:
    operation = schemathesis.openapi.from_dict(document())[path][method.upper()]
    cases = operation.as_strategy(generation_mode=mode)

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Case) -> None:
        if mode is GenerationMode.POSITIVE:
            case.path_parameters |= {k: v for k, v in KNOWN.items() if k in case.path_parameters}
        answer = case.call(
            base_url=f"http://{api.address}", headers={"Authorization": f"Bearer {token_of(Role.ADMIN)}"}
        )
        case.validate_response(answer, checks=CHECKS)

    ask()
