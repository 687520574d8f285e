"""How a person signs in to a site behind a cloud management gateway."""

from __future__ import annotations

from rollout.directory.configmgr.settings import AdminServiceSettings
from rollout.directory.http.credentials import Credential, prompt_sign_in, token_server


def gateway_credential(settings: AdminServiceSettings) -> Credential:
    """Return a credential for a cloud management gateway: a person signs in with a code.

    Application tokens are not known to work there: the token's user must be a ConfigMgr administrator.
    """
    import azure.identity as identity

    return identity.DeviceCodeCredential(
        settings.client_id,
        tenant_id=settings.tenant_id,
        prompt_callback=prompt_sign_in,
        **token_server(settings),
    )
