"""A credential that stays as it is."""

from ..signing import Credential


class Static:
    """One credential for good, as the settings or the environment give it."""

    def __init__(self, credential: Credential) -> None:
        """Take the credential."""
        self._credential = credential

    @property
    def present(self) -> Credential:
        """The one there is."""
        return self._credential

    async def credential(self) -> Credential:
        """Give the one there is."""
        return self._credential

    def reject(self, credential: Credential) -> None:
        """Do nothing: there is no other."""

    @property
    def expires_at(self) -> float | None:
        """When it ends, if whoever configured it knew."""
        return self._credential.expires_at

    async def close(self) -> None:
        """Do nothing: nothing is under way."""
