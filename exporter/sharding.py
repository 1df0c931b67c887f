"""Which replica watches which project: the same answer in every process, with nothing shared."""

from hashlib import blake2b
from typing import NamedTuple


class Shard(NamedTuple):
    """One of ``total`` replicas that share the projects; ``ordinal`` counts from 0.

    A project's key is what DLI counts a quota for: the project in its region, which the endpoint
    names. The account is no part of it, for no two accounts have a project id in common. Two
    names in the settings for one project thus come to one shard.
    """

    ordinal: int
    total: int

    def owns(self, endpoint: str, project_id: str) -> bool:
        """Whether a project is in this replica's share."""
        return self.owner(endpoint, project_id) == self.ordinal

    def owner(self, endpoint: str, project_id: str) -> int:
        """Return the ordinal of the replica that watches a project, by rendezvous hashing.

        One replica more only takes projects over, from each of n others one in n + 1; none
        moves between those.
        """
        return max(range(self.total), key=lambda each: _weight(endpoint, project_id, each))


def _weight(endpoint: str, project_id: str, ordinal: int) -> bytes:
    # Python's own hash() differs from process to process.
    return blake2b(f"{endpoint}\n{project_id}\n{ordinal}".encode(), digest_size=8).digest()
