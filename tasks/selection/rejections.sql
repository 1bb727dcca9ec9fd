-- The last word of a round's selections: one row for every sample that none of them used.
--
-- `filter` and `reason` are those of the first selection, or of the filter that dropped the sample
-- before all of them; `detail` has every selection's reason.
-- So samples = samples in a training row + rejected samples, whatever the number of selections.
--
-- Samples with the same reasons share their words: these are put together once per combination.
--
-- Reads all_decisions (position, filter, sample, reason), filtered (sample, filter), candidates. Gives the columns of
-- `rejections`.
-- Parameters: run and round, as candidates.sql set them.

WITH unused AS (
    SELECT sample, bit_xor(hash(position || reason)) AS combination
    FROM all_decisions
    GROUP BY sample
    HAVING bool_and(reason IS NOT NULL)
),
instances AS (
    SELECT combination, min(sample) AS sample
    FROM unused
    GROUP BY combination
),
words AS (
    SELECT
        i.combination,
        min_by(d.filter, d.position) AS filter,
        min_by(d.reason, d.position) AS reason,
        to_json(map_from_entries(
            list({'k': d.filter, 'v': d.reason} ORDER BY d.position)
        ))::VARCHAR AS detail
    FROM instances AS i
    JOIN all_decisions AS d ON d.sample = i.sample
    GROUP BY i.combination
)
SELECT
    'rejection-' || left(sha256(json_array(
        'rejection', getvariable('run'), getvariable('round'), 'samples', c.sample_id
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    'samples' AS row_table,
    c.sample_id AS row_id,
    coalesce(f.filter, w.filter) AS filter,
    w.reason,
    w.detail
FROM unused AS u
JOIN words AS w ON w.combination = u.combination
JOIN candidates AS c ON c.sample = u.sample
LEFT JOIN filtered AS f ON f.sample = u.sample
ORDER BY c.sample_id;
