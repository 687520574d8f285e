"""A token server as azure-identity meets it: discovery, sign-in with a code, and the token endpoint of one tenant."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field, replace
from typing import Any

from emulators.graph import TENANT
from emulators.web import Asked, Emulator, Reply

CODE = "ABCD-EFGH"
REFRESH = "canary-refresh-token"
DEVICE = "canary-device-code"


@dataclass
class Tokens:
    """Gives `issued` to whoever knows `secret`, and repeats what it was sent to whoever does not. A person who signs
    in with a code needs `pending` questions for that, or declines.

    behind : what answers all other paths, None = nothing does. asked : the forms that came in for tokens, begun :
    those for a code.
    """

    secret: str
    issued: str
    behind: Emulator | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    begun: list[dict[str, Any]] = field(default_factory=list)
    pending: int = 2
    declines: bool = False

    def answer(self, asked: Asked) -> Reply:
        base = f"{asked.url[: asked.url.index('/', 8)]}/{TENANT}"
        if asked.path.endswith("openid-configuration"):
            known = {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/authorize",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            }
            return Reply(200, {**known, "issuer": f"{base}/v2.0"})
        if asked.path.endswith("/oauth2/v2.0/devicecode"):
            self.begun.append(asked.body)
            known = {"device_code": DEVICE, "user_code": CODE, "verification_uri": f"{base}/device"}
            return Reply(200, {**known, "expires_in": 900, "interval": 1, "message": f"enter {CODE}"})
        if not asked.path.endswith("/oauth2/v2.0/token"):
            return self.behind.answer(asked) if self.behind else Reply(404, {})
        self.asked.append(asked.body)
        return self._token(asked.body, base)

    def _token(self, form: dict[str, Any], base: str) -> Reply:
        given = {"token_type": "Bearer", "expires_in": 3600, "access_token": self.issued}
        if form.get("device_code") == DEVICE:
            if self.declines:
                told = "AADSTS70000: The person declined."
                return Reply(400, {"error": "authorization_declined", "error_description": told})
            self.pending -= 1
            if self.pending >= 0:
                return Reply(400, {"error": "authorization_pending"})
            return Reply(200, given | self._person(form, base))
        if form.get("refresh_token") == REFRESH:
            return Reply(200, given | self._person(form, base))
        if form.get("client_secret") != self.secret:
            told = f"AADSTS7000215: Invalid secret {form}"
            return Reply(401, {"error": "invalid_client", "error_description": told})
        return Reply(200, given)

    @staticmethod
    def _person(form: dict[str, Any], base: str) -> dict[str, Any]:
        """Give what a person's token has besides."""
        now = int(time.time())
        claims = {"aud": form["client_id"], "iss": f"{base}/v2.0", "sub": "kim", "oid": "kim", "tid": TENANT}
        claims |= {"preferred_username": "kim@example.com", "iat": now, "exp": now + 3600}
        parts = ({"alg": "none"}, claims)
        texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
        return {"refresh_token": REFRESH, "scope": form.get("scope", ""), "id_token": ".".join([*texts, ""])}


class Gateway:
    """A cloud management gateway: lets in who has the token that is valid now, and passes it on to the site."""

    PATH = "/CCM_Proxy_ServerAuth/72057594037927941"

    def __init__(self, site: Emulator, tokens: Tokens) -> None:
        self._site, self._tokens = site, tokens
        self.refused = 0

    def answer(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {self._tokens.issued}":
            self.refused += 1
            return Reply(401, {"error": {"code": "401", "message": "no token, or none that is valid"}})
        if not asked.path.startswith(self.PATH):
            return Reply(404, {"error": {"code": "404", "message": "no such service"}})
        return self._site.answer(replace(asked, path=asked.path.removeprefix(self.PATH)))
