"""Microsoft's clouds: their hosts, what is missing in each, and what people must do differently.

From Microsoft's pages on national cloud deployments, Intune's endpoints and its US Government service; China from
its page on cloud attach. Tokens of one cloud are not valid in another, and devices move between clouds only by
un-enrolling and enrolling again. Features reach some clouds later: check a flag's date before you rely on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Cloud:
    """A cloud. graph : origin of Graph. authority : origin of the token service.

    environment : its name in the Cloud Attach wizard, "" if the wizard does not ask.
    hosts : the hosts that clients must reach to enroll and be managed; * stands for any name.
    tenant_attach : whether devices can be uploaded to Intune's console. endpoint_analytics : None if unknown.
    feature_lag : a sentence on features that arrive later, "" if none are known.
    """

    name: str
    title: str
    graph: str
    authority: str
    intune_portal: str
    tenant_attach: bool = True
    environment: str = ""
    hosts: tuple[str, ...] = ()
    endpoint_analytics: bool | None = True
    feature_lag: str = ""

    @property
    def root(self) -> str:
        """Root of Graph v1.0."""
        return f"{self.graph}/v1.0"

    @property
    def scope(self) -> str:
        """Scope of an application's token."""
        return f"{self.graph}/.default"

    @property
    def differences(self) -> tuple[str, ...]:
        """Differences from the public cloud, in sentences; empty for the public cloud itself."""
        if self.name in ("public", "gcc"):
            return ()
        out = [f"cloud {self.title}: clients must reach {', '.join(self.hosts)} (E18)"]
        if not self.tenant_attach:
            out.append("tenant attach is not available: the wizard disables the option to upload devices")
        if self.endpoint_analytics is False:
            out.append("endpoint analytics is not available; automatic enrollment works")
        if self.feature_lag:
            out.append(self.feature_lag)
        return tuple(out)


_GOV = "https://login.microsoftonline.us"
_PUBLIC_HOSTS = (
    "*.manage.microsoft.com",
    "*.dm.microsoft.com",
    "login.microsoftonline.com",
    "enterpriseregistration.windows.net",
)
_GOV_HOSTS = (
    "*.manage.microsoft.us",
    "login.microsoftonline.us",
    "enterpriseregistration.microsoftonline.us",
)
_GOV_LAG = (
    "expedited and feature update policies and parts of Autopilot may arrive later (as of June 2024): "
    "check before you move Windows Update policies"
)

_ALL = (
    Cloud(
        "public",
        "worldwide, and US Government GCC",
        "https://graph.microsoft.com",
        "https://login.microsoftonline.com",
        "intune.microsoft.com",
        environment="AzurePublicCloud",
        hosts=_PUBLIC_HOSTS,
    ),
    Cloud(
        "gcc",
        "US Government GCC, which is in the commercial cloud",
        "https://graph.microsoft.com",
        "https://login.microsoftonline.com",
        "intune.microsoft.com",
        environment="AzurePublicCloud",
        hosts=_PUBLIC_HOSTS,
    ),
    Cloud(
        "usgov",
        "US Government L4 (GCC High)",
        "https://graph.microsoft.us",
        _GOV,
        "intune.microsoft.us",
        False,
        environment="AzureUSGovernmentCloud",
        hosts=_GOV_HOSTS,
        endpoint_analytics=None,
        feature_lag=_GOV_LAG,
    ),
    Cloud(
        "dod",
        "US Government L5 (DoD)",
        "https://dod-graph.microsoft.us",
        _GOV,
        "intune.microsoft.us",
        False,
        environment="AzureUSGovernmentCloud",
        hosts=_GOV_HOSTS,
        endpoint_analytics=None,
        feature_lag=_GOV_LAG,
    ),
    Cloud(
        "china",
        "China, run by 21Vianet",
        "https://microsoftgraph.chinacloudapi.cn",
        "https://login.chinacloudapi.cn",
        "intune.microsoftonline.cn",
        False,
        environment="AzureChinaCloud",
        hosts=("*.manage.microsoftonline.cn", "login.chinacloudapi.cn", "login.partner.microsoftonline.cn"),
        endpoint_analytics=False,
    ),
)

CLOUDS: Mapping[str, Cloud] = MappingProxyType({cloud.name: cloud for cloud in _ALL})
"""All clouds by name, as settings and scenarios spell it."""
