"""A message to a webhook when a rollout holds, halts or finishes. It never stops or delays the rollout."""

from __future__ import annotations

import http.client
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from rollout.errors import UsageError
from rollout.executor.logs import log_event
from rollout.text import json_text
from rollout.values import State

NOTIFIED = (State.HELD, State.HALTED, State.FINISHED, State.LOSSES, State.ABORTED)
"""States that cause a notice."""

WAIT_S = 4.0
"""Maximum seconds that the loop waits for the server."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves every redirect as an error with its status."""

    def redirect_request(self, *_: object) -> None:
        """Follow no redirect."""


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())


class Notice:
    """Sends a JSON document with POST, to this address alone: no proxy of the environment, no redirect.

    A redirect is a failure: the document would go to an unknown server, or be lost as a GET that is answered with 200.
    url : http or https; its path may be a secret, so our messages never show more than its host.
    Raise `UsageError` for any other URL.
    """

    def __init__(self, url: str, wait_s: float = WAIT_S) -> None:
        try:
            parts = urlsplit(url)
            self._host = parts.hostname or ""
        except ValueError:
            self._host = ""
        if not self._host or parts.scheme not in ("http", "https"):
            raise UsageError(
                "--notify: expected a URL with http:// or https:// and a host",
                "set it as ROLLOUT_NOTIFY_URL, so that no process list shows it",
            )
        self._url, self._wait_s = url, wait_s

    def send(self, document: Mapping[str, Any]) -> bool:
        """Send, and wait briefly for the answer. A failure is logged, never raised."""
        answers: list[str] = []
        thread = threading.Thread(target=self._post, args=(document, answers), daemon=True)
        thread.start()
        thread.join(self._wait_s)
        answer = answers[0] if answers else f"no answer within {self._wait_s:.0f} s"
        if answer:
            log_event(f"the notice to {self._host} failed: {answer}", level=logging.WARNING)
        return not answer

    def _post(self, document: Mapping[str, Any], answers: list[str]) -> None:
        body = json_text(document, sort_keys=True).encode()
        request = urllib.request.Request(  # the scheme was checked
            self._url, body, {"Content-Type": "application/json; charset=utf-8", "User-Agent": "rollout"}
        )
        try:
            with _OPENER.open(request, timeout=self._wait_s) as answer:
                answer.read(1)
        except urllib.error.HTTPError as error:
            error.close()
            answers.append(f"HTTP status {error.code}" + (", a redirect" if error.code // 100 == 3 else ""))
        except (OSError, http.client.HTTPException, ValueError) as error:
            # The text of some of these repeats the URL.
            reason = getattr(error, "reason", error)
            text = reason.strerror if isinstance(reason, OSError) else ""
            answers.append(text or type(reason).__name__)
        else:
            answers.append("")
