"""What every source of credentials is."""

from typing import Protocol

from ..signing import Credential


class Provider(Protocol):
    """A source of credentials for one project."""

    @property
    def present(self) -> Credential | None:
        """The credential to call with, as long as nobody has to wait for it; else None."""

    async def credential(self) -> Credential:
        """Give the credential to call with now, renewed if need be.

        Many calls may ask at once; how to renew only once is the provider's own matter.
        CredentialsUnavailable if there is none.
        """

    def reject(self, credential: Credential) -> None:
        """Hear that the API refused this credential: the next one should be a fresh one."""

    @property
    def expires_at(self) -> float | None:
        """When the present credential ends (Unix seconds); None if never, or not known."""

    async def close(self) -> None:
        """Give up what is under way: nobody will ask again."""
