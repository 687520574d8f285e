"""How the app signs in to a tenant: azure-identity's credential for the settings."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.directory.graph.settings import CERTIFICATE_PASSWORD_ENV, CLIENT_SECRET_ENV, GraphSettings
from rollout.directory.http.credentials import Credential, first_line, prompt_sign_in, token_server
from rollout.errors import UsageError


def graph_credential(settings: GraphSettings, environ: Mapping[str, str]) -> Credential:
    """Return azure-identity's credential for the settings.

    Raise `UsageError` if the secret's environment variable or a key is missing.
    """
    import azure.identity as identity

    tenant, client = settings.tenant_id, settings.client_id
    server = token_server(settings)
    kind = settings.credential
    if kind != "managed_identity" and not client:
        raise UsageError(f'[directory.graph] client_id: required with credential = "{kind}"')
    if kind == "secret":
        secret = _secret(environ, CLIENT_SECRET_ENV)
        return identity.ClientSecretCredential(tenant, client, secret, **server)
    if kind == "certificate":
        if not settings.certificate_file:
            raise UsageError(
                '[directory.graph] certificate_file: required with credential = "certificate" (a PEM or PFX file)'
            )
        password = environ.get(CERTIFICATE_PASSWORD_ENV)
        try:
            return identity.CertificateCredential(
                tenant, client, settings.certificate_file, password=password, **server
            )
        except (OSError, ValueError) as error:
            raise UsageError(f"[directory.graph] certificate_file: {first_line(error)}") from None
    if kind == "device_code":
        return identity.DeviceCodeCredential(
            client, tenant_id=tenant, prompt_callback=prompt_sign_in, **server
        )
    if kind == "workload_identity":
        return identity.WorkloadIdentityCredential(tenant_id=tenant, client_id=client, **server)
    return identity.ManagedIdentityCredential(client_id=client or None)


def _secret(environ: Mapping[str, str], name: str) -> str:
    secret = environ.get(name, "")
    if not secret:
        raise UsageError(f"{name} is not set: this environment variable holds the secret")
    return secret
