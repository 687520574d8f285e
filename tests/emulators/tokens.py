"""A token server as azure-identity meets it: discovery and the token endpoint of one tenant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from emulators.graph import TENANT
from emulators.web import Asked, Emulator, Reply


@dataclass
class Tokens:
    """Gives `issued` to whoever knows `secret`, and repeats what it was sent to whoever does not.

    behind : what answers all other paths, None = nothing does. asked : the forms that came in.
    """

    secret: str
    issued: str
    behind: Emulator | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, asked: Asked) -> Reply:
        base = f"{asked.url[: asked.url.index('/', 8)]}/{TENANT}"
        if asked.path.endswith("openid-configuration"):
            known = {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/authorize",
            }
            return Reply(200, {**known, "issuer": f"{base}/v2.0"})
        if not asked.path.endswith("/oauth2/v2.0/token"):
            return self.behind.answer(asked) if self.behind else Reply(404, {})
        self.asked.append(asked.body)
        if asked.body.get("client_secret") != self.secret:
            told = f"AADSTS7000215: Invalid secret {asked.body}"
            return Reply(401, {"error": "invalid_client", "error_description": told})
        return Reply(200, {"token_type": "Bearer", "expires_in": 3600, "access_token": self.issued})
