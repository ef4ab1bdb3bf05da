"""What is said to a request that does not pass: JSON to a program, a page of one sentence to a person's browser."""

from dataclasses import dataclass, field
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>tvr</title>
<link rel="stylesheet" href="/static/page.css">
<main>
<h1>tvr</h1>
<p>{sentence}</p>
{way_on}
</main>
</html>
"""
_TO_THE_START = '<p><a href="/">To the search</a></p>'
_UNKNOWN_PERSON = 401


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request does not pass."""

    status: int
    sentence: str
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def answer(self, request: Request) -> Response:
        """In the form that whoever asks can read."""
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse({"detail": self.sentence}, self.status, self.headers)
        said = self.sentence[:1].upper() + self.sentence[1:]
        way_on = "" if self.status == _UNKNOWN_PERSON else _TO_THE_START
        return HTMLResponse(
            _PAGE.format(sentence=escape(said), way_on=way_on), self.status, headers=self.headers
        )
