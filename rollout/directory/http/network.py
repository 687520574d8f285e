"""The transport of a directory from its settings; what tests replace is in one value."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import httpx2

from rollout.directory.http.credentials import Credential
from rollout.directory.http.pace import Pace
from rollout.directory.http.settings import HttpSettings
from rollout.directory.http.transport import Transport
from rollout.directory.port import Time


@dataclass(frozen=True, slots=True)
class Network:
    """The world outside as a directory meets it.

    credential : None = that of the settings. layer : below HTTP, None = the network. chance : numbers in [0, 1).
    """

    credential: Credential | None = None
    layer: httpx2.BaseTransport | None = None
    chance: Callable[[], float] = random.SystemRandom().random

    def transport(
        self,
        settings: HttpSettings,
        pace: Pace,
        clock: Time,
        auth: httpx2.Auth | None,
        origins: tuple[str, ...] = (),
    ) -> Transport:
        """Return the transport for the settings; nothing is sent."""
        return Transport(
            pace,
            clock,
            chance=self.chance,
            new_id=lambda: str(uuid.uuid4()),
            origins=origins,
            auth=auth,
            ca_file=settings.ca_file,
            proxy=settings.proxy,
            timeout_s=settings.timeout_s,
            deadline_s=settings.deadline_s,
            attempts=settings.attempts,
            http=self.layer,
        )
