"""`[directory.graph]` of the settings file."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, field_validator

from rollout.directory.http.settings import HttpSettings, on_loopback
from rollout.values.clouds import CLOUDS

CLIENT_SECRET_ENV: Final = "ROLLOUT_GRAPH_CLIENT_SECRET"
CERTIFICATE_PASSWORD_ENV: Final = "ROLLOUT_GRAPH_CERTIFICATE_PASSWORD"
SECRETS: Final = (CLIENT_SECRET_ENV, CERTIFICATE_PASSWORD_ENV)
"""Environment variables of all secrets; no key of the file holds one."""


class GraphSettings(HttpSettings):
    """How to reach a tenant.

    tenant_id, client_id : of the app registration. group : id or name of the target; the plan's name by default.
    credential : secret (in ROLLOUT_GRAPH_CLIENT_SECRET), certificate (certificate_file, its password in
        ROLLOUT_GRAPH_CERTIFICATE_PASSWORD), device_code, managed_identity or workload_identity.
    in_flight : concurrent writes; one at a time after the first 409, with which a tenant refuses
        two writes to one group at the same time.
    writes, writes_window_s : the quota that we keep (Microsoft: 3,000 writes in 150 s per app).
    write_counts : whether a write of 20 members counts as one ("request") or as 20 ("member"). Microsoft does
        not say; where it throttles us below our own count, we halve our pace and recover slowly.
    suggested_limit : let the doctor ask how many enrollments per day Intune suggests. That question is documented in
        the beta of Graph only and needs DeviceManagementServiceConfig.Read.All; without an answer it is a note.
    root : instead of the cloud's, for an emulator on loopback only.
    """

    tenant_id: str = Field(min_length=1)
    client_id: str = ""
    group: str = ""
    credential: Literal["secret", "certificate", "device_code", "managed_identity", "workload_identity"] = (
        "secret"
    )
    certificate_file: str = ""
    in_flight: int = Field(default=5, ge=1, le=16)
    writes: int = Field(default=3000, ge=1, le=3000)
    writes_window_s: float = Field(default=150, gt=0)
    write_counts: Literal["request", "member"] = "request"
    suggested_limit: bool = False
    root: str = ""

    @field_validator("root")
    @classmethod
    def _root(cls, value: str) -> str:
        return on_loopback(value)

    @property
    def base(self) -> str:
        """Root of Graph v1.0."""
        return self.root or CLOUDS[self.cloud].root
