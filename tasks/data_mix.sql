-- The rows that a model is trained on, drawn from the rounds of a run in given proportions.
--
-- Reads a training table (examples, pairs or labels) and `quotas` (round, quota): how many rows of
-- each round to take. Rows of a round are taken in an order that only their id and the seed decide,
-- and again from the start when the quota is larger than the round; `copy` counts the repetitions.
-- Columns: those of the training table, and copy.
WITH
placed AS (
    SELECT
        rows.*,
        row_number() OVER (PARTITION BY round ORDER BY md5(id || ':' || $seed), id) - 1 AS place,
        count(*) OVER (PARTITION BY round) AS size
    FROM training_table AS rows
    WHERE run = $run
)
SELECT placed.* EXCLUDE (place, size), unnest(range((quota - place + size - 1) // size)) AS copy
FROM placed JOIN quotas USING (round)
WHERE place < quota
ORDER BY md5(id || ':' || copy || ':' || $seed), id
