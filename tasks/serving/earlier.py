"""Samples of other runs and rounds that answer the same requests: nobody has to be asked again."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import duckdb

from storage import Warehouse
from tasks.engines import Completion, GenerationRequest, request_digest
from tasks.engines.base import begun_answer

_log = logging.getLogger(__name__)

# Once per weights: most rounds have weights of their own, which nobody has asked before, and then
# this is all that is ever read.
_KNOWN = """
INSERT INTO known
SELECT DISTINCT request_digest, run, round
FROM samples
WHERE weight_hash = $weight_hash AND status = 'ok' AND request_digest IS NOT NULL
    AND NOT (run = $run AND round = $round)
"""
_PLACES = """
SELECT DISTINCT run, round FROM known WHERE request_digest IN (SELECT unnest($digests))
"""
# Runs and rounds first: the files of others are not read.
_SAMPLES = """
SELECT
    request_digest, seed, id, text, num_tokens, finish_reason, sum_logprob, mean_logprob,
    min_logprob, mean_entropy, mean_self_certainty, num_prompt_tokens
FROM samples
WHERE list_contains($runs, run) AND list_contains($rounds, round)
    AND NOT (run = $run AND round = $round)
    AND request_digest IN (SELECT unnest($digests)) AND status = 'ok'
ORDER BY reused_from IS NOT NULL, run, round, id
"""
_COLUMNS = (
    "text",
    "num_tokens",
    "finish_reason",
    "sum_logprob",
    "mean_logprob",
    "min_logprob",
    "mean_entropy",
    "mean_self_certainty",
    "num_prompt_tokens",
)


class EarlierSamples:
    """What a warehouse holds of answers to requests that are to be asked in a round.

    A sample answers a request if the request that it was drawn for had the same digest and if it
    was drawn with the same seed; of a greedy one the seed says nothing. Errors answer nothing. The
    round's own samples are left out: which of them are in the tables depends on the clock.

    Args:
        warehouse: Holds the samples.
        run: The run that asks.
        round: Its round.
    """

    def __init__(self, warehouse: Warehouse, *, run: str, round: int) -> None:
        self._warehouse, self._place = warehouse, {"run": run, "round": round}
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._weights = set[str]()
        self._has_others: bool | None = None  # not known before somebody asks

    def find(
        self, weight_hash: str, fingerprint: str, requests: Sequence[GenerationRequest]
    ) -> dict[str, list[Completion]]:
        """The completions of those requests that are answered in full.

        Args:
            weight_hash: Hash of the weights that would be asked.
            fingerprint: The engine's.
            requests: What would be asked.

        Returns:
            The n completions by the request's id. None at all where a file can't be read: what was
            reused is not worth a round that fails.
        """
        if self._has_others is None:
            parts = self._warehouse.parts("samples")
            own = (self._place["run"], self._place["round"])
            self._has_others = any((part.run, part.round) != own for part in parts)
        if not self._has_others or not requests:
            return {}
        digests = {request.id: request_digest(fingerprint, request) for request in requests}
        try:
            found = self._read(weight_hash, sorted(set(digests.values())))
        except duckdb.Error as error:
            _log.warning(
                "earlier samples of %s can't be read, so none is reused: %s",
                self._warehouse.uri,
                error,
            )
            self.close()
            self._has_others = False
            return {}
        answers = {
            request.id: _answer(request, found.get(digests[request.id], {})) for request in requests
        }
        return {name: completions for name, completions in answers.items() if completions}

    def close(self) -> None:
        """Let go of the tables; the next question opens them again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._weights.clear()

    def _read(
        self, weight_hash: str, digests: list[str]
    ) -> dict[str, dict[int, Mapping[str, object]]]:
        """By digest and seed: id and completion of the samples."""
        connection = self._known(weight_hash)
        places = connection.execute(_PLACES, {"digests": digests}).fetchall()
        if not places:
            return {}
        runs, rounds = (sorted(set(names)) for names in zip(*places, strict=True))
        given = {**self._place, "digests": digests, "runs": runs, "rounds": rounds}
        found: dict[str, dict[int, Mapping[str, object]]] = {}
        for digest, seed, *values in connection.execute(_SAMPLES, given).fetchall():
            columns = dict(zip(("reused_from", *_COLUMNS), values, strict=True))
            found.setdefault(digest, {}).setdefault(seed, columns)
        return found

    def _known(self, weight_hash: str) -> duckdb.DuckDBPyConnection:
        """A connection that knows which requests these weights have answered, and where."""
        if self._connection is None:
            self._connection = self._warehouse.connect()
            # A round's question is asked once per shard; files that are there do not change.
            self._connection.execute("SET parquet_metadata_cache = true")
            self._connection.execute(
                "CREATE TEMP TABLE known (request_digest VARCHAR, run VARCHAR, round INTEGER)"
            )
        if weight_hash not in self._weights:
            given = {**self._place, "weight_hash": weight_hash}
            self._connection.execute(_KNOWN, given)
            self._weights.add(weight_hash)
        return self._connection


def _answer(
    request: GenerationRequest, found: Mapping[int, Mapping[str, object]]
) -> list[Completion]:
    """The completions of a request out of samples by seed; none where one is missing."""
    seeds = range(request.seed, request.seed + request.n)
    if request.temperature == 0 and found:
        any_of_them = next(iter(found.values()))
        samples = [any_of_them] * request.n
    elif all(seed in found for seed in seeds):
        samples = [found[seed] for seed in seeds]
    else:
        return []
    begun = begun_answer(request.messages)  # a sample's text has it, a completion's has not
    texts = [str(sample["text"]).removeprefix(begun) for sample in samples]
    return [
        Completion(request.id, index, seed, **{**columns, "text": text})  # type: ignore[arg-type]
        for index, (seed, columns, text) in enumerate(zip(seeds, samples, texts, strict=True))
    ]
