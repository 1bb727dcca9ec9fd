-- The last word of a round's selections: one row for every sample that none of them used.
--
-- `filter` and `reason` are those of the first selection, or of the filter that dropped the sample
-- before all of them; `detail` has every selection's reason.
-- So samples = samples in a training row + rejected samples, whatever the number of selections.
--
-- Samples with the same reasons share their words: these are put together once per combination,
-- and what is sorted is an id and a number.
--
-- Reads all_decisions (position, filter, sample, reason), filtered (sample, filter), candidates.
-- Writes the temporary tables `words` and `unused`, and the temporary view `rejected` with the
-- columns of `rejections`.
-- Parameters: run and round, as candidates.sql set them.

CREATE OR REPLACE TEMP TABLE combinations AS
SELECT
    d.sample,
    bit_xor(hash(d.position || d.reason)) AS combination
FROM all_decisions AS d
GROUP BY d.sample
HAVING bool_and(d.reason IS NOT NULL);

CREATE OR REPLACE TEMP TABLE words AS
WITH instances AS (
    SELECT c.combination, f.filter AS dropped_by, min(c.sample) AS sample
    FROM combinations AS c
    LEFT JOIN filtered AS f ON f.sample = c.sample
    GROUP BY c.combination, f.filter
)
SELECT
    i.combination,
    i.dropped_by,
    coalesce(i.dropped_by, min_by(d.filter, d.position)) AS filter,
    min_by(d.reason, d.position) AS reason,
    to_json(map_from_entries(
        list({'k': d.filter, 'v': d.reason} ORDER BY d.position)
    ))::VARCHAR AS detail,
    row_number() OVER (ORDER BY i.combination, i.dropped_by) AS number
FROM instances AS i
JOIN all_decisions AS d ON d.sample = i.sample
GROUP BY i.combination, i.dropped_by;

SET VARIABLE words = (
    SELECT list({'filter': filter, 'reason': reason, 'detail': detail} ORDER BY number) FROM words
);

CREATE OR REPLACE TEMP TABLE unused AS
SELECT c.sample_id, w.number
FROM combinations AS u
JOIN candidates AS c ON c.sample = u.sample
LEFT JOIN filtered AS f ON f.sample = u.sample
JOIN words AS w ON w.combination = u.combination AND w.dropped_by IS NOT DISTINCT FROM f.filter
ORDER BY c.sample_id;

CREATE OR REPLACE TEMP VIEW rejected AS
SELECT
    'rejection-' || left(sha256(json_array(
        'rejection', getvariable('run'), getvariable('round'), 'samples', sample_id
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    'samples' AS row_table,
    sample_id AS row_id,
    getvariable('words')[number].filter AS filter,
    getvariable('words')[number].reason AS reason,
    getvariable('words')[number].detail AS detail
FROM unused;
