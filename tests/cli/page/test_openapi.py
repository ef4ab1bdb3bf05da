"""The OpenAPI document of the page's server says what the server does, and no parameter leads anywhere else."""

from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import integers, sampled_from
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from ...fixtures.served_page import RUN, ServedPage

EXAMPLES = 5
"""Of each operation, right ones and wrong ones."""
NUM_VIDEOS = 11
CONFIG = {
    "checks": {"negative_data_rejection": {"expected-statuses": [400, 404, 405, 414, 422]}},
    "operations": [
        # What a document cannot say: exactly one of q, video and picture, bytes that are those of a picture, which
        # splits there are, and that a span ends behind its start.
        {
            "include-path": "/api/search",
            "checks": {"positive_data_acceptance": {"expected-statuses": [200, 400, 404, 414]}},
        },
        {
            "include-path": "/api/pictures",
            "checks": {"positive_data_acceptance": {"expected-statuses": [200, 422]}},
        },
        {
            "include-path": "/api/runs/{name}/failures",
            "checks": {"positive_data_acceptance": {"expected-statuses": [200, 400, 404]}},
        },
        *(
            {
                "include-path": f"/api/videos/{{number}}/{last}",
                "checks": {"positive_data_acceptance": {"expected-statuses": [200, 206, 400, 404]}},
            }
            for last in ("playable", "media")
        ),
    ],
}
HOSTILE = (
    "../../../../etc/passwd",
    "..\\..\\etc\\passwd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/etc/passwd",
    "file:///etc/passwd",
    "//evil.example/x",
    "a\0b",
    "\ud800",
    "‮../\r\nSet-Cookie: a=b",
    "{0.__class__}%s%n$(id)`id`",
    "9" * 400,
    "-9223372036854775809",
    "1e309",
    "nan",
    "",
)
"""What leads out of a folder, into a header or out of a number, where it is believed."""


def operations(api: ServedPage) -> Iterator[Any]:
    schema: Any = schemathesis.openapi.from_url(
        f"http://127.0.0.1:{api.port}/openapi.json", config=SchemathesisConfig.from_dict(CONFIG)
    )
    for found in schema.get_all_operations():
        yield found.ok()


# What schemathesis imports at the first case draws a random number, which Hypothesis takes for the strategy's own.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
def test_every_answer_is_one_of_the_document(api: ServedPage) -> None:
    """Parameters that the document allows, and such as it forbids: drawn from it, always the same ones."""
    asked = 0
    for operation in operations(api):
        asked += as_documented(operation, GenerationMode.POSITIVE)
        if len(operation.query):
            asked += as_documented(operation, GenerationMode.NEGATIVE)
    assert asked > 50


def as_documented(operation: Any, mode: GenerationMode) -> int:
    """See that the operation answers as its document says; how often it was asked."""
    asked = 0

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.filter_too_much,
            HealthCheck.data_too_large,
        ],
    )
    @given(
        case=operation.as_strategy(generation_mode=mode),
        number=integers(0, NUM_VIDEOS - 1),
        name=sampled_from([RUN, "zero-shot"]),
    )
    def answered(case: Any, number: int, name: str) -> None:
        nonlocal asked
        asked += 1
        if mode is GenerationMode.POSITIVE and asked % 2:  # of random names none would be known
            known = {"number": number, "name": name}
            case.path_parameters.update({one: known[one] for one in case.path_parameters or ()})
        case.call_and_validate(timeout=60)

    answered()
    return asked


def addresses(api: ServedPage, hostile: str) -> Iterator[tuple[str, str]]:
    """Each operation once for each of its parameters, with this in its place and sound ones in the others'."""
    sound = {"number": 0, "name": RUN, "q": "a ring", "seconds": 0, "height": 90}
    for operation in operations(api):
        own = [(parameter.name, parameter.location.value) for parameter in operation.iter_parameters()]
        needed = {name: sound[name] for name, _ in own if name in sound and name != "seconds"}
        for name, where in own:
            values = {**needed, name: hostile}
            if operation.path == "/api/search" and name in ("video", "picture", "seconds"):
                del values["q"]
                values.setdefault("video", 0)
                if name == "picture":
                    del values["video"]
            yield operation.method.upper(), _address(operation.path, own, values)
            if where == "path":
                yield operation.method.upper(), operation.path.replace("{" + name + "}", _as_it_is(hostile))


def _address(path: str, own: list[tuple[str, str]], values: dict[str, Any]) -> str:
    query: list[str] = []
    for name, where in own:
        if name in values:
            text = quote(str(values[name]), safe="", errors="surrogatepass")
            if where == "path":
                path = path.replace("{" + name + "}", text)
            else:
                query.append(f"{name}={text}")
    return f"{path}?{'&'.join(query)}"


def _as_it_is(hostile: str) -> str:
    """As much of it unquoted as a request line can hold."""
    return quote(hostile, safe="/\\%:.{}$()`", errors="surrogatepass")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_parameter_leads_anywhere_fails(hostile: str, api: ServedPage) -> None:
    folder = str(api.context.opened.store.folder.parent)
    connection = HTTPConnection("127.0.0.1", api.port, timeout=60)
    asked = 0
    for method, address in addresses(api, hostile):
        connection.request(method, address)
        answer = connection.getresponse()
        body = answer.read()
        asked += 1
        assert answer.status in (200, 400, 404, 405, 414, 422), (address, body)
        assert b"root:" not in body and folder.encode() not in body, address
        assert answer.headers.get("set-cookie") is None, address
        kind = answer.headers["content-type"]
        assert kind == "application/json" or kind.startswith(("image/jpeg", "video/", "text/html")), address
    connection.close()
    assert asked > 20
