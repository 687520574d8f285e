"""Microsoft's clouds: which host answers for Graph, who gives tokens, what is missing there.

From Microsoft's page on national cloud deployments. Tokens of one cloud are worth nothing in another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud. graph : origin of Graph. authority : origin of the token service.

    tenant_attach : whether devices can be uploaded to Intune's console there.
    """

    name: str
    title: str
    graph: str
    authority: str
    intune_portal: str
    tenant_attach: bool = True

    @property
    def root(self) -> str:
        """Root of Graph v1.0."""
        return f"{self.graph}/v1.0"

    @property
    def scope(self) -> str:
        """Scope of an application's token."""
        return f"{self.graph}/.default"


_GOV = "https://login.microsoftonline.us"

CLOUDS: Mapping[str, Cloud] = MappingProxyType(
    {
        one.name: one
        for one in (
            Cloud(
                "public",
                "worldwide, and US Government GCC",
                "https://graph.microsoft.com",
                "https://login.microsoftonline.com",
                "intune.microsoft.com",
            ),
            Cloud(
                "gcc",
                "US Government GCC, which is in the commercial cloud",
                "https://graph.microsoft.com",
                "https://login.microsoftonline.com",
                "intune.microsoft.com",
            ),
            Cloud(
                "usgov",
                "US Government L4 (GCC High)",
                "https://graph.microsoft.us",
                _GOV,
                "intune.microsoft.us",
                False,
            ),
            Cloud(
                "dod",
                "US Government L5 (DoD)",
                "https://dod-graph.microsoft.us",
                _GOV,
                "intune.microsoft.us",
                False,
            ),
            Cloud(
                "china",
                "China, run by 21Vianet",
                "https://microsoftgraph.chinacloudapi.cn",
                "https://login.chinacloudapi.cn",
                "intune.microsoftonline.cn",
                False,
            ),
        )
    }
)
"""By name, as settings write it."""
